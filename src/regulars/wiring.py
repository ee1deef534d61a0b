"""Wiring: the parts of a running service, put together and taken apart.

Invariant: nothing below knows what stands beside it; here alone is said which clock, which database, which key.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from regulars.config import Config
from regulars.flows.lane import Lane
from regulars.flows.programmes import Programmes
from regulars.gateways.clock import Clock, SystemClock
from regulars.gateways.keys import Keyring, read_keyring
from regulars.gateways.postgres import Server
from regulars.kernel.errors import Invalid, Problem
from regulars.store.database import open_pool, see_all
from regulars.store.schema import migrate


class Service(msgspec.Struct, frozen=True):
    """A running service: its database (``url`` as the owner, ``pool`` as the service's role), its lane, its clock and its keys."""

    url: str
    pool: asyncpg.Pool
    lane: Lane
    programmes: Programmes
    clock: Clock
    keyring: Keyring


@asynccontextmanager
async def open_database(config: Config) -> AsyncIterator[str]:
    """The address of the database: the one that is configured, or the embedded server, running while it is used."""
    if config.database_url is not None:
        await _opens(config.database_url)
        yield config.database_url
        return
    server = Server(config.home / "postgres")
    await asyncio.to_thread(server.start)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def open_service(config: Config, clock: Clock | None = None, connections: int = 12) -> AsyncIterator[Service]:
    """Everything, brought to the present and ready. Raises ``Invalid`` and its kin in sentences."""
    clock = clock or SystemClock()
    keyring = read_keyring(config.home, config.vault_key)
    async with open_database(config) as url:
        await migrate(url, clock.now())
        await _fits(url, keyring)
        pool = await open_pool(url, connections)
        programmes = Programmes()
        lane = Lane(pool, programmes, clock)
        try:
            yield Service(url, pool, lane, programmes, clock, keyring)
        finally:
            await lane.close()
            await pool.close()


async def _opens(url: str) -> None:
    """Raises ``Invalid`` when the database that is configured cannot be opened."""
    try:
        connection = await asyncpg.connect(url, timeout=15)
        await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, OverflowError, TimeoutError) as wrong:
        hint = "see whether it runs, and whether address, user, password and name of the database are right"
        raise Invalid(Problem("REGULARS_DATABASE_URL", f"the database cannot be opened: {wrong}", hint)) from None


async def _fits(url: str, keyring: Keyring) -> None:
    """Raises ``Invalid`` when the vault was written with another key: nobody would be found, and everybody enrolled again."""
    owner = await asyncpg.connect(url)
    try:
        await see_all(owner)
        row = await owner.fetchrow("select merchant_id, member_id, wrapped_key from vault_key limit 1")
    finally:
        await owner.close()
    if row is not None:
        keyring.unwrap(row["wrapped_key"], f"{row['merchant_id']}/{row['member_id']}")
