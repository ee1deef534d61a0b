"""Guests: orders of buyers who are no members, kept in case they become some.

Invariant: they name nobody; a guest is known by the order alone.
"""

import msgspec

from regulars.kernel.time import Instant
from regulars.programme.facts import Order
from regulars.store.database import Connection


async def insert_guest_order(connection: Connection, merchant_id: int, order: Order, occurred_at: Instant, now: Instant) -> None:
    """One state of an order; the same state again changes nothing."""
    await connection.execute(
        """insert into guest_order (merchant_id, source, order_id, sequence, occurred_at, state, recorded_at)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing""",
        merchant_id,
        order.source,
        order.id,
        order.sequence,
        occurred_at,
        msgspec.json.encode(order),
        now,
    )


async def list_guest_orders(connection: Connection, merchant_id: int, source: str, order_id: str) -> list[tuple[Order, Instant]]:
    """The states of one order, first to last, with when each was so."""
    rows = await connection.fetch(
        "select state, occurred_at from guest_order where merchant_id = $1 and source = $2 and order_id = $3 order by sequence",
        merchant_id,
        source,
        order_id,
    )
    return [(msgspec.json.decode(state, type=Order), Instant(at)) for state, at in rows]


async def remove_guest_order(connection: Connection, merchant_id: int, source: str, order_id: str, sequences: list[int]) -> bool:
    """These states are a member's now; whether others were told meanwhile."""
    await connection.execute(
        "delete from guest_order where merchant_id = $1 and source = $2 and order_id = $3 and sequence = any ($4)",
        merchant_id,
        source,
        order_id,
        sequences,
    )
    left = "select exists (select from guest_order where merchant_id = $1 and source = $2 and order_id = $3)"
    return bool(await connection.fetchval(left, merchant_id, source, order_id))
