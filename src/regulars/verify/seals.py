"""Seals: the digest of a closed month, computed again from its rows (law 22). docs/verify.md defines it for others.

Invariant: each month's digest holds the one before, so a changed byte in any sealed month breaks all that follow.
"""

import hashlib

from regulars.verify.reading import Connection
from regulars.verify.report import Check
from regulars.verify.rules.calendar import bounds_of

TABLES = {
    "fact": ("member_id", "seq", "recorded_at"),
    "transfer": ("member_id", 'unit collate "C"', "seq", "recorded_at"),
    "allocation": ("member_id", 'unit collate "C"', "seq", 'lot collate "C"', "recorded_at"),
    "draw": ("member_id", 'capacity collate "C"', "fact_seq", "recorded_at"),
}
"""The sealed tables, in the order of the digest, with the rest of their primary keys; texts are ordered by their bytes."""

_ROWS_AT_ONCE = 2000
_HINT = "find what was changed by comparing the month with a backup that verifies; the seal was true when it was made"


def check() -> Check:
    """The check, empty."""
    return Check("seals", "each sealed month still has the digest that was written when it was closed")


async def judge(check: Check, connection: Connection, merchant: int) -> None:
    """All seals of ``merchant``, from the first month on."""
    previous = bytes(32)
    sealed: list[str] = []
    for row in await connection.fetch("select * from seal where merchant_id = $1 order by month", merchant):
        where = f"merchant {merchant}, month {row['month']}"
        check.saw("months")
        check.compare(
            "chain", where, "the digest of the month before", previous.hex(), row["previous"].hex(), "a seal was changed or removed"
        )
        digest, counts = await seal(connection, merchant, row["month"], row["previous"])
        check.saw("rows", sum(counts.values()))
        expected = (row["facts"], row["transfers"])
        check.compare("count", where, "facts and transfers in it, as sealed", expected, (counts["fact"], counts["transfer"]), _HINT)
        check.compare("digest", where, "its digest, as sealed", row["digest"].hex(), digest.hex(), _HINT)
        previous = row["digest"]
        sealed.append(row["month"])
    await _judge_holes(check, connection, merchant, sealed)


async def seal(connection: Connection, merchant: int, month: str, previous: bytes) -> tuple[bytes, dict[str, int]]:
    """The digest of a month and how many rows of each table are in it."""
    whole = hashlib.sha256(previous + month.encode())
    counts = {}
    for table in TABLES:
        digest, counts[table] = await _digest_of(connection, table, merchant, *bounds_of(month))
        whole.update(digest)
    return whole.digest(), counts


async def _digest_of(connection: Connection, table: str, merchant: int, first: int, end: int) -> tuple[bytes, int]:
    """SHA-256 over the hashes of a table's rows, in the order of its primary key."""
    columns = await connection.fetch(
        """select attname, atttypid::regtype::text as type from pg_attribute
        where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum""",
        table,
    )
    text = ", ".join(f"coalesce({_text(column['attname'], column['type'])}, chr(30))" for column in columns)
    sql = f"""select sha256(convert_to(concat_ws(chr(31), {text}), 'UTF8')) as hash from {table}
        where merchant_id = $1 and recorded_at >= $2 and recorded_at < $3 order by {", ".join(TABLES[table])}"""
    whole, count = hashlib.sha256(), 0
    async for row in connection.cursor(sql, merchant, first, end, prefetch=_ROWS_AT_ONCE):
        whole.update(row["hash"])
        count += 1
    return whole.digest(), count


def _text(column: str, type: str) -> str:
    """How a value is written: bytes as hex, all others as Postgres casts them to text (booleans as true and false, json verbatim)."""
    return f"encode({column}, 'hex')" if type == "bytea" else f"{column}::text"


async def _judge_holes(check: Check, connection: Connection, merchant: int, sealed: list[str]) -> None:
    """No month before the last sealed one holds facts without a seal."""
    if not sealed:
        return
    earliest = await connection.fetchval("select min(recorded_at) from fact where merchant_id = $1", merchant)
    month = sealed[-1]
    while earliest is not None and (first := bounds_of(month)[0]) > earliest:
        month = _before(month)
        if month in sealed:
            continue
        bounds = bounds_of(month)
        found = "select exists (select from fact where merchant_id = $1 and recorded_at >= $2 and recorded_at < $3)"
        if first and await connection.fetchval(found, merchant, *bounds):
            check.add("hole", f"merchant {merchant}, month {month}", "its seal, where later months are sealed", "a seal", "none", _HINT)


def _before(month: str) -> str:
    number = int(month[:4]) * 12 + int(month[5:]) - 2
    return f"{number // 12:04d}-{number % 12 + 1:02d}"
