"""Orders: what an order deserves and what it gave, and the difference posted.

Invariant: an order's book tells everything that the order moved; stating the same goods again moves nothing.
"""

from __future__ import annotations

import msgspec

from regulars.kernel.ids import RuleId, UnitId
from regulars.programme.basis import Basis, Goods, money_kept
from regulars.programme.definition import Version
from regulars.programme.desk import Desk
from regulars.programme.dossier import Award, Dossier, Holding, OrderBook
from regulars.programme.effects import ChangeTier, GrantPerk, RevokePerk
from regulars.programme.entitlement import entitlement, situation_of, spend_of, within_limits
from regulars.programme.facts import Order, OrderStated
from regulars.programme.mechanics.budget import Allowance
from regulars.programme.member import Redemption
from regulars.programme.reasons import Reason


def take_order(desk: Desk, dossier: Dossier, fact: OrderStated) -> None:
    """Post the difference between what the order should have given and what it gave."""
    order = fact.order
    book = dossier.order or OrderBook(order.key)
    if desk.member.is_gone and not _is_known(desk, book):
        desk.refuse(Reason.MEMBER_CLOSED, order.key, status=desk.member.status)
        return
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
    allowance = None
    if version.limits:
        allowance = Allowance(dossier.granted or {}) if fact.grants is None else Allowance(fact.grants, is_recorded=True)
    desk.order = settled(desk, book, order, allowance)
    if dossier.later and desk.order.is_counted is not book.is_counted and version.counts_anew:
        _renumber_later(desk, dossier.later, 1 if desk.order.is_counted else -1)
        desk.version = version


def _is_known(desk: Desk, book: OrderBook) -> bool:
    """Whether the order was stated, paid or held for before: a member who left is still served in what was begun."""
    return book.state is not None or book.redemption is not None or any(hold.order_key == book.key for hold in desk.member.holds)


def settled(desk: Desk, book: OrderBook, order: Order, allowance: Allowance | None = None) -> OrderBook:
    """``book`` with ``order`` as its state, everything posted. The purchase is the first state that has counted goods.

    Without an ``allowance`` the order keeps what it holds of limited capacities, neither more nor less.
    """
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
    drawn = book.drawn
    if version.limits:
        kept = within_limits(version, book.drawn, awards, perks, allowance)
        awards, perks, drawn = kept.awards, kept.perks, kept.drawn
        desk.draws.update(kept.changes)
        desk.limited += kept.lowered
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
        drawn,
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
        if member.joined:
            member.joined = tuple([joined.with_order(order.placed_at) for joined in member.joined])
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
        moved.append(settled(desk, msgspec.structs.replace(book, situation=situation), book.state))
    desk.later = tuple(moved)
