"""Reading: one repeatable-read transaction, merchants one by one, members in batches with all their rows.

Invariant: nothing is written, everything is seen as of one moment, and memory holds one batch of members however large the database is.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from regulars.kernel.errors import Invalid, Problem

MEMBERS_AT_ONCE = 500
NEVER = 2**62

Row = Any
"""A row as asyncpg gives it: read by the names of its columns."""
Connection = asyncpg.Connection

_OWN = {
    "facts": ("fact", "seq, recorded_at"),
    "transfers": ("transfer", 'unit collate "C", seq, recorded_at'),
    "allocations": ("allocation", 'unit collate "C", seq, lot collate "C", recorded_at'),
    "accounts": ("account", 'unit collate "C"'),
    "lots": ("lot", 'unit collate "C", lot collate "C"'),
    "holds": ("hold", 'hold collate "C"'),
    "books": ("order_book", 'order_key collate "C"'),
    "lines": ("order_line", 'order_key collate "C", line_id collate "C"'),
    "draws": ("draw", 'capacity collate "C", fact_seq, recorded_at'),
}


_ROWS = [name for name in _OWN if name not in ("facts", "books")]


class Fact(msgspec.Struct):
    """A fact row with its body and record read."""

    row: Row
    body: dict[str, Any]
    record: dict[str, Any]

    @property
    def seq(self) -> int:
        """Its place in the member's history."""
        return int(self.row["seq"])

    @property
    def kind(self) -> str:
        """What it is, as the column says."""
        return str(self.row["kind"])

    @property
    def is_accepted(self) -> bool:
        """Whether it had an effect at all; a request that was lowered to what is allowed has, though its record says why."""
        return "refusal" not in self.record or self.granted > 0

    @property
    def granted(self) -> int:
        """The outcome of a commitment, in units."""
        return int(self.record.get("granted") or 0)


class Book(msgspec.Struct):
    """An order book with its JSON read."""

    row: Row
    body: dict[str, Any]
    is_purchase: bool

    @property
    def key(self) -> str:
        """Source, colon, id."""
        return str(self.row["order_key"])

    @property
    def state(self) -> dict[str, Any] | None:
        """The order as it stands; None before it is placed."""
        return self.body.get("state")

    @property
    def purchase(self) -> dict[str, Any] | None:
        """The order as it was at first."""
        return self.state if self.is_purchase else self.body.get("purchase")


class Member(msgspec.Struct):
    """Everything that is stored of one member."""

    row: Row
    name: str
    snapshot: dict[str, Any]
    facts: list[Fact]
    transfers: list[Row]
    allocations: list[Row]
    accounts: list[Row]
    lots: list[Row]
    holds: list[Row]
    books: list[Book]
    lines: list[Row]
    draws: list[Row]

    @property
    def merchant(self) -> int:
        """Whose member."""
        return int(self.row["merchant_id"])

    @property
    def state(self) -> dict[str, Any]:
        """What the engine knows of the member."""
        return self.snapshot.get("member", {})  # type: ignore[no-any-return]

    @property
    def where(self) -> str:
        """For findings."""
        return f"merchant {self.merchant}, {self.name}"

    @property
    def was_merged(self) -> bool:
        """Whether a merge, or its undoing, touched this member: part of the history lies with another one then."""
        return any(fact.kind in ("member_merged", "member_absorbed", "merge_undone", "merge_restored") for fact in self.facts)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Connection, list[str]]]:
    """A connection in its one transaction, and notes on what it may see. Raises ``Invalid`` where there is nothing to read."""
    try:
        connection = await asyncpg.connect(url, server_settings={"jit": "off"})
    except (OSError, asyncpg.PostgresError) as trouble:
        raise Invalid(Problem("database", f"it cannot be opened: {trouble}", "see whether it runs and the address is right")) from None
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if await connection.fetchval("select to_regclass('transfer') is null"):
                raise Invalid(Problem("database", "there are no books of Regulars in it", "see whether the address is right"))
            yield connection, await _see_everything(connection)
    finally:
        await connection.close()


async def _see_everything(connection: Connection) -> list[str]:
    """Row-level security off for who is above it; else every known merchant is named, and the audit says so."""
    if await connection.fetchval("select rolsuper or rolbypassrls from pg_roles where rolname = current_user"):
        await connection.execute("set local row_security = off")
        return []
    await connection.execute("select set_config('app.worker', 'on', true)")
    merchants = await connection.fetch("select merchant_id from merchant order by 1")
    named = "{" + ",".join(str(row["merchant_id"]) for row in merchants) + "}"
    await connection.execute("select set_config('app.merchants', $1, true)", named)
    return ["this role is subject to row-level security: rows of merchants that do not exist could not be seen; run as a superuser"]


async def members(connection: Connection, merchant: int) -> AsyncIterator[Member]:
    """All members of ``merchant``, a batch read at a time."""
    last = -NEVER * 2
    while True:
        batch = await connection.fetch(
            "select * from member where merchant_id = $1 and member_id > $2 order by member_id limit $3", merchant, last, MEMBERS_AT_ONCE
        )
        if not batch:
            return
        own = {name: await _by_member(connection, *table, merchant, batch) for name, table in _OWN.items()}
        for row in batch:
            yield _member(row, {name: rows.get(row["member_id"], []) for name, rows in own.items()})
        last = batch[-1]["member_id"]


async def _by_member(connection: Connection, table: str, order: str, merchant: int, batch: Iterable[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    sql = f"select * from {table} where merchant_id = $1 and member_id = any($2::bigint[]) order by member_id, {order}"
    for row in await connection.fetch(sql, merchant, [row["member_id"] for row in batch]):
        found.setdefault(row["member_id"], []).append(row)
    return found


def _member(row: Row, own: dict[str, list[Row]]) -> Member:
    facts = [Fact(fact, read(fact["body"]), read(fact["record"])) for fact in own.pop("facts")]
    books = []
    for book in own.pop("books"):
        whole = read(book["book"])
        books.append(Book(book, whole.get("book", {}), bool(whole.get("is_purchase", False))))
    return Member(row=row, name=f"member {row['member_id']}", snapshot=read(row["snapshot"]), facts=facts, books=books, **own)


def together(joined: list[Member]) -> Member:
    """Members that merges touched, as one: what one of them was told or given may lie with another now."""
    lists = {name: [row for member in joined for row in getattr(member, name)] for name in ("facts", "books", *_ROWS)}
    return Member(row=joined[0].row, name="all members that merges touched", snapshot={}, **lists)


def read(text: str) -> dict[str, Any]:
    """A JSON object; what is none reads as an empty one, and the checks miss what should be in it."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
