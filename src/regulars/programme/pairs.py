"""Pairs: two members who are one person - the merge of one into the other, and its undoing.

Each has a fact of its own in its own history; both are posted in one transaction. Invariant (law 25): what one gives the other gets, unit
by unit and lot by lot with its dates, so that the account between them is zero over both; a merge that is undone at once leaves both as
they were.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from regulars.kernel.ids import FactId, UnitId
from regulars.kernel.time import NEVER, Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Allocation, Lot, next_due, take
from regulars.programme.definition import Programme, Version
from regulars.programme.desk import Desk, account_of, cause_of
from regulars.programme.dossier import OrderBook
from regulars.programme.effects import ChangeTier
from regulars.programme.facts import MemberAbsorbed, MemberMerged, MergeRestored, MergeUndone
from regulars.programme.member import Joined, MemberState
from regulars.programme.reasons import Reason, Refusal

# --- the facts of a pair --------------------------------------------------------------------------------------------------------


def merge_facts(
    programme: Programme, survivor: MemberState, absorbed: MemberState, ids: tuple[FactId, FactId], actor: str, at: Instant
) -> tuple[MemberMerged, MemberAbsorbed] | Refusal:
    """The two facts of a merge at ``at`` (not before either's clock), the survivor's first; a refusal when one of them is gone for good."""
    for member in (survivor, absorbed):
        if member.status in _FINAL or survivor.id == absorbed.id:
            return Refusal(Reason.MEMBER_NOT_ACTIVE, member.id, {"status": member.status})
    at = max(at, survivor.clock, absorbed.clock)
    desk = Desk(programme, absorbed, at)
    desk.close()
    return MemberMerged(ids[0], desk.member, actor, at, at), MemberAbsorbed(ids[1], survivor.id, actor, at, at)


def undo_facts(
    programme: Programme,
    survivor: MemberState,
    merged: MemberMerged,
    books: Mapping[str, OrderBook],
    ids: tuple[FactId, FactId],
    actor: str,
    at: Instant,
) -> tuple[MergeUndone, MergeRestored] | Refusal:
    """The two facts that undo ``merged``, the survivor's first; ``books`` are the other one's orders as they stand now."""
    if refusal := _not_undoable(survivor, merged.id):
        return refusal
    at = max(at, survivor.clock)
    desk = Desk(programme, survivor, at)
    desk.close()
    returned = returned_by_undo(programme, desk.member, merged, books)
    return MergeUndone(ids[0], merged.id, returned, actor, at, at), MergeRestored(ids[1], returned, actor, at, at)


def returned_by_undo(programme: Programme, survivor: MemberState, merged: MemberMerged, books: Mapping[str, OrderBook]) -> MemberState:
    """What goes back: what is left of every lot that came with the merge or with the other one's orders, their holds that are still open,
    their debts as far as they are still owed, counters by their own orders, and the levels that they had.
    """
    absorbed = merged.absorbed
    causes = {cause_of(lot.id) for lot in _lots_of(absorbed)} | set(books)
    holds = {hold.id for hold in absorbed.holds}
    debt = {unit: min(owed, survivor.debt.get(unit, 0)) for unit, owed in absorbed.debt.items()}
    placed = [book.purchase.placed_at for book in books.values() if book.purchase is not None]
    returned = msgspec.structs.replace(
        absorbed,
        clock=survivor.clock,
        programme_version=survivor.programme_version,
        orders=sum(_counts(programme, book) for book in books.values()),
        spend=sum(book.spend for book in books.values()),
        first_order_at=min(placed, default=None),
        last_order_at=max(placed, default=None),
        lots=tuple(lot for lot in survivor.lots if cause_of(lot.id) in causes),
        debt={unit: owed for unit, owed in debt.items() if owed},
        repaid=_repaid_by(survivor.repaid, lambda lot: cause_of(lot.id) in causes),
        holds=tuple(hold for hold in survivor.holds if hold.id in holds or hold.order_key in books),
    )
    version = programme.at(survivor.clock) or programme.latest
    returned.tiers = _standing(version, absorbed.tiers, absorbed.spend, returned.spend)
    returned.due_at = min([next_due(returned.lots), *(hold.expires_at for hold in returned.holds)], default=NEVER)
    return returned


def _counts(programme: Programme, book: OrderBook) -> bool:
    """Whether the order has a number in the member's history."""
    return book.purchase is not None and (book.is_counted or programme.numbered(book.version).policies.returned_orders_count)


def _lots_of(member: MemberState) -> Iterable[Lot]:
    """Every lot that the state remembers, open or not."""
    yield from member.lots
    for allocations in (*(hold.redemption.allocations for hold in member.holds), *member.repaid.values()):
        yield from (part.lot for part in allocations)


# --- what they do ---------------------------------------------------------------------------------------------------------------


def merge(desk: Desk, fact: MemberMerged) -> None:
    """The survivor takes over lots, debts, holds and counters of the other one, and the higher level of each ladder."""
    _begin(desk)
    member, other = desk.member, fact.absorbed
    if member.status in _FINAL or other.id == member.id:
        desk.refuse(Reason.MEMBER_NOT_ACTIVE, member.id, status=member.status)
        return
    own = Joined(fact.id, member.tiers, member.first_order_at, member.last_order_at, member.spend)
    _take_over(desk, other, f"merge:{fact.id}")
    member.joined = (*member.joined, own)
    member.orders += other.orders
    member.spend += other.spend
    member.first_order_at = min([at for at in (member.first_order_at, other.first_order_at) if at is not None], default=None)
    member.last_order_at = max([at for at in (member.last_order_at, other.last_order_at) if at is not None], default=None)
    _move_tiers(desk, _highest(desk, (member.tiers, other.tiers)))


def be_absorbed(desk: Desk, fact: MemberAbsorbed) -> None:
    """Everything leaves; what stays is the name, and where it went is in the history."""
    _begin(desk)
    member = desk.member
    if member.status in _FINAL or fact.into == member.id:
        desk.refuse(Reason.MEMBER_NOT_ACTIVE, member.id, status=member.status)
        return
    _hand_over(desk, member, f"merge:{fact.id}")
    desk.member = MemberState(member.id, clock=member.clock, status="merged")


def undo(desk: Desk, fact: MergeUndone) -> None:
    """The survivor gives back what is ``returned`` and has its own levels again, unless its own spend reaches higher."""
    _begin(desk)
    member, other = desk.member, fact.returned
    if refusal := _not_undoable(member, fact.merge):
        desk.refusal = refusal
        return
    own = member.joined[-1]
    _hand_over(desk, other, f"merge:{fact.merge}")
    member.joined = member.joined[:-1]
    member.orders -= other.orders
    member.spend -= other.spend
    member.first_order_at, member.last_order_at = own.first_order_at, own.last_order_at
    _move_tiers(desk, _standing(desk.version, own.tiers, own.spend, member.spend))


def be_restored(desk: Desk, fact: MergeRestored) -> None:
    """The other one stands again, as ``returned``."""
    _begin(desk)
    if desk.member.status != "merged":
        desk.refuse(Reason.MERGE_UNKNOWN, desk.member.id)
        return
    _take_over(desk, fact.returned, f"merge:{fact.id}")
    restored = desk.member
    desk.member = msgspec.structs.replace(
        fact.returned,
        clock=restored.clock,
        due_at=restored.due_at,
        lots=restored.lots,
        debt=restored.debt,
        repaid=restored.repaid,
        holds=restored.holds,
    )


_FINAL = ("erased", "merged")


def _begin(desk: Desk) -> None:
    desk.version = desk.programme.at(desk.at) or desk.version


def _not_undoable(survivor: MemberState, merge: FactId) -> Refusal | None:
    if merge not in {joined.merge for joined in survivor.joined}:
        return Refusal(Reason.MERGE_UNKNOWN, merge)
    return None if survivor.joined[-1].merge == merge else Refusal(Reason.MERGE_NOT_LAST, merge)


def _take_over(desk: Desk, other: MemberState, cause: str) -> None:
    """Lots with their dates, debts and holds of ``other`` come to the member."""
    member = desk.member
    for lot in other.lots:
        desk.credit(lot, Movement.MERGE, Account.MERGED, cause, repays=False)
    for unit, owed in other.debt.items():
        desk.move(Movement.MERGE, unit, Account.DEBT, Account.MERGED, owed, cause)
        desk.owe(unit, owed)
    for unit, parts in other.repaid.items():
        member.repaid = {**member.repaid, unit: (*member.repaid.get(unit, ()), *parts)}
    for hold in other.holds:
        desk.move(Movement.MERGE, hold.redemption.unit, Account.MERGED, Account.HELD, hold.redemption.amount, cause)
        desk.open_hold(hold)


def _hand_over(desk: Desk, other: MemberState, cause: str) -> None:
    """Lots, debts and holds of ``other`` leave the member; what late evidence has taken from a lot meanwhile is found elsewhere."""
    member = desk.member
    for lot in other.lots:
        _part_with(desk, lot, cause)
    for unit, owed in other.debt.items():
        forgiven = min(owed, member.debt.get(unit, 0))
        if forgiven:
            desk.move(Movement.MERGE, unit, Account.MERGED, Account.DEBT, forgiven, cause)
            desk.owe(unit, -forgiven)
        if owed > forgiven:
            desk.move(Movement.MERGE, unit, Account.MERGED, Account.WRITTEN_OFF, owed - forgiven, cause)
    gone = {part.lot.id for parts in other.repaid.values() for part in parts}
    member.repaid = _repaid_by(member.repaid, lambda lot: lot.id not in gone)
    for hold in other.holds:
        if any(own.id == hold.id for own in member.holds):
            desk.move(Movement.MERGE, hold.redemption.unit, Account.HELD, Account.MERGED, hold.redemption.amount, cause)
            desk.close_hold(hold.id)
        else:
            desk.debit(Movement.MERGE, hold.redemption.unit, hold.redemption.amount, Account.MERGED, cause)


def _part_with(desk: Desk, lot: Lot, cause: str) -> None:
    member = desk.member
    member.lots, taken = take(member.lots, lot.unit, lot.remaining, lambda own: own.id == lot.id)
    for part in taken:
        desk.move(Movement.MERGE, lot.unit, account_of(part.lot), Account.MERGED, part.amount, cause, lot.id)
    missing = lot.remaining - sum(part.amount for part in taken)
    if missing:
        desk.debit(Movement.MERGE, lot.unit, missing, Account.MERGED, cause)
    desk.reckon()


def _repaid_by(repaid: Mapping[UnitId, tuple[Allocation, ...]], keeps: Callable[[Lot], bool]) -> dict[UnitId, tuple[Allocation, ...]]:
    kept = {unit: tuple(part for part in parts if keeps(part.lot)) for unit, parts in repaid.items()}
    return {unit: parts for unit, parts in kept.items() if parts}


def _highest(desk: Desk, held: tuple[dict[str, str], ...]) -> dict[str, str]:
    """Of each ladder the highest of the levels ``held`` and of the one that the member's spend reaches, where they hold any."""
    ladders = desk.version.ladders
    levels = {ladder: level for tiers in reversed(held) for ladder, level in tiers.items()}
    for ladder in levels:
        if ladder in ladders:
            rungs = ladders[ladder]
            candidates = [tiers[ladder] for tiers in held if ladder in tiers] + [rungs.at(desk.member.spend)]
            levels[ladder] = max(candidates, key=rungs.rank)
    return levels


def _standing(version: Version, tiers: dict[str, str], before: int, spend: int) -> dict[str, str]:
    """The levels held or reached by now: lower ones only where less was bought in the end and the ladder lets them fall."""
    levels = dict(tiers)
    for ladder, level in tiers.items():
        if (rungs := version.ladders.get(ladder)) is not None:
            reached = rungs.at(spend)
            may_fall = spend < before and rungs.ladder.review != "never"
            levels[ladder] = reached if may_fall else max(level, reached, key=rungs.rank)
    return levels


def _move_tiers(desk: Desk, levels: dict[str, str]) -> None:
    member = desk.member
    for ladder in sorted(set(levels) | set(member.tiers)):
        rungs = desk.version.ladders.get(ladder)
        lowest = rungs.names[0] if rungs is not None else ""
        level, previous = levels.get(ladder, lowest), member.tiers.get(ladder, lowest)
        if level != previous:
            desk.effects.append(ChangeTier(ladder, level, previous, desk.at))
    member.tiers = levels
