"""decide: what follows from one fact for one member. The heart of everything: online, at night, in imports, replays and tests.

Invariant: it is pure - the state and the books that it reads are never changed, the new ones are part of its answer - and every unit it
moves stands in a transfer.
"""

from __future__ import annotations

import msgspec

from regulars.kernel.ids import RuleId, UnitId
from regulars.kernel.time import Instant, later
from regulars.ledger.lots import active_balance
from regulars.programme.basis import Basis, Goods, money_kept
from regulars.programme.definition import Programme, Version
from regulars.programme.desk import Desk
from regulars.programme.dossier import Award, Dossier, Holding, HoldEnd, OrderBook
from regulars.programme.effects import ChangeTier, Effect, GrantPerk, RevokePerk
from regulars.programme.entitlement import entitlement, situation_of, spend_of
from regulars.programme.facts import Fact, Order, OrderStated, TimePassed, ValueRedeemed, unsound
from regulars.programme.mechanics import points
from regulars.programme.member import MemberState, Redemption
from regulars.programme.reasons import Reason, Refusal


class Decision(msgspec.Struct):
    """What follows: ``effects`` as data, the ``member`` and the order's book (and ``later`` books) as they stand then, and why.

    ``version`` is the programme's version that decided; ``refusal`` says why a fact changed nothing; ``granted`` is the outcome of a
    commitment, to be recorded with it. ``draws`` is the net change of each limited capacity (positive takes, negative gives back), to be
    recorded with an order as its ``grants``; ``limited`` says what a limit refused or reduced; ``ended`` names the holds that ended.
    """

    member: MemberState
    version: int = 0
    effects: list[Effect] = []
    order: OrderBook | None = None
    later: tuple[OrderBook, ...] = ()
    refusal: Refusal | None = None
    granted: int | None = None
    draws: dict[str, int] = {}
    limited: tuple[Refusal, ...] = ()
    ended: tuple[tuple[str, HoldEnd], ...] = ()


def decide(programme: Programme, member: MemberState, dossier: Dossier, fact: Fact) -> Decision:
    """Decide ``fact`` for ``member``. Facts come in order of occurrence; what arrives late goes through ``fold``."""
    if isinstance(fact, TimePassed):
        desk = Desk(programme, member, fact.occurred_at)
        return _decided(desk)
    if refusal := inadmissible(programme, fact):
        return Decision(member, refusal=refusal)
    desk = Desk(programme, member, min(fact.occurred_at, fact.recorded_at))
    if isinstance(fact, OrderStated):
        _take_order(desk, dossier, fact.order)
    else:
        _take_redemption(desk, dossier.order, fact)
    return _decided(desk)


def _decided(desk: Desk) -> Decision:
    desk.close()
    return Decision(desk.member, desk.version.number, desk.effects, desk.order, desk.later, desk.refusal, desk.granted)


def inadmissible(programme: Programme, fact: OrderStated | ValueRedeemed) -> Refusal | None:
    """Why a fact cannot be taken at all: what it says is impossible, or its time forbids it (law 7)."""
    if isinstance(fact, OrderStated) and (wrong := unsound(fact.order)):
        return Refusal(Reason.UNSOUND, fact.id, {"what": wrong})
    if not _CALENDAR[0] <= fact.occurred_at <= _CALENDAR[1]:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "occurred_at"})
    if isinstance(fact, OrderStated) and not _CALENDAR[0] <= fact.order.placed_at <= _CALENDAR[1]:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "placed_at"})
    version = programme.at(min(fact.occurred_at, fact.recorded_at))
    if version is None or (isinstance(fact, OrderStated) and programme.at(fact.order.placed_at) is None):
        return Refusal(Reason.NO_PROGRAMME_YET, fact.id)
    if fact.occurred_at == fact.recorded_at:
        return None
    policies = version.policies
    if fact.occurred_at > fact.recorded_at:
        return Refusal(Reason.IN_FUTURE, fact.id) if policies.future_facts == "refuse" else None
    if isinstance(fact, OrderStated) and fact.recorded_at > later(fact.occurred_at, policies.lateness_window, version.zone):
        return Refusal(Reason.TOO_LATE, fact.id, {"window": str(policies.lateness_window)})
    return None


_CALENDAR = (Instant(-5 * 10**16), Instant(18 * 10**16))
"""The instants that facts may have: years 385 to 7673, so that every span around them is still a date."""


# --- orders ---------------------------------------------------------------------------------------------------------------------


def _take_order(desk: Desk, dossier: Dossier, order: Order) -> None:
    """Post the difference between what the order should have given and what it gave."""
    book = dossier.order or OrderBook(order.key)
    if book.state is not None and order.sequence <= book.state.sequence:
        desk.refuse(Reason.DUPLICATE if order == book.state else Reason.STALE, order.key, sequence=order.sequence)
        return
    version = desk.programme.numbered(book.version) if book.state is not None else desk.programme.at(order.placed_at)
    assert version is not None
    if book.purchase is not None and (order.currency, order.rate) != (book.purchase.currency, book.purchase.rate):
        order = msgspec.structs.replace(order, currency=book.purchase.currency, rate=book.purchase.rate)  # frozen at purchase (law 19)
    if order.currency == version.currency:
        order = order if order.rate is None else msgspec.structs.replace(order, rate=None)
    elif order.rate is None:
        desk.refuse(Reason.CURRENCY_WITHOUT_RATE, order.key, currency=order.currency, programme_currency=version.currency)
        return
    desk.version = version
    desk.order = _settled(desk, book, order)
    if dossier.later and desk.order.is_counted is not book.is_counted and version.counts_anew:
        _renumber_later(desk, dossier.later, 1 if desk.order.is_counted else -1)
        desk.version = version


def _settled(desk: Desk, book: OrderBook, order: Order) -> OrderBook:
    """``book`` with ``order`` as its state, everything posted. The purchase is the first state that has counted goods."""
    version = desk.version
    basis = Basis(order, version.policies)
    is_counted = bool(basis.counted)
    purchase = book.purchase or (order if is_counted else None)
    situation = book.situation or (situation_of(desk.member) if is_counted else None)
    redemption, value, goods = book.redemption, 0, None
    if redemption is not None:
        purse = desk.programme.numbered(redemption.version).purses[redemption.unit]
        goods = purse.goods
        value = kept_value(version, redemption, purchase, order, goods)
        redemption = _repaid(desk, redemption, value, book.key)
        basis = Basis(order, version.policies, value, goods)
    awards, perks = entitlement(version, order, situation, basis) if situation is not None else ((), ())
    holdings = _post_awards(desk, book, purchase or order, awards)
    _post_perks(desk, book, perks)
    spend = spend_of(version, basis)
    _count(desk, book, order, spend, is_counted)
    return OrderBook(
        book.key,
        redemption,
        order,
        purchase,
        book.stated_at if book.stated_at is not None else desk.at if is_counted else None,
        version.number,
        situation,
        awards,
        perks,
        holdings,
        spend,
        is_counted,
    )


def kept_value(version: Version, redemption: Redemption, purchase: Order | None, order: Order, goods: Goods | None) -> int:
    """The money of ``redemption`` that still pays for kept goods; none in another currency, for units pay in the programme's own."""
    if purchase is None or order.currency != version.currency:
        return 0
    most = Basis(purchase, version.policies).payable(goods)
    money = min(redemption.money, most)
    if order is purchase or not money:
        return money
    return money_kept(Basis(purchase, version.policies, money, goods), order)


def _repaid(desk: Desk, redemption: Redemption, kept: int, cause: str) -> Redemption:
    """``redemption`` with the units of returned goods given back, or taken again when the goods are kept again."""
    money = redemption.money
    back = redemption.amount * (money - kept) // money if money else 0
    change = back - redemption.back
    if change > 0:
        redemption = desk.give_back(redemption, change, cause)
    elif change < 0:
        redemption = desk.pay(redemption, -change, cause)
    return msgspec.structs.replace(redemption, back=back)


def _post_awards(desk: Desk, book: OrderBook, purchase: Order, awards: tuple[Award, ...]) -> dict[UnitId, Holding]:
    """Move each unit from what the order gave to what it deserves; one transfer and one lot per unit."""
    targets: dict[UnitId, int] = {}
    for award in awards:
        targets[award.unit] = targets.get(award.unit, 0) + award.amount
    if not book.holdings and not targets:
        return book.holdings
    holdings = dict(book.holdings)
    for unit in targets | holdings:
        target, holding = targets.get(unit, 0), holdings.get(unit)
        if holding is None:
            earned_at = min(purchase.placed_at, desk.at)
            holding = Holding(0, earned_at, *desk.lot_dates(unit, earned_at))
        change = target - (holding.earned - holding.clawed)
        if change > 0:
            holding = desk.give(unit, change, holding, book.key)
        elif change < 0:
            holding = desk.claw_back(unit, -change, holding, book.key)
        holdings[unit] = holding
    return holdings


def _post_perks(desk: Desk, book: OrderBook, perks: tuple[RuleId, ...]) -> None:
    if perks == book.perks:
        return
    desk.effects.extend(GrantPerk(rule, book.key, desk.at) for rule in perks if rule not in book.perks)
    desk.effects.extend(RevokePerk(rule, book.key, desk.at) for rule in book.perks if rule not in perks)


def _count(desk: Desk, book: OrderBook, order: Order, spend: int, is_counted: bool) -> None:
    """Keep the member's counters and tiers (law 18)."""
    member = desk.member
    if book.purchase is None and is_counted:
        member.orders += 1
        if member.first_order_at is None or order.placed_at < member.first_order_at:
            member.first_order_at = order.placed_at
        if member.last_order_at is None or order.placed_at > member.last_order_at:
            member.last_order_at = order.placed_at
    elif is_counted is not book.is_counted and not desk.version.policies.returned_orders_count:
        member.orders += 1 if is_counted else -1
    if spend != book.spend:
        member.spend += spend - book.spend
    _move_tiers(desk, may_fall=spend < book.spend)


def _move_tiers(desk: Desk, may_fall: bool) -> None:
    """Levels by the ladders in force now; a level falls only with a fact that lowered the spend, never by another threshold."""
    member, now = desk.member, desk.programme.at(desk.at) or desk.version
    for ladder, rungs in now.ladders.items():
        reached, held = rungs.at(member.spend), member.tiers.get(ladder)
        if held is None:
            member.tiers = {**member.tiers, ladder: reached}
            held = rungs.names[0]
        is_lower = rungs.rank(reached) < rungs.rank(held)
        if reached == held or (is_lower and (not may_fall or rungs.ladder.review == "never")):
            continue
        member.tiers = {**member.tiers, ladder: reached}
        desk.effects.append(ChangeTier(ladder, reached, held, desk.at))


def _renumber_later(desk: Desk, later_books: tuple[OrderBook, ...], step: int) -> None:
    """An order stopped (or began again) to count: later orders move down (or up) one number, and their awards with them."""
    moved = []
    for book in later_books:
        assert book.state is not None
        assert book.situation is not None
        desk.version = desk.programme.numbered(book.version)
        situation = msgspec.structs.replace(book.situation, number=book.situation.number + step)
        moved.append(_settled(desk, msgspec.structs.replace(book, situation=situation), book.state))
    desk.later = tuple(moved)


# --- redemptions ----------------------------------------------------------------------------------------------------------------


def _take_redemption(desk: Desk, book: OrderBook | None, fact: ValueRedeemed) -> None:
    """Let units pay towards an order, or say why not. A recorded outcome stands, whatever is known by now (law 7)."""
    version = desk.programme.at(desk.at)
    assert version is not None
    desk.version = version
    desk.granted = fact.granted or 0
    purse = version.purses.get(fact.unit)
    if purse is None:
        desk.refuse(Reason.NOT_SPENDABLE if fact.unit in version.units else Reason.UNIT_UNKNOWN, fact.unit)
        return
    book = book or OrderBook(fact.order_key)
    if book.redemption is not None:
        desk.granted = 0
        desk.refuse(Reason.ALREADY_REDEEMED, fact.order_key)
        return
    if fact.granted is None:
        if book.state is not None:
            desk.refuse(Reason.ORDER_PLACED, fact.order_key)
            return
        desk.granted = _granted(desk, purse, fact)
    if desk.granted:
        redemption = Redemption(fact.unit, desk.granted, purse.money(desk.granted), version.number)
        desk.order = msgspec.structs.replace(book, redemption=desk.pay(redemption, desk.granted, fact.order_key))
        if book.state is not None:
            desk.version = desk.programme.numbered(book.version)
            desk.order = _settled(desk, desk.order, book.state)


def _granted(desk: Desk, purse: points.Purse, fact: ValueRedeemed) -> int:
    balance = active_balance(desk.member.lots, fact.unit)
    refusal = points.refused(purse, fact.amount, balance, fact.payable)
    if refusal is None:
        return fact.amount
    desk.refusal = refusal
    most, _ = points.allowed(purse, balance, fact.payable)
    return most if desk.version.policies.over_redeem == "clamp" and fact.amount > most else 0
