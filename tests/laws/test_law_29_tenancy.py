"""Law 29: every row belongs to the merchant of the request, and every change by hand leaves one record: who, why, before, after."""

import asyncio
import json
from typing import Any

import msgspec
from builders import POINTS, a_line, a_programme, a_unit, an_order, purchase_rule, stated
from tales import as_owner, buy
from world import MERCHANT, World, in_world

from regulars.flows.commands import Command, Outcome
from regulars.flows.people import Identity, People
from regulars.flows.programmes import draft, publish
from regulars.flows.settle import Told
from regulars.flows.wallet import Wallet
from regulars.gateways.keys import Keyring
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import plain
from regulars.programme.facts import Fact
from regulars.store.database import working_for
from regulars.store.house import StoredStore, insert_merchant, insert_source, insert_store
from regulars.store.members import insert_members
from regulars.store.tables import metadata

OTHER = 2
EMAIL = Identity("email", "anna@example.org")
START_BONUS = {"id": "start", "award": {"unit": "points", "amount": 5}, "limit": {"uses": 3}}


async def another_merchant(world: World) -> None:
    """Who gives three times as much, three times a bonus, and has a source of the same name."""
    async with working_for(world.pool, [OTHER]) as connection:
        await insert_merchant(connection, OTHER, "The coffee shop", world.clock.now())
        await insert_store(connection, OTHER, StoredStore(1, "web", "PLN"))
        await insert_source(connection, OTHER, "shop", 1)
    rules = [purchase_rule(amount=3, per="1.00"), START_BONUS]
    document = plain(a_programme(programme="coffee", units={"points": a_unit()}, rules=rules).latest.document)
    await publish(
        world.pool, world.clock, OTHER, await draft(world.pool, world.clock, OTHER, document, "owner of coffee"), "owner of coffee"
    )


async def rows_of(world: World, merchant: int) -> dict[str, list[Any]]:
    async with as_owner(world.url) as owner:
        query = "select t::text from {} t where merchant_id = $1 order by 1"
        return {name: [row[0] for row in await owner.fetch(query.format(name), merchant)] for name in metadata.tables}


def test_two_merchants_of_one_lane_and_one_batch_share_every_id_and_nothing_else(memory: str) -> None:
    async def story(world: World) -> None:
        await another_merchant(world)
        for merchant in (MERCHANT, OTHER):
            async with working_for(world.pool, [merchant]) as connection:
                await insert_members(connection, merchant, [7, 8], world.clock.now())
        now = world.clock.now()

        async def both(member: int, fact: Fact) -> list[Outcome]:
            told = Told("shop", "shop")
            return list(await asyncio.gather(*(world.lane.take(Command(merchant, member, fact, told)) for merchant in (MERCHANT, OTHER))))

        order = an_order("1", now, a_line(price=10_000))
        tea, coffee = await both(7, stated(order))
        assert (tea.accounts[POINTS].active, coffee.accounts[POINTS].active) == (100, 305)
        assert (tea.is_duplicate, coffee.is_duplicate) == (False, False)
        wallets = [Wallet(world.lane, merchant, "shop", "till") for merchant in (MERCHANT, OTHER)]
        until = Instant(now + DAY)
        held = await asyncio.gather(*(wallet.hold(7, "h", "shop:2", POINTS, 60, 10_000, until) for wallet in wallets))
        assert [one.accounts[POINTS].active for one in held] == [40, 245]
        await wallets[0].release(7, "h", "h")
        captured = await wallets[1].capture(7, "h", "h")
        assert (captured.record.granted, captured.accounts[POINTS].held) == (60, 0)
        again = await both(7, stated(order))
        assert [one.is_duplicate for one in again] == [True, True]
        assert [one.refusal.reason for one in await both(8, stated(order)) if one.refusal] == ["of_another_member"] * 2
        assert await world.rows("select active from account") == [(100,)]

    in_world(memory, a_programme(), story, lines=1)


def test_what_one_merchant_does_changes_no_row_of_another(memory: str) -> None:
    async def story(world: World) -> None:
        await another_merchant(world)
        people = People(world.pool, world.clock, Keyring(b"a master secret for tests alone!"), world.programmes, OTHER)
        theirs = await people.enrol([EMAIL], {"name": "Anna"})
        ours = await world.people.enrol([EMAIL], {"name": "Anna"})
        assert theirs != ours
        assert people.digest(EMAIL) != world.people.digest(EMAIL)
        other = await world.people.enrol([Identity("card", "7001")])
        before = await rows_of(world, OTHER)
        await buy(world, ours, "1", 10_000)
        await world.give(ours, 20)
        await buy(world, other, "2", 10_000)
        merge = await world.pairs.merge(ours, other, "eva")
        await world.pairs.undo(ours, merge, "eva")
        await world.people.erase(ours, "asked", "eva")
        assert await rows_of(world, OTHER) == before
        assert await people.find(EMAIL) == theirs
        assert (await people.read(theirs)).profile == {"name": "Anna"}

    in_world(memory, a_programme(), story)


def test_a_member_of_another_merchant_is_nobody_here(memory: str) -> None:
    async def story(world: World) -> None:
        await another_merchant(world)
        async with working_for(world.pool, [OTHER]) as connection:
            await insert_members(connection, OTHER, [7], world.clock.now())
        attempts = [
            world.take(7, stated(an_order("1", world.clock.now(), a_line()))),
            world.wallet.adjust(7, "a", POINTS, 10, "goodwill"),
            world.people.read(7),
            world.people.erase(7, "asked", "eva"),
            world.pairs.merge(await world.member(), 7, "eva"),
        ]
        answers = await asyncio.gather(*attempts, return_exceptions=True)
        assert [type(one).__name__ for one in answers] == ["NotFound"] * 5

    in_world(memory, a_programme(), story)


def test_a_limit_of_one_merchant_is_not_drawn_by_another(memory: str) -> None:
    async def story(world: World) -> None:
        await another_merchant(world)
        for merchant in (MERCHANT, OTHER):
            async with working_for(world.pool, [merchant]) as connection:
                await insert_members(connection, merchant, list(range(11, 16)), world.clock.now())
        orders = [(merchant, member, f"{member}") for merchant in (MERCHANT, OTHER) for member in range(11, 16)]
        told = Told("shop", "shop")
        facts = [(m, member, stated(an_order(id, world.clock.now(), a_line(price=100)))) for m, member, id in orders]
        answers = await asyncio.gather(*(world.lane.take(Command(merchant, member, fact, told)) for merchant, member, fact in facts))
        given = [answer.accounts[POINTS].active for answer in answers]
        assert (sorted(given[:5]), sorted(given[5:])) == ([1, 1, 6, 6, 6], [3, 3, 8, 8, 8])
        async with as_owner(world.url) as owner:
            assert await owner.fetch("select merchant_id, free from capacity order by 1") == [(1, 0), (2, 0)]

    in_world(memory, a_programme(rules=[purchase_rule(), START_BONUS]), story)


# --- by hand --------------------------------------------------------------------------------------------------------------------


class Audited(msgspec.Struct, frozen=True):
    """A record as people read it."""

    actor: str
    action: str
    subject: str
    reason: str
    before: Any
    after: Any


async def audited(world: World) -> list[Audited]:
    rows = await world.rows("select actor, action, subject, reason, before, after from audit order by recorded_at, audit_id")
    return [Audited(*row[:4], *(None if one is None else json.loads(one) for one in row[4:])) for row in rows]


def holding(active: int, seq: int) -> dict[str, Any]:
    accounts = {"points": {"pending": 0, "active": active, "held": 0, "debt": 0, "seq": seq}} if seq else {}
    return {"status": "active", "accounts": accounts}


def test_value_given_and_taken_by_hand_is_recorded_once_with_who_why_before_and_after(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        known = len(await audited(world))
        for _ in range(2):
            await world.wallet.adjust(anna, "k1", POINTS, 100, "a broken cup")
        await world.wallet.adjust(anna, "k2", POINTS, -30, "given twice")
        refused = await world.wallet.adjust(anna, "k3", POINTS, -500, "too much")
        assert refused.refusal is not None
        assert (await audited(world))[known:] == [
            Audited("till", "value_adjusted", f"member {anna}", "a broken cup", holding(0, 0), holding(100, 1)),
            Audited("till", "value_adjusted", f"member {anna}", "given twice", holding(100, 1), holding(70, 2)),
        ]

    in_world(memory, a_programme(), story)


def test_the_record_of_a_change_of_status_says_the_status_before_and_after(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await world.people.change_status(world.lane, anna, "s1", "suspended", "under review", "eva")
        last = (await audited(world))[-1]
        assert (last.before["status"], last.after["status"]) == ("active", "suspended")

    in_world(memory, a_programme(), story)


def test_each_change_by_hand_has_one_record_and_what_members_do_themselves_has_none(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.people.enrol([EMAIL]), await world.people.enrol([Identity("card", "7001")])

        async def recorded(what: Any) -> list[tuple[str, str, str, str]]:
            known = len(await audited(world))
            await what
            return [(one.actor, one.action, one.subject, one.reason) for one in (await audited(world))[known:]]

        async def merged() -> None:
            await world.pairs.undo(anna, await world.pairs.merge(anna, ben, "eva"), "ola")

        one, other = f"member {anna}", f"member {ben}"
        change = world.people.change_status
        assert await recorded(buy(world, anna, "1", 10_000)) == []
        assert await recorded(world.wallet.redeem(anna, "r", "shop:2", POINTS, 10, 1_000)) == []
        assert await recorded(world.wallet.hold(anna, "h", "shop:3", POINTS, 10, 1_000, Instant(world.clock.now() + DAY))) == []
        assert await recorded(world.wallet.release(anna, "h", "h")) == []
        suspended = ("eva", "status_changed", one, "under review")
        assert await recorded(change(world.lane, anna, "s1", "suspended", "under review", "eva")) == [suspended]
        assert await recorded(change(world.lane, anna, "s1", "suspended", "under review", "eva")) == []
        assert await recorded(change(world.lane, anna, "s2", "active", "all is well", "ola")) == [
            ("ola", "status_changed", one, "all is well")
        ]
        assert sorted(told[:3] for told in await recorded(merged())) == sorted(
            [
                ("eva", "member_merged", one),
                ("eva", "member_absorbed", other),
                ("ola", "merge_undone", one),
                ("ola", "merge_restored", other),
            ]
        )
        assert await recorded(world.people.erase(anna, "asked by mail", "eva")) == [("eva", "status_changed", one, "asked by mail")]
        assert await recorded(world.night()) == []

    in_world(memory, a_programme(), story)


def test_what_a_programme_became_is_recorded_with_who_published_it_and_why(memory: str) -> None:
    async def story(world: World) -> None:
        known = len(await audited(world))
        number = await draft(
            world.pool, world.clock, MERCHANT, plain(a_programme(rules=[purchase_rule(rate="0.5")]).latest.document), "eva"
        )
        begins = await publish(world.pool, world.clock, MERCHANT, number, "ola", "winter")
        after = {"version": 2, "applies_from": begins}
        assert (await audited(world))[known:] == [
            Audited("eva", "programme.draft", "version 2", "", None, None),
            Audited("ola", "programme.publish", "version 2", "winter", None, after),
        ]

    in_world(memory, a_programme(), story)
