"""Merchants: a shop moves in, with a store and a source for its facts.

Invariant: moving in twice is moving in once.
"""

import asyncpg

from regulars.gateways.clock import Clock
from regulars.store.database import working_for
from regulars.store.house import StoredStore, insert_merchant, insert_source, insert_store


async def move_in(pool: asyncpg.Pool, clock: Clock, merchant_id: int, name: str, store: StoredStore, sources: tuple[str, ...]) -> None:
    """A merchant with one store, and the sources that tell of its orders."""
    async with working_for(pool, [merchant_id]) as connection:
        await insert_merchant(connection, merchant_id, name, clock.now())
        await insert_store(connection, merchant_id, store)
        for source in sources:
            await insert_source(connection, merchant_id, source, store.store_id)
