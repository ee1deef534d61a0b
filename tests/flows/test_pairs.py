"""Pairs (law 25): two members who are one person are merged, and a mistake is undone; whatever happens meanwhile, no value is lost."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from builders import POINTS, a_line, a_programme, a_unit, an_order, changed, purchase_rule, stated
from tales import buy
from world import World, in_world

from regulars.flows.people import Identity
from regulars.kernel.errors import Invalid, NotFound
from regulars.kernel.ids import FactId
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import Programme
from regulars.programme.reasons import Reason

EMAIL, PHONE, CARD = Identity("email", "anna@example.org"), Identity("phone", "+48600100200"), Identity("card", "7001")


def of_short_lives() -> Programme:
    """A point for each whole 1.00 that waits a week and ends after two months, and levels by spend."""
    levels = [{"id": "basic", "from": 0}, {"id": "gold", "from": "300.00"}]
    unit = a_unit(activation={"after": "7 days"}, expiry={"after": "2 months"})
    return a_programme(units={"points": unit}, rules=[purchase_rule()], tiers={"status": {"levels": levels}})


async def a_pair(world: World) -> tuple[int, int]:
    """Both have pending and active points, an order paid with points, and an open hold; the second is gold."""
    anna, ben = await world.people.enrol([EMAIL]), await world.people.enrol([PHONE, CARD])
    for member, name, price in ((anna, "a", 20_000), (ben, "b", 30_000)):
        await buy(world, member, f"{name}1", price)
        await world.later(10 * DAY)
        await world.give(member, 50)
        await world.wallet.redeem(member, f"pay-{name}2", f"shop:{name}2", POINTS, 60, 100_000)
        await buy(world, member, f"{name}2", 10_000)
        await world.wallet.hold(member, f"hold-{name}", f"shop:{name}3", POINTS, 20, 100_000, Instant(world.clock.now() + 30 * DAY))
    await world.night()
    return anna, ben


async def state(world: World, member: int) -> dict[str, Any]:
    """How a member stands, but for the clock."""
    snapshot = (await world.past(member)).snapshot
    accounts = {unit: (held.pending, held.active, held.held, held.debt) for unit, held in snapshot.accounts.items()}
    tables = {
        "order_book": "order_key, origin_member_id, book::text",
        "order_line": "order_key, line_id, gross",
        "identity": "kind, digest",
        "hold": "hold, status, amount",
        "lot": "lot, pending, active, active_from, expires_at",
    }
    rows = {
        name: await world.rows(f"select {what} from {name} where member_id = $1 order by 1, 2", member) for name, what in tables.items()
    }
    rows["lot"] = [row for row in rows["lot"] if row["pending"] or row["active"]]
    return {"member": msgspec.structs.replace(snapshot.member, clock=Instant(0)), "accounts": accounts, **rows}


async def value(world: World, *members: int) -> int:
    """Everything that they hold, debts counted."""
    of = ", ".join(map(str, members))
    (row,) = await world.rows(f"select coalesce(sum(pending + active + held + debt), 0)::bigint from account where member_id in ({of})")
    return int(row[0])


async def between(world: World) -> int:
    """What lies between two members: nothing, always."""
    moved = "case when target = 'house.merged' then amount when source = 'house.merged' then -amount else 0 end"
    (row,) = await world.rows(f"select coalesce(sum({moved}), 0)::bigint from transfer")
    return int(row[0])


# --- merged ---------------------------------------------------------------------------------------------------------------------


def test_a_merge_moves_value_with_its_dates_orders_identities_and_open_holds(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await a_pair(world)
        one, other = await state(world, anna), await state(world, ben)
        await world.pairs.merge(anna, ben, "eva")
        both, gone = await state(world, anna), await state(world, ben)
        for what in ("lot", "order_book", "order_line", "identity", "hold"):
            assert sorted(both[what]) == sorted(one[what] + other[what]), what
            assert gone[what] == [], what
        assert both["accounts"][POINTS] == tuple(map(sum, zip(one["accounts"][POINTS], other["accounts"][POINTS], strict=True)))
        assert gone["accounts"][POINTS] == (0, 0, 0, 0)
        assert (one["member"].tiers, both["member"].tiers) == ({"status": "basic"}, {"status": "gold"})
        assert both["member"].orders == 4
        assert await world.rows("select status, merged_into from member where member_id = $1", ben) == [("merged", anna)]
        assert [await world.people.find(one) for one in (EMAIL, PHONE, CARD)] == [anna] * 3
        assert await between(world) == 0
        assert [await world.stands(one) for one in (anna, ben)] == [True, True]

    in_world(memory, of_short_lives(), story)


def test_a_merge_asked_twice_is_done_once(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await a_pair(world)
        merges = {await world.pairs.merge(anna, ben, "eva") for _ in range(2)}
        merges |= set(await asyncio.gather(*(world.pairs.merge(anna, ben, "eva") for _ in range(5))))
        assert len(merges) == 1
        assert await world.rows("select count(*) from fact where kind = 'member_merged'") == [(1,)]

    in_world(memory, of_short_lives(), story)


def test_two_who_are_merged_into_each_other_at_once_are_merged_once(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await a_pair(world)
        before = await value(world, anna, ben)
        ways = [world.pairs.merge(anna, ben, "eva"), world.pairs.merge(ben, anna, "ola")]
        done = await asyncio.gather(*ways, return_exceptions=True)
        assert sum(isinstance(one, Invalid) for one in done) == 1
        assert await value(world, anna, ben) == before
        assert [await world.stands(one) for one in (anna, ben)] == [True, True]

    in_world(memory, of_short_lives(), story)


def test_nobody_is_merged_with_nobody_themselves_or_who_is_gone(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await a_pair(world)
        cleo = await world.people.enrol([Identity("card", "9")])
        with pytest.raises(NotFound):
            await world.pairs.merge(anna, 4711, "eva")
        with pytest.raises(Invalid):
            await world.pairs.merge(anna, anna, "eva")
        await world.pairs.merge(anna, ben, "eva")
        before = [await state(world, one) for one in (anna, ben, cleo)]
        for one, other in ((cleo, ben), (ben, cleo), (ben, anna)):
            with pytest.raises(Invalid):
                await world.pairs.merge(one, other, "eva")
        with pytest.raises(NotFound):
            await world.pairs.undo(cleo, FactId("no merge"), "eva")
        assert [await state(world, one) for one in (anna, ben, cleo)] == before

    in_world(memory, of_short_lives(), story)


def test_a_later_state_of_an_order_of_the_absorbed_reaches_the_survivor_under_either_name(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        order = await buy(world, ben, "b1", 30_000)
        await world.pairs.merge(anna, ben, "eva")
        order = changed(order, a_line(price=20_000))
        under_old = await world.take(ben, stated(order, world.clock.now()))
        assert (under_old.member_id, under_old.accounts[POINTS].active) == (anna, 200)
        again = await world.take(anna, stated(order, world.clock.now()))
        assert (again.is_duplicate, again.accounts[POINTS].active) == (True, 200)
        under_new = await world.take(anna, stated(changed(order, a_line(price=5_000)), world.clock.now()))
        assert under_new.accounts[POINTS].active == 50
        assert (await world.take(ben, stated(an_order("b2", world.clock.now(), a_line(price=1_000))))).accounts[POINTS].active == 60
        assert [await world.stands(one) for one in (anna, ben)] == [True, True]

    in_world(memory, a_programme(), story)


# --- undone ---------------------------------------------------------------------------------------------------------------------


def test_a_merge_that_is_undone_at_once_leaves_both_as_they_were(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await a_pair(world)
        before = [await state(world, one) for one in (anna, ben)]
        merge = await world.pairs.merge(anna, ben, "eva")
        assert [await state(world, one) for one in (anna, ben)] != before
        await world.pairs.undo(anna, merge, "eva")
        assert [await state(world, one) for one in (anna, ben)] == before
        assert await between(world) == 0
        assert [await world.stands(one) for one in (anna, ben)] == [True, True]
        await world.pairs.undo(anna, merge, "eva")  # asked again, it is done
        assert [await state(world, one) for one in (anna, ben)] == before

    in_world(memory, of_short_lives(), story)


def test_a_merge_undone_after_orders_returns_and_spending_keeps_all_value(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await a_pair(world)
        (book,) = await world.rows("select book::text from order_book where order_key = 'shop:b1'")
        assert book is not None
        merge = await world.pairs.merge(anna, ben, "eva")
        before = await value(world, anna, ben)
        await buy(world, anna, "a4", 11_000)
        await buy(world, ben, "b4", 7_000)
        paid = await world.wallet.redeem(anna, "pay-a5", "shop:a5", POINTS, 90, 100_000)
        assert paid.record.granted == 90
        await buy(world, anna, "a5", 9_000)
        spent = 90
        happened = 110 + 70 - spent + (9_000 - 90) // 100
        assert await value(world, anna, ben) == before + happened
        b2 = an_order("b2", world.clock.now(), a_line(price=4_000), sequence=2)
        returned = await world.take(anna, stated(b2, world.clock.now()))
        assert returned.refusal is None
        after = await value(world, anna, ben)
        await world.pairs.undo(anna, merge, "eva")
        assert await value(world, anna, ben) == after
        assert await between(world) == 0
        assert [row[0] for row in await world.rows("select order_key from order_book where member_id = $1 order by 1", ben)] == [
            "shop:b1",
            "shop:b2",
        ]
        assert [await world.stands(one) for one in (anna, ben)] == [True, True]
        last = await world.take(ben, stated(msgspec.structs.replace(b2, sequence=3, lines=()), world.clock.now()))
        assert (last.member_id, last.refusal) == (ben, None)
        assert await world.stands(ben)

    in_world(memory, of_short_lives(), story)


def test_a_return_of_the_past_that_is_told_after_a_merge_is_a_return(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        order = await buy(world, ben, "1", 10_000)
        await world.later(DAY)
        returned_at = world.clock.now()
        await world.later(DAY)
        await world.pairs.merge(anna, ben, "eva")
        late = msgspec.structs.replace(stated(changed(order, a_line(price=4_000)), returned_at), entry="history")
        outcome = await world.take(ben, late)
        assert (outcome.refusal, outcome.accounts[POINTS].active) == (None, 40)
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_two_who_have_something_under_one_name_are_not_merged_and_hear_what(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        await world.give(anna, 100)
        await world.give(ben, 100)
        await world.wallet.redeem(ben, "pay", "shop:77", POINTS, 60, 1_000)
        await buy(world, anna, "77", 2_000)
        with pytest.raises(Invalid, match="order shop:77: both members have something under this name"):
            await world.pairs.merge(anna, ben, "eva")
        assert [await world.stands(one) for one in (anna, ben)] == [True, True]

    in_world(memory, a_programme(), story)


def test_who_returns_while_merged_stands_no_higher_when_it_is_undone(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        order = await buy(world, ben, "1", 20_000)
        await buy(world, ben, "2", 1_000)
        merge = await world.pairs.merge(anna, ben, "eva")
        await world.take(ben, stated(changed(order), world.clock.now()))
        for _ in range(2):  # asked again, it is done already
            await world.pairs.undo(anna, merge, "eva")
        member = (await world.past(ben)).snapshot.member
        assert (member.tiers, member.spend) == ({"status": "basic"}, 1_000)
        assert await world.stands(ben)

    levels = {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "gold", "from": "150.00"}]}}
    in_world(memory, a_programme(tiers=levels), story)


def test_what_the_other_said_while_merged_leaves_with_them(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        ben = await world.people.enrol([PHONE])
        merge = await world.pairs.merge(anna, ben, "eva")
        assert await world.people.enrol([PHONE]) == anna
        await world.pairs.undo(anna, merge, "eva")
        assert (await world.people.read(anna)).identities == (EMAIL,)
        assert (await world.people.read(ben)).identities == (PHONE,)
        await world.people.erase(ben, "asked", "eva")
        assert (await world.people.read(anna)).identities == (EMAIL,)

    in_world(memory, a_programme(), story)


def test_only_the_last_merge_is_undone_first(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben, cleo = await world.members(3)
        for n, one in enumerate((anna, ben, cleo)):
            await buy(world, one, f"o{n}", 1_000 * (n + 1))
        first, second = await world.pairs.merge(anna, ben, "eva"), await world.pairs.merge(anna, cleo, "eva")
        with pytest.raises(Invalid, match=Reason.MERGE_NOT_LAST):
            await world.pairs.undo(anna, first, "eva")
        await world.pairs.undo(anna, second, "eva")
        await world.pairs.undo(anna, first, "eva")
        assert [(await world.past(one)).snapshot.accounts[POINTS].active for one in (anna, ben, cleo)] == [10, 20, 30]
        assert [await world.stands(one) for one in (anna, ben, cleo)] == [True] * 3

    in_world(memory, a_programme(), story)


# --- at once --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("are_late", [False, True], ids=["orders of now", "orders that come late"])
def test_merges_that_race_with_orders_of_both_lose_nothing(memory: str, are_late: bool) -> None:
    async def story(world: World) -> None:
        dice = random.Random(25)
        for n in range(50):
            anna, ben = await world.members(2)
            begun = Instant(world.clock.now() - DAY)
            await asyncio.gather(*(buy(world, one, f"first-{n}-{one}", 1_000) for one in (anna, ben)))
            placed = begun if are_late else world.clock.now()
            orders = [(one, an_order(f"{n}-{one}-{k}", placed, a_line(price=1_000))) for one in (anna, ben) for k in range(3)]
            dice.shuffle(orders)

            async def told(pause: int, member: int, order: Any) -> int:
                for _ in range(pause):
                    await asyncio.sleep(0)
                outcome = await world.take(member, stated(order))
                assert outcome.refusal is None
                return outcome.member_id

            told_orders = [told(dice.randrange(60), member, order) for member, order in orders]
            _, *owners = await asyncio.gather(world.pairs.merge(anna, ben, "eva"), *told_orders)
            assert await value(world, anna, ben) == 80, n
            assert await value(world, ben) == 0, n
            assert set(owners) <= {anna, ben}
            assert [await world.stands(one) for one in (anna, ben)] == [True, True], n
        assert await between(world) == 0

    in_world(memory, a_programme(), story, lines=3)


def test_merges_and_undoings_that_race_with_spending_lose_nothing(memory: str) -> None:
    async def story(world: World) -> None:
        for n in range(20):
            anna, ben = await world.members(2)
            for one in (anna, ben):
                await buy(world, one, f"{n}-{one}", 10_000)
            merge = await world.pairs.merge(anna, ben, "eva")
            spending = [world.wallet.redeem(anna, f"pay-{n}-{k}", f"shop:p{n}-{k}", POINTS, 30, 10_000) for k in range(8)]
            done = await asyncio.gather(*spending[:4], world.pairs.undo(anna, merge, "eva"), *spending[4:])
            granted = sum(one.record.granted or 0 for one in done if one is not None)
            assert await value(world, anna, ben) == 200 - granted, n
            assert [await world.stands(one) for one in (anna, ben)] == [True, True], n
        assert await between(world) == 0

    in_world(memory, a_programme(), story, lines=3)


# --- chains ---------------------------------------------------------------------------------------------------------------------


def test_who_absorbed_others_who_had_absorbed_others_is_erased_with_all_of_them(memory: str) -> None:
    async def story(world: World) -> None:
        people = [await world.people.enrol([Identity("card", str(n))], {"name": f"Anna {n}"}) for n in range(4)]
        for n, one in enumerate(people):
            await buy(world, one, f"o{n}", 1_000)
        for survivor, absorbed in ((2, 3), (1, 2), (0, 1)):
            await world.pairs.merge(people[survivor], people[absorbed], "eva")
        assert await value(world, people[0]) == 40
        assert {await world.people.find(Identity("card", str(n))) for n in range(4)} == {people[0]}
        late = await world.take(people[3], stated(an_order("o9", world.clock.now(), a_line(price=1_000))))
        assert (late.member_id, late.accounts[POINTS].active) == (people[0], 50)
        await world.people.erase(people[0], "asked", "eva")
        assert await value(world, *people) == 0
        for table in ("identity", "vault", "vault_key"):
            assert await world.rows(f"select from {table}") == [], table
        assert len(await world.rows("select from identity_trace")) == 4
        assert [await world.stands(one) for one in people] == [True] * 4

    in_world(memory, a_programme(), story)


def test_undoing_the_merge_of_one_who_had_absorbed_another_gives_back_both_of_their_orders(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben, cleo = await world.members(3)
        for name, one in (("a", anna), ("b", ben), ("c", cleo)):
            await buy(world, one, name, 1_000)
        await world.pairs.merge(ben, cleo, "eva")
        before = [await state(world, one) for one in (anna, ben)]
        merge = await world.pairs.merge(anna, ben, "eva")
        await world.pairs.undo(anna, merge, "eva")
        assert [await state(world, one) for one in (anna, ben)] == before
        assert (await world.take(cleo, stated(an_order("c2", world.clock.now(), a_line(price=1_000))))).member_id == ben

    in_world(memory, a_programme(), story)
