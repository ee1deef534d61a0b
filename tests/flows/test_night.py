"""Night: whatever time does to members is done by one walk; late, twice or by several walkers at once, they stand where their dates say."""

import asyncio
from typing import Any

import msgspec
import pytest
from builders import POINTS, a_line, a_programme, a_unit, an_order, purchase_rule, stated
from tales import as_owner, buy
from world import MERCHANT, World, in_world

from regulars.flows import night
from regulars.flows.night import Walked
from regulars.kernel.ids import MemberId
from regulars.kernel.time import DAY, HOUR, Instant
from regulars.programme.definition import Programme
from regulars.programme.facts import TimePassed


def of_short_lives() -> Programme:
    """A point for each whole 1.00, usable after a week and for twenty days; days are those of UTC."""
    unit = a_unit(activation={"after": "7 days"}, expiry={"after": "20 days"})
    return a_programme(units={"points": unit}, rules=[purchase_rule()], time_zone="UTC", policies={"lot_boundary": "instant"})


async def holds(world: World, member: int) -> tuple[int, int, int]:
    """Pending, active and held."""
    account = (await world.past(member)).snapshot.accounts[POINTS]
    return account.pending, account.active, account.held


async def state(world: World, member: int) -> dict[str, Any]:
    """How a member stands and what was posted for them to the second, but for their name and when it was done."""
    past = await world.past(member)
    entries = "movement, source, target, amount, value_at / 1000000 as second, replace(cause, $2, '') as cause, replace(lot, $2, '') as lot"
    return {
        "member": msgspec.to_builtins(msgspec.structs.replace(past.snapshot.member, id=MemberId(""), clock=Instant(0), lots=())),
        "lots": [(lot.remaining, lot.active_from, lot.expires_at) for lot in past.snapshot.member.lots],
        "accounts": past.snapshot.accounts,
        "entries": await world.rows(f"select {entries} from transfer where member_id = $1 order by seq", member, f"-{member}"),
        "holds": await world.rows("select status, amount, expires_at from hold where member_id = $1", member),
    }


# --- what time does -------------------------------------------------------------------------------------------------------------


def test_points_become_active_and_end_by_the_walk(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        placed = world.clock.now()
        await world.take(anna, stated(an_order("1", placed, a_line(price=10_000))))
        seen = []
        for at in (7 * DAY - HOUR, 7 * DAY + HOUR, 27 * DAY - HOUR, 27 * DAY + HOUR):
            await world.later(placed + at - world.clock.now())
            walked = await world.night()
            seen.append((walked.members, *await holds(world, anna)))
        assert seen == [(0, 100, 0, 0), (1, 0, 100, 0), (0, 0, 100, 0), (1, 0, 0, 0)]
        assert [tuple(row) for row in await world.rows("select movement, value_at from transfer order by seq")] == [
            ("accrual", placed),
            ("activation", placed + 7 * DAY),
            ("expiry", placed + 27 * DAY),
        ]
        assert await world.stands(anna)

    in_world(memory, of_short_lives(), story)


def test_a_hold_ends_by_the_walk_and_its_value_is_back(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await world.give(anna, 100)
        await world.wallet.hold(anna, "h", "shop:1", POINTS, 40, 10_000, Instant(world.clock.now() + DAY))
        await world.later(DAY - HOUR)
        assert ((await world.night()).members, await holds(world, anna)) == (0, (0, 60, 40))
        await world.later(2 * HOUR)
        assert ((await world.night()).members, await holds(world, anna)) == (1, (0, 100, 0))
        assert await world.rows("select status from hold") == [("expired",)]
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_nobody_is_walked_for_whom_nothing_is_due(memory: str) -> None:
    async def story(world: World) -> None:
        anna, *_ = await world.members(3)
        await buy(world, anna, "1", 1_000)
        await world.later(50 * DAY)
        before = await world.rows("select member_id, seq from member order by 1")
        assert await world.night() == Walked(members=0, failed=[], sealed={MERCHANT: ["2026-05", "2026-06"]})
        assert await world.rows("select member_id, seq from member order by 1") == before

    in_world(memory, a_programme(), story)


# --- late, twice, at once -------------------------------------------------------------------------------------------------------


async def lively(world: World, members: list[int]) -> None:
    """The same to each of them: orders that wait and end, a hold that ends, and an order that ends while it is held."""
    for n in range(3):
        now = world.clock.now()
        orders = [(one, stated(an_order(f"{n}-{one}", now, a_line(price=10_000)))) for one in members]
        await asyncio.gather(*(world.take(one, fact) for one, fact in orders))
        await world.later(9 * DAY)
    until = Instant(world.clock.now() + 5 * DAY)
    await asyncio.gather(*(world.wallet.hold(one, f"h-{one}", f"shop:9-{one}", POINTS, 150, 100_000, until) for one in members))


def test_who_is_walked_late_stands_where_who_is_walked_every_day_stands(memory: str) -> None:
    async def story(world: World) -> None:
        daily, late = await world.members(2)
        await lively(world, [daily, late])
        for _ in range(30):
            await world.later(DAY)
            await world.take(daily, TimePassed(world.clock.now()))
        walked = await world.night()
        assert walked.members == 1
        one, other = await state(world, daily), await state(world, late)
        assert one == other
        assert one["accounts"][POINTS].active == 0
        assert {row["movement"] for row in one["entries"]} >= {"activation", "expiry", "hold", "release"}
        assert await world.stands(daily)
        assert await world.stands(late)

    in_world(memory, of_short_lives(), story)


def test_walking_twice_is_walking_once(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(3)
        await lively(world, members)
        await world.later(8 * DAY)
        assert (await world.night()).members == 3
        before = [await state(world, one) for one in members]
        assert (await world.night()).members == 0
        assert [await state(world, one) for one in members] == before

    in_world(memory, of_short_lives(), story)


def test_several_walkers_at_once_do_what_one_does(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night, "PORTION", 7)

    async def story(world: World) -> None:
        members = await world.members(20)
        await lively(world, members)
        await world.later(40 * DAY)
        await world.take(members[0], TimePassed(world.clock.now()))
        alone = await state(world, members[0])
        for walked in await asyncio.gather(*(world.night() for _ in range(4))):
            assert walked.failed == []
        for one in members[1:]:
            assert await state(world, one) == alone, one
        assert (await world.night()).members == 0

    in_world(memory, of_short_lives(), story, lines=4)


def test_one_walk_reaches_everybody_over_many_portions(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night, "PORTION", 2)

    async def story(world: World) -> None:
        members = await world.members(9)
        for one in members:
            await buy(world, one, f"a-{one}", 10_000)
        await world.later(8 * DAY)
        assert (await world.night()).members == 9
        assert [await holds(world, one) for one in members] == [(0, 100, 0)] * 9

    in_world(memory, of_short_lives(), story)


def test_the_walk_goes_on_over_many_portions_while_members_buy(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night, "PORTION", 4)

    async def story(world: World) -> None:
        members = await world.members(18)
        for one in members:
            await buy(world, one, f"a-{one}", 10_000)
        await world.later(8 * DAY)
        walking = asyncio.create_task(world.night())
        await asyncio.gather(*(buy(world, one, f"b-{one}", 5_000) for one in members))
        assert (await walking).failed == []
        await world.night()
        assert [await holds(world, one) for one in members] == [(50, 100, 0)] * 18
        assert [await world.stands(one) for one in members] == [True] * 18

    in_world(memory, of_short_lives(), story)


# --- what goes wrong ------------------------------------------------------------------------------------------------------------


def test_a_member_who_cannot_be_read_is_named_and_harms_no_other(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(9)
        for one in members:
            await buy(world, one, f"a-{one}", 10_000)
        await world.later(8 * DAY)
        broken = members[4]
        async with as_owner(world.url) as owner:
            whole = await owner.fetchval("select snapshot::text from member where member_id = $1", broken)
            await owner.execute("update member set snapshot = '{\"member\": 7}' where member_id = $1", broken)
        walked = await world.night()
        assert walked.members == 8
        (failure,) = walked.failed
        assert failure.startswith(f"member {broken}: ")
        others = [one for one in members if one != broken]
        assert [await holds(world, one) for one in others] == [(0, 100, 0)] * 8
        async with as_owner(world.url) as owner:
            await owner.execute("update member set snapshot = $2::text::json where member_id = $1", broken, whole)
        assert await world.night() == Walked(members=1, failed=[], sealed={})
        assert await holds(world, broken) == (0, 100, 0)

    in_world(memory, of_short_lives(), story)


def test_a_merchant_without_a_programme_harms_no_other(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await buy(world, anna, "1", 10_000)
        async with as_owner(world.url) as owner:
            await owner.execute("insert into merchant (merchant_id, name, recorded_at) values (0, 'nothing yet', 1)")
        await world.later(8 * DAY)
        assert (await world.night()).members == 1
        assert await holds(world, anna) == (0, 100, 0)

    in_world(memory, of_short_lives(), story)


def test_a_merchant_whose_chores_fail_is_named_and_harms_no_other(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await buy(world, anna, "1", 10_000)
        async with as_owner(world.url) as owner:
            await owner.execute("insert into merchant (merchant_id, name, recorded_at) values (0, 'in trouble', 1)")
            await owner.execute(
                "insert into programme (merchant_id, version, status, applies_from, document, actor, recorded_at)"
                " values (0, 1, 'scheduled', 1, '{}', 'owner', 1)"
            )
            trouble = "before update on programme for each row when (new.merchant_id = 0) execute function refuse_change()"
            await owner.execute(f"create trigger trouble {trouble}")
        await world.later(8 * DAY)
        walked = await world.night()
        assert walked.members == 1
        (failure,) = walked.failed
        assert failure.startswith("merchant 0: ")
        assert await holds(world, anna) == (0, 100, 0)

    in_world(memory, of_short_lives(), story)
