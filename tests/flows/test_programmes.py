"""Programmes of merchants: a draft becomes a version, every process decides by it from the same instant, and members follow at night."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from builders import a_line, a_programme, an_order, purchase_rule, stated
from tales import a_lively_programme, buy
from world import MERCHANT, World, in_world

from regulars.flows.commands import Command
from regulars.flows.lane import Lane
from regulars.flows.programmes import NOTICE, Programmes, draft, publish
from regulars.flows.settle import Told
from regulars.kernel.errors import Invalid, NotFound
from regulars.kernel.time import BEGINNING, DAY, SECOND, Instant, instant
from regulars.programme.definition import plain
from regulars.store.database import working_for
from regulars.store.programmes import insert_draft

JUNE_10 = instant(datetime(2026, 6, 10, tzinfo=UTC))
"""Twelve days after the worlds of these tests begin."""


def doubled(**keys: Any) -> Any:
    """The document of two points for each whole 1.00."""
    return plain(a_programme(rules=[purchase_rule(amount=2, per="1.00")], time_zone="UTC", **keys).latest.document)


def limited(uses: int, **keys: Any) -> Any:
    """A point for each whole 1.00 and ten more for so many orders."""
    bonus = {"id": "start", "award": {"unit": "points", "amount": 10}, "limit": {"uses": uses}}
    return plain(a_programme(rules=[purchase_rule(), bonus], **keys).latest.document)


async def published(world: World, document: Any) -> tuple[int, Instant]:
    number = await draft(world.pool, world.clock, MERCHANT, document, "eva")
    return number, await publish(world.pool, world.clock, MERCHANT, number, "eva")


async def statuses(world: World) -> list[tuple[int, str]]:
    return [tuple(row) for row in await world.rows("select version, status from programme order by version")]


async def earned(world: World, member: int, id: str) -> tuple[int, int]:
    """What an order of 10.00 earns, and under which version."""
    outcome = await world.take(member, stated(an_order(id, world.clock.now(), a_line(price=1_000))))
    return sum(award.amount for award in outcome.record.awards), outcome.record.version


# --- drafts ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [{}, {"programme": "test"}, {**doubled(), "unheard_of": 1}, {**doubled(), "currency": "zloty"}, {**doubled(), "rules": [{"id": "x"}]}],
)
def test_a_bad_document_is_refused_and_kept_nowhere(memory: str, document: Any) -> None:
    async def story(world: World) -> None:
        with pytest.raises(Invalid):
            await draft(world.pool, world.clock, MERCHANT, document, "eva")
        assert await statuses(world) == [(1, "live")]
        assert await world.rows("select from audit where actor = 'eva'") == []

    in_world(memory, a_programme(), story)


def test_a_draft_decides_nothing_and_may_be_replaced_until_it_is_published(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        for amount in (5, 7):
            document = plain(a_programme(version=2, rules=[purchase_rule(amount=amount, per="1.00")]).latest.document)
            assert await draft(world.pool, world.clock, MERCHANT, document, "eva") == 2
        assert await statuses(world) == [(1, "live"), (2, "draft")]
        assert await earned(world, anna, "1") == (10, 1)
        await publish(world.pool, world.clock, MERCHANT, 2, "eva")
        await world.later(NOTICE)
        assert await earned(world, anna, "2") == (70, 2)
        assert await draft(world.pool, world.clock, MERCHANT, document, "eva") == 3
        assert await earned(world, anna, "3") == (70, 2)

    in_world(memory, a_programme(), story)


def test_a_draft_that_is_kept_while_another_is_published_is_kept(memory: str) -> None:
    async def story(world: World) -> None:
        for amount in range(2, 14):
            number = await draft(world.pool, world.clock, MERCHANT, doubled(), "eva")
            document = plain(a_programme(rules=[purchase_rule(amount=amount, per="1.00")]).latest.document)
            going_live = publish(world.pool, world.clock, MERCHANT, number, "eva")
            _, kept = await asyncio.gather(going_live, draft(world.pool, world.clock, MERCHANT, document, "ola"))
            (row,) = await world.rows("select (document->'rules'->0->'award'->>'amount')::int from programme where version = $1", kept)
            assert row[0] == amount
            await world.later(NOTICE)

    in_world(memory, a_programme(), story)


def test_the_store_replaces_no_document_that_was_published(memory: str) -> None:
    async def story(world: World) -> None:
        before = await world.rows("select * from programme")
        async with working_for(world.pool, [MERCHANT]) as connection:
            await insert_draft(connection, MERCHANT, 1, {"programme": "another"}, "eva", world.clock.now())
        assert await world.rows("select * from programme") == before

    in_world(memory, a_programme(), story)


# --- versions -------------------------------------------------------------------------------------------------------------------


def test_the_first_version_was_always_in_force(memory: str) -> None:
    async def story(world: World) -> None:
        assert await world.rows("select version, status, applies_from from programme") == [(1, "live", BEGINNING)]
        anna = await world.member()
        outcome = await world.take(anna, stated(an_order("1", world.clock.now() - 20 * DAY, a_line(price=1_000))))
        assert (outcome.refusal, outcome.record.version) == (None, 1)

    in_world(memory, a_programme(), story)


def test_a_version_that_names_a_day_begins_with_it(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        number, begins = await published(world, doubled(applies_from="2026-06-10"))
        assert (number, begins) == (2, JUNE_10)
        await world.night()
        assert await statuses(world) == [(1, "live"), (2, "scheduled")]
        assert await earned(world, anna, "1") == (10, 1)
        await world.later(JUNE_10 - world.clock.now() - SECOND)
        assert await earned(world, anna, "2") == (10, 1)
        await world.later(SECOND)
        assert await earned(world, anna, "3") == (20, 2)
        await world.night()
        assert await statuses(world) == [(1, "retired"), (2, "live")]
        assert await world.stands(anna)

    in_world(memory, a_programme(time_zone="UTC"), story)


def test_a_version_that_names_no_day_begins_when_everybody_had_time_to_learn_of_it(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        before = world.clock.now()
        _, begins = await published(world, doubled())
        assert before + NOTICE < begins < before + NOTICE + SECOND
        assert await earned(world, anna, "1") == (10, 1)
        await world.later(NOTICE)
        assert await earned(world, anna, "2") == (20, 2)
        await world.night()
        assert await statuses(world) == [(1, "retired"), (2, "live")]

    in_world(memory, a_programme(), story)


def test_a_day_that_is_over_is_no_day_from_which_a_version_applies(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await earned(world, anna, "1")
        before = world.clock.now()
        _, begins = await published(world, doubled(applies_from="2026-05-01"))
        assert begins > before
        order = an_order("2", Instant(before - DAY // 2), a_line(price=1_000))
        assert (await world.take(anna, stated(order))).record.version == 1
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_no_decision_is_made_by_a_version_before_it_begins_or_without_it_after(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(60)
        number = await draft(world.pool, world.clock, MERCHANT, doubled(), "eva")
        orders = [earned(world, member, f"a{member}") for member in members]
        begins, *first = await asyncio.gather(publish(world.pool, world.clock, MERCHANT, number, "eva"), *orders)
        assert set(first) == {(10, 1)}
        await world.later(begins - world.clock.now() - 30)
        await asyncio.gather(*(earned(world, member, f"b{member}") for member in members))
        wrong = "select count(*) from fact where (occurred_at >= $1) <> ((record->>'version')::int = 2)"
        assert await world.rows(wrong, begins) == [(0,)]
        assert await world.rows("select distinct record->>'version' from fact order by 1") == [("1",), ("2",)]

    in_world(memory, a_programme(), story)


def test_a_version_that_would_begin_before_another_is_refused(memory: str) -> None:
    async def story(world: World) -> None:
        await published(world, doubled(applies_from="2026-06-10"))
        number = await draft(world.pool, world.clock, MERCHANT, doubled(), "eva")
        with pytest.raises(Invalid, match="version 2 begins later"):
            await publish(world.pool, world.clock, MERCHANT, number, "eva")
        assert await statuses(world) == [(1, "live"), (2, "scheduled"), (3, "draft")]

    in_world(memory, a_programme(), story)


def test_numbers_rise_with_the_days_from_which_versions_apply(memory: str) -> None:
    async def story(world: World) -> None:
        for version in (3, 5):
            assert await draft(world.pool, world.clock, MERCHANT, doubled(version=version), "eva") == version
        await publish(world.pool, world.clock, MERCHANT, 5, "eva")
        await world.later(NOTICE)
        with pytest.raises(Invalid, match="version 3 begins after version 5"):
            await publish(world.pool, world.clock, MERCHANT, 3, "eva")
        assert await draft(world.pool, world.clock, MERCHANT, doubled(version=4), "eva") == 6
        assert await statuses(world) == [(1, "live"), (3, "draft"), (5, "scheduled"), (6, "draft")]

    in_world(memory, a_programme(), story)


def test_what_is_published_or_unknown_is_not_published(memory: str) -> None:
    async def story(world: World) -> None:
        number, begins = await published(world, doubled())
        for version in (number, 1, 99):
            with pytest.raises(NotFound):
                await publish(world.pool, world.clock, MERCHANT, version, "ola")
        assert await world.rows("select applies_from, actor from programme where version = 2") == [(begins, "eva")]

    in_world(memory, a_programme(), story)


def test_of_two_who_publish_one_draft_at_once_one_does(memory: str) -> None:
    async def story(world: World) -> None:
        number = await draft(world.pool, world.clock, MERCHANT, doubled(), "eva")
        tries = [publish(world.pool, world.clock, MERCHANT, number, name) for name in ("eva", "ola", "ida")]
        done = await asyncio.gather(*tries, return_exceptions=True)
        assert sorted(type(one).__name__ for one in done) == ["NotFound", "NotFound", "int"]
        assert await world.rows("select count(*) from audit where action = 'programme.publish' and subject = 'version 2'") == [(1,)]

    in_world(memory, a_programme(), story)


def test_publications_lock_limits_in_the_order_in_which_lanes_do(memory: str) -> None:
    def rules(uses: int) -> list[Any]:
        limits = [{"id": id, "award": {"unit": "points", "amount": 1}, "limit": {"uses": uses}} for id in ("zz", "aa", "mm")]
        return [purchase_rule(), *limits]

    async def story(world: World) -> None:
        members = await world.members(8)
        for version in range(2, 10):
            document = plain(a_programme(rules=rules(1000 + version)).latest.document)
            number = await draft(world.pool, world.clock, MERCHANT, document, "eva")
            work = [earned(world, one, f"{version}-{one}-{n}") for one in members for n in range(3)]
            await asyncio.gather(publish(world.pool, world.clock, MERCHANT, number, "eva"), *work)
            await world.later(NOTICE)
        assert await world.rows("select deadlocks from pg_stat_database where datname = current_database()") == [(0,)]

    in_world(memory, a_programme(rules=rules(1000)), story, lines=4)


def test_publications_and_gifts_of_one_moment_do_not_block_each_other(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(12)
        for version in range(2, 14):
            number = await draft(world.pool, world.clock, MERCHANT, limited(version), "eva")
            work = [publish(world.pool, world.clock, MERCHANT, number, "eva")]
            work += [earned(world, one, f"{version}-{one}") for one in members[:6]]  # type: ignore[misc]
            work += [world.give(one, 10) for one in members[6:]]  # type: ignore[misc]
            await asyncio.gather(*work)
            await world.later(NOTICE)
        ((given, drawn),) = await world.rows("select most - free as given, (select sum(amount)::bigint from draw) from capacity")
        assert given == drawn
        assert given in (12, 13)  # the last gift is there once the last version is published, before the orders of that moment or after

    in_world(memory, a_programme(**{k: v for k, v in limited(1).items() if k in ("rules", "units")}), story, lines=4)


# --- other processes ------------------------------------------------------------------------------------------------------------


def test_the_lanes_of_another_process_notice(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        elsewhere = Lane(world.pool, Programmes(), world.clock)
        try:

            async def there(id: str) -> int:
                fact = stated(an_order(id, world.clock.now(), a_line(price=1_000)))
                return (await elsewhere.take(Command(MERCHANT, ben, fact, Told("shop", "shop")))).record.version

            assert (await earned(world, anna, "1"), await there("2")) == ((10, 1), 1)
            await published(world, doubled())
            assert (await earned(world, anna, "3"), await there("4")) == ((10, 1), 1)
            await world.later(NOTICE)
            assert (await earned(world, anna, "5"), await there("6")) == ((20, 2), 2)
        finally:
            await elsewhere.close()

    in_world(memory, a_programme(), story)


# --- members --------------------------------------------------------------------------------------------------------------------


def test_members_under_the_old_version_are_walked_once(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(7)
        for member in members[:6]:
            await earned(world, member, str(member))
        assert (await world.night()).members == 0
        await published(world, doubled())
        assert (await world.night()).members == 0
        await world.later(NOTICE)
        await earned(world, members[0], "again")
        nights = await asyncio.gather(world.night(), world.night())
        assert sum(night.members for night in nights) >= 5
        walked = await world.rows("select planned_version, seq from member order by member_id")
        assert walked == [(2, 2)] * 6 + [(0, 0)]
        assert (await world.night()).members == 0
        assert await world.rows("select planned_version, seq from member order by member_id") == walked

    in_world(memory, a_programme(), story)


# --- limits ---------------------------------------------------------------------------------------------------------------------


def test_a_limit_is_raised_and_lowered_by_publishing(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(5)

        async def bonus(n: int) -> bool:
            return (await earned(world, members[n], f"o{n}"))[0] == 20

        async def capacity() -> tuple[int, int]:
            (row,) = await world.rows("select most, free from capacity")
            return tuple(row)  # type: ignore[return-value]

        assert [await bonus(0), await bonus(1)] == [True, False]
        await published(world, limited(3))
        await world.later(NOTICE)
        assert await capacity() == (3, 2)
        assert [await bonus(2)] == [True]
        await published(world, limited(1))
        assert await capacity() == (2, 0)
        await world.later(NOTICE)
        assert [await bonus(3)] == [False]
        await published(world, limited(4))
        assert await capacity() == (4, 2)
        assert await world.rows("select sum(amount)::int from draw") == [(2,)]

    in_world(memory, a_programme(**{k: v for k, v in limited(1).items() if k in ("rules", "units")}), story)


def test_what_lanes_have_leased_of_a_limit_comes_back_when_it_is_lowered_and_nothing_more_is_given(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(3)
        await buy(world, members[0], "1", 1_000)
        (before,) = await world.rows("select most, free, (select sum(free)::bigint from capacity_lease) as leased from capacity")
        assert before["leased"] > 0
        document = plain(a_lively_programme().latest.document)
        document["rules"][1]["limit"]["uses"] = 10
        await published(world, document)
        assert await world.rows("select most, free, (select count(*)::int from capacity_lease) from capacity") == [(10, 9, 0)]
        given = [(await earned(world, members[1], f"after-{n}"))[0] for n in range(12)]
        assert given == [60] * 9 + [10] * 3

    in_world(memory, a_lively_programme(), story)
