"""Connections: how the service reaches its database.

Invariant: a connection of the service acts as the role that may not change entries, and sees only the merchants its transaction names.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from regulars.store.schema import APP_ROLE

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def open_pool(url: str, size: int) -> asyncpg.Pool:
    """Connections that act as the service's role, ``size`` at most."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=_ready,
        reset=_as_it_is,
        command_timeout=60,
        server_settings={
            "role": APP_ROLE,
            "jit": "off",
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",  # a plan is kept: one that was made while a table was small must not read all of it when it is large
            "idle_in_transaction_session_timeout": "30s",
        },
    )


async def _ready(connection: asyncpg.Connection) -> None:
    """JSON passes as the bytes it is; who needs it decodes it."""
    await connection.set_type_codec("json", schema="pg_catalog", encoder=_bytes, decoder=_bytes, format="binary")


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """Nothing to undo: whatever a transaction sets, it sets for itself alone."""


def _bytes(value: Any) -> Any:
    return value


@asynccontextmanager
async def working_for(pool: asyncpg.Pool, merchants: Iterable[int]) -> AsyncIterator[Connection]:
    """A transaction that may read and write rows of these ``merchants``."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('app.merchants', $1, true)", array_text(merchants))
        yield connection


async def see_all(owner: asyncpg.Connection) -> None:
    """Let an owner's connection see the rows of every merchant: one who is no superuser sees those that are named, too."""
    await owner.execute("select set_config('app.worker', 'on', false)")
    merchants = [row[0] for row in await owner.fetch("select merchant_id from merchant")]
    await owner.execute("select set_config('app.merchants', $1, false)", array_text(merchants))


def array_text(numbers: Iterable[int]) -> str:
    """Numbers as Postgres writes an array of them."""
    return "{" + ",".join(map(str, numbers)) + "}"
