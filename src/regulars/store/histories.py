"""Histories: everything one member's past holds, read for a fold from the beginning.

Invariant: facts come back in the order in which they were recorded, with their outcomes, so that a fold makes of them what stands.
"""

from typing import Any

import msgspec

from regulars.kernel.ids import FactId, LotId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Allocation, Lot
from regulars.ledger.transfers import Transfer
from regulars.programme.dossier import OrderBook
from regulars.programme.facts import Remembered
from regulars.store.database import Connection
from regulars.store.records import Snapshot, read_book, read_fact, read_record, read_snapshot


class Past(msgspec.Struct, frozen=True):
    """One member: where they stand after decision ``seq``, their facts (with the sequence of each by its id, the books that merges brought,
    and what orders hold of capacities by now), and everything posted."""

    seq: int
    snapshot: Snapshot
    facts: tuple[Remembered, ...]
    seqs: dict[FactId, int]
    joined: dict[FactId, dict[str, OrderBook]]
    drawn: dict[FactId, dict[str, int]]
    transfers: tuple[Transfer, ...]


async def read_past(connection: Connection, merchant_id: int, member_id: int) -> Past | None:
    """The member's whole past; None when there is no such member. Read it in one transaction of repeatable reads."""
    row = await connection.fetchrow("select seq, snapshot from member where merchant_id = $1 and member_id = $2", merchant_id, member_id)
    if row is None:
        return None
    return Past(
        row["seq"],
        read_snapshot(row["snapshot"]),
        *await read_facts(connection, merchant_id, member_id),
        await read_transfers(connection, merchant_id, member_id),
    )


Facts = tuple[tuple[Remembered, ...], dict[FactId, int], dict[FactId, dict[str, OrderBook]], dict[FactId, dict[str, int]]]
"""What happened; the sequence of each fact; the books that merges brought; what orders hold of capacities."""


async def read_facts(connection: Connection, merchant_id: int, member_id: int) -> Facts:
    """What happened to a member, by the order of recording; the passing of time leaves no trace here.

    What an order was granted of limited rules is what it holds by now: later evidence may have given some of it back.
    """
    rows = await connection.fetch(_FACTS, merchant_id, member_id)
    held: dict[int, dict[str, int]] = {}
    for seq, capacity, amount in await connection.fetch(_DRAWS, merchant_id, member_id):
        held.setdefault(seq, {})[capacity] = amount
    facts, seqs, joined, drawn = [], {}, {}, {}
    for seq, body, at, heard, stored in rows:
        record = read_record(stored)
        if record.grants is not None:
            record = msgspec.structs.replace(record, grants=held.get(seq, {}))
        fact = read_fact(body, Instant(at), Instant(heard), record)
        facts.append(fact)
        seqs[fact.id] = seq
        if record.joined is not None:
            joined[fact.id] = record.joined
        if seq in held:
            drawn[fact.id] = held[seq]
    return tuple(facts), seqs, joined, drawn


async def read_transfers(connection: Connection, merchant_id: int, member_id: int) -> tuple[Transfer, ...]:
    """Everything posted for a member, unit by unit in the order of its account."""
    rows = await connection.fetch(_TRANSFERS, merchant_id, member_id)
    return tuple([_transfer(row) for row in rows])


async def read_books(connection: Connection, merchant_id: int, member_id: int) -> dict[str, OrderBook]:
    """The books of all orders of a member, by key."""
    rows = await connection.fetch("select book from order_book where merchant_id = $1 and member_id = $2", merchant_id, member_id)
    books = [read_book(row[0]) for row in rows]
    return {book.key: book for book in books}


_FACTS = """
    select seq, body, occurred_at, heard_at, record from fact
    where merchant_id = $1 and member_id = $2 and kind <> 'time_passed' order by seq
"""
_DRAWS = """
    select fact_seq, capacity, sum(amount)::bigint from draw
    where merchant_id = $1 and member_id = $2 group by 1, 2 having sum(amount) <> 0
"""
_TRANSFERS = """
    select t.unit, t.movement, t.source, t.target, t.amount, t.value_at, t.cause, t.lot,
        (select array_agg(a.lot order by a.lot) from allocation a where a.merchant_id = t.merchant_id and a.member_id = t.member_id
            and a.unit = t.unit and a.seq = t.seq and a.recorded_at = t.recorded_at) as lots,
        (select array_agg(a.amount order by a.lot) from allocation a where a.merchant_id = t.merchant_id and a.member_id = t.member_id
            and a.unit = t.unit and a.seq = t.seq and a.recorded_at = t.recorded_at) as amounts
    from transfer t where t.merchant_id = $1 and t.member_id = $2 order by t.unit, t.seq
"""


def _transfer(row: Any) -> Transfer:
    unit, movement, source, target, amount, value_at, cause, lot, lots, amounts = row
    parts = tuple(_allocation(id, unit, part) for id, part in zip(lots or (), amounts or (), strict=True))
    return Transfer(Movement(movement), unit, Account(source), Account(target), amount, value_at, cause, lot, parts)


def _allocation(lot: str, unit: UnitId, amount: int) -> Allocation:
    """How much of which lot; its dates are not needed to tell what was posted."""
    nowhen = Instant(0)
    return Allocation(Lot(LotId(lot), unit, amount, nowhen, nowhen, nowhen), amount)


async def books_after(connection: Connection, merchant_id: int, member_id: int, book: OrderBook) -> tuple[OrderBook, ...]:
    """The books of a member's orders that were first stated after ``book``, in that order."""
    own = (book.stated_at or 0, book.key)
    books = [one for one in (await read_books(connection, merchant_id, member_id)).values() if one.stated_at is not None]
    return tuple(sorted((one for one in books if (one.stated_at or 0, one.key) > own), key=lambda one: (one.stated_at or 0, one.key)))
