"""A world for tests: a migrated database, a merchant with a live programme, and the service's parts upon it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import msgspec
from builders import POINTS

from regulars.flows.commands import Command, Outcome
from regulars.flows.lane import Lane
from regulars.flows.night import Walked, walk
from regulars.flows.pairs import Pairs
from regulars.flows.people import People
from regulars.flows.programmes import Programmes, draft, publish
from regulars.flows.refold import stands
from regulars.flows.settle import Told
from regulars.flows.wallet import Wallet
from regulars.gateways.clock import SetClock
from regulars.gateways.keys import Keyring
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import Programme, plain
from regulars.programme.facts import Fact
from regulars.store.database import open_pool, working_for
from regulars.store.histories import Past, read_past
from regulars.store.house import StoredStore, insert_merchant, insert_source, insert_store
from regulars.store.members import insert_members
from regulars.store.schema import migrate

_T = TypeVar("_T")

MERCHANT = 1
START = Instant(1_780_000_000_000_000)
"""28 May 2026, when every world begins."""


class World(msgspec.Struct):
    """Everything upon one database, for one merchant; the clock goes only where it is told."""

    url: str
    pool: asyncpg.Pool
    lane: Lane
    clock: SetClock
    programmes: Programmes
    people: People
    pairs: Pairs
    wallet: Wallet
    ids: Any

    async def members(self, count: int) -> list[int]:
        """Fresh members, known by nothing."""
        ids = [next(self.ids) for _ in range(count)]
        async with working_for(self.pool, [MERCHANT]) as connection:
            await insert_members(connection, MERCHANT, ids, self.clock.now())
        return ids

    async def member(self) -> int:
        """One of them."""
        return (await self.members(1))[0]

    async def take(self, member: int, fact: Fact) -> Outcome:
        """Through the lane."""
        return await self.lane.take(Command(MERCHANT, member, fact, Told("shop", "shop")))

    async def give(self, member: int, points: int) -> None:
        """Points out of nothing, by hand."""
        await self.wallet.adjust(member, f"gift-{member}-{points}-{next(self.ids)}", POINTS, points, "goodwill")

    async def past(self, member: int) -> Past:
        """Everything the memory holds of a member."""
        async with working_for(self.pool, [MERCHANT]) as connection:
            past = await read_past(connection, MERCHANT, member)
        assert past is not None
        return past

    async def stands(self, member: int) -> bool:
        """Whether folding the member's facts gives their state (law 21)."""
        past = await self.past(member)
        async with working_for(self.pool, [MERCHANT]) as connection:
            revision = await connection.fetchval("select revision from merchant where merchant_id = $1", MERCHANT)
            programme = await self.programmes.of(connection, MERCHANT, revision)
        return stands(programme, past)

    async def night(self) -> Walked:
        """The walk over everybody for whom something is due."""
        return await walk(self.pool, self.lane, self.clock)

    async def later(self, microseconds: int) -> None:
        """Time passes, and the months that it reaches are there."""
        self.clock.advance(microseconds)
        await migrate(self.url, self.clock.now())

    async def rows(self, sql: str, *args: Any) -> list[Any]:
        """As the merchant sees it."""
        async with working_for(self.pool, [MERCHANT]) as connection:
            return list(await connection.fetch(sql, *args))


@asynccontextmanager
async def open_world(url: str, programme: Programme, lines: int = 2, clock: SetClock | None = None) -> AsyncIterator[World]:
    """The parts of the service upon the migrated database at ``url``, with ``programme`` published."""
    clock = clock or SetClock(Instant(START + DAY))
    pool = await open_pool(url, 12)
    programmes = Programmes()
    lane = Lane(pool, programmes, clock, lines)
    keyring = Keyring(b"a master secret for tests alone!")
    try:
        async with working_for(pool, [MERCHANT]) as connection:
            await insert_merchant(connection, MERCHANT, "The tea shop", clock.now())
            await insert_store(connection, MERCHANT, StoredStore(1, "web", programme.latest.currency))
            await insert_source(connection, MERCHANT, "shop", 1)
            is_new = not await connection.fetchval("select count(*) from programme where merchant_id = $1", MERCHANT)
        if is_new:
            number = await draft(pool, clock, MERCHANT, plain(programme.latest.document), "owner")
            await publish(pool, clock, MERCHANT, number, "owner")
        people = People(pool, clock, keyring, programmes, MERCHANT)
        pairs = Pairs(pool, clock, programmes, MERCHANT)
        yield World(url, pool, lane, clock, programmes, people, pairs, Wallet(lane, MERCHANT, "shop", "till"), itertools.count(1))
    finally:
        await lane.close()
        await pool.close()


def in_world(url: str, programme: Programme, story: Callable[[World], Awaitable[_T]], lines: int = 2) -> _T:
    """What ``story`` comes to in a world of its own."""

    async def told() -> _T:
        async with open_world(url, programme, lines) as world:
            return await story(world)

    return asyncio.run(told())
