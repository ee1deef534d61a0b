"""The lane: commands that wait are settled together, and each caller gets an answer of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest
from builders import POINTS, a_line, a_programme, an_order, by_hand, capturing, changed, holding, paying, purchase_rule, stated
from servers import execute
from world import MERCHANT, World, in_world

from regulars import verify
from regulars.flows.commands import Command, Outcome
from regulars.flows.lane import Lane
from regulars.flows.patience import Unavailable
from regulars.flows.programmes import Programmes
from regulars.flows.refold import Refolder
from regulars.flows.settle import Told
from regulars.flows.wallet import Wallet
from regulars.kernel.errors import NotFound
from regulars.kernel.ids import FactId
from regulars.kernel.time import DAY, HOUR, Instant
from regulars.programme.facts import Fact, ValueAdjusted
from regulars.programme.policies import LineKind
from regulars.programme.reasons import Reason
from regulars.store.database import open_pool, working_for
from regulars.store.histories import Past
from regulars.store.records import Standing


def told(member: int, fact: Fact) -> Command:
    """By the shop."""
    return Command(MERCHANT, member, fact, Told("shop", "shop"))


def gift(member: int, points: int, at: int) -> ValueAdjusted:
    """By hand, under a key of the member's own."""
    return msgspec.structs.replace(by_hand(points, at), id=FactId(f"gift-{member}-{points}"))


@asynccontextmanager
async def a_lane(world: World, url: str = "", lines: int = 1, patience_seconds: float = 8) -> AsyncIterator[Lane]:
    """Another lane, as another process has one, with connections of its own."""
    pool = await open_pool(url or world.url, 3)
    lane = Lane(pool, Programmes(), world.clock, lines, patience_seconds)
    try:
        yield lane
    finally:
        await lane.close()
        pool.terminate()


@asynccontextmanager
async def kept_waiting(world: World, member: int) -> AsyncIterator[None]:
    """Whoever wants to work on ``member`` waits as long as this lasts."""
    async with working_for(world.pool, [MERCHANT]) as connection:
        await connection.execute("select from member where merchant_id = $1 and member_id = $2 for update", MERCHANT, member)
        yield


# --- together -------------------------------------------------------------------------------------------------------------------


def test_each_caller_of_a_batch_gets_their_own_answer(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        now = world.clock.now()
        facts = [(anna, stated(an_order("1", now, a_line(price=1000)))), (ben, stated(an_order("2", now, a_line(price=2500))))]
        first, second = await asyncio.gather(*(world.take(member, fact) for member, fact in facts))
        assert (first.accounts[POINTS].active, second.accounts[POINTS].active) == (10, 25)

    in_world(memory, a_programme(), story)


def test_an_order_told_twice_is_answered_twice_and_taken_once(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        fact = stated(an_order("1", world.clock.now(), a_line(price=1000)))
        first, second = await asyncio.gather(world.take(anna, fact), world.take(anna, fact))
        assert (first.is_duplicate, second.is_duplicate) == (False, True)
        assert first.record == second.record
        assert second.accounts[POINTS].active == 10

    in_world(memory, a_programme(), story)


def test_a_key_that_was_taken_for_another_member_is_refused_and_gives_nothing(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        fact = by_hand(5, world.clock.now())
        outcomes = await asyncio.gather(world.take(anna, fact), world.take(ben, fact))
        assert [outcome.refusal and outcome.refusal.reason for outcome in outcomes] == [None, Reason.CONTENT_DIFFERS]
        assert [outcome.accounts for outcome in outcomes] == [{POINTS: Standing(active=5, seq=1)}, {}]

    in_world(memory, a_programme(), story)


def test_a_payment_of_a_member_who_was_merged_since_is_answered_as_at_first_and_not_made_again(memory: str) -> None:
    async def story(world: World) -> None:
        anna, anni = await world.members(2)
        await world.give(anni, 100)
        payment = paying(an_order("next", world.clock.now()), 60, 6000)
        await world.take(anni, payment)
        await world.pairs.merge(anna, anni, "eva")
        for member in (anni, anna):
            again = await world.take(member, payment)
            assert (again.is_duplicate, again.record.granted, again.accounts[POINTS].active) == (True, 60, 40)

    in_world(memory, a_programme(), story)


def test_an_order_told_again_with_its_defaults_said_aloud_is_the_same_order(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        fact = stated(an_order("1", world.clock.now(), a_line()))
        aloud = msgspec.structs.replace(fact, order=msgspec.structs.replace(fact.order, source="".join("shop")))
        await world.take(anna, fact)
        again = await world.take(anna, aloud)
        assert (again.is_duplicate, again.refusal) == (True, None)

    in_world(memory, a_programme(), story)


def test_whatever_waits_while_one_commit_is_under_way_goes_with_the_next(memory: str) -> None:
    async def story(world: World) -> None:
        first, *others = await world.members(40)
        now = world.clock.now()
        async with kept_waiting(world, first):
            waiting = [asyncio.create_task(world.take(first, gift(first, 5, now)))]
            await asyncio.sleep(0.1)
            waiting += [asyncio.create_task(world.take(member, gift(member, 5, now))) for member in others]
            await asyncio.sleep(0.1)
        assert {outcome.accounts[POINTS].active for outcome in await asyncio.gather(*waiting)} == {5}
        commits = await world.rows("select count(*) as members from member where seq > 0 group by xmin::text order by 1")
        assert [row["members"] for row in commits] == [1, 39]

    in_world(memory, a_programme(), story, lines=1)


def test_commands_of_one_member_are_done_in_the_order_in_which_they_came(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        outcomes = await asyncio.gather(*(world.wallet.adjust(anna, f"gift-{n}", POINTS, 1, "goodwill") for n in range(30)))
        assert [outcome.accounts[POINTS].active for outcome in outcomes] == list(range(1, 31))
        keys = await world.rows("select key from fact order by seq")
        assert [row["key"] for row in keys] == [f"value_adjusted/shop:gift-{n}" for n in range(30)]

    in_world(memory, a_programme(), story)


def test_a_lane_that_closes_finishes_what_was_taken(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(20)
        now = world.clock.now()
        async with a_lane(world) as lane, kept_waiting(world, members[3]):
            orders = [stated(an_order(f"{member}-{n}", now - n * HOUR, a_line())) for member in members for n in (0, 1)]
            taken = [asyncio.create_task(lane.take(told(members[n // 2], order))) for n, order in enumerate(orders)]
            await asyncio.sleep(0.1)
            closing = asyncio.create_task(lane.close())
            await asyncio.sleep(0.1)
            assert not closing.done()
        await closing
        assert all(task.done() for task in taken)
        assert (await world.rows("select count(*) from order_book"))[0][0] == 40

    in_world(memory, a_programme(), story)


# --- one that cannot be ---------------------------------------------------------------------------------------------------------


def test_one_command_that_cannot_be_done_harms_none_of_those_that_came_with_it(memory: str) -> None:
    async def story(world: World) -> None:
        first, broken, *others = await world.members(33)
        await world.give(broken, 50)
        await asyncio.to_thread(execute, world.url, f"update member set snapshot = '{{}}' where member_id = {broken}")
        now = world.clock.now()
        async with kept_waiting(world, first):
            everybody = (first, *others[:15], broken, *others[15:])
            waiting = [asyncio.create_task(world.take(member, gift(member, 5, now))) for member in everybody]
            await asyncio.sleep(0.1)
        heard = await asyncio.gather(*waiting, return_exceptions=True)
        assert [n for n, one in enumerate(heard) if isinstance(one, BaseException)] == [16]
        assert isinstance(heard[16], msgspec.ValidationError)
        assert (await world.rows("select count(*) from account where active = 5"))[0][0] == 32

    in_world(memory, a_programme(), story)


def test_a_member_who_is_unknown_is_answered_in_a_sentence_and_the_others_as_ever(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        now = world.clock.now()
        both = (world.take(member, gift(member, 5, now)) for member in (999, anna))
        nobody, known = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(nobody, NotFound)
        assert "member 999: there is no such member" in str(nobody)
        assert isinstance(known, Outcome)
        assert known.accounts[POINTS].active == 5

    in_world(memory, a_programme(), story)


# --- a database that is away ----------------------------------------------------------------------------------------------------


class Wire:
    """What a lane speaks through to its database: it can be cut and mended."""

    def __init__(self, url: str) -> None:
        """Whole, to the database at ``url``."""
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.loses_the_next_answer_to_a_commit = False

    @property
    def url(self) -> str:
        """The near end."""
        login = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{self._port}"))

    async def mend(self) -> None:
        """It carries again."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Whatever is under way is lost, and nobody gets through."""
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", self._parts.port)
        ends = {to_near, to_far}
        self._open |= ends
        try:
            with suppress(ConnectionError):
                await asyncio.gather(self._forth(near, to_far, to_near), self._back(far, to_near))
        finally:
            self._open -= ends
            for writer in ends:
                writer.transport.abort()

    async def _forth(self, near: asyncio.StreamReader, to_far: asyncio.StreamWriter, to_near: asyncio.StreamWriter) -> None:
        while data := await near.read(2**16):
            to_far.write(data)
            if self.loses_the_next_answer_to_a_commit and b"COMMIT;" in data:
                self.loses_the_next_answer_to_a_commit = False
                to_near.transport.abort()
                await asyncio.sleep(0.2)
        to_far.write_eof()

    async def _back(self, far: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        while data := await far.read(2**16):
            to_near.write(data)
        raise ConnectionResetError


@asynccontextmanager
async def a_wire(world: World) -> AsyncIterator[Wire]:
    """To the world's database."""
    wire = Wire(world.url)
    await wire.mend()
    try:
        yield wire
    finally:
        await wire.cut()


def test_callers_wait_for_a_lost_database_and_are_answered_when_it_is_back(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(10)
        now = world.clock.now()
        async with a_wire(world) as wire, a_lane(world, wire.url, lines=2) as lane:
            await lane.take(told(members[0], gift(members[0], 7, now)))
            await wire.cut()
            waiting = [asyncio.create_task(lane.take(told(member, gift(member, 5, now)))) for member in members]
            _, still = await asyncio.wait(waiting, timeout=0.5)
            assert len(still) == 10
            await wire.mend()
            outcomes = await asyncio.gather(*waiting)
        assert sorted(outcome.accounts[POINTS].active for outcome in outcomes) == [5] * 9 + [12]

    in_world(memory, a_programme(), story)


def test_a_commit_whose_answer_was_lost_on_the_way_is_found_again_and_not_made_twice(memory: str) -> None:
    async def story(world: World) -> None:
        members = await world.members(10)
        now = world.clock.now()
        async with a_wire(world) as wire, a_lane(world, wire.url) as lane:
            wire.loses_the_next_answer_to_a_commit = True
            outcomes = await asyncio.gather(*(lane.take(told(member, gift(member, 5, now))) for member in members))
            assert not wire.loses_the_next_answer_to_a_commit
        assert any(outcome.is_duplicate for outcome in outcomes)
        assert {outcome.accounts[POINTS].active for outcome in outcomes} == {5}
        assert (await world.rows("select count(*), sum(active) from fact join account using (member_id)"))[0] == (10, 50)

    in_world(memory, a_programme(), story)


def test_callers_whose_patience_ends_are_told_in_a_sentence_and_asking_again_is_safe(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        now = world.clock.now()
        async with a_wire(world) as wire, a_lane(world, wire.url, patience_seconds=0.2) as lane:
            await lane.take(told(anna, by_hand(7, now)))
            await wire.cut()
            with pytest.raises(Unavailable, match=r"(?s)database: it cannot be reached .*ask again; nothing is done twice"):
                await lane.take(told(anna, by_hand(5, now)))
            await wire.mend()
            assert (await lane.take(told(anna, by_hand(5, now)))).accounts[POINTS].active == 12

    in_world(memory, a_programme(), story)


# --- late evidence --------------------------------------------------------------------------------------------------------------


class Interrupted(Refolder):
    """A refolder that is interrupted each time it has read a history."""

    def __init__(self, lane: Lane, world: World, interruption: Callable[[], Awaitable[object]]) -> None:
        """``interruption``: what others do meanwhile."""
        super().__init__(world.pool, world.programmes, world.clock, "interrupted")
        self._interruption = interruption
        lane._refolder = self

    async def _read(self, connection: asyncpg.pool.PoolConnectionProxy, command: Command) -> Past:  # type: ignore[override]
        past = await super()._read(connection, command)
        await self._interruption()
        return past


def test_commands_wait_while_late_evidence_of_their_member_is_folded_in_and_see_it_then(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        now = world.clock.now()
        await world.take(anna, stated(an_order("new", now, a_line(price=1000))))
        order, going_on = an_order("old", now - DAY, a_line(price=5000)), asyncio.Event()
        Interrupted(world.lane, world, going_on.wait)
        late = asyncio.create_task(world.take(anna, stated(order)))
        payment = asyncio.create_task(world.take(anna, paying(an_order("next", now), 60, 6000)))
        back = asyncio.create_task(world.take(anna, stated(changed(order), now)))
        assert (await world.take(ben, by_hand(5, now))).accounts[POINTS].active == 5
        assert not late.done()
        assert not payment.done()
        going_on.set()
        assert [outcome.accounts[POINTS].active for outcome in await asyncio.gather(late, payment, back)] == [60, 0, 0]
        assert (await payment).record.granted == 60
        assert (await world.past(anna)).snapshot.member.debt == {POINTS: 50}
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_late_evidence_is_folded_in_however_fast_another_process_moves_the_member(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        now = world.clock.now()
        await world.take(anna, stated(an_order("new", now, a_line(price=1000))))
        async with a_lane(world) as other:
            moves = iter(range(1, 1000))
            Interrupted(world.lane, world, lambda: other.take(told(anna, by_hand(next(moves), now))))
            outcome = await world.take(anna, stated(an_order("old", now - DAY, a_line(price=5000))))
        gifts = sum(range(1, next(moves)))
        assert outcome.accounts[POINTS].active == 60 + gifts
        assert await world.stands(anna)

    in_world(memory, a_programme(), story)


def test_late_evidence_of_a_member_who_is_merged_meanwhile_goes_to_the_survivor(memory: str) -> None:
    async def story(world: World) -> None:
        anna, anni = await world.members(2)
        now = world.clock.now()
        await world.take(anni, stated(an_order("new", now, a_line(price=1000))))
        Interrupted(world.lane, world, lambda: world.pairs.merge(anna, anni, "eva"))
        outcome = await world.take(anni, stated(an_order("old", Instant(now - DAY), a_line(price=5000))))
        assert (outcome.member_id, outcome.accounts[POINTS].active) == (anna, 60)
        assert await world.stands(anna)
        assert await world.stands(anni)

    in_world(memory, a_programme(), story)


# --- what is kept of an order ---------------------------------------------------------------------------------------------------


async def lines(world: World) -> list[str]:
    """Of all orders."""
    return [row["line_id"] for row in await world.rows("select line_id from order_line order by 1")]


def test_the_lines_of_an_order_are_those_of_its_last_state_though_that_is_heard_of_as_the_older(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        now = world.clock.now()
        order = an_order("1", now - DAY, a_line("tea"), a_line("cup"))
        await world.take(anna, stated(order, now))
        outcome = await world.take(anna, stated(changed(order, a_line("cup")), now - HOUR))
        assert outcome.accounts[POINTS].active == 10
        assert await lines(world) == ["cup"]

    in_world(memory, a_programme(), story)


def test_the_lines_of_an_order_are_those_of_its_last_state_though_the_first_had_no_goods(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        now = world.clock.now()
        order = an_order("1", now, a_line("courier", kind=LineKind.DELIVERY))
        await world.take(anna, stated(order))
        await world.take(anna, stated(changed(order, a_line("tea")), now + 1))
        assert await lines(world) == ["tea"]

    in_world(memory, a_programme(), story)


def test_an_order_that_is_paid_after_it_was_stated_keeps_its_lines(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await world.give(anna, 50)
        now = world.clock.now()
        order = an_order("1", now, a_line("tea"), a_line("cup"))
        await world.take(anna, holding(order, 30, 2000, now + DAY))
        await world.take(anna, stated(order, now))
        captured = await world.take(anna, capturing("hold-1", now))
        assert captured.record.granted == 30
        assert await lines(world) == ["cup", "tea"]

    in_world(memory, a_programme(), story)


# --- what the lane refuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "is_taken"), [(4 * HOUR // 60, True), (HOUR, False), (5 * DAY, False)])
def test_what_has_not_happened_yet_is_refused_but_for_the_difference_of_clocks(memory: str, ahead: int, is_taken: bool) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        outcome = await world.take(anna, stated(an_order("1", world.clock.now() + ahead, a_line(price=10_000))))
        assert (outcome.refusal is None) is is_taken
        assert is_taken or outcome.refusal.reason is Reason.IN_FUTURE  # type: ignore[union-attr]
        assert await world.rows("select count(*)::int from fact") == [(int(is_taken),)]

    in_world(memory, a_programme(), story)


def test_a_capture_that_was_refused_may_be_asked_again_under_another_key(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        await world.give(anna, 100)
        early = await world.wallet.capture(anna, "c1", "h")
        assert early.refusal is not None
        await world.wallet.hold(anna, "h", "shop:1", POINTS, 50, 1_000, Instant(world.clock.now() + DAY))
        too_much = await world.wallet.capture(anna, "c2", "h", 51)
        assert too_much.refusal is not None
        captured = await world.wallet.capture(anna, "c3", "h", 50)
        assert (captured.refusal, captured.accounts[POINTS]) == (None, Standing(active=50, seq=captured.accounts[POINTS].seq))

    in_world(memory, a_programme(), story)


def test_an_order_that_grows_beyond_what_a_limit_has_left_keeps_what_it_had(memory: str) -> None:
    extra = {"id": "extra", "award": {"unit": "points", "rate": "0.5"}, "limit": {"units": 90}}

    async def story(world: World) -> None:
        anna = await world.member()
        order = an_order("1", world.clock.now(), a_line(price=200))
        await world.take(anna, stated(order))
        await world.take(anna, stated(changed(order, a_line(price=24_600)), world.clock.now()))
        assert (await world.past(anna)).snapshot.accounts[POINTS].active == 246 + 1
        report = await verify.run(world.url, MERCHANT, lambda *_: None)
        assert [finding for check in report.checks for finding in check.findings] == []

    in_world(memory, a_programme(rules=[purchase_rule(), extra]), story)


def test_an_order_number_with_a_mark_is_not_a_later_state_of_another_order(memory: str) -> None:
    async def story(world: World) -> None:
        anna, ben = await world.members(2)
        now = world.clock.now()
        order = an_order("1001", now, a_line(price=10_000))
        await world.take(anna, stated(order))
        other = await world.take(ben, stated(an_order("1001#2", now, a_line(price=5_000))))
        assert (other.refusal, other.accounts[POINTS].active) == (None, 50)
        back = await world.take(anna, stated(changed(order), world.clock.now()))
        assert (back.refusal, back.accounts[POINTS].active) == (None, 0)
        percent = await world.take(ben, stated(an_order("1001%232", now, a_line(price=5_000))))
        assert percent.refusal is None

    in_world(memory, a_programme(), story)


@pytest.mark.parametrize(("amount", "reason"), [(10**19, "sorry"), (-(10**19), "sorry"), (5, "nul \x00"), (5, "half \ud800")])
def test_what_no_memory_can_keep_is_refused_in_words(memory: str, amount: int, reason: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        outcome = await world.wallet.adjust(anna, "key", POINTS, amount, reason)
        assert outcome.refusal is not None
        assert outcome.refusal.reason is Reason.UNSOUND

    in_world(memory, a_programme(), story)


def test_two_who_give_by_hand_under_one_key_give_two_lots(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.member()
        for source in ("shop", "till"):
            await Wallet(world.lane, MERCHANT, source, "eva").adjust(anna, "gift", POINTS, 10, "sorry")
            await world.later(40 * DAY)
        lots = await world.rows("select lot, active from lot order by lot")
        assert [tuple(row) for row in lots] == [("adjustment:shop:gift:points", 10), ("adjustment:till:gift:points", 10)]

    in_world(memory, a_programme(), story)
