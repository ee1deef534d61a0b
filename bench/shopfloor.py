"""A merchant with members and a live programme, upon a database of its own, for benchmarks of the memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
from shop import programme_of_twenty

from regulars.flows.lane import Lane
from regulars.flows.programmes import Programmes, draft, publish
from regulars.gateways.clock import SystemClock
from regulars.gateways.postgres import Server
from regulars.programme.definition import Programme, plain
from regulars.store.database import open_pool, working_for
from regulars.store.house import StoredStore, insert_merchant, insert_source, insert_store
from regulars.store.members import insert_members
from regulars.store.schema import migrate

MERCHANT = 1


class Floor(msgspec.Struct):
    """The parts of the service."""

    url: str
    pool: asyncpg.Pool
    lane: Lane
    programmes: Programmes
    clock: SystemClock


@asynccontextmanager
async def open_floor(server: Server, name: str, members: int, programme: Programme | None = None) -> AsyncIterator[Floor]:
    """A fresh database on ``server`` with so many members."""
    owner = await asyncpg.connect(server.url)
    await owner.execute(f"create database {name}")
    await owner.close()
    url = server.url.rpartition("/")[0] + f"/{name}"
    clock = SystemClock()
    await migrate(url, clock.now())
    pool = await open_pool(url, 12)
    programmes = Programmes()
    lane = Lane(pool, programmes, clock)
    async with working_for(pool, [MERCHANT]) as connection:
        await insert_merchant(connection, MERCHANT, "bench", clock.now())
        await insert_store(connection, MERCHANT, StoredStore(1, "web", "GBP"))
        await insert_source(connection, MERCHANT, "shop", 1)
    for first in range(1, members + 1, 10_000):
        async with working_for(pool, [MERCHANT]) as connection:
            await insert_members(connection, MERCHANT, range(first, min(first + 10_000, members + 1)), clock.now())
    document = plain((programme or programme_of_twenty()).latest.document)
    await publish(pool, clock, MERCHANT, await draft(pool, clock, MERCHANT, document, "bench"), "bench")
    owner = await asyncpg.connect(url)
    await owner.execute("vacuum analyze")
    await owner.execute("checkpoint")
    await owner.close()
    try:
        yield Floor(url, pool, lane, programmes, clock)
    finally:
        await lane.close()
        await pool.close()
