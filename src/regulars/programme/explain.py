"""explain: a decision retold line by line - what was given and why, what was not and what would have been enough.

It runs the interpreter again on the recorded inputs and says nothing that they do not say. Invariant: every amount it tells is one that
the decision moved, and the parts that it tells sum to it.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec

from regulars.kernel.amount import decimal_text, split
from regulars.kernel.ids import RuleId
from regulars.kernel.money import Money
from regulars.kernel.texts import Argument, Moment, Text, text
from regulars.kernel.time import NEVER, Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Allocation
from regulars.ledger.transfers import Transfer
from regulars.programme.basis import Basis
from regulars.programme.conditions import CATALOGUE, Leaf, View
from regulars.programme.decide import Decision
from regulars.programme.definition import Programme, Ready, Version
from regulars.programme.desk import is_of
from regulars.programme.dossier import Award, OrderBook
from regulars.programme.effects import ChangeTier, GrantPerk, RevokePerk
from regulars.programme.entitlement import view_of
from regulars.programme.facts import (
    Fact,
    HoldCaptured,
    HoldReleased,
    MemberAbsorbed,
    MemberMerged,
    MergeRestored,
    MergeUndone,
    Order,
    OrderStated,
    StatusChanged,
    TimePassed,
    ValueAdjusted,
    ValueHeld,
    ValueRedeemed,
)
from regulars.programme.orders import kept_value
from regulars.programme.quote import silent_rules
from regulars.programme.reasons import Reason, Refusal
from regulars.programme.stacking import Applied


class Told(msgspec.Struct, frozen=True):
    """One fact and what was decided of it; for an order, also the discounts that its quote applied, and why others did not."""

    fact: Fact
    decision: Decision
    applied: tuple[Applied, ...] = ()
    silent: dict[RuleId, Reason] = {}


class Passage(msgspec.Struct, frozen=True):
    """A sentence of an explanation, and what belongs under it."""

    text: Text
    details: tuple["Passage", ...] = ()


def explain_order(programme: Programme, history: Sequence[Told], order_key: str) -> list[Passage]:
    """Everything that ``history`` (one member's, in order of decision) did with one order and with the lot that it opened."""
    passages: list[Passage] = []
    for told in history:
        passages += _of_order(programme, told, order_key)
    return passages


def explain_member(programme: Programme, history: Sequence[Told]) -> list[Passage]:
    """A member's story: each fact in a sentence, with the moves of value under it."""
    return [passage for told in history for passage in _story(programme, told)]


# --- one order ------------------------------------------------------------------------------------------------------------------


def _of_order(programme: Programme, told: Told, key: str) -> Iterator[Passage]:
    fact, decision = told.fact, told.decision
    version = programme.numbered(decision.version) if decision.version else programme.latest
    if isinstance(fact, OrderStated) and fact.order.key == key:
        yield from _stated(version, told, fact)
    elif isinstance(fact, (ValueRedeemed, ValueHeld)) and fact.order_key == key:
        yield _redeemed(version, fact, decision) if isinstance(fact, ValueRedeemed) else _held(version, fact, decision)
    elif isinstance(fact, HoldCaptured) and decision.order is not None and decision.order.key == key:
        yield _captured(version, fact, decision)
    else:
        yield from _touching(version, told, key)


def _stated(version: Version, told: Told, fact: OrderStated) -> Iterator[Passage]:
    decision, order = told.decision, fact.order
    if decision.refusal is not None:
        yield Passage(text("order.refused", order=order.id, at=_at(version, fact.occurred_at)), (_refusal(decision.refusal),))
        return
    book = decision.order
    assert book is not None
    if order.sequence == 1 or book.purchase == order:
        yield _purchase(version, told, book, order)
    else:
        args: dict[str, Argument] = {"order": order.id, "at": _at(version, fact.occurred_at), "version": version.number}
        key = "order.returned_whole" if not order.lines else "order.changed"
        yield Passage(
            text(key, **args),
            (
                *_awards(version, book, order),
                *_perks(version, decision, order.key),
                *_limited(decision, book),
                *_moves(version, decision, order.key),
            ),
        )


def _purchase(version: Version, told: Told, book: OrderBook, order: Order) -> Passage:
    situation = book.situation
    assert situation is not None
    details = [
        Passage(
            text("order.situation", number=situation.number, spend=_money(version, situation.spend)),
            tuple(Passage(text("tier.held", ladder=ladder, level=level)) for ladder, level in situation.tiers.items()),
        ),
        *(
            Passage(
                text("discount.given", rule=applied.rule, amount=Money(applied.amount, order.currency)),
                tuple(
                    Passage(text("discount.line", sku=line.sku or "-", quantity=line.quantity, amount=Money(part, order.currency)))
                    for line, part in zip(order.lines, applied.parts, strict=True)
                    if part
                ),
            )
            for applied in told.applied
        ),
        *_awards(version, book, order),
        *_perks(version, told.decision, order.key),
        *_limited(told.decision, book),
        *_moves(version, told.decision, order.key),
        *_not_fired(version, told, book, order),
    ]
    args: dict[str, Argument] = {
        "order": order.id,
        "at": _at(version, order.placed_at),
        "version": version.number,
        "member": told.decision.member.id,
    }
    return Passage(text("order.placed", total=_money(version, _basis(version, book, order).total), **args), tuple(details))


def _basis(version: Version, book: OrderBook, order: Order) -> Basis:
    redemption = book.redemption
    if redemption is None:
        return Basis(order, version.policies)
    purse = version.purses.get(redemption.unit)
    goods = purse.goods if purse is not None else None
    return Basis(order, version.policies, kept_value(version, redemption, book.purchase, order, goods), goods)


def _awards(version: Version, book: OrderBook, order: Order) -> Iterator[Passage]:
    basis = _basis(version, book, order)
    for award in book.awards:
        rule = next(ready for ready in version.awards if ready.id == award.rule)
        lines = basis.lines_of(rule.goods)
        shares = split(award.amount, [paid for _, paid in lines])
        yield Passage(
            text(
                "award.given",
                rule=award.rule,
                unit=award.unit,
                amount=award.amount,
                basis=_money(version, award.basis),
                version=version.number,
            ),
            (
                *(
                    Passage(
                        text(
                            "award.line",
                            sku=line.sku or "-",
                            quantity=line.quantity,
                            basis=_money(version, paid),
                            amount=share,
                            unit=award.unit,
                        )
                    )
                    for (line, paid), share in zip(lines, shares, strict=True)
                ),
                Passage(_rate(version, rule, award)),
                Passage(_rounding(version, award)),
                *_multiples(version, award),
                *_lot(version, book, award),
            ),
        )


def _rate(version: Version, rule: Ready, award: Award) -> Text:
    earning = rule.rule.award
    assert earning is not None
    if earning.per is not None:
        per = _exact(version, earning.per)
        return text("rate.per", amount=earning.amount or 0, unit=award.unit, per=per, base=award.base)
    if earning.rate is not None:
        return text("rate.proportional", rate=decimal_text(earning.rate), unit=award.unit, currency=version.currency, base=award.base)
    if earning.percent is not None:
        return text("rate.percent", percent=decimal_text(earning.percent), unit=award.unit, base=award.base)
    return text("rate.flat", amount=award.base, unit=award.unit)


def _exact(version: Version, major: Fraction) -> Argument:
    """An amount of money; as plain text where it is finer than the currency."""
    minor = major * version.minor
    return Money(minor.numerator, version.currency) if minor.denominator == 1 else f"{decimal_text(major)} {version.currency}"


def _rounding(version: Version, award: Award) -> Text:
    rounding = version.units[award.unit].rounding
    return text(f"rounding.{rounding.mode}.{rounding.level}")


def _multiples(version: Version, award: Award) -> Iterator[Passage]:
    for id in award.multiples:
        rule = next(ready for ready in version.multiples if ready.id == id)
        assert rule.rule.multiply is not None
        yield Passage(
            text("award.multiplied", rule=id, by=decimal_text(rule.rule.multiply.by), base=award.base, amount=award.amount, unit=award.unit)
        )


def _lot(version: Version, book: OrderBook, award: Award) -> Iterator[Passage]:
    holding = book.holdings.get(award.unit)
    if holding is None:
        return
    args: dict[str, Argument] = {"lot": f"{book.key}:{award.unit}", "active_from": _at(version, holding.active_from)}
    if holding.expires_at == NEVER:
        yield Passage(text("lot.for_ever", **args))
    else:
        yield Passage(text("lot.until", **args, expires_at=_at(version, holding.expires_at)))


def _perks(version: Version, decision: Decision, key: str) -> Iterator[Passage]:
    names = {rule.id: rule.rule.perk.name for rule in version.perks if rule.rule.perk is not None}
    for effect in decision.effects:
        if isinstance(effect, (GrantPerk, RevokePerk)) and effect.order_key == key:
            what = "perk.granted" if isinstance(effect, GrantPerk) else "perk.revoked"
            yield Passage(text(what, rule=effect.rule, perk=names.get(effect.rule, effect.rule)))


def _limited(decision: Decision, book: OrderBook) -> Iterator[Passage]:
    """Each rule of which a limit left a part."""
    gave = {award.rule for award in book.awards} | set(book.perks)
    for refusal in decision.limited:
        if refusal.subject in gave:
            yield Passage(text("rule.limited", rule=refusal.subject), (_refusal(refusal),))


def _redeemed(version: Version, fact: ValueRedeemed, decision: Decision) -> Passage:
    args: dict[str, Argument] = {"unit": fact.unit, "amount": fact.amount, "at": _at(version, fact.occurred_at)}
    if not decision.granted:
        return Passage(text("redemption.refused", **args), _why(decision))
    book = decision.order
    money = book.redemption.money if book is not None and book.redemption is not None else 0
    args["amount"] = decision.granted
    lots = (
        _drawn(version, part)
        for effect in decision.effects
        if isinstance(effect, Transfer) and effect.movement is Movement.REDEMPTION
        for part in effect.allocations
    )
    return Passage(text("redemption.granted", money=_money(version, money), version=version.number, **args), tuple(lots))


def _held(version: Version, fact: ValueHeld, decision: Decision) -> Passage:
    args: dict[str, Argument] = {"unit": fact.unit, "hold": fact.hold, "at": _at(version, fact.occurred_at)}
    for hold in decision.member.holds if decision.granted else ():
        if hold.id == fact.hold:
            until, money = _at(version, hold.expires_at), _money(version, hold.redemption.money)
            said = text("hold.granted", amount=hold.redemption.amount, order=hold.order_key, money=money, until=until, **args)
            return Passage(said, tuple(_moves(version, decision)))
    return Passage(text("hold.refused", amount=fact.amount, **args), _why(decision))


def _captured(version: Version, fact: HoldCaptured, decision: Decision) -> Passage:
    args: dict[str, Argument] = {"hold": fact.hold, "at": _at(version, fact.occurred_at)}
    redemption = decision.order.redemption if decision.order is not None else None
    if not decision.granted or redemption is None:
        return Passage(text("hold.capture_refused", **args), _why(decision))
    args |= {"amount": redemption.amount, "unit": redemption.unit, "money": _money(version, redemption.money)}
    return Passage(text("hold.captured", **args), tuple(_moves(version, decision)))


def _why(decision: Decision) -> tuple[Passage, ...]:
    return (_refusal(decision.refusal),) if decision.refusal is not None else ()


def _drawn(version: Version, part: Allocation) -> Passage:
    args: dict[str, Argument] = {"lot": part.lot.id, "amount": part.amount}
    if part.lot.expires_at == NEVER:
        return Passage(text("redemption.lot_for_ever", **args))
    return Passage(text("redemption.lot", expires_at=_at(version, part.lot.expires_at), **args))


def _touching(version: Version, told: Told, key: str) -> Iterator[Passage]:
    """What other facts did with the lot of this order: spent, expired, activated, taken for another order's return."""
    for effect in told.decision.effects:
        if not isinstance(effect, Transfer):
            continue
        if effect.lot is not None and is_of(effect.lot, key):
            yield Passage(_move(version, effect))
        for part in effect.allocations:
            if is_of(part.lot.id, key):
                args: dict[str, Argument] = {"lot": part.lot.id, "amount": part.amount, "unit": effect.unit, "cause": effect.cause}
                yield Passage(text("lot.spent", at=_at(version, effect.value_at), **args))


# --- what did not happen --------------------------------------------------------------------------------------------------------


def _not_fired(version: Version, told: Told, book: OrderBook, order: Order) -> Iterator[Passage]:
    """Each rule that gave nothing, and the nearest change that would have qualified (law 20)."""
    situation = book.situation
    if situation is None:
        return
    basis = _basis(version, book, order)
    view = view_of(version, order, situation, basis)
    gave = {award.rule for award in book.awards} | {applied.rule for applied in told.applied} | set(book.perks)
    gave |= {id for award in book.awards for id in award.multiples}
    limited = {RuleId(refusal.subject): refusal for refusal in told.decision.limited}
    known = {**told.silent, **dict.fromkeys(limited, Reason.BUDGET_EXHAUSTED)}
    silent = silent_rules(version, order, situation, basis, gave, known)
    for rule in version.ready:
        if rule.id in silent:
            reason = silent[rule.id]
            details = tuple(_leaf(version, leaf) for leaf in _failed(rule, view)) if reason is Reason.CONDITION_UNMET else ()
            nearest = _nearest(version, rule, basis, reason)
            why = _refusal(limited[rule.id]) if rule.id in limited else Passage(text(f"reason.{reason}"))
            yield Passage(text("rule.silent", rule=rule.id), (why, *details, *nearest))


def _failed(rule: Ready, view: View) -> Iterator[Leaf]:
    if rule.condition is not None:
        yield from (leaf for leaf in rule.condition.leaves(view) if not leaf.passed)


def _leaf(version: Version, leaf: Leaf) -> Passage:
    is_amount = leaf.fact in CATALOGUE and CATALOGUE[leaf.fact].kind == "amount"
    wanted: Argument = _money(version, -(-Fraction(leaf.wanted) // 1)) if is_amount else leaf.wanted
    if leaf.actual is None:
        return Passage(text("condition.missing", fact=leaf.fact, wanted=wanted))
    actual: Argument = _money(version, int(leaf.actual)) if is_amount else leaf.actual
    unmet = Passage(text(f"condition.unmet.{leaf.op.replace(' ', '_')}", fact=leaf.fact, wanted=wanted, actual=actual))
    if leaf.short is None:
        return unmet
    short: Argument = _money(version, leaf.short) if is_amount else leaf.short
    return Passage(unmet.text, (Passage(text("condition.short", short=short)),))


def _nearest(version: Version, rule: Ready, basis: Basis, reason: Reason) -> Iterator[Passage]:
    """How much more the order would have had to be worth for the rule's first step."""
    if reason is not Reason.NO_EFFECT or rule.tariff is None:
        return
    short = rule.tariff.first_at(version.units[rule.unit].rounding.mode) - basis.of(rule.goods)
    if short > 0:
        yield Passage(text("condition.short", short=_money(version, short)))


def _refusal(refusal: Refusal) -> Passage:
    return Passage(text(f"reason.{refusal.reason}", **refusal.args))


# --- a member's story -----------------------------------------------------------------------------------------------------------


def _story(programme: Programme, told: Told) -> Iterator[Passage]:
    fact, decision = told.fact, told.decision
    version = programme.numbered(decision.version) if decision.version else programme.latest
    if isinstance(fact, TimePassed):
        yield from _moves(version, decision)
    elif isinstance(fact, ValueRedeemed):
        yield _redeemed(version, fact, decision)
    elif isinstance(fact, ValueHeld):
        yield _held(version, fact, decision)
    elif isinstance(fact, HoldCaptured):
        yield _captured(version, fact, decision)
    elif isinstance(fact, OrderStated):
        yield _order_in_short(version, fact, decision)
    else:
        yield _by_others(version, fact, decision)


def _order_in_short(version: Version, fact: OrderStated, decision: Decision) -> Passage:
    args: dict[str, Argument] = {"order": fact.order.id, "at": _at(version, fact.occurred_at)}
    book = decision.order
    if decision.refusal is not None or book is None:
        return Passage(text("order.refused", **args), _why(decision))
    key = "order.stated" if fact.order.sequence == 1 else "order.returned_whole" if not fact.order.lines else "order.changed"
    total = _money(version, _basis(version, book, fact.order).total)
    details = (*_moves(version, decision), *_perks(version, decision, fact.order.key), *_limited(decision, book))
    return Passage(text(key, total=total, version=version.number, **args), details)


ByOthers = HoldReleased | ValueAdjusted | StatusChanged | MemberMerged | MemberAbsorbed | MergeUndone | MergeRestored


def _by_others(version: Version, fact: ByOthers, decision: Decision) -> Passage:
    """What was done by staff, or by giving up a hold: who, why, and what moved."""
    args: dict[str, Argument] = {"at": _at(version, fact.occurred_at), "by": "" if isinstance(fact, HoldReleased) else fact.actor}
    is_done = decision.refusal is None
    match fact:
        case HoldReleased():
            said = text("hold.released" if is_done else "hold.release_refused", hold=fact.hold, **args)
        case ValueAdjusted():
            key = "adjustment.refused" if not is_done else "adjustment.given" if fact.amount > 0 else "adjustment.taken"
            said = text(key, amount=abs(fact.amount), unit=fact.unit, reason=fact.reason, **args)
        case StatusChanged():
            said = text(f"status.{fact.status}" if is_done else "status.refused", reason=fact.reason, **args)
        case MemberMerged():
            said = text("merge.merged" if is_done else "merge.refused", member=fact.absorbed.id, **args)
        case MemberAbsorbed():
            said = text("merge.absorbed" if is_done else "merge.refused", member=fact.into, **args)
        case MergeUndone() | MergeRestored():
            said = text("merge.undone" if is_done else "merge.refused", member=fact.returned.id, **args)
    return Passage(said, (*_why(decision), *_moves(version, decision)))


def _moves(version: Version, decision: Decision, cause: str | None = None) -> Iterator[Passage]:
    for hold, end in decision.ended if cause is None else ():
        if end == "expired":
            yield Passage(text("hold.expired", hold=hold))
    for effect in decision.effects:
        if isinstance(effect, Transfer) and (cause is None or effect.cause == cause or is_of(effect.lot or "", cause)):
            yield Passage(_move(version, effect))
        elif isinstance(effect, ChangeTier):
            args = {"ladder": effect.ladder, "level": effect.level, "previous": effect.previous}
            yield Passage(text("tier.changed", at=_at(version, effect.value_at), **args))


def _move(version: Version, transfer: Transfer) -> Text:
    args: dict[str, Argument] = {"amount": transfer.amount, "unit": transfer.unit, "at": _at(version, transfer.value_at)}
    if transfer.lot is not None:
        args["lot"] = transfer.lot
    key = f"move.{transfer.movement}"
    if transfer.movement is not Movement.REPAYMENT and (other := _without_lot(transfer)) is not None:
        key += f".{other.name.lower()}"
    elif transfer.target is Account.PENDING and transfer.movement is not Movement.MERGE:
        key += ".pending"
    return text(key, cause=transfer.cause, **args)


def _without_lot(transfer: Transfer) -> Account | None:
    """The account that stands for what lies in no lot; an expiry and a merge are told by their own words."""
    if transfer.movement in (Movement.EXPIRY, Movement.MERGE):
        return None
    for account in (Account.DEBT, Account.WRITTEN_OFF, Account.EXPIRED):
        if account in (transfer.source, transfer.target):
            return account
    return None


def _at(version: Version, at: Instant) -> Moment:
    return Moment(at, version.document.time_zone)


def _money(version: Version, minor: int) -> Money:
    return Money(minor, version.currency)
