"""Law 22: a month that is over is sealed, and any byte that changes in it afterwards is detected."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from builders import a_line, a_programme, an_order, stated
from servers import execute, fresh_database, with_name
from tales import FIRST, SEALED, a_lively_programme, a_lively_shop, as_owner, buy, digest_of
from world import MERCHANT, START, World, in_world

from regulars.flows.seals import AFTER, seal_months
from regulars.gateways.postgres import Server
from regulars.kernel.time import DAY, SECOND, Instant
from regulars.store.database import working_for
from regulars.store.schema import bounds_of, migrate
from regulars.store.seals import insert_seal
from regulars.store.tables import metadata

MAY = "2026-05"
END_OF_MAY = bounds_of(MAY)[1]


async def seals_of(world: World) -> list[Any]:
    return await world.rows("select month, previous, digest, facts, transfers from seal order by month")


async def until(world: World, at: int) -> None:
    await world.later(at - world.clock.now() - SECOND)


# --- when -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "sealed"), [(END_OF_MAY - SECOND, []), (END_OF_MAY + AFTER - 10 * SECOND, []), (END_OF_MAY + AFTER + 10 * SECOND, [MAY])]
)
def test_a_month_is_sealed_when_nothing_can_be_under_way_in_it_any_more_and_not_before(memory: str, at: int, sealed: list[str]) -> None:
    async def story(world: World) -> None:
        await buy(world, await world.member(), "1", 1000)
        await until(world, at)
        assert await seal_months(world.pool, world.clock, MERCHANT) == sealed
        assert [row["month"] for row in await seals_of(world)] == sealed

    in_world(memory, a_programme(), story)


def test_months_are_sealed_one_after_the_other_and_none_is_left_out(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await buy(world, anna, "1", 1000)
        await world.later(80 * DAY)
        await buy(world, anna, "2", 1000)
        await world.later(30 * DAY)
        assert await seal_months(world.pool, world.clock, MERCHANT) == [MAY, "2026-06", "2026-07", "2026-08"]
        assert await seal_months(world.pool, world.clock, MERCHANT) == []
        seals = await seals_of(world)
        assert [row["previous"] for row in seals] == [FIRST, *(row["digest"] for row in seals[:-1])]
        assert [(row["facts"], row["transfers"]) for row in seals] == [(1, 1), (0, 0), (0, 0), (1, 1)]
        assert len({row["digest"] for row in seals}) == 4

    in_world(memory, a_programme(), story)


def test_a_merchant_without_a_past_seals_nothing(memory: str) -> None:
    async def story(world: World) -> None:
        await world.member()
        await world.later(100 * DAY)
        assert (await world.night()).sealed == {}

    in_world(memory, a_programme(), story)


def test_several_who_seal_at_once_seal_each_month_once(memory: str) -> None:
    async def story(world: World) -> None:
        await buy(world, await world.member(), "1", 1000)
        await world.later(70 * DAY)
        sealed = await asyncio.gather(*(seal_months(world.pool, world.clock, MERCHANT) for _ in range(6)))
        assert sorted(month for months in sealed for month in months) == [MAY, "2026-06", "2026-07"]
        assert len(await seals_of(world)) == 3

    in_world(memory, a_programme(), story)


def test_the_night_seals(memory: str) -> None:
    async def story(world: World) -> None:
        await buy(world, await world.member(), "1", 1000)
        await world.later(10 * DAY)
        assert (await world.night()).sealed == {MERCHANT: [MAY]}

    in_world(memory, a_programme(), story)


# --- what -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(server: Server, template: str) -> Iterator[str]:
    """The address of a database in which a lively May is sealed."""

    async def lived(world: World) -> None:
        await a_lively_shop(world)
        await world.later(10 * DAY)
        assert await seal_months(world.pool, world.clock, MERCHANT) == [MAY]

    with fresh_database(server, template) as url:
        in_world(url, a_lively_programme(), lived)
        yield url


async def may(url: str, tampering: str | None = None) -> tuple[bytes, bytes]:
    """The seal of May and what is reckoned again after somebody tampered, who is rolled back."""
    async with as_owner(url) as owner:
        change = owner.transaction()
        await change.start()
        if tampering is not None:
            await owner.execute("set local session_replication_role = replica")
            assert (await owner.execute(tampering)).rsplit(" ", 1)[1] == "1"
        seal = await owner.fetchval("select digest from seal where month = $1", MAY)
        again = await digest_of(owner, MERCHANT, MAY)
        await change.rollback()
    return seal, again


def test_the_seal_is_what_its_definition_says(sealed: str) -> None:
    seal, again = asyncio.run(may(sealed))
    assert seal == again


def test_a_seal_is_the_same_whatever_the_language_of_the_database(server15: Server) -> None:
    name = f"in_english_{os.getpid()}"

    async def sealed_in_english() -> None:
        async with as_owner(server15.url) as owner:
            english = "locale_provider icu icu_locale 'en' locale 'C' encoding 'UTF8'"
            await owner.execute(f"create database {name} template template0 {english}")
        await migrate(with_name(server15.url, name), START)
        async with as_owner(with_name(server15.url, name)) as owner:
            assert await owner.fetchval("select 'a' < 'B'")
            await owner.execute("insert into merchant (merchant_id, name, revision, recorded_at) values (1, 'The tea shop', 0, 1)")
            for lot in "aB":
                await owner.execute("insert into allocation values (1, 1, 'points', 1, $1, $2, 1)", lot, START)
            async with owner.transaction():
                digest = await insert_seal(owner, MERCHANT, MAY, None, Instant(START))
            assert digest == await digest_of(owner, MERCHANT, MAY)

    try:
        asyncio.run(sealed_in_english())
    finally:
        execute(server15.url, f"drop database if exists {name} with (force)")


def test_the_next_seal_is_chained_to_it(memory: str) -> None:
    async def story(world: World) -> None:
        await a_lively_shop(world)
        await world.later(40 * DAY)
        await seal_months(world.pool, world.clock, MERCHANT)
        first, second = await seals_of(world)
        async with as_owner(world.url) as owner:
            assert await digest_of(owner, MERCHANT, MAY) == first["digest"]
            assert await digest_of(owner, MERCHANT, "2026-06", first["digest"]) == second["digest"]
            assert await digest_of(owner, MERCHANT, "2026-06") != second["digest"]

    in_world(memory, a_lively_programme(), story)


COLUMNS = [(table, column.name) for table in SEALED for column in metadata.tables[table].columns]


def tampered(table: str, column: str) -> str:
    """One value of one row, changed as little as it can be."""
    kind = str(metadata.tables[table].columns[column].type)
    other = {
        "TEXT": "'house.elsewhere'" if column in ("source", "target") and table == "transfer" else f"coalesce({column}, '') || 'x'",
        "JSON": f"({column}::text || ' ')::json",
    }.get(kind, f"{column} - 1" if column == "debt" else f"{column} + 1")
    part = f"{table}_2026_05"
    return f"update {part} set {column} = {other} where ctid = (select min(ctid) from {part})"


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[".".join(one) for one in COLUMNS])
def test_a_changed_value_is_detected(sealed: str, table: str, column: str) -> None:
    seal, again = asyncio.run(may(sealed, tampered(table, column)))
    assert seal != again


@pytest.mark.parametrize("table", SEALED)
def test_a_removed_row_is_detected(sealed: str, table: str) -> None:
    part = f"{table}_2026_05"
    seal, again = asyncio.run(may(sealed, f"delete from {part} where ctid = (select min(ctid) from {part})"))
    assert seal != again


def test_an_added_row_is_detected(sealed: str) -> None:
    seal, again = asyncio.run(may(sealed, f"insert into draw values ({MERCHANT}, 1, 'rule:welcome', 1, {START}, 1)"))
    assert seal != again


def test_nothing_where_there_was_an_empty_text_is_detected(sealed: str) -> None:
    part = "transfer_2026_05"
    change = f"update {part} set lot = '' where ctid = (select min(ctid) from {part} where lot is null)"
    seal, again = asyncio.run(may(sealed, change))
    assert seal != again


# --- and stays so ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days_ago", [60, 35, 10])
def test_nothing_is_recorded_in_a_month_that_is_sealed(memory: str, days_ago: int) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await buy(world, anna, "1", 1000)
        await world.later(60 * DAY)
        await seal_months(world.pool, world.clock, MERCHANT)
        at = Instant(world.clock.now() - days_ago * DAY)
        insert = "insert into draw values ($1, $2, 'rule:welcome', 1, $3, 1)"
        async with working_for(world.pool, [MERCHANT]) as connection:
            if days_ago == 10:
                await connection.execute(insert, MERCHANT, anna, at)
            else:
                with pytest.raises(asyncpg.RestrictViolationError, match="is sealed"):
                    await connection.execute(insert, MERCHANT, anna, at)

    in_world(memory, a_programme(), story)


def test_another_merchants_seal_closes_no_month_of_ours(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        async with as_owner(world.url) as owner:
            await owner.execute("insert into merchant (merchant_id, name, revision, recorded_at) values (2, 'another', 0, 1)")
            await owner.execute("insert into seal values (2, '2026-12', 0, 0, '', '', 1)")
        async with working_for(world.pool, [MERCHANT, 2]) as connection:
            insert = "insert into draw values ($1, $2, 'rule:welcome', 1, $3, 1)"
            await connection.execute(insert, MERCHANT, anna, world.clock.now())
        with pytest.raises(asyncpg.RestrictViolationError, match="2026-12 is sealed"):
            async with working_for(world.pool, [MERCHANT, 2]) as connection:
                await connection.execute(insert, 2, anna, world.clock.now())

    in_world(memory, a_programme(), story)


def test_what_comes_late_is_recorded_now_and_the_seal_stays_true(memory: str) -> None:
    async def story(world: World) -> None:
        anna, _, _ = await a_lively_shop(world)
        placed = world.clock.now()
        await world.later(10 * DAY)
        await seal_months(world.pool, world.clock, MERCHANT)
        late = await world.take(anna, stated(an_order("late", placed, a_line(price=70_000))))
        assert late.refusal is None
        (seal,) = await seals_of(world)
        async with as_owner(world.url) as owner:
            assert await digest_of(owner, MERCHANT, MAY) == seal["digest"]
        assert await world.stands(anna)

    in_world(memory, a_lively_programme(), story)
