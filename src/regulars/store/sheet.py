"""Sheet: rows on their way into the memory, table by table, written by one statement.

Invariant: a sheet is written whole or not at all, and only while every member on it stands where their decision was made.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Table, Text

from regulars.store import tables
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
            names = [column.name for column in table.primary_key.columns][: len(keys[0])]
            types = [_type_of(table.columns[name].type) for name in names]
            params = ", ".join(f"${i}::{name}[]" for i, name in enumerate(types, 1))
            match = " and ".join(f"t.{name} = u.{name}" for name in names)
            statement = f"delete from {table.name} t using unnest({params}) as u ({', '.join(names)}) where {match}"
            await connection.execute(statement, *_columns(keys, len(names)))
        if any(self.rows[table] for table in _SELDOM):
            await connection.execute(_statement(_SELDOM), *self._arrays(_SELDOM))
        statement = _statement(_ALWAYS, len(MOVES), is_with_members=True)
        moved = await connection.fetchval(statement, *_columns(self.members, len(MOVES)), *self._arrays(_ALWAYS))
        if moved != len(self.members):
            raise Moved

    def _arrays(self, of: Sequence[Table]) -> Iterator[list[Any]]:
        for table in of:
            yield from _columns(self.rows[table], len(table.columns))


def _columns(rows: list[Row], count: int) -> list[list[Any]]:
    return list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in range(count)]


MOVES = (
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
    tables.order_line: "kind sku quantity gross net tax is_tax_included discount cost parent",
    tables.account: "pending active held debt seq recorded_at",
    tables.hold: "status",
}
"""What a row that is there already takes from the new one; entries and facts are never there already."""

_NAMES = {BigInteger: "bigint", Boolean: "boolean", Integer: "int", LargeBinary: "bytea", Text: "text"}


@cache
def _statement(of: tuple[Table, ...], offset: int = 0, is_with_members: bool = False) -> str:
    """One statement that fills every table from arrays, a parameter a column."""
    parts, number = [], offset
    for table in of:
        types = [_type_of(column.type) for column in table.columns]
        params = ", ".join(f"${number + i}::{name}[]" for i, name in enumerate(types, 1))
        number += len(types)
        names = ", ".join(column.name for column in table.columns)
        parts.append(f"{table.name}_rows as (insert into {table.name} ({names}) select * from unnest({params}) {_conflict(table)})")
    if not is_with_members:
        return f"with {', '.join(parts)} select"
    params = ", ".join(f"${i}::{name}[]" for i, (_, name) in enumerate(MOVES, 1))
    names = ", ".join(name for name, _ in MOVES)
    changes = ", ".join(f"{name} = u.{name}" for name, _ in MOVES[3:])
    moved = (
        f"moved as (update member m set {changes} from unnest({params}) as u ({names})"
        " where m.merchant_id = u.merchant_id and m.member_id = u.member_id and m.seq = u.before returning 1)"
    )
    return f"with {moved}, {', '.join(parts)} select count(*) from moved"


def _conflict(table: Table) -> str:
    if table is tables.lot:
        grown = "original = greatest(lot.original, excluded.pending + excluded.active)"
        dates = "pending = excluded.pending, active = excluded.active, active_from = excluded.active_from, expires_at = excluded.expires_at"
        return f"on conflict (merchant_id, member_id, unit, lot) do update set {grown}, {dates}"
    if table not in _REPLACED:
        return ""
    key = ", ".join(column.name for column in table.primary_key.columns)
    return f"on conflict ({key}) do update set " + ", ".join(f"{name} = excluded.{name}" for name in _REPLACED[table].split())


def _type_of(kind: Any) -> str:
    return next((name for known, name in _NAMES.items() if type(kind) is known), "json")
