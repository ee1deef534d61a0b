"""Snapshot: what a batch of commands may know, read in one statement that locks their members.

Invariant: members are locked in the order of their ids, so that batches of any number of processes wait for each other and never for
ever; what is read was committed before the lock was granted.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from regulars.kernel.time import Instant
from regulars.programme.facts import OrderStated, Remembered, TimePassed
from regulars.store.columns import Kind, sent, taken_apart
from regulars.store.database import Connection
from regulars.store.keys import first_key, key_of


class Wanted(msgspec.Struct, frozen=True):
    """What one command names: its member, the business keys of its fact, an order, a hold."""

    merchant_id: int
    member_id: int
    source: str = ""
    first_key: str | None = None
    key: str | None = None
    order_key: str | None = None
    hold: str | None = None


class Seen(msgspec.Struct, frozen=True):
    """A fact that came before under the same key, and where it lies."""

    member_id: int
    sequence: int
    digest: bytes
    seq: int
    recorded_at: Instant


class Found(msgspec.Struct, frozen=True):
    """What the memory holds for one command; bodies as they are stored."""

    status: str | None
    merged_into: int | None
    seq: int
    snapshot: bytes
    revision: int
    book: bytes | None
    hold_status: str | None
    first: Seen | None
    again: Seen | None


def wanted(merchant_id: int, member_id: int, source: str, fact: Remembered | TimePassed) -> Wanted:
    """What ``fact`` names.

    The first state of an order is remembered under the order's own key, later ones with their sequence; anything else under its id.
    """
    if isinstance(fact, TimePassed):
        return Wanted(merchant_id, member_id)
    if isinstance(fact, OrderStated):
        order = fact.order
        return Wanted(merchant_id, member_id, order.source, first_key(order.id), key_of(fact), order.key)
    return Wanted(merchant_id, member_id, source, None, key_of(fact), getattr(fact, "order_key", None), getattr(fact, "hold", None))


_NAMED: tuple[tuple[str, Kind], ...] = (
    ("merchant_id", "bigint"),
    ("member_id", "bigint"),
    ("source", "text"),
    ("first_key", "text"),
    ("key", "text"),
    ("order_key", "text"),
    ("hold", "text"),
)
_TAKE = "select * from take_snapshot(" + ", ".join(f"array(select {taken_apart(kind, i)})" for i, (_, kind) in enumerate(_NAMED, 1)) + ")"


async def take_snapshot(connection: Connection, commands: Sequence[Wanted]) -> list[Found | None]:
    """What each command may know, in their order, members locked until the transaction ends; None for a member who is unknown."""
    rows = await connection.fetch(_TAKE, *[sent(kind, [getattr(one, name) for one in commands]) for name, kind in _NAMED])
    found: list[Found | None] = [None] * len(commands)
    for row in rows:
        found[row[0] - 1] = _found(row)
    return found


async def read_answer(connection: Connection, merchant_id: int, seen: Seen) -> bytes:
    """The decision record of a fact that came before."""
    record: bytes = await connection.fetchval(
        "select record from fact where merchant_id = $1 and member_id = $2 and seq = $3 and recorded_at = $4",
        merchant_id,
        seen.member_id,
        seen.seq,
        seen.recorded_at,
    )
    return record


def _found(row: Any) -> Found | None:
    (_, status, into, seq, snapshot, revision, book, hold, owner, sequence, *first_fact, owner2, digest2, seq2, recorded2) = row
    if status is None:
        return None
    first = None if owner is None else Seen(owner, sequence, *first_fact)
    again = None if owner2 is None else Seen(owner2, 0, digest2, seq2, recorded2)
    return Found(status, into, seq, snapshot, revision, book, hold, first, again)
