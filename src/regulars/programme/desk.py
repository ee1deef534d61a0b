"""The desk: where one decision is worked out - a copy of the member's state, and the moves of value.

Invariant: what a desk moves stands in its effects, so that entries, lots and debts agree at every step; the state that it was given is
never changed.
"""

from __future__ import annotations

import copy

import msgspec

from regulars.kernel.ids import LotId, UnitId
from regulars.kernel.texts import Argument
from regulars.kernel.time import NEVER, Instant, Span, later
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import (
    Allocation,
    Lot,
    SpendingOrder,
    activated,
    expiry_first,
    last_taken,
    next_due,
    oldest_first,
    replace_remaining,
    take,
    with_lot,
)
from regulars.ledger.transfers import Transfer
from regulars.programme.definition import Programme, Version
from regulars.programme.dossier import HoldEnd, Holding, OrderBook
from regulars.programme.effects import Effect
from regulars.programme.mechanics import points
from regulars.programme.member import Hold, MemberState, Redemption
from regulars.programme.reasons import Reason, Refusal


class Desk:
    """Where one decision is worked out: a copy of the member's state, the effects so far, and the moves of value.

    Whatever was due by ``at`` has taken effect before anything else happens.
    """

    __slots__ = (
        "at",
        "draws",
        "effects",
        "ended",
        "granted",
        "later",
        "limited",
        "member",
        "order",
        "programme",
        "refusal",
        "value_at",
        "version",
    )

    def __init__(self, programme: Programme, member: MemberState, at: Instant) -> None:
        """Begin at ``at``; ``member`` itself is left as it is."""
        self.programme = programme
        self.member = copy.copy(member)
        self.at = self.value_at = at
        self.effects: list[Effect] = []
        self.order: OrderBook | None = None
        self.later: tuple[OrderBook, ...] = ()
        self.refusal: Refusal | None = None
        self.granted: int | None = None
        self.draws: dict[str, int] = {}
        self.limited: list[Refusal] = []
        self.ended: list[tuple[str, HoldEnd]] = []
        self.version: Version = programme.at(at) or programme.versions[0]
        if member.due_at <= at:
            self._pass_time(member.clock)
        if at > self.member.clock:
            self.member.clock = at

    def refuse(self, reason: Reason, subject: str, **args: Argument) -> None:
        """Change nothing (but time), and say why."""
        self.refusal = Refusal(reason, subject, args)

    def close(self) -> None:
        """Whatever came back after its end expires, an erased member keeps nothing; the state names the version in force."""
        member = self.member
        if member.status == "erased" and member.lots:
            self.end_lots()
        if member.due_at <= self.at:
            self._pass_time(self.at)
        member.programme_version = (self.programme.at(member.clock) or self.programme.versions[0]).number

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
            self.credit(self._own_lot(unit, fresh, holding, cause), Movement.ACCRUAL, Account.ISSUED, cause)
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
            self.move(Movement.REVERSAL, unit, account_of(allocation.lot), Account.CLAWED_BACK, allocation.amount, cause, allocation.lot.id)
        rest = left - _sum(from_others)
        owed, written_off = self._shortfall(Movement.REVERSAL, unit, rest, Account.CLAWED_BACK, cause) if rest else (0, 0)
        self.reckon()
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
            self.credit(lot, Movement.REINSTATEMENT, Account.CLAWED_BACK, cause)
        return msgspec.structs.replace(
            holding,
            clawed=holding.clawed - amount,
            takes=takes,
            owed=holding.owed - debt,
            written_off=holding.written_off - loss,
        )

    # Value that pays, and comes back

    def pay(self, redemption: Redemption, amount: int, cause: str, target: Account = Account.REDEEMED) -> Redemption:
        """Debit ``amount`` for an order, or (``target`` HELD) set it aside for one."""
        movement = Movement.HOLD if target is Account.HELD else Movement.REDEMPTION
        taken, owed, written_off = self.debit(movement, redemption.unit, amount, target, cause)
        return Redemption(
            redemption.unit,
            redemption.amount,
            redemption.money,
            redemption.version,
            redemption.allocations + taken,
            redemption.back,
            redemption.owed + owed,
            redemption.written_off + written_off,
        )

    def debit(self, movement: Movement, unit: UnitId, amount: int, target: Account, cause: str) -> tuple[tuple[Allocation, ...], int, int]:
        """Take ``amount`` from the usable lots; what they do not cover (late evidence took it) follows the policy for shortfalls.

        Returns what came from which lot, what became a debt, and what was written off.
        """
        member = self.member
        self._sort_lots()
        member.lots, taken = take(member.lots, unit, amount, lambda lot: not lot.is_pending and not is_of(lot.id, cause))
        covered = _sum(taken)
        if covered:
            self.effects.append(Transfer(movement, unit, Account.ACTIVE, target, covered, self.value_at, cause, allocations=taken))
            self.reckon()
        owed = written_off = 0
        if covered < amount:
            owed, written_off = self._shortfall(movement, unit, amount - covered, target, cause)
        return taken, owed, written_off

    def give_back(self, redemption: Redemption, amount: int, cause: str, source: Account = Account.REDEEMED) -> Redemption:
        """Undo ``amount`` of a payment (of a hold, from HELD): what nobody covered first, then the lots it came from."""
        unit = redemption.unit
        loss, debt, repaid = self._undo_shortfall(unit, amount, redemption.owed, redemption.written_off, source, cause)
        allocations, back = last_taken(redemption.allocations, amount - loss - debt)
        self.reinstate(back, source, cause, with_grace=source is Account.REDEEMED)
        self._unrepay(unit, repaid, source, cause)
        return msgspec.structs.replace(
            redemption, allocations=allocations, owed=redemption.owed - debt, written_off=redemption.written_off - loss
        )

    def open_hold(self, hold: Hold) -> None:
        """``hold`` is open: its value lies on the account HELD already."""
        self.member.holds = (*self.member.holds, hold)
        self.reckon()

    def close_hold(self, id: str) -> None:
        """That hold is not open here any more."""
        self.member.holds = tuple([hold for hold in self.member.holds if hold.id != id])
        self.reckon()

    def end_hold(self, hold: Hold, end: HoldEnd) -> None:
        """``hold`` has ended: unless it was captured, its value returns to its lots, with their dates (law 11)."""
        self.close_hold(hold.id)
        self.ended.append((hold.id, end))
        if end != "captured":
            self.give_back(hold.redemption, hold.redemption.amount, hold.order_key, Account.HELD)

    def end_lots(self) -> None:
        """Everything that the member still has ends now."""
        for lot in self.member.lots:
            self._due(Movement.EXPIRY, lot, account_of(lot), Account.EXPIRED)
        self.member.lots = ()
        self.reckon()

    def reinstate(self, allocations: tuple[Allocation, ...], source: Account, cause: str, with_grace: bool = False) -> None:
        """Put value back into the lots it came from, with their dates and at most the policy's days of grace (law 16)."""
        grace = self.version.policies.reinstated_grace if with_grace else None
        for allocation in allocations:
            lot = replace_remaining(allocation.lot, allocation.amount)
            self.credit(lot if grace is None else self._with_grace(lot, grace), _back_from(source), source, cause)

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
            self.move(movement, unit, Account.WRITTEN_OFF, target, amount, cause)
            return 0, amount
        self.move(movement, unit, Account.DEBT, target, amount, cause)
        self.owe(unit, amount)
        return amount, 0

    def _undo_shortfall(self, unit: UnitId, amount: int, owed: int, written_off: int, source: Account, cause: str) -> tuple[int, int, int]:
        """Undo up to ``amount`` of a shortfall: loss first, then debt.

        Returns both, and how much of the debt had been repaid meanwhile: that part is still to come back as value.
        """
        loss = min(amount, written_off)
        if loss:
            self.move(_back_from(source), unit, source, Account.WRITTEN_OFF, loss, cause)
        debt = min(amount - loss, owed)
        forgiven = min(debt, self.member.debt.get(unit, 0))
        if forgiven:
            self.move(_back_from(source), unit, source, Account.DEBT, forgiven, cause)
            self.owe(unit, -forgiven)
        return loss, debt, debt - forgiven

    # The moves themselves

    def _own_lot(self, unit: UnitId, amount: int, holding: Holding, cause: str) -> Lot:
        return Lot(
            own_id(cause, unit), unit, amount, holding.earned_at, holding.active_from, holding.expires_at, holding.active_from > self.at
        )

    def credit(self, lot: Lot, movement: Movement, source: Account, cause: str, repays: bool = True) -> None:
        """Open (or fill) a lot; what is usable repays a debt in its unit first."""
        member = self.member
        if lot.is_pending and lot.active_from <= self.value_at:
            lot = activated(lot)
        self.move(movement, lot.unit, source, account_of(lot), lot.remaining, cause, lot.id)
        if member.debt and repays and not lot.is_pending:
            lot = self._repaying(lot, cause)
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
            self.move(_back_from(source), unit, source, Account.EXPIRED, ended, cause)

    def _repaying(self, lot: Lot, cause: str) -> Lot:
        """What is left of an active ``lot`` when a debt in its unit is repaid from it."""
        member, unit = self.member, lot.unit
        amount = min(member.debt.get(unit, 0), lot.remaining)
        if not amount:
            return lot
        self.effects.append(Transfer(Movement.REPAYMENT, unit, Account.ACTIVE, Account.DEBT, amount, self.value_at, cause, lot.id))
        self.owe(unit, -amount)
        remembered = [part for part in member.repaid.get(unit, ()) if part.lot.expires_at > self.value_at]
        member.repaid = {**member.repaid, unit: (*remembered, Allocation(lot, amount))}
        return replace_remaining(lot, lot.remaining - amount)

    def owe(self, unit: UnitId, amount: int) -> None:
        """Raise (or lower) the member's debt."""
        debt = {**self.member.debt, unit: self.member.debt.get(unit, 0) + amount}
        self.member.debt = {unit: owed for unit, owed in debt.items() if owed}

    def move(
        self, movement: Movement, unit: UnitId, source: Account, target: Account, amount: int, cause: str, lot: LotId | None = None
    ) -> None:
        """Post one movement."""
        self.effects.append(Transfer(movement, unit, source, target, amount, self.value_at, cause, lot))

    # Time

    def reckon(self) -> None:
        """When time next changes anything."""
        member = self.member
        member.due_at = next_due(member.lots)
        for hold in member.holds:
            member.due_at = min(member.due_at, hold.expires_at)

    def _pass_time(self, since: Instant) -> None:
        """Activate, expire and end everything due by now, in the order of its time.

        Each entry has the instant at which it was due as its value date; what came back after its end, that at which it came (``since``).
        """
        member = self.member
        while member.due_at <= self.at and member.due_at < NEVER:
            due_at = member.due_at
            self.value_at = since = max(due_at, since)
            kept = []
            for lot in member.lots:
                if lot.is_pending and lot.active_from <= due_at:
                    lot = activated(lot)
                    self._due(Movement.ACTIVATION, lot, Account.PENDING, Account.ACTIVE)
                    if member.debt:
                        lot = self._repaying(lot, lot.id)
                if not lot.is_pending and lot.expires_at <= due_at and lot.remaining:
                    self._due(Movement.EXPIRY, lot, Account.ACTIVE, Account.EXPIRED)
                elif lot.remaining:
                    kept.append(lot)
            member.lots = tuple(kept)
            if member.holds:
                self._end_holds()
            self.reckon()
        self.value_at = self.at

    def _end_holds(self) -> None:
        """What was held too long comes back, under the version in force at that time."""
        version, self.version = self.version, self.programme.at(self.value_at) or self.version
        for hold in self.member.holds:
            if hold.expires_at <= self.value_at:
                self.end_hold(hold, "expired")
        self.version = version

    def _due(self, movement: Movement, lot: Lot, source: Account, target: Account) -> None:
        self.effects.append(Transfer(movement, lot.unit, source, target, lot.remaining, self.value_at, lot.id, lot.id))


def own_id(cause: str, unit: UnitId) -> LotId:
    """The id of the lot that ``cause`` opens."""
    return LotId(f"{cause}:{unit}")


def account_of(lot: Lot) -> Account:
    """Where its value lies."""
    return Account.PENDING if lot.is_pending else Account.ACTIVE


def _back_from(source: Account) -> Movement:
    return Movement.RELEASE if source is Account.HELD else Movement.REINSTATEMENT


def cause_of(lot: str) -> str:
    """What opened the lot of that id: the key of an order or the name of a commitment; then come a colon, the unit, perhaps grace."""
    return lot.rpartition(":")[0]


def is_of(lot: str, cause: str) -> bool:
    """Whether the lot of that id was opened by the order of that key."""
    return cause_of(lot) == cause


def _sum(allocations: tuple[Allocation, ...]) -> int:
    return sum([allocation.amount for allocation in allocations])
