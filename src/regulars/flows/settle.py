"""Settle: decisions become rows - facts, entries, lots, books, the member's new standing.

Invariant: whatever a decision moved stands in an entry, every entry names its fact, and the member's accounts are what the entries
leave.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from regulars.kernel.ids import FactId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import Account
from regulars.ledger.lots import Lot
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision
from regulars.programme.dossier import OrderBook
from regulars.programme.facts import (
    Fact,
    HoldCaptured,
    HoldReleased,
    Order,
    OrderStated,
    Remembered,
    TimePassed,
    ValueHeld,
    ValueRedeemed,
    fact_order,
    kind_of,
)
from regulars.programme.fold import Folded
from regulars.store import tables
from regulars.store.keys import first_key
from regulars.store.records import Record, Snapshot, Standing, written, written_book, written_fact
from regulars.store.sheet import Sheet

SYSTEM = "system"
"""The actor of what nobody did but time."""


class Told(msgspec.Struct, frozen=True):
    """How a fact came to us: from which ``source``, by whom, under which business ``key`` (and ``also`` which); and whether the outside is
    told of it, and ``why`` somebody did it, where the fact does not say so itself."""

    source: str = ""
    actor: str = SYSTEM
    key: str = ""
    is_told: bool = True
    also: tuple[str, ...] = ()
    why: str = ""


class Seat:
    """One member at the desk: where they stood, what was decided since, and the books that were opened."""

    __slots__ = (
        "_books",
        "_changed",
        "_is_refolded",
        "_lots",
        "_sheet",
        "_stated",
        "before",
        "member_id",
        "merchant_id",
        "merged_into",
        "recorded_at",
        "seq",
        "snapshot",
    )

    def __init__(self, sheet: Sheet, merchant_id: int, member_id: int, seq: int, snapshot: Snapshot, recorded_at: Instant) -> None:
        """Everything is written on ``sheet`` as recorded at ``recorded_at``; ``seq`` is the number of the member's last decision."""
        self._sheet = sheet
        self.merchant_id = merchant_id
        self.member_id = member_id
        self.before = self.seq = seq
        self.snapshot = snapshot
        self.merged_into: int | None = None
        self.recorded_at = recorded_at
        self._lots = snapshot.member.lots
        self._books: dict[str, OrderBook] = {}
        self._changed: set[UnitId] = set()
        self._is_refolded = False
        self._stated: dict[str, bool] = {}

    def post(
        self,
        fact: Fact,
        decision: Decision,
        told: Told,
        grants: dict[str, int] | None = None,
        joined: dict[str, OrderBook] | None = None,
    ) -> Record:
        """Post one decision; ``grants`` is what capacities gave it, ``joined`` the books that come with it. Returns the fact's record."""
        before = self._shown() if is_by_hand(fact) else None
        record = self._begin(fact, decision, told, grants, joined)
        self._add_transfers(_transfers(decision), record)
        self._add_draws(self.seq, decision.draws)
        self._add_holds(fact, decision)
        self.snapshot.member = decision.member
        if isinstance(fact, OrderStated):
            self._stated[fact.order.key] = fact.order.key in self._stated or told.key != first_key(fact.order.id)
        for book in decision.later:
            self._books[book.key] = book
        if decision.order is not None:
            self._books[decision.order.key] = decision.order
        if before is not None and decision.refusal is None:
            self._add_audit(fact, told, before)
        return record

    def post_late(
        self,
        facts: Iterable[tuple[Remembered, Decision, Told, dict[str, int] | None]],
        folded: Folded,
        corrections: Iterable[Transfer],
        seqs: Mapping[FactId, int],
        draws: Mapping[FactId, Mapping[str, int]],
    ) -> Record:
        """Post facts that were folded into the past, each with its own decision, and the ``corrections`` of all that followed from them.

        ``draws`` is what each fact holds of capacities more (or less) than before, ``seqs`` the sequence of those that were known. Returns
        the record of the last fact, to which the corrections belong.
        """
        numbers = dict(seqs)
        for fact, decision, told, grants in facts:
            record = self._begin(fact, decision, told, grants)
            numbers[fact.id] = self.seq
        self._add_transfers(_possible(corrections, self.snapshot.accounts), record)
        for id, changes in draws.items():
            self._add_draws(numbers[id], changes)
        self.snapshot.member = folded.member
        self._books = dict(folded.orders)
        self._is_refolded = True
        return record

    def close(self) -> None:
        """Write the member's standing, accounts, lots and books."""
        snapshot, sheet, ids = self.snapshot, self._sheet, (self.merchant_id, self.member_id)
        member = snapshot.member
        sheet.move(
            *ids,
            self.before,
            self.seq,
            member.status,
            self.merged_into,
            member.due_at,
            member.programme_version,
            member.engine_epoch,
            member.state_schema,
            written(snapshot),
        )
        for unit in self._changed:
            now = snapshot.accounts[unit]
            sheet.add(tables.account, *ids, unit, now.pending, now.active, now.held, now.debt, now.seq, self.recorded_at)
        self._write_lots()
        for book in self._books.values():
            self._write_book(book)

    # What happened

    def _begin(
        self,
        fact: Fact,
        decision: Decision,
        told: Told,
        grants: dict[str, int] | None,
        joined: dict[str, OrderBook] | None = None,
    ) -> Record:
        """The fact with its record; of the passing of time only what had an effect is kept."""
        self.seq += 1
        record = record_of(decision, grants)
        if joined is not None:
            record = msgspec.structs.replace(record, joined=joined)
        ids = (self.merchant_id, self.member_id)
        if isinstance(fact, TimePassed):
            if not decision.effects and not decision.ended:
                return record
            body, heard_at = msgspec.json.encode(fact), fact.occurred_at
        else:
            body, digest = written_fact(fact)
            heard_at = fact.recorded_at
            self.snapshot.last = max(self.snapshot.last, fact_order(fact))
            sequence = fact.order.sequence if isinstance(fact, OrderStated) else 0
            for key in (told.key, *told.also):
                row = (self.merchant_id, told.source, key, self.member_id, sequence, digest, self.seq, self.recorded_at)
                self._sheet.add(tables.fact_key, *row)
        kind = kind_of(fact)
        self._sheet.add(
            tables.fact,
            *ids,
            self.seq,
            self.recorded_at,
            kind,
            told.key,
            told.source,
            told.actor,
            fact.occurred_at,
            heard_at,
            body,
            written(record),
        )
        if told.is_told:
            self._sheet.add(tables.outbox, *ids, self.seq, self.recorded_at, kind)
        return record

    # What moved

    def _add_transfers(self, transfers: Iterable[Transfer], record: Record) -> None:
        accounts = self.snapshot.accounts
        for t in transfers:
            unit = t.unit
            now = accounts.get(unit)
            if now is None:
                now = accounts[unit] = Standing()
            self._changed.add(unit)
            now.seq += 1
            _lower(now, t.source, t.amount)
            _lower(now, t.target, -t.amount)
            self._sheet.add(
                tables.transfer,
                self.merchant_id,
                self.member_id,
                unit,
                now.seq,
                self.recorded_at,
                self.seq,
                t.movement,
                t.source,
                t.target,
                t.amount,
                t.value_at,
                t.cause,
                t.lot,
                ",".join([award.rule for award in record.awards if award.unit == unit]) or None,
                record.version,
                now.pending,
                now.active,
                now.held,
                now.debt,
            )
            if t.allocations:
                self._add_allocations(t, now.seq)

    def _add_allocations(self, transfer: Transfer, seq: int) -> None:
        by_lot: dict[str, int] = {}
        for part in transfer.allocations:
            by_lot[part.lot.id] = by_lot.get(part.lot.id, 0) + part.amount
        for lot, amount in by_lot.items():
            self._sheet.add(
                tables.allocation, self.merchant_id, self.member_id, transfer.unit, seq, lot, self.recorded_at, amount
            )  # fmt: skip

    def _add_draws(self, seq: int, draws: Mapping[str, int]) -> None:
        for capacity, amount in draws.items():
            if amount:
                self._sheet.add(tables.draw, self.merchant_id, self.member_id, capacity, seq, self.recorded_at, amount)

    def _add_holds(self, fact: Fact, decision: Decision) -> None:
        ids = (self.merchant_id, self.member_id)
        if isinstance(fact, ValueHeld):
            status = "open" if decision.granted else "refused"
            row = (fact.hold, fact.order_key, fact.unit, decision.granted or 0, status, fact.expires_at)
            self._sheet.add(tables.hold, *ids, *row)
        if decision.ended:
            open_holds = {hold.id: hold for hold in self.snapshot.member.holds}
            for id, status in decision.ended:
                hold = open_holds[id]
                row = (id, hold.order_key, hold.redemption.unit, hold.redemption.amount, status, hold.expires_at)
                self._sheet.add(tables.hold, *ids, *row)

    def _shown(self) -> dict[str, Any]:
        """How the member stands, for the audit."""
        accounts = {unit: msgspec.structs.asdict(held) for unit, held in self.snapshot.accounts.items()}
        return {"status": self.snapshot.member.status, "accounts": accounts}

    def _add_audit(self, fact: Fact, told: Told, before: Mapping[str, Any]) -> None:
        """One record of what somebody did by hand (law 29): who, why, before, after."""
        self._sheet.add(
            tables.audit,
            self.merchant_id,
            self.recorded_at,
            self.member_id,
            told.actor,
            kind_of(fact),
            f"member {self.member_id}",
            getattr(fact, "reason", told.why),
            msgspec.json.encode(before),
            msgspec.json.encode(self._shown()),
        )

    # What is held

    def _write_lots(self) -> None:
        before, now = _by_id(self._lots), _by_id(self.snapshot.member.lots)
        for id in before | now:
            was, held = before.get(id, _NOTHING), now.get(id, _NOTHING)
            if was == held:
                continue
            lot = (held or was)[0]
            pending = sum([part.remaining for part in held if part.is_pending])
            active = sum([part.remaining for part in held if not part.is_pending])
            original = max(pending + active, sum([part.remaining for part in was]))
            self._sheet.add(
                tables.lot,
                self.merchant_id,
                self.member_id,
                lot.unit,
                id,
                original,
                pending,
                active,
                lot.earned_at,
                lot.active_from,
                lot.expires_at,
            )

    def _write_book(self, book: OrderBook) -> None:
        state, purchase = book.state, book.purchase
        rate = state.rate if state is not None else None
        ids = (self.merchant_id, self.member_id, book.key)
        self._sheet.add(
            tables.order_book,
            *ids,
            self.member_id,
            state.sequence if state is not None else 0,
            None if state is None else (purchase or state).placed_at,
            None if state is None else state.currency,
            None if state is None else state.scale,
            None if rate is None else rate.numerator,
            None if rate is None else rate.denominator,
            None if rate is None else rate.source,
            book.is_counted,
            written_book(book),
        )
        if state is not None and (self._is_refolded or book.key in self._stated):
            if self._is_refolded or self._stated[book.key]:  # of an order's first state there are no lines yet
                self._sheet.forget(tables.order_line, *ids)
            self._write_lines(ids, state)

    def _write_lines(self, ids: tuple[int, int, str], order: Order) -> None:
        for line in order.lines:
            gross = line.amount if line.tax_included else line.amount + line.tax
            self._sheet.add(
                tables.order_line,
                *ids,
                line.id,
                line.kind,
                line.sku,
                line.quantity,
                gross,
                gross - line.tax,
                line.tax,
                line.tax_included,
                line.discount,
                line.cost,
                line.parent,
            )


_NOTHING: tuple[Lot, ...] = ()


def record_of(decision: Decision, grants: dict[str, int] | None) -> Record:
    """What is kept of a decision beside its entries."""
    order = decision.order
    others = tuple([effect for effect in decision.effects if not isinstance(effect, Transfer)])
    if order is None:
        return Record(decision.version, decision.refusal, decision.granted, grants, decision.limited, effects=others)
    return Record(
        decision.version, decision.refusal, decision.granted, grants, decision.limited, order.situation, order.awards, order.perks, others
    )


def is_by_hand(fact: Fact) -> bool:
    """Whether somebody of the staff did it."""
    return not isinstance(fact, (OrderStated, TimePassed, ValueRedeemed, ValueHeld, HoldCaptured, HoldReleased))


def _transfers(decision: Decision) -> list[Transfer]:
    return [effect for effect in decision.effects if isinstance(effect, Transfer)]


def _possible(corrections: Iterable[Transfer], accounts: Mapping[UnitId, Standing]) -> list[Transfer]:
    """``corrections`` in an order in which each can be posted: no account stands below zero, and no debt above it, between two of them.

    What goes round in a circle wider than what is there is posted in parts.
    """
    standings = {unit: copy.copy(standing) for unit, standing in accounts.items()}
    waiting, done = list(corrections), []
    while waiting:
        rest = []
        for t in waiting:
            now = standings.setdefault(t.unit, Standing())
            if _room(now, t) >= t.amount:
                _lower(now, t.source, t.amount)
                _lower(now, t.target, -t.amount)
                done.append(t)
            else:
                rest.append(t)
        if len(rest) == len(waiting):
            n, room = next(((n, room) for n, t in enumerate(rest) if (room := _room(standings[t.unit], t)) > 0), (0, 0))
            if not room:
                return done + rest  # impossible: the database refuses it
            t = rest[n]
            rest[n : n + 1] = [msgspec.structs.replace(t, amount=room), msgspec.structs.replace(t, amount=t.amount - room)]
        waiting = rest
    return done


def _room(standing: Standing, transfer: Transfer) -> int:
    """How much of ``transfer`` can be posted now."""
    held = {Account.PENDING: standing.pending, Account.ACTIVE: standing.active, Account.HELD: standing.held}
    room = held.get(transfer.source, transfer.amount)
    return min(room, -standing.debt) if transfer.target is Account.DEBT else room


def _lower(standing: Standing, account: Account, amount: int) -> None:
    if account is Account.ACTIVE:
        standing.active -= amount
    elif account is Account.PENDING:
        standing.pending -= amount
    elif account is Account.HELD:
        standing.held -= amount
    elif account is Account.DEBT:
        standing.debt -= amount


def _by_id(lots: Iterable[Lot]) -> dict[str, tuple[Lot, ...]]:
    """Lots by id; one that is pending in part and active in part has two."""
    found: dict[str, tuple[Lot, ...]] = {}
    for lot in lots:
        found[lot.id] = (*found.get(lot.id, ()), lot)
    return found
