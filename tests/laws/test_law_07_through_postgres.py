"""Law 7 through PostgreSQL: histories that are delivered badly end, in the memory, as they end in order in the books."""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import asyncpg
import msgspec
import pytest
from builders import PROGRAMMES, live, recorded, some_history, some_programme
from servers import fresh_database, on_database
from world import MERCHANT, START, World, in_world

from regulars.flows.commands import Command
from regulars.flows.settle import Told
from regulars.gateways.postgres import Server
from regulars.kernel.ids import FactId, MemberId, OrderId
from regulars.kernel.time import DAY, HOUR, Instant
from regulars.ledger.accounts import MEMBER_ACCOUNTS
from regulars.ledger.transfers import balances
from regulars.programme.facts import OrderStated, Remembered, TimePassed, fact_order
from regulars.programme.member import MemberState
from regulars.simulation.books import Books
from regulars.simulation.capacities import Capacities
from regulars.store.database import working_for
from regulars.store.histories import read_books
from regulars.store.schema import make_partitions, migrate

BEGIN = Instant(START // DAY * DAY + 30 * DAY)
END = Instant(BEGIN + 400 * DAY)
STEP = 8 * HOUR
"""What is heard within so long is delivered at once, to many members."""

Event = list[OrderStated | str]
Arrival = tuple[Instant, float, int, Remembered]


@pytest.fixture(scope="module")
def course(server18: Server) -> Iterator[str]:
    """A migrated database with all the months that the histories reach, to be copied."""

    async def months(owner: asyncpg.Connection) -> None:
        await migrate(url, START)
        await make_partitions(owner, START, 16)

    with fresh_database(server18) as url:
        on_database(url, months)
        yield url


@pytest.fixture
def memory18(server18: Server, course: str) -> Iterator[str]:
    """One of these, of this test's own."""
    with fresh_database(server18, course) as url:
        yield url


def of_member(member: int, history: Iterable[Event]) -> list[Event]:
    """The history begins at ``BEGIN``, and its orders are this member's own."""
    return [[_own(member, item) for item in event] for event in history]


def _own(member: int, item: OrderStated | str) -> OrderStated | str:
    if isinstance(item, str):
        return item.replace(":", f":{member}-")
    order, at = item.order, Instant(BEGIN + item.occurred_at)
    own = msgspec.structs.replace(order, id=OrderId(f"{member}-{order.id}"), placed_at=Instant(BEGIN + order.placed_at))
    return OrderStated(FactId(f"{own.key}#{own.sequence}"), own, at, at)


def arrivals(dice: random.Random, member: int, of: Books) -> Iterator[Arrival]:
    """Its facts with their outcomes, some of them several times: commitments when they are made, orders up to 29 days late."""
    for n, fact in enumerate(sorted(recorded(of), key=fact_order)):
        is_order = isinstance(fact, OrderStated)
        if isinstance(fact, OrderStated):
            fact = msgspec.structs.replace(fact, grants=None)
        else:
            yield fact.occurred_at, n, member, fact
        for _ in range(dice.choice((1, 1, 2, 3) if is_order else (0, 0, 1, 2))):
            late = dice.choice((0, HOUR, dice.randrange(0, 29 * DAY), dice.randrange(0, 29 * DAY)))
            yield Instant(-(-(fact.occurred_at + late) // STEP) * STEP), 1000 + dice.random(), member, fact


async def deliver(world: World, dice: random.Random, due: Sequence[Arrival]) -> None:
    """All of it through the lane, what is heard at one time at once; some nights between."""
    for heard, together in groupby(due, key=lambda one: one[0]):
        if heard > world.clock.now() + HOUR and dice.random() < 0.1:
            await world.night()
        reach(world, heard)
        await asyncio.gather(*(world.lane.take(told(member, fact)) for _, _, member, fact in together))
    reach(world, END)
    await asyncio.gather(*(world.lane.take(told(member, TimePassed(END))) for member in {member for _, _, member, _ in due}))


def reach(world: World, at: Instant) -> None:
    """It is that time now, or a few microseconds later."""
    if at > world.clock.now():
        world.clock.set(at)


def taken_alike(books: Books, due: Iterable[Arrival]) -> Books:
    """Books that hear the same. What limits gave is an outcome that stands, so by the order of hearing it differs from timely delivery."""
    alike = Books(books.programme, books.member.id, Capacities(dict.fromkeys(books.programme.capacities, 10**12)))
    for heard, _, _, fact in due:
        alike.take(msgspec.structs.replace(fact, recorded_at=heard))
    return alike


def told(member: int, fact: Remembered | TimePassed) -> Command:
    """By the shop; what is done by hand has keys of the member's own."""
    return Command(MERCHANT, member, fact, Told("shop" if isinstance(fact, OrderStated) else f"of {member}", "shop"))


async def assert_same(world: World, member: int, books: Books) -> None:
    """State, lots, balances, orders with their lines, and the ends of holds are those of the books; and the facts lead there (law 21)."""
    books.pass_time(END)
    past = await world.past(member)
    assert nameless(past.snapshot.member) == nameless(books.member)
    async with working_for(world.pool, [MERCHANT]) as connection:
        assert await read_books(connection, MERCHANT, member) == books.now.orders
    mine = f"member_id = {member}"
    lots = await world.rows(f"select lot, pending, active from lot where {mine} and pending + active > 0 order by 1, 2, 3")
    assert [tuple(lot) for lot in lots] == lots_of(books.member)
    held = {side: amount for side, amount in balances(books.transfers).items() if side[1] in MEMBER_ACCOUNTS and amount}
    accounts = await world.rows(f"select unit, pending, active, held, debt from account where {mine}")
    names = ("pending", "active", "held", "debt")
    assert {(row["unit"], f"member.{name}"): row[name] for row in accounts for name in names if row[name]} == held
    lines = await world.rows(f"select order_key, line_id, quantity, gross from order_line where {mine} order by 1, 2")
    stated = [(key, line) for key, book in books.now.orders.items() if book.state for line in book.state.lines]
    assert [tuple(line) for line in lines] == sorted((key, line.id, line.quantity, line.amount) for key, line in stated)
    ends = await world.rows(f"select hold, status from hold where {mine} and status in ('captured', 'released', 'expired')")
    assert dict(map(tuple, ends)) == books.now.ended
    assert await world.stands(member)


def nameless(member: MemberState) -> MemberState:
    """Whoever it is, whenever time was noticed to have passed."""
    return msgspec.structs.replace(member, id=MemberId(""), clock=Instant(0))


def lots_of(member: MemberState) -> list[tuple[str, int, int]]:
    """Lot, pending, active; one that is both stands in two parts in the state and in one row of the memory."""
    parts: dict[str, tuple[int, int]] = {}
    for lot in member.lots:
        pending, active = parts.get(lot.id, (0, 0))
        parts[lot.id] = (pending + lot.remaining, active) if lot.is_pending else (pending, active + lot.remaining)
    return sorted((id, *both) for id, both in parts.items())


def check(url: str, name: str, members: int, seed: int) -> None:
    """So many members under the programme of that name, all in one shop."""
    dice, programme = random.Random(seed), some_programme(name)

    async def story(world: World) -> None:
        of = {id: live(programme, of_member(id, some_history(dice)), dice) for id in await world.members(members)}
        due = sorted((one for member, books in of.items() for one in arrivals(dice, member, books)), key=lambda one: one[:3])
        await deliver(world, dice, due)
        for member, books in of.items():
            mine = [one for one in due if one[2] == member]
            await assert_same(world, member, taken_alike(books, mine) if programme.capacities else books)

    in_world(url, programme, story)


@pytest.fixture
def unlimited(memory18: str) -> str:
    """There is plenty of whatever a programme limits: here many members share what each of their books has for itself."""
    on_database(memory18, lambda owner: owner.execute(_PLENTY))
    return memory18


_PLENTY = """
    create function plenty() returns trigger language plpgsql as $$ begin new.most = 10 ^ 12; new.free = 10 ^ 12; return new; end $$;
    create trigger plenty before insert on capacity for each row execute function plenty();
"""


@pytest.mark.parametrize("name", PROGRAMMES)
def test_sixty_histories_delivered_badly_through_the_lane_end_as_in_the_books(unlimited: str, name: str) -> None:
    check(unlimited, name, 60 // len(PROGRAMMES) + 1, seed=60)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMMES)
def test_two_thousand_histories_delivered_badly_through_the_lane_end_as_in_the_books(unlimited: str, name: str) -> None:
    check(unlimited, name, 2000 // len(PROGRAMMES), seed=2000)
