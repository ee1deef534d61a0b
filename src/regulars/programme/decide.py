"""decide: what follows from one fact for one member. The heart of everything: online, at night, in imports, replays and tests.

Invariant: it is pure - the state and the books that it reads are never changed, the new ones are part of its answer - and every unit it
moves stands in a transfer.
"""

from __future__ import annotations

import copy

import msgspec

from regulars.kernel.ids import LotId, RuleId, UnitId
from regulars.kernel.texts import Argument
from regulars.kernel.time import NEVER, Instant, Span, later
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import (
    Allocation,
    Lot,
    SpendingOrder,
    activated,
    active_balance,
    expiry_first,
    last_taken,
    next_due,
    oldest_first,
    replace_remaining,
    take,
    with_lot,
)
from regulars.ledger.transfers import Transfer
from regulars.programme.basis import Basis, Goods, money_kept
from regulars.programme.definition import Programme, Version
from regulars.programme.dossier import Award, Dossier, Holding, OrderBook, Redemption
from regulars.programme.effects import ChangeTier, Effect, GrantPerk, RevokePerk
from regulars.programme.entitlement import entitlement, situation_of, spend_of
from regulars.programme.facts import Fact, Order, OrderStated, TimePassed, ValueRedeemed, unsound
from regulars.programme.mechanics import points
from regulars.programme.member import MemberState
from regulars.programme.reasons import Reason, Refusal


class Decision(msgspec.Struct):
    """What follows: ``effects`` as data, the ``member`` and the order's book (and ``later`` books) as they stand then, and why.

    ``version`` is the programme's version that decided; ``refusal`` says why a fact changed nothing; ``granted`` is the outcome of a
    redemption, to be recorded with it.
    """

    member: MemberState
    version: int = 0
    effects: list[Effect] = []
    order: OrderBook | None = None
    later: tuple[OrderBook, ...] = ()
    refusal: Refusal | None = None
    granted: int | None = None


def decide(programme: Programme, member: MemberState, dossier: Dossier, fact: Fact) -> Decision:
    """Decide ``fact`` for ``member``. Facts come in order of occurrence; what arrives late goes through ``fold``."""
    if isinstance(fact, TimePassed):
        desk = Desk(programme, member, fact.occurred_at)
        return desk.decision()
    if refusal := inadmissible(programme, fact):
        return Decision(member, refusal=refusal)
    desk = Desk(programme, member, min(fact.occurred_at, fact.recorded_at))
    if isinstance(fact, OrderStated):
        _take_order(desk, dossier, fact.order)
    else:
        _take_redemption(desk, dossier.order, fact)
    return desk.decision()


def inadmissible(programme: Programme, fact: OrderStated | ValueRedeemed) -> Refusal | None:
    """Why a fact cannot be taken at all: what it says is impossible, or its time forbids it (law 7)."""
    if isinstance(fact, OrderStated) and (wrong := unsound(fact.order)):
        return Refusal(Reason.UNSOUND, fact.id, {"what": wrong})
    if not _CALENDAR[0] <= fact.occurred_at <= _CALENDAR[1]:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "occurred_at"})
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


# --- the desk -------------------------------------------------------------------------------------------------------------------


class Desk:
    """Where one decision is worked out: a copy of the member's state, the effects so far, and the moves of value.

    Whatever was due by ``at`` has taken effect before anything else happens.
    """

    __slots__ = ("at", "effects", "granted", "later", "member", "order", "programme", "refusal", "version")

    def __init__(self, programme: Programme, member: MemberState, at: Instant) -> None:
        """Begin at ``at``; ``member`` itself is left as it is."""
        self.programme = programme
        self.member = copy.copy(member)
        self.at = at
        self.effects: list[Effect] = []
        self.order: OrderBook | None = None
        self.later: tuple[OrderBook, ...] = ()
        self.refusal: Refusal | None = None
        self.granted: int | None = None
        self.version: Version = programme.at(at) or programme.versions[0]
        if member.due_at <= at:
            self._pass_time(member.clock)
        if at > self.member.clock:
            self.member.clock = at

    def refuse(self, reason: Reason, subject: str, **args: Argument) -> None:
        """Change nothing (but time), and say why."""
        self.refusal = Refusal(reason, subject, args)

    def decision(self) -> Decision:
        """The answer."""
        member = self.member
        if member.due_at <= self.at:
            self._pass_time(self.at)
        member.programme_version = (self.programme.at(member.clock) or self.programme.versions[0]).number
        return Decision(member, self.version.number, self.effects, self.order, self.later, self.refusal, self.granted)

    def lot_dates(self, unit: UnitId, earned_at: Instant) -> tuple[Instant, Instant]:
        """From when to when an award earned then is usable."""
        return points.lot_dates(self.version.units[unit], earned_at, self.version.zone, self.version.is_exact)

    # Awards: give, take back, give again

    def give(self, unit: UnitId, amount: int, holding: Holding, cause: str) -> Holding:
        """Credit ``amount``: first what was clawed back before, to where it was taken from; then as an award."""
        again = min(amount, holding.clawed)
        if again:
            holding = self._give_again(unit, again, holding, cause)
        fresh = amount - again
        if fresh:
            self._credit(self._own_lot(unit, fresh, holding, cause), Movement.ACCRUAL, Account.ISSUED, cause)
            holding = msgspec.structs.replace(holding, earned=holding.earned + fresh)
        return holding

    def claw_back(self, unit: UnitId, amount: int, holding: Holding, cause: str) -> Holding:
        """Take ``amount`` back: from the order's own lot, then from others, then as debt or loss by policy (law 16)."""
        member = self.member
        self._sort_lots()
        member.lots, from_own = take(member.lots, unit, amount, lambda lot: is_of(lot.id, cause))
        left = amount - _sum(from_own)
        from_others: tuple[Allocation, ...] = ()
        if left:
            member.lots, active = take(member.lots, unit, left, lambda lot: not lot.is_pending)
            member.lots, pending = take(member.lots, unit, left - _sum(active), lambda lot: lot.is_pending)
            from_others = active + pending
        for allocation in from_own + from_others:
            self._move(Movement.REVERSAL, unit, _account(allocation.lot), Account.CLAWED_BACK, allocation.amount, cause, allocation.lot.id)
        rest = left - _sum(from_others)
        owed, written_off = self._shortfall(Movement.REVERSAL, unit, rest, Account.CLAWED_BACK, cause) if rest else (0, 0)
        member.due_at = next_due(member.lots)
        return Holding(
            holding.earned,
            holding.earned_at,
            holding.active_from,
            holding.expires_at,
            holding.clawed + amount,
            holding.takes + from_others,
            holding.owed + owed,
            holding.written_off + written_off,
        )

    def _give_again(self, unit: UnitId, amount: int, holding: Holding, cause: str) -> Holding:
        """Undo ``amount`` of earlier claw-backs, the last found first: loss, debt, other lots, the own lot."""
        loss, debt, repaid = self._undo_shortfall(unit, amount, holding.owed, holding.written_off, Account.CLAWED_BACK, cause)
        left = amount - loss - debt
        takes, back = last_taken(holding.takes, left)
        self.reinstate(back, Account.CLAWED_BACK, cause)
        self._unrepay(unit, repaid, Account.CLAWED_BACK, cause)
        to_own = left - _sum(back)
        if to_own:
            lot = self._own_lot(unit, to_own, holding, cause)
            self._credit(lot, Movement.REINSTATEMENT, Account.CLAWED_BACK, cause)
        return msgspec.structs.replace(
            holding,
            clawed=holding.clawed - amount,
            takes=takes,
            owed=holding.owed - debt,
            written_off=holding.written_off - loss,
        )

    # Value that pays, and comes back

    def pay(self, redemption: Redemption, amount: int, cause: str) -> Redemption:
        """Debit ``amount`` for an order; what the lots do not cover (late evidence took it) follows the policy for shortfalls."""
        member, unit = self.member, redemption.unit
        self._sort_lots()
        member.lots, taken = take(member.lots, unit, amount, lambda lot: not lot.is_pending and not is_of(lot.id, cause))
        covered = _sum(taken)
        if covered:
            self.effects.append(
                Transfer(Movement.REDEMPTION, unit, Account.ACTIVE, Account.REDEEMED, covered, self.at, cause, allocations=taken)
            )
            member.due_at = next_due(member.lots)
        owed = written_off = 0
        if covered < amount:
            owed, written_off = self._shortfall(Movement.REDEMPTION, unit, amount - covered, Account.REDEEMED, cause)
        return Redemption(
            unit,
            redemption.amount,
            redemption.money,
            redemption.version,
            redemption.allocations + taken,
            redemption.back,
            redemption.owed + owed,
            redemption.written_off + written_off,
        )

    def give_back(self, redemption: Redemption, amount: int, cause: str) -> Redemption:
        """Undo ``amount`` of a payment: what nobody covered first, then the lots it came from."""
        unit = redemption.unit
        loss, debt, repaid = self._undo_shortfall(unit, amount, redemption.owed, redemption.written_off, Account.REDEEMED, cause)
        allocations, back = last_taken(redemption.allocations, amount - loss - debt)
        self.reinstate(back, Account.REDEEMED, cause, with_grace=True)
        self._unrepay(unit, repaid, Account.REDEEMED, cause)
        return msgspec.structs.replace(
            redemption, allocations=allocations, owed=redemption.owed - debt, written_off=redemption.written_off - loss
        )

    def reinstate(self, allocations: tuple[Allocation, ...], source: Account, cause: str, with_grace: bool = False) -> None:
        """Put value back into the lots it came from, with their dates and at most the policy's days of grace (law 16)."""
        grace = self.version.policies.reinstated_grace if with_grace else None
        for allocation in allocations:
            lot = replace_remaining(allocation.lot, allocation.amount)
            self._credit(lot if grace is None else self._with_grace(lot, grace), Movement.REINSTATEMENT, source, cause)

    def _with_grace(self, lot: Lot, grace: Span) -> Lot:
        """``lot`` with an end at most ``grace`` after its first one, and at most ``grace`` from now."""
        first_end = lot.first_end if lot.first_end is not None else lot.expires_at
        if first_end == NEVER:
            return lot
        end = max(first_end, min(later(self.at, grace, self.version.zone), later(first_end, grace, self.version.zone)))
        if end == lot.expires_at:
            return lot
        plain = lot.id.rpartition("+")[0] if lot.first_end is not None else lot.id
        return Lot(LotId(f"{plain}+{end}"), lot.unit, lot.remaining, lot.earned_at, lot.active_from, end, first_end=first_end)

    # What nobody holds any more

    def _shortfall(self, movement: Movement, unit: UnitId, amount: int, target: Account, cause: str) -> tuple[int, int]:
        """``amount`` that no lot covers becomes a debt or a loss by policy; returns which of the two took it."""
        if self.version.policies.shortfall == "write_off":
            self._move(movement, unit, Account.WRITTEN_OFF, target, amount, cause)
            return 0, amount
        self._move(movement, unit, Account.DEBT, target, amount, cause)
        self._owe(unit, amount)
        return amount, 0

    def _undo_shortfall(self, unit: UnitId, amount: int, owed: int, written_off: int, source: Account, cause: str) -> tuple[int, int, int]:
        """Undo up to ``amount`` of a shortfall: loss first, then debt.

        Returns both, and how much of the debt had been repaid meanwhile: that part is still to come back as value.
        """
        loss = min(amount, written_off)
        if loss:
            self._move(Movement.REINSTATEMENT, unit, source, Account.WRITTEN_OFF, loss, cause)
        debt = min(amount - loss, owed)
        forgiven = min(debt, self.member.debt.get(unit, 0))
        if forgiven:
            self._move(Movement.REINSTATEMENT, unit, source, Account.DEBT, forgiven, cause)
            self._owe(unit, -forgiven)
        return loss, debt, debt - forgiven

    # The moves themselves

    def _own_lot(self, unit: UnitId, amount: int, holding: Holding, cause: str) -> Lot:
        return Lot(
            _own_id(cause, unit), unit, amount, holding.earned_at, holding.active_from, holding.expires_at, holding.active_from > self.at
        )

    def _credit(self, lot: Lot, movement: Movement, source: Account, cause: str) -> None:
        """Open (or fill) a lot; what is usable repays a debt in its unit first."""
        member = self.member
        if lot.is_pending and lot.active_from <= self.at:
            lot = activated(lot)
        self._move(movement, lot.unit, source, _account(lot), lot.remaining, cause, lot.id)
        if member.debt and not lot.is_pending:
            lot = self._repaying(lot, self.at, cause)
        if lot.remaining:
            member.lots = with_lot(member.lots, lot, self._spending_order)
            if lot.due_at < member.due_at:
                member.due_at = lot.due_at

    def _sort_lots(self) -> None:
        """Into the order of spending of the version that decides, where another may have filed them."""
        if not self.programme.is_single:
            self.member.lots = tuple(sorted(self.member.lots, key=self._spending_order))

    @property
    def _spending_order(self) -> SpendingOrder:
        return expiry_first if self.version.policies.lot_order == "expiry_first" else oldest_first

    def _unrepay(self, unit: UnitId, amount: int, source: Account, cause: str) -> None:
        """Give back ``amount`` that later awards had repaid: into the lots that repaid it, with their dates, the last first.

        What came from lots that ended since is not remembered any more: it has expired.
        """
        if not amount:
            return
        member = self.member
        stays, back = last_taken(member.repaid.get(unit, ()), amount)
        others = {of: parts for of, parts in member.repaid.items() if of != unit}
        member.repaid = {**others, unit: stays} if stays else others
        self.reinstate(back, source, cause)
        ended = amount - _sum(back)
        if ended:
            self._move(Movement.REINSTATEMENT, unit, source, Account.EXPIRED, ended, cause)

    def _repaying(self, lot: Lot, at: Instant, cause: str) -> Lot:
        """What is left of an active ``lot`` when a debt in its unit is repaid from it."""
        member, unit = self.member, lot.unit
        amount = min(member.debt.get(unit, 0), lot.remaining)
        if not amount:
            return lot
        self.effects.append(Transfer(Movement.REPAYMENT, unit, Account.ACTIVE, Account.DEBT, amount, at, cause, lot.id))
        self._owe(unit, -amount)
        remembered = [part for part in member.repaid.get(unit, ()) if part.lot.expires_at > at]
        member.repaid = {**member.repaid, unit: (*remembered, Allocation(lot, amount))}
        return replace_remaining(lot, lot.remaining - amount)

    def _owe(self, unit: UnitId, amount: int) -> None:
        debt = {**self.member.debt, unit: self.member.debt.get(unit, 0) + amount}
        self.member.debt = {unit: owed for unit, owed in debt.items() if owed}

    def _move(
        self, movement: Movement, unit: UnitId, source: Account, target: Account, amount: int, cause: str, lot: LotId | None = None
    ) -> None:
        self.effects.append(Transfer(movement, unit, source, target, amount, self.at, cause, lot))

    # Time

    def _pass_time(self, since: Instant) -> None:
        """Activate and expire everything due by now, in the order of its time.

        Each entry has the instant at which it was due as its value date; what came back after its end, that at which it came (``since``).
        """
        member = self.member
        while member.due_at <= self.at and member.due_at < NEVER:
            due_at = member.due_at
            value_at = max(due_at, since)
            kept = []
            for lot in member.lots:
                if lot.is_pending and lot.active_from <= due_at:
                    lot = activated(lot)
                    self._due(Movement.ACTIVATION, lot, Account.PENDING, Account.ACTIVE, value_at)
                    if member.debt:
                        lot = self._repaying(lot, value_at, lot.id)
                if not lot.is_pending and lot.expires_at <= due_at and lot.remaining:
                    self._due(Movement.EXPIRY, lot, Account.ACTIVE, Account.EXPIRED, value_at)
                elif lot.remaining:
                    kept.append(lot)
            member.lots = tuple(kept)
            member.due_at = next_due(kept)

    def _due(self, movement: Movement, lot: Lot, source: Account, target: Account, at: Instant) -> None:
        self.effects.append(Transfer(movement, lot.unit, source, target, lot.remaining, at, lot.id, lot.id))


def _own_id(cause: str, unit: UnitId) -> LotId:
    return LotId(f"{cause}:{unit}")


def _account(lot: Lot) -> Account:
    return Account.PENDING if lot.is_pending else Account.ACTIVE


def is_of(lot: str, order_key: str) -> bool:
    """Whether the lot of that id was opened by the order; the id is the order's key, a colon, the unit, and perhaps a mark of grace."""
    return lot.rpartition(":")[0] == order_key


def _sum(allocations: tuple[Allocation, ...]) -> int:
    return sum([allocation.amount for allocation in allocations])
