"""Sheet: rows on their way into the memory, table by table, written by one statement.

Invariant: a sheet is written whole or not at all, and only while every member on it stands where their decision was made.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSON

from regulars.store import tables
from regulars.store.columns import Kind, sent, taken_apart
from regulars.store.database import Connection

Row = Sequence[Any]


class Moved(Exception):
    """A member moved on between reading and writing; the decision is to be made again."""


class Sheet:
    """Rows by table, in the order of its columns."""

    __slots__ = ("_forgotten", "members", "rows")

    def __init__(self) -> None:
        """Nothing to write yet."""
        self._forgotten: dict[Table, list[Row]] = {}
        self.members: list[Row] = []
        self.rows: dict[Table, list[Row]] = {table: [] for table in (*_ALWAYS, *_SELDOM)}

    def add(self, table: Table, *row: Any) -> None:
        """One row of ``table``."""
        self.rows[table].append(row)

    def forget(self, table: Table, *key: Any) -> None:
        """Whatever stands under the beginning of a ``key`` goes before the rows of this sheet come."""
        self._forgotten.setdefault(table, []).append(key)

    def move(self, *row: Any) -> None:
        """A member's new standing, in the order of ``MOVES``."""
        self.members.append(row)

    async def write(self, connection: Connection) -> None:
        """Write everything. Raises ``Moved`` when a member's sequence is not the one that the decision was made upon."""
        for table, keys in self._forgotten.items():
            await connection.execute(_deletion(table, len(keys[0])), *_sent(_columns_of(table)[: len(keys[0])], keys))
        if any(self.rows[table] for table in _SELDOM):
            await connection.execute(_statement(_SELDOM), *self._parameters(_SELDOM))
        statement = _statement(_ALWAYS, is_with_members=True)
        moved = await connection.fetchval(statement, *_sent(MOVES, self.members), *self._parameters(_ALWAYS))
        if moved != len(self.members):
            raise Moved

    def _parameters(self, of: Sequence[Table]) -> Iterator[str | bytes]:
        for table in of:
            yield from _sent(_columns_of(table), self.rows[table])


def _sent(columns: Sequence[tuple[str, Kind]], rows: list[Row]) -> list[str | bytes]:
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return [sent(kind, column) for (_, kind), column in zip(columns, values, strict=True)]


MOVES: tuple[tuple[str, Kind], ...] = (
    ("merchant_id", "bigint"),
    ("member_id", "bigint"),
    ("before", "bigint"),
    ("seq", "bigint"),
    ("status", "text"),
    ("merged_into", "bigint"),
    ("due_at", "bigint"),
    ("planned_version", "int"),
    ("engine_epoch", "int"),
    ("state_schema", "int"),
    ("snapshot", "json"),
)
"""What changes with a member's decision; ``before`` is the sequence that it was made upon."""

_ALWAYS = (
    tables.fact,
    tables.fact_key,
    tables.order_book,
    tables.order_line,
    tables.transfer,
    tables.account,
    tables.lot,
    tables.outbox,
)
_SELDOM = (tables.allocation, tables.hold, tables.draw, tables.audit)

_REPLACED: dict[Table, str] = {
    tables.order_book: "sequence placed_at currency scale rate_numerator rate_denominator rate_source is_counted book",
    tables.account: "pending active held debt seq recorded_at",
    tables.hold: "status",
}
"""What a row that is there already takes from the new one; facts and entries are never there already, lines are forgotten before."""

_KINDS: dict[type[Any], Kind] = {BigInteger: "bigint", Boolean: "boolean", Integer: "int", LargeBinary: "bytea", Text: "text", JSON: "json"}


@cache
def _columns_of(table: Table) -> tuple[tuple[str, Kind], ...]:
    """Its columns with what they hold."""
    return tuple((column.name, _KINDS[type(column.type)]) for column in table.columns)


def _rows(columns: Sequence[tuple[str, Kind]], first: int) -> str:
    """SQL of the rows whose columns are the parameters from ``first`` on."""
    parts = ", ".join(taken_apart(kind, first + i) for i, (_, kind) in enumerate(columns))
    return f"rows from ({parts}) as u ({', '.join(name for name, _ in columns)})"


@cache
def _statement(of: tuple[Table, ...], is_with_members: bool = False) -> str:
    """One statement that fills every table, a parameter a column; members move in it too."""
    parts, number = [], 1
    if is_with_members:
        changes = ", ".join(f"{name} = u.{name}" for name, _ in MOVES[3:])
        parts.append(f"moved as (update member t set {changes} {_named('member', MOVES[:2], MOVES)} and t.seq = u.before returning 1)")
        number += len(MOVES)
    for table in of:
        columns = _columns_of(table)
        names = ", ".join(name for name, _ in columns)
        parts.append(f"{table.name}_rows as (insert into {table.name} ({names}) select * from {_rows(columns, number)} {_conflict(table)})")
        number += len(columns)
    return f"with {', '.join(parts)} select" + (" count(*) from moved" if is_with_members else "")


@cache
def _deletion(table: Table, length: int) -> str:
    """A statement that removes what stands under keys of so many columns."""
    columns = _columns_of(table)[:length]
    return f"delete from {table.name} t {_named(table.name, columns, columns, 'using')}"


def _named(table: str, key: Sequence[tuple[str, Kind]], columns: Sequence[tuple[str, Kind]], joined: str = "from") -> str:
    """SQL that finds the rows ``t`` of a table by the ``key`` among the parameters ``u``, one by one, however small it is now: a plan is
    kept."""
    match = " and ".join(f"x.{name} = u.{name}" for name, _ in key)
    return f"{joined} {_rows(columns, 1)}, lateral (select ctid from {table} x where {match} offset 0) x where t.ctid = x.ctid"


def _conflict(table: Table) -> str:
    if table is tables.lot:
        grown = "original = greatest(lot.original, excluded.pending + excluded.active)"
        dates = "pending = excluded.pending, active = excluded.active, active_from = excluded.active_from, expires_at = excluded.expires_at"
        return f"on conflict (merchant_id, member_id, unit, lot) do update set {grown}, {dates}"
    if table not in _REPLACED:
        return ""
    key = ", ".join(column.name for column in table.primary_key.columns)
    return f"on conflict ({key}) do update set " + ", ".join(f"{name} = excluded.{name}" for name in _REPLACED[table].split())
