"""Orders: who placed them, and how they stand."""

from typing import Any

import msgspec

from regulars.kernel.time import Instant
from regulars.store.database import Connection
from regulars.store.keys import first_key


class OrderRow(msgspec.Struct, frozen=True):
    """An order as its book has it; never stated yet (only paid towards): sequence 0."""

    order_key: str
    sequence: int
    placed_at: Instant | None
    currency: str | None
    is_counted: bool


async def find_owner(connection: Connection, merchant_id: int, order_key: str) -> tuple[int, int] | None:
    """The member to whom an order belongs by now, and the merchant's revision; None when no member placed it."""
    source, _, id = order_key.partition(":")
    row = await connection.fetchrow(
        """select coalesce(m.merged_into, m.member_id), a.revision
            from fact_key k join member m on m.merchant_id = k.merchant_id and m.member_id = k.member_id
            join merchant a on a.merchant_id = k.merchant_id
            where k.merchant_id = $1 and k.source = $2 and k.key = $3""",
        merchant_id,
        source,
        first_key(id),  # type: ignore[arg-type]
    )
    return None if row is None else (row[0], row[1])


async def list_orders(connection: Connection, merchant_id: int, member_id: int, after: str, limit: int) -> list[OrderRow]:
    """The orders of a member by key, those after one: a keyset page."""
    rows: list[Any] = await connection.fetch(
        """select order_key, sequence, placed_at, currency, is_counted from order_book
            where merchant_id = $1 and member_id = $2 and order_key > $3 order by order_key limit $4""",
        merchant_id,
        member_id,
        after,
        limit,
    )
    return [OrderRow(*row) for row in rows]
