"""Capacities: what one transaction works on, no other touches, and all are locked in the order of their names."""

import asyncio

import asyncpg
import pytest
from builders import a_programme
from world import MERCHANT, World, in_world

from regulars.store.capacities import Counters
from regulars.store.database import Connection, working_for

SHELF, SPARE = (MERCHANT, "a shelf"), (MERCHANT, "b spare")


async def stock(connection: Connection, **free: int) -> None:
    """The two capacities, with so much of each."""
    for (merchant_id, name), most in zip((SHELF, SPARE), free.values(), strict=True):
        await connection.execute(
            "insert into capacity (merchant_id, capacity, most, free) values ($1, $2, $3, $3)", merchant_id, name, most
        )


async def is_locked(world: World, name: tuple[int, str]) -> bool:
    """Whether somebody else would have to wait for the capacity."""
    async with working_for(world.pool, [MERCHANT]) as other:
        try:
            await other.fetchval("select 1 from capacity where merchant_id = $1 and capacity = $2 for no key update nowait", *name)
        except asyncpg.LockNotAvailableError:
            return True
    return False


@pytest.mark.parametrize("is_returning", [True, False])
def test_an_empty_capacity_is_locked_in_its_turn_only_where_something_may_come_back(memory: str, is_returning: bool) -> None:
    async def story(world: World) -> None:
        async with working_for(world.pool, [MERCHANT]) as connection:
            await stock(connection, shelf=0, spare=10)
        async with working_for(world.pool, [MERCHANT]) as connection:
            counters = Counters(connection, "one")
            await counters.lock({SPARE: 3, SHELF: 1}, {SHELF} if is_returning else set())
            assert counters.free == {SHELF: 0, SPARE: 10}
            assert (await is_locked(world, SHELF), await is_locked(world, SPARE)) == (is_returning, True)

    in_world(memory, a_programme(), story)


def test_what_comes_back_leaves_the_leases_of_others_alone(memory: str) -> None:
    async def story(world: World) -> None:
        async with working_for(world.pool, [MERCHANT]) as connection:
            await stock(connection, shelf=100_000, spare=0)
            lessee = Counters(connection, "one")
            await lessee.lock({SHELF: 1})
            await lessee.take({SHELF: 1})
        async with working_for(world.pool, [MERCHANT]) as connection:
            other = Counters(connection, "two")
            await other.lock({SHELF: 0})
            await other.take({SHELF: -5})
        assert await world.rows("select free from capacity order by capacity") == [(100_000 - 1562 + 5,), (0,)]
        assert await world.rows("select lane, free from capacity_lease") == [("one", 1561)]

    in_world(memory, a_programme(), story)


def test_all_of_a_capacity_is_gathered_for_who_cannot_say_what_they_need(memory: str) -> None:
    async def story(world: World) -> None:
        async with working_for(world.pool, [MERCHANT]) as connection:
            await stock(connection, shelf=100_000, spare=7)
            await Counters(connection, "one").lock({SHELF: 1})
        async with working_for(world.pool, [MERCHANT]) as connection:
            counters = Counters(connection, "two")
            await counters.gather([SPARE, SHELF])
            assert counters.free == {SHELF: 100_000, SPARE: 7}
            assert await connection.fetchval("select count(*) from capacity_lease") == 0

    in_world(memory, a_programme(), story)


def test_a_lease_that_somebody_gathers_is_not_drawn_upon_any_more(memory: str) -> None:
    async def story(world: World) -> None:
        async with working_for(world.pool, [MERCHANT]) as connection:
            await stock(connection, shelf=100_000, spare=0)
            await Counters(connection, "one").lock({SHELF: 1})

        async def draw() -> None:
            async with working_for(world.pool, [MERCHANT]) as connection:
                lessee = Counters(connection, "one")
                await lessee.lock({SHELF: 1})
                await lessee.take({SHELF: 1})

        async with working_for(world.pool, [MERCHANT]) as connection:
            await Counters(connection, "two").gather([SHELF])
            drawing = asyncio.create_task(draw())
            await asyncio.sleep(0.2)  # long enough to wait for us, or to go wrong
        await drawing
        everywhere = "select c.free + coalesce(sum(l.free), 0)::bigint from capacity c left join capacity_lease l using (capacity)"
        assert await world.rows(f"{everywhere} where capacity = $1 group by c.free", SHELF[1]) == [(99_999,)]

    in_world(memory, a_programme(), story)
