"""Seals: a month that is over is sealed by a hash over every row that was recorded in it, chained to the month before (law 22).

What is hashed, exactly: for each of the tables fact, transfer, allocation and draw, in this order, the month's rows by primary key (texts
by their bytes, whatever the language of the database); a row's text is its columns in the order of the table, divided by character 31,
null as character 30, truth as true or false, JSON verbatim.
A table's hash is the sha256 of its rows' sha256s one after the other; the digest is the sha256 of the previous digest (32 zero bytes at
first), the month's name, and the tables' hashes. Invariant: a sealed month never changes.
"""

import hashlib

from sqlalchemy import Text

from regulars.kernel.time import Instant
from regulars.store.database import Connection
from regulars.store.schema import bounds_of
from regulars.store.tables import allocation, draw, fact, transfer

SEALED = (fact, transfer, allocation, draw)
_FIRST = bytes(32)
_ROWS = 2000


async def last_seal(connection: Connection, merchant_id: int) -> tuple[str, bytes] | None:
    """The month that was sealed last and its digest."""
    row = await connection.fetchrow("select month, digest from seal where merchant_id = $1 order by month desc limit 1", merchant_id)
    return None if row is None else (row["month"], row["digest"])


async def first_month_with_rows(connection: Connection, merchant_id: int) -> Instant | None:
    """When the first fact of a merchant was recorded."""
    found: int | None = await connection.fetchval("select min(recorded_at) from fact where merchant_id = $1", merchant_id)
    return None if found is None else Instant(found)


async def insert_seal(connection: Connection, merchant_id: int, month: str, previous: bytes | None, now: Instant) -> bytes:
    """Seal a month that is over; returns its digest."""
    digest, counts = hashlib.sha256((previous or _FIRST) + month.encode()), []
    for table in SEALED:
        count, hashed = await _table_hash(connection, table.name, merchant_id, month)
        digest.update(hashed)
        counts.append(count)
    sealed = digest.digest()
    await connection.execute(
        """insert into seal (merchant_id, month, facts, transfers, previous, digest, recorded_at)
            values ($1, $2, $3, $4, $5, $6, $7)""",
        merchant_id,
        month,
        counts[0],
        counts[1],
        previous or _FIRST,
        sealed,
        now,
    )
    return sealed


async def _table_hash(connection: Connection, name: str, merchant_id: int, month: str) -> tuple[int, bytes]:
    """How many rows a month of a table has, and their hash; rows are read in portions."""
    table = next(table for table in SEALED if table.name == name)
    texts = [f"coalesce({column.name}::text, chr(30))" for column in table.columns]
    order = ", ".join(f'{key.name} collate "C"' if isinstance(key.type, Text) else key.name for key in table.primary_key.columns)
    query = (
        f"select sha256(convert_to(concat_ws(chr(31), {', '.join(texts)}), 'UTF8')) from {name}"
        f" where merchant_id = $1 and recorded_at >= $2 and recorded_at < $3 order by {order}"
    )
    count, total = 0, hashlib.sha256()
    async for row in connection.cursor(query, merchant_id, *bounds_of(month), prefetch=_ROWS):
        total.update(row[0])
        count += 1
    return count, total.digest()
