"""Seals: months that are over are sealed, one after the other, none left out.

Invariant: a month is sealed only when nothing can be recorded in it any more.
"""

import asyncpg

from regulars.gateways.clock import Clock
from regulars.kernel.time import HOUR
from regulars.store.database import working_for
from regulars.store.schema import bounds_of, months_from
from regulars.store.seals import first_month_with_rows, insert_seal, last_seal

AFTER = HOUR
"""A month is sealed so long after its end: whatever was under way then is written or gone."""


async def seal_months(pool: asyncpg.Pool, clock: Clock, merchant_id: int) -> list[str]:
    """Seal every month of a merchant that is over; returns those that were sealed now."""
    sealed: list[str] = []
    while True:
        async with working_for(pool, [merchant_id]) as connection:
            await connection.execute("select from merchant where merchant_id = $1 for no key update", merchant_id)  # one at a time
            last = await last_seal(connection, merchant_id)
            first = await first_month_with_rows(connection, merchant_id) if last is None else bounds_of(last[0])[1]
            if first is None:
                return sealed
            (month,) = months_from(first, 1)
            if bounds_of(month)[1] + AFTER > clock.now():
                return sealed
            await insert_seal(connection, merchant_id, month, last[1] if last else None, clock.now())
            sealed.append(month)
