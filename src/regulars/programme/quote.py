"""quote: what the programme would do for a cart, without doing it - discounts, gifts, points to earn, value that may be spent, and why.

Invariant (law 13): a pure function of version, member, cart and time; the order of rules or lines and the splitting of a line change
no byte of it.
"""

from collections.abc import Iterator, Sequence

import msgspec

from regulars.kernel.amount import Rounding, rounded, split
from regulars.kernel.ids import RuleId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.lots import active_balance
from regulars.programme.basis import Basis, canonical
from regulars.programme.decide import decide
from regulars.programme.definition import Programme, Ready, Version
from regulars.programme.dossier import EMPTY, Award
from regulars.programme.entitlement import entitlement, situation_of, standing_of, view_of
from regulars.programme.facts import Line, Order, TimePassed
from regulars.programme.mechanics import discounts, points
from regulars.programme.member import MemberState, Situation
from regulars.programme.reasons import Reason, Refusal
from regulars.programme.stacking import Applied, Candidate, stack


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


def quote(programme: Programme, member: MemberState | None, cart: Order) -> Quote | Refusal:
    """What ``cart`` (an order not yet placed; its ``placed_at`` is the moment asked about) would get.

    ``member`` None is a guest: what they would have as a new member. A refusal when no version is in force or the currency has no rate.
    """
    version = programme.at(cart.placed_at)
    if version is None:
        return Refusal(Reason.NO_PROGRAMME_YET, cart.key)
    if cart.currency != version.currency and cart.rate is None:
        return Refusal(Reason.CURRENCY_WITHOUT_RATE, cart.key, {"currency": cart.currency, "programme_currency": version.currency})
    member = member_at(programme, member, cart.placed_at)
    situation = situation_of(member)
    cart = msgspec.structs.replace(cart, lines=canonical(cart.lines))
    order, applied = discounted(version, cart, situation)
    basis = Basis(order, version.policies)
    awards, perks = entitlement(version, order, situation, basis)
    prices = shown_prices(cart)
    return Quote(
        version=version.number,
        currency=cart.currency,
        total=sum(prices),
        payable=sum(prices) - sum(line.discount for line in order.lines),
        lines=tuple(QuotedLine(line.sku, line.quantity, price, line.discount) for line, price in zip(order.lines, prices, strict=True)),
        discounts=tuple((a.rule, a.amount) for a in applied),
        spendable=tuple(spendable(version, member, order, purse) for purse in version.purses.values()),
        awards=tuple(sorted(awards, key=lambda award: award.rule)),
        perks=tuple(sorted(perks)),
        refusals=tuple(_refusals(version, order, situation, basis, {a.rule for a in applied}, {a.rule for a in awards})),
    )


def member_at(programme: Programme, member: MemberState | None, at: Instant) -> MemberState:
    """``member`` as they stand at ``at``, whatever was due by then done; a guest as a new member."""
    state = member if member is not None else MemberState(id="")  # type: ignore[arg-type]
    return decide(programme, state, EMPTY, TimePassed(at)).member if state.due_at <= at else state


def discounted(version: Version, order: Order, situation: Situation) -> tuple[Order, list[Applied]]:
    """``order`` with the programme's discounts on its lines (stages: lines, then the order), and what each rule took off."""
    if not version.discounts or not order.lines:
        return order, []
    prices = shown_prices(order)
    already = [line.discount for line in order.lines]
    floor = version.policies.price_floor_percent / 100
    floors = [rounded(price * floor.numerator, floor.denominator, Rounding.UP) for price in prices]
    left = [price - off for price, off in zip(prices, already, strict=True)]
    applied: list[Applied] = []
    for stage in ("line", "order"):
        view = view_of(version, order, situation, Basis(order, version.policies))
        open_rules = [rule for rule in version.discounts if _stage(rule) == stage and standing_of(rule, view) is None]
        candidates = [_candidate(version, rule, order, prices, floors, situation) for rule in open_rules]
        for done in stack(candidates, left):
            applied.append(done)
            left = [rest - part for rest, part in zip(left, done.parts, strict=True)]
        order = _with_discounts(order, [price - rest for price, rest in zip(prices, left, strict=True)])
    return order, applied


def spendable(version: Version, member: MemberState, order: Order, purse: points.Purse) -> Spendable:
    """How much of ``purse`` may pay for ``order``."""
    balance = active_balance(member.lots, purse.unit)
    if order.currency != version.currency:
        return Spendable(purse.unit, 0, 0, balance, Refusal(Reason.NOT_SPENDABLE, purse.unit, {"currency": order.currency}))
    most, limited_by = points.allowed(purse, balance, payable(version, order, purse))
    return Spendable(purse.unit, most, purse.money(most), balance, limited_by)


def payable(version: Version, order: Order, purse: points.Purse) -> int:
    """Minor units of the order that ``purse`` may help to pay: its eligible goods after discounts."""
    basis = Basis(order, version.policies)
    return basis.total if purse.goods is None else basis.of(purse.goods)


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
    covered = [_is_counted(version, line) and (rule.goods is None or rule.goods.covers(line)) for line in order.lines]

    def measure(left: Sequence[int]) -> list[int]:
        room = [max(0, rest - floor) if is_in else 0 for rest, floor, is_in in zip(left, floors, covered, strict=True)]
        base = left if version.policies.stacking_base == "remaining" else prices
        bases = [price if is_in else 0 for price, is_in in zip(base, covered, strict=True)]
        if discount.amount is not None:
            return discounts.amount_off(rule.amount_off, bases, room)
        percent = discount.percent
        if discount.cumulative is not None:
            spend = situation.spend + (sum(left) if discount.cumulative.counts_this_order else 0)
            percent = discounts.percent_at(rule.ramps, spend, discount.cumulative.between)
        return discounts.percent_off(percent, bases, room, version.policies.discount_rounding) if percent else [0] * len(room)

    return Candidate(rule.id, rule.rule.priority, discount.group, rule.mode, measure)


def _is_counted(version: Version, line: Line) -> bool:
    return line.kind in version.policies.basis_includes


def _with_discounts(order: Order, discounts: Sequence[int]) -> Order:
    lines = tuple(
        line if line.discount == off else msgspec.structs.replace(line, discount=off)
        for line, off in zip(order.lines, discounts, strict=True)
    )
    return msgspec.structs.replace(order, lines=lines)


def _refusals(
    version: Version, order: Order, situation: Situation, basis: Basis, discounting: set[RuleId], awarding: set[RuleId]
) -> Iterator[Refusal]:
    """Why each rule that did nothing did nothing, by id."""
    view = view_of(version, order, situation, basis)
    for rule in sorted(version.ready, key=lambda rule: rule.id):
        if (reason := standing_of(rule, view)) is not None:
            yield Refusal(reason, rule.id)
        elif rule.rule.discount is not None and rule.id not in discounting:
            yield Refusal(Reason.CONFLICT if rule.mode != "stack" else Reason.NO_EFFECT, rule.id)
        elif rule.rule.award is not None and rule.id not in awarding:
            yield Refusal(Reason.EXCLUDED_ITEMS if rule.goods is not None and not basis.of(rule.goods) else Reason.NO_EFFECT, rule.id)
