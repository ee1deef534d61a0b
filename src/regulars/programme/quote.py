"""quote: what the programme would do for a cart, without doing it - discounts, gifts, points to earn, value that may be spent, and why.

Invariant (law 13): a pure function of version, member, cart and time; the order of rules or lines and the splitting of a line change
no byte of it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from regulars.kernel.amount import Rounding, rounded, split
from regulars.kernel.ids import MemberId, RuleId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.lots import active_balance
from regulars.programme.basis import Basis, canonical
from regulars.programme.decide import decide
from regulars.programme.definition import Programme, Ready, Version
from regulars.programme.dossier import EMPTY, Award
from regulars.programme.entitlement import entitlement, situation_of, standing_of, view_of, within_limits
from regulars.programme.facts import Order, TimePassed, unsound
from regulars.programme.mechanics import discounts, points
from regulars.programme.mechanics.budget import Allowance
from regulars.programme.member import MemberState, Situation
from regulars.programme.reasons import Reason, Refusal
from regulars.programme.stacking import Applied, Candidate, stack

NOTHING_SAID: Mapping[str, int] = {}
"""Of no capacity is it said what it has left."""


class QuotedLine(msgspec.Struct, frozen=True):
    """One good of the cart: its shown price and what comes off it, in minor units."""

    sku: str
    quantity: int
    price: int
    discount: int


class Spendable(msgspec.Struct, frozen=True):
    """How many units may pay for this cart, what they are worth, and what kept it from being more."""

    unit: UnitId
    amount: int
    money: int
    balance: int
    limited_by: Refusal | None


class Quote(msgspec.Struct, frozen=True):
    """The programme's answer to a cart. ``total`` is before discounts, ``payable`` after them and before value."""

    version: int
    currency: str
    total: int
    payable: int
    lines: tuple[QuotedLine, ...]
    discounts: tuple[tuple[RuleId, int], ...]
    spendable: tuple[Spendable, ...]
    awards: tuple[Award, ...]
    perks: tuple[RuleId, ...]
    refusals: tuple[Refusal, ...]


class Priced(msgspec.Struct, frozen=True):
    """An order with the programme's discounts on its lines, what each rule took off, and why the other discounts took nothing."""

    order: Order
    applied: tuple[Applied, ...] = ()
    silent: dict[RuleId, Reason] = {}


def quote(programme: Programme, member: MemberState | None, cart: Order, left: Mapping[str, int] = NOTHING_SAID) -> Quote | Refusal:
    """What ``cart`` (an order not yet placed; its ``placed_at`` is the moment asked about) would get.

    ``member`` None is a guest: what they would have as a new member. A refusal when the cart is impossible, when the member takes part no
    more, when no version is in force or when the currency has no rate. ``left`` says what capacities have left, by name; one that is not
    named has enough. Whoever orders first gets it: a quote sets nothing of it aside.
    """
    if wrong := unsound(cart):
        return Refusal(Reason.UNSOUND, cart.key, {"what": wrong})
    if member is not None and member.is_gone:
        return Refusal(Reason.MEMBER_CLOSED, member.id, {"status": member.status})
    version = programme.at(cart.placed_at)
    if version is None:
        return Refusal(Reason.NO_PROGRAMME_YET, cart.key)
    if cart.currency == version.currency:
        cart = cart if cart.rate is None else msgspec.structs.replace(cart, rate=None)
    elif cart.rate is None:
        return Refusal(Reason.CURRENCY_WITHOUT_RATE, cart.key, {"currency": cart.currency, "programme_currency": version.currency})
    member = member_at(programme, member, cart.placed_at)
    situation = situation_of(member)
    cart = msgspec.structs.replace(cart, lines=canonical(cart.lines))
    priced = discounted(version, cart, situation)
    order = priced.order
    basis = Basis(order, version.policies)
    kept = within_limits(version, {}, *entitlement(version, order, situation, basis), Allowance(left))
    awards, perks = kept.awards, kept.perks
    prices = shown_prices(cart)
    gave = {award.rule for award in awards} | {id for award in awards for id in award.multiples} | set(perks)
    lowered = {RuleId(refusal.subject) for refusal in kept.lowered}
    refusals = silent_rules(version, order, situation, basis, gave | lowered | {a.rule for a in priced.applied}, priced.silent)
    return Quote(
        version=version.number,
        currency=cart.currency,
        total=sum(prices),
        payable=sum(prices) - sum(line.discount for line in order.lines) - order.discount,
        lines=tuple(QuotedLine(line.sku, line.quantity, price, line.discount) for line, price in zip(order.lines, prices, strict=True)),
        discounts=tuple((a.rule, a.amount) for a in priced.applied),
        spendable=tuple(spendable(version, member, order, purse) for purse in version.purses.values()),
        awards=tuple(sorted(awards, key=lambda award: award.rule)),
        perks=tuple(sorted(perks)),
        refusals=(*kept.lowered, *(Refusal(reason, rule) for rule, reason in sorted(refusals.items()))),
    )


def member_at(programme: Programme, member: MemberState | None, at: Instant) -> MemberState:
    """``member`` as they stand at ``at``, whatever was due by then done; a guest as a new member."""
    state = member if member is not None else MemberState(MemberId(""))
    return decide(programme, state, EMPTY, TimePassed(at)).member if state.due_at <= at else state


def discounted(version: Version, order: Order, situation: Situation) -> Priced:
    """``order`` with the programme's discounts (stages: lines, then the order); equal lines are one, in an order of their own."""
    if not version.discounts or not order.lines:
        return Priced(order)
    order = msgspec.structs.replace(order, lines=canonical(order.lines))
    prices = shown_prices(order)
    floor = version.policies.price_floor_percent / 100
    floors = [rounded(price * floor.numerator, floor.denominator, Rounding.UP) for price in prices]
    left = [max(0, price - line.discount) for price, line in zip(prices, order.lines, strict=True)]
    left = [rest - share for rest, share in zip(left, split(min(order.discount, sum(left)), left), strict=True)]
    applied: list[Applied] = []
    silent: dict[RuleId, Reason] = {}
    for stage in ("line", "order"):
        rules = [rule for rule in version.discounts if _stage(rule) == stage]
        view = view_of(version, order, situation, Basis(order, version.policies))
        candidates = []
        for rule in rules:
            if (reason := standing_of(rule, view)) is not None:
                silent[rule.id] = reason
            else:
                candidates.append(_candidate(version, rule, order, prices, floors, situation))
        done = stack(candidates, left) if candidates else []
        chosen = {one.rule for one in done}
        for candidate in candidates:
            if candidate.rule not in chosen:
                silent[candidate.rule] = Reason.CONFLICT if any(candidate.measure(left)) else candidate.without_effect
        if done:
            applied += done
            off = [sum(parts) for parts in zip(*(one.parts for one in done), strict=True)]
            left = [rest - part for rest, part in zip(left, off, strict=True)]
            order = _with_discounts(order, off)
    return Priced(order, tuple(applied), silent)


def silent_rules(
    version: Version, order: Order, situation: Situation, basis: Basis, gave: set[RuleId], known: dict[RuleId, Reason]
) -> dict[RuleId, Reason]:
    """Why each rule that gave nothing gave nothing; ``known`` are the reasons found while the cart was priced."""
    view = view_of(version, order, situation, basis)
    silent: dict[RuleId, Reason] = {}
    for rule in version.ready:
        if rule.id in gave:
            continue
        reason = known.get(rule.id) or standing_of(rule, view)
        if reason is None:
            is_absent = rule.goods is not None and not basis.of(rule.goods)
            reason = Reason.EXCLUDED_ITEMS if is_absent else Reason.NO_EFFECT
        silent[rule.id] = reason
    return silent


def spendable(version: Version, member: MemberState, order: Order, purse: points.Purse) -> Spendable:
    """How much of ``purse`` may pay for ``order``."""
    balance = active_balance(member.lots, purse.unit)
    if order.currency != version.currency:
        return Spendable(purse.unit, 0, 0, balance, Refusal(Reason.NOT_SPENDABLE, purse.unit, {"currency": order.currency}))
    if member.status != "active":
        return Spendable(purse.unit, 0, 0, balance, Refusal(Reason.MEMBER_NOT_ACTIVE, purse.unit, {"status": member.status}))
    most, limited_by = points.allowed(purse, balance, payable(version, order, purse))
    return Spendable(purse.unit, most, purse.money(most), balance, limited_by)


def payable(version: Version, order: Order, purse: points.Purse) -> int:
    """Minor units of the order that ``purse`` may help to pay: its eligible goods after discounts."""
    return Basis(order, version.policies).payable(purse.goods)


def shown_prices(order: Order) -> list[int]:
    """Whole minor units for each line, together exactly the order's total: the exact prices spread by largest remainder."""
    if order.scale == 1:
        return [line.amount for line in order.lines]
    amounts = [line.amount for line in order.lines]
    return split(rounded(sum(amounts), order.scale, Rounding.HALF_UP), amounts)


def _stage(rule: Ready) -> str:
    discount = rule.rule.discount
    assert discount is not None
    return discount.stage or ("line" if discount.goods is not None else "order")


def _candidate(version: Version, rule: Ready, order: Order, prices: list[int], floors: list[int], situation: Situation) -> Candidate:
    discount = rule.rule.discount
    assert discount is not None
    kinds, goods = version.policies.basis_includes, rule.goods
    counted = [line.kind in kinds for line in order.lines]
    covered = [is_in and (goods is None or goods.covers(line)) for line, is_in in zip(order.lines, counted, strict=True)]
    rate = order.rate

    def measure(left: Sequence[int]) -> list[int]:
        room = [rest - floor if is_in else 0 for rest, floor, is_in in zip(left, floors, covered, strict=True)]
        base = left if version.policies.stacking_base == "remaining" else prices
        bases = [price if is_in else 0 for price, is_in in zip(base, covered, strict=True)]
        if discount.amount is not None:
            amount = rule.amount_off if rate is None else rounded(rule.amount_off * rate.denominator, rate.numerator, Rounding.HALF_UP)
            return discounts.amount_off(amount, bases, room)
        percent = discount.percent
        if discount.cumulative is not None:
            here = sum([rest for rest, is_in in zip(left, counted, strict=True) if is_in]) if discount.cumulative.counts_this_order else 0
            spend = situation.spend + (here if rate is None else rounded(here * rate.numerator, rate.denominator, Rounding.HALF_UP))
            percent = discounts.percent_at(rule.ramps, spend, discount.cumulative.between)
        return discounts.percent_off(percent, bases, room, version.policies.discount_rounding) if percent else [0] * len(room)

    absent = Reason.EXCLUDED_ITEMS if not any(covered) else Reason.NO_STEP if discount.cumulative is not None else Reason.NO_EFFECT
    return Candidate(rule.id, rule.rule.priority, discount.group, rule.mode, measure, absent)


def _with_discounts(order: Order, more: Sequence[int]) -> Order:
    lines = tuple(
        msgspec.structs.replace(line, discount=line.discount + off) if off else line for line, off in zip(order.lines, more, strict=True)
    )
    return msgspec.structs.replace(order, lines=lines)
