"""People: one person is one member however often and however they enrol, and who leaves is served as the law says."""

import asyncio
from typing import Any

import pytest
from builders import POINTS, a_line, a_programme, a_unit, an_order, changed, stated
from tales import as_owner, buy
from world import MERCHANT, World, in_world

from regulars.flows.intake import attach_order, keep_guest_order
from regulars.flows.people import Identity
from regulars.kernel.errors import Invalid, NotFound
from regulars.kernel.time import DAY, Instant
from regulars.programme.reasons import Reason

EMAIL = Identity("email", "anna@example.org")
PHONE = Identity("phone", "+48600100200")
CARD = Identity("card", "7001")


def test_who_enrols_twice_is_one_member_known_by_everything_they_said(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        assert await world.people.enrol([EMAIL, PHONE], {"name": "Anna"}) == anna
        assert await world.people.enrol([PHONE, CARD]) == anna
        assert [await world.people.find(one) for one in (EMAIL, PHONE, CARD)] == [anna] * 3
        assert set((await world.people.read(anna)).identities) == {EMAIL, PHONE, CARD}
        assert await world.rows("select member_id from member") == [(anna,)]

    in_world(memory, a_programme(), story)


@pytest.mark.parametrize(
    ("told", "again"),
    [
        (EMAIL, Identity("email", "  Anna@Example.ORG ")),
        (PHONE, Identity("phone", "0048 600-100-200")),
        (PHONE, Identity("phone", "+48 (600) 100 200")),
        (CARD, Identity("card", " 7001 ")),
        (Identity("customer", "31", "shop"), Identity("customer", "31 ", "shop")),
    ],
    ids=lambda one: one.value,
)
def test_an_identity_is_the_same_however_it_is_written(memory: str, told: Identity, again: Identity) -> None:
    async def story(world: World) -> None:
        assert await world.people.enrol([told]) == await world.people.enrol([again])

    in_world(memory, a_programme(), story)


def test_the_same_number_of_two_shops_or_of_two_kinds_is_two_people(memory: str) -> None:
    async def story(world: World) -> None:
        given = [Identity("customer", "31", "shop"), Identity("customer", "31", "till"), Identity("card", "31"), Identity("device", "31")]
        assert len({await world.people.enrol([one]) for one in given}) == 4

    in_world(memory, a_programme(), story)


@pytest.mark.parametrize("identities", [[], [EMAIL, Identity("phone", "  ")]], ids=["nothing", "an empty phone"])
def test_nobody_enrols_by_nothing(memory: str, identities: list[Identity]) -> None:
    async def story(world: World) -> None:
        with pytest.raises(Invalid):
            await world.people.enrol(identities)
        assert await world.rows("select from member") == []

    in_world(memory, a_programme(), story)


@pytest.mark.parametrize("number", ["n/a", "-", "none", "123", "+", "1" * 40])
def test_a_number_that_cannot_be_called_makes_nobody_known(memory: str, number: str) -> None:
    async def story(world: World) -> None:
        for name in ("anna", "ben"):
            with pytest.raises(Invalid, match=r"no number that can be called|it is empty"):
                await world.people.enrol([Identity("email", f"{name}@example.org"), Identity("phone", number)])
            assert await world.people.find(Identity("email", f"{name}@example.org")) is None

    in_world(memory, a_programme(), story)


def test_identities_of_two_members_are_refused_and_change_neither(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.people.enrol([EMAIL]), await world.people.enrol([PHONE])
        with pytest.raises(Invalid, match="several members: {}, {}".format(*sorted((anna, ben)))):
            await world.people.enrol([EMAIL, PHONE, CARD], {"name": "?"})
        assert await world.people.find(CARD) is None
        assert (await world.people.read(anna)).profile == (await world.people.read(ben)).profile == {}

    in_world(memory, a_programme(), story)


def test_two_hundred_who_enrol_one_e_mail_at_once_are_one_member(memory: str) -> None:
    async def story(world: World) -> None:
        others = [[EMAIL], [CARD, EMAIL], [EMAIL, PHONE], [EMAIL, CARD, PHONE]]
        members = await asyncio.gather(*(world.people.enrol(others[n % 4], {"name": f"Anna {n}"}) for n in range(200)))
        assert len(set(members)) == 1
        assert await world.rows("select member_id from member") == [(members[0],)]
        assert {row[0] for row in await world.rows("select distinct member_id from identity")} == set(members)
        assert len((await world.people.read(members[0])).identities) == 3

    in_world(memory, a_programme(), story, lines=8)


def test_who_is_erased_while_they_enrol_again_is_gone_and_the_new_one_stays(memory: str) -> None:
    async def story(world: World) -> None:
        for _ in range(25):
            anna = await world.people.enrol([EMAIL], {"name": "Anna"})
            enrolled = [world.people.enrol([EMAIL, PHONE], {"name": "Anna"}) for _ in range(4)]
            _, *members = await asyncio.gather(world.people.erase(anna, "asked", "eva"), *enrolled)
            known = await world.people.find(EMAIL)
            assert known in ({*members} - {anna} or {None})
            gone = {row[0] for row in await world.rows("select member_id from member where status = 'erased'")}
            for table in ("identity", "vault", "vault_key"):
                assert not gone & {row[0] for row in await world.rows(f"select member_id from {table}")}, table
            if known is not None:
                await world.people.erase(known, "asked", "eva")

    in_world(memory, a_programme(), story, lines=4)


# --- who leaves -----------------------------------------------------------------------------------------------------------------


def test_a_suspended_member_earns_and_does_not_spend_until_they_are_active_again(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        await world.give(anna, 100)
        await world.people.change_status(world.lane, anna, "s1", "suspended", "under review", "eva")
        refused = await world.wallet.redeem(anna, "r1", "shop:1", POINTS, 10, 1000)
        assert refused.refusal is not None
        assert refused.refusal.reason is Reason.MEMBER_NOT_ACTIVE
        await buy(world, anna, "1", 2000)
        again = await world.people.change_status(world.lane, anna, "s2", "active", "all is well", "eva")
        assert again.accounts[POINTS].active == 120
        assert (await world.wallet.redeem(anna, "r2", "shop:2", POINTS, 10, 1000)).record.granted == 10
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_a_closed_member_neither_earns_nor_spends_and_keeps_what_was_begun(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        order = await buy(world, anna, "1", 10_000)
        await world.people.change_status(world.lane, anna, "s1", "closed", "asked", "eva")
        refusals = [
            await world.take(anna, stated(an_order("2", world.clock.now(), a_line()))),
            await world.wallet.redeem(anna, "r1", "shop:3", POINTS, 10, 1000),
            await world.wallet.adjust(anna, "a1", POINTS, 10, "goodwill"),
        ]
        assert [one.refusal.reason for one in refusals if one.refusal] == [
            Reason.MEMBER_CLOSED,
            Reason.MEMBER_NOT_ACTIVE,
            Reason.MEMBER_CLOSED,
        ]
        back = await world.take(anna, stated(changed(order, a_line(price=4000)), world.clock.now()))
        assert back.accounts[POINTS].active == 40
        await world.people.change_status(world.lane, anna, "s2", "active", "asked", "eva")
        assert (await world.take(anna, stated(an_order("4", world.clock.now(), a_line(price=500))))).accounts[POINTS].active == 45
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_a_change_of_status_told_twice_happens_once(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        told = [await world.people.change_status(world.lane, anna, "s1", "closed", "asked", "eva") for _ in range(2)]
        assert [one.is_duplicate for one in told] == [False, True]
        assert await world.rows("select count(*) from fact where kind = 'status_changed'") == [(1,)]
        assert await world.rows("select count(*) from audit where action = 'status_changed'") == [(1,)]

    in_world(memory, a_programme(), story)


def test_an_erased_member_holds_nothing_and_never_comes_back(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        await world.give(anna, 100)
        await world.wallet.hold(anna, "h", "shop:1", POINTS, 30, 10_000, Instant(world.clock.now() + DAY))
        await world.people.erase(anna, "asked", "eva")
        standing = (await world.past(anna)).snapshot.accounts[POINTS]
        assert (standing.pending, standing.active, standing.held, standing.debt) == (0, 0, 0, 0)
        assert await world.rows("select status from hold") == [("released",)]
        for key, name in (("s1", "active"), ("s2", "closed")):
            refused = await world.people.change_status(world.lane, anna, key, name, "?", "eva")  # type: ignore[arg-type]
            assert refused.refusal is not None
            assert refused.refusal.reason is Reason.MEMBER_NOT_ACTIVE
        assert (await world.take(anna, stated(an_order("9", world.clock.now(), a_line())))).refusal is not None
        before = await world.past(anna)
        await world.people.erase(anna, "asked again", "eva")
        assert await world.past(anna) == before
        assert await world.rows("select count(*) from audit where subject = $1", f"member {anna}") == [(2,)]
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_nobody_erases_who_is_nobody_or_was_merged_into_another(memory: str) -> None:
    async def story(world: World) -> None:
        with pytest.raises(NotFound):
            await world.people.erase(4711, "asked", "eva")
        anna, ben = await world.people.enrol([EMAIL]), await world.people.enrol([PHONE])
        await world.pairs.merge(anna, ben, "eva")
        with pytest.raises(Invalid, match="erase that one"):
            await world.people.erase(ben, "asked", "eva")
        assert await world.people.find(PHONE) == anna

    in_world(memory, a_programme(), story)


def test_the_trace_of_who_was_erased_twice_lasts_from_the_second_time(memory: str) -> None:
    async def story(world: World) -> None:
        for _ in range(2):
            await world.people.erase(await world.people.enrol([EMAIL]), "asked", "eva")
            await world.later(100 * DAY)
        (until,) = (await world.rows("select until from identity_trace"))[0]
        assert until > world.clock.now() + 260 * DAY
        await world.later(260 * DAY)
        await world.night()
        assert await world.rows("select count(*) from identity_trace") == [(1,)]
        await world.later(6 * DAY)
        await world.night()
        assert await world.rows("select count(*) from identity_trace") == [(0,)]

    in_world(memory, a_programme(), story)


# --- guests ---------------------------------------------------------------------------------------------------------------------


def test_a_guests_order_counts_from_its_date_and_gives_now(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        placed = Instant(world.clock.now() - 50 * DAY)
        order = an_order("g1", placed, a_line(price=10_000))
        await keep_guest_order(world.pool, world.clock, MERCHANT, order, placed)
        fewer = changed(order, a_line(price=6_000))
        await keep_guest_order(world.pool, world.clock, MERCHANT, fewer, Instant(placed + DAY))
        await world.give(anna, 1)
        now = world.clock.now()
        first, second = await attach_order(world.pool, world.lane, MERCHANT, anna, "shop", "g1", "eva")
        assert (first.refusal, second.refusal, second.accounts[POINTS].active) == (None, None, 61)
        posted = await world.rows("select min(recorded_at) from transfer where cause = 'shop:g1'")
        assert posted[0][0] > now
        assert (await world.past(anna)).snapshot.member.first_order_at == placed
        assert (await world.rows("select placed_at from order_book"))[0][0] == placed
        assert await world.stands(anna)

    in_world(memory, a_programme(units={"points": a_unit(expiry={"after": "2 months"})}), story)


def test_an_order_attached_twice_gives_once(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol([EMAIL])
        order = an_order("g1", world.clock.now(), a_line(price=10_000))
        for is_duplicate in (False, True):  # the second time as after a crash, before the guest's copy was removed
            await keep_guest_order(world.pool, world.clock, MERCHANT, order, order.placed_at)
            (outcome,) = await attach_order(world.pool, world.lane, MERCHANT, anna, "shop", "g1", "eva")
            assert (outcome.is_duplicate, outcome.accounts[POINTS].active) == (is_duplicate, 100)
        with pytest.raises(NotFound):
            await attach_order(world.pool, world.lane, MERCHANT, anna, "shop", "g1", "eva")
        assert await world.rows("select count(*) from guest_order") == [(0,)]

    in_world(memory, a_programme(), story)


def test_an_order_of_another_member_is_not_attached(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        order = await buy(world, ben, "g1", 10_000)
        await keep_guest_order(world.pool, world.clock, MERCHANT, order, order.placed_at)
        (outcome,) = await attach_order(world.pool, world.lane, MERCHANT, anna, "shop", "g1", "eva")
        assert outcome.refusal is not None
        assert outcome.refusal.reason is Reason.OF_ANOTHER_MEMBER
        assert (await world.past(anna)).snapshot.accounts == {}
        assert (await world.past(ben)).snapshot.accounts[POINTS].active == 100

    in_world(memory, a_programme(), story)


def test_a_guests_return_that_is_told_while_the_order_is_attached_is_not_lost(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        order = an_order("1", world.clock.now(), a_line(price=10_000))
        await keep_guest_order(world.pool, world.clock, MERCHANT, order, order.placed_at)
        told = world.lane.take

        async def and_meanwhile(command: Any) -> Any:
            monkeypatch.setattr(world.lane, "take", told)
            returned = changed(order)
            await keep_guest_order(world.pool, world.clock, MERCHANT, returned, world.clock.now())
            return await told(command)

        monkeypatch.setattr(world.lane, "take", and_meanwhile)
        outcomes = await attach_order(world.pool, world.lane, MERCHANT, anna, "shop", "1", "eva")
        assert [outcome.refusal for outcome in outcomes] == [None, None]
        assert (await world.past(anna)).snapshot.accounts[POINTS].active == 0
        assert await world.rows("select count(*)::int from guest_order") == [(0,)]

    in_world(memory, a_programme(), story)


def test_a_guest_is_known_by_the_order_alone(memory: str) -> None:
    async def story(world: World) -> None:
        order = an_order("g1", world.clock.now(), a_line())
        for _ in range(2):
            await keep_guest_order(world.pool, world.clock, MERCHANT, order, order.placed_at)
        async with as_owner(world.url) as owner:
            assert await owner.fetchval("select count(*) from guest_order") == 1
            assert await owner.fetchval("select count(*) from identity") == 0

    in_world(memory, a_programme(), story)
