"""Races: many callers in several processes want the same, and it ends exactly right, to the last piece (laws 6, 8, 10, 11)."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from builders import POINTS, a_line, a_programme, an_order, capturing, changed, holding, paying, purchase_rule, releasing, stated
from herd import RACE, Heard, Herd
from reconciler import assert_accounts_stand
from servers import rows
from world import MERCHANT, World, in_world

from regulars.flows.commands import Command, Outcome
from regulars.flows.settle import Told
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import Programme
from regulars.programme.facts import Fact, Order, TimePassed

GIFT = "rule:gift"
BONUS = "rule:bonus"

slow = pytest.mark.slow


def a_gift(uses: int, **keys: object) -> Programme:
    """With each order a gift comes, as long as there are any."""
    return a_programme(rules=[purchase_rule(), {"id": "gift", "perk": {"name": "gift"}, "limit": {"uses": uses}, **keys}])


def enrolled(url: str, programme: Programme, members: int, points: int = 0) -> list[int]:
    """Members of a new shop, each with some points."""

    async def story(world: World) -> list[int]:
        ids = await world.members(members)
        for member in ids if points else ():
            await world.give(member, points)
        return ids

    return in_world(url, programme, story)


def told(member: int, fact: Fact) -> Command:
    """By the shop."""
    return Command(MERCHANT, member, fact, Told("shop", "shop"))


def an_order_of(member: int, price: int = 1000, **keys: object) -> Order:
    """One order, called after its member."""
    return an_order(f"o{member}", RACE - DAY, a_line(price=price), **keys)


def ordering(members: Iterable[int], price: int = 1000, **keys: object) -> list[Command]:
    """Each member orders once."""
    return [told(member, stated(an_order_of(member, price, **keys))) for member in members]


def shuffled(commands: Sequence[Command], seed: int = 7) -> list[Command]:
    """In an order of chance."""
    return random.Random(seed).sample(commands, len(commands))


def answers(heard: Iterable[Heard]) -> list[Outcome]:
    """Outcomes, for nobody hears an error."""
    found = list(heard)
    wrong = [one for one in found if isinstance(one, str)]
    assert not wrong, Counter(wrong)
    return [one for one in found if not isinstance(one, str)]


def gifts(heard: Iterable[Heard]) -> int:
    """How many of the callers heard that a gift comes."""
    return sum("gift" in outcome.record.perks for outcome in answers(heard))


def value(url: str, sql: str) -> int:
    """One figure."""
    return int(rows(url, sql)[0][0])


def assert_counted(url: str, capacity: str, most: int, drawn: int) -> None:
    """Most = free + leased + drawn, and so much of it is drawn (law 6)."""
    free = value(url, f"select free from capacity where capacity = '{capacity}' and most = {most}")
    leased = value(url, f"select coalesce(sum(free), 0) from capacity_lease where capacity = '{capacity}'")
    assert value(url, f"select coalesce(sum(amount), 0) from draw where capacity = '{capacity}'") == drawn
    assert free + leased + drawn == most


# --- stock ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "stock"), [(300, 20), pytest.param(10_000, 100, marks=slow)])
def test_a_stock_is_handed_out_to_its_last_piece_and_not_one_more(herd: Herd, track: str, members: int, stock: int) -> None:
    everybody = enrolled(track, a_gift(stock), members)
    assert gifts(herd.come(track, ordering(everybody), callers=256)) == stock
    assert_counted(track, GIFT, stock, drawn=stock)
    assert value(track, "select count(*) from order_book") == members


@pytest.mark.parametrize("members", [100, pytest.param(500, marks=slow)])
def test_a_code_for_one_use_is_used_once_however_many_type_it(herd: Herd, track: str, members: int) -> None:
    everybody = enrolled(track, a_gift(1, **{"if": {"op": "has", "fact": "order.codes", "values": ["WELCOME"]}}), members)
    assert gifts(herd.come(track, ordering(everybody, codes=("WELCOME",)))) == 1
    assert_counted(track, GIFT, 1, drawn=1)


@pytest.mark.parametrize("stock", [30, pytest.param(400, marks=slow)])
def test_gifts_that_come_back_while_others_ask_are_neither_lost_nor_given_twice(herd: Herd, track: str, stock: int) -> None:
    everybody = enrolled(track, a_gift(stock), stock * 5)
    holders, askers, last = everybody[:stock], everybody[stock : stock * 4], everybody[stock * 4 :]
    assert gifts(herd.come(track, ordering(holders))) == stock
    returns = [told(member, stated(changed(an_order_of(member)), at=RACE - DAY + 1)) for member in holders]
    answers(herd.come(track, shuffled([*returns, *ordering(askers)])))
    held = value(track, "select coalesce(sum((book -> 'book' -> 'drawn' ->> 'rule:gift')::int), 0) from order_book")
    assert_counted(track, GIFT, stock, drawn=held)
    assert gifts(herd.come(track, ordering(last))) == stock - held
    assert_counted(track, GIFT, stock, drawn=stock)


# --- budgets --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "orders", "each"),
    [(1000, 150, 30), (600_000, 150, 7000), pytest.param(1777, 2000, 3, marks=slow), pytest.param(6_000_001, 2000, 7000, marks=slow)],
)
def test_a_budget_is_given_to_the_last_unit_and_not_one_more(herd: Herd, track: str, budget: int, orders: int, each: int) -> None:
    bonus = {"id": "bonus", "award": {"unit": "points", "amount": each}, "limit": {"units": budget, "over": "reduce"}}
    everybody = enrolled(track, a_programme(rules=[bonus]), orders)
    most_leased = 64 * 64 * 64
    half = budget // each // 2
    first = answers(herd.come(track, ordering(everybody[:half])))
    assert_counted(track, BONUS, budget, drawn=half * each)
    assert (value(track, "select count(*) from capacity_lease") > 0) is (budget - half * each > most_leased)
    outcomes = first + answers(herd.come(track, ordering(everybody[half:])))
    assert sum(outcome.accounts[POINTS].active for outcome in outcomes if POINTS in outcome.accounts) == budget
    assert sum(bool(outcome.record.limited) for outcome in outcomes) == orders - budget // each
    assert_counted(track, BONUS, budget, drawn=budget)
    assert_accounts_stand(track)


# --- one balance ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [80, pytest.param(2000, marks=slow)])
def test_one_balance_pays_as_often_as_it_can_and_never_goes_below_zero(herd: Herd, track: str, asked: int) -> None:
    (anna,) = enrolled(track, a_programme(), 1, points=asked * 3)
    commands = [told(anna, paying(an_order(f"o{n}", RACE), 7, 10_000)) for n in range(asked)]
    outcomes = answers(herd.come(track, commands))
    paid, left = divmod(asked * 3, 7)
    assert Counter(outcome.record.granted for outcome in outcomes) == {7: paid, 0: asked - paid}
    assert min(outcome.accounts[POINTS].active for outcome in outcomes) == left
    assert value(track, "select active from account") == left
    assert_accounts_stand(track)


@pytest.mark.parametrize("orders", [40, pytest.param(500, marks=slow)])
def test_a_payment_and_an_order_told_by_all_processes_at_once_happen_once(herd: Herd, track: str, orders: int) -> None:
    everybody = enrolled(track, a_programme(), orders, points=100)
    once = [told(member, paying(an_order(f"p{member}", RACE), 30, 10_000)) for member in everybody] + ordering(everybody)
    outcomes = answers(herd.come(track, [one for one in once for _ in range(4)]))
    assert sum(not outcome.is_duplicate for outcome in outcomes) == len(once)
    assert {(one.record.granted, one.record.refusal) for one in outcomes} == {(30, None), (None, None)}
    assert rows(track, "select distinct active from account") == [(100 - 30 + 10,)]
    assert_accounts_stand(track)


@pytest.mark.parametrize("orders", [60, pytest.param(1000, marks=slow)])
def test_an_order_that_two_members_are_said_to_have_placed_belongs_to_one_of_them(herd: Herd, track: str, orders: int) -> None:
    everybody = enrolled(track, a_programme(), 2 * orders)
    pairs = zip(everybody[::2], everybody[1::2], strict=True)
    commands = [told(member, stated(an_order_of(one))) for one, other in pairs for member in (one, other)]
    refusals = Counter(str(outcome.refusal and outcome.refusal.reason) for outcome in answers(herd.come(track, commands, callers=8)))
    assert refusals == {"None": orders, "of_another_member": orders}
    assert value(track, "select sum(active) from account") == 10 * orders


# --- holds ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holds", [40, pytest.param(500, marks=slow)])
def test_a_hold_that_is_captured_released_and_expired_at_once_ends_once(herd: Herd, track: str, holds: int) -> None:
    everybody = enrolled(track, a_programme(), holds, points=50)
    until = Instant(RACE + DAY)
    begun = [told(member, holding(an_order(str(member), RACE), 20, 10_000, until, hold=f"h{member}")) for member in everybody]
    assert {outcome.record.granted for outcome in answers(herd.come(track, begun))} == {20}
    ends = [
        told(member, fact)
        for member in everybody
        for n in range(2)
        for fact in (capturing(f"h{member}", RACE + n), releasing(f"h{member}", RACE + n), TimePassed(until))
    ]
    outcomes = answers(herd.come(track, shuffled(ends)))
    ended = Counter(row[0] for row in rows(track, "select status from hold"))
    assert set(ended) <= {"captured", "released", "expired"}
    assert ended.total() == holds
    assert sum((outcome.record.granted or 0) > 0 for outcome in outcomes) == ended["captured"] + ended["released"]
    assert value(track, "select sum(amount) from transfer where movement = 'capture'") == 20 * ended["captured"]
    assert value(track, "select sum(amount) from transfer where movement = 'release'") == 20 * (holds - ended["captured"])
    assert rows(track, "select distinct h.status, a.active, a.held from hold h join account a using (member_id) order by 1") == [
        (end, 30 if end == "captured" else 50, 0) for end in sorted(ended)
    ]
    assert_accounts_stand(track)


# --- everybody waits for somebody -----------------------------------------------------------------------------------------------


def at_random(members: Sequence[int], dice: random.Random, numbers: Iterable[int]) -> Iterable[Command]:
    """Orders that draw of three capacities, and returns that give back to them."""
    for n in numbers:
        member = dice.choice(members)
        codes = tuple(dice.sample("abc", dice.randint(1, 3)))
        order = an_order(f"r{n}", RACE - DAY + n, a_line(), codes=codes)
        yield told(member, stated(order))
        if dice.random() < 0.3:
            yield told(member, stated(changed(order), order.placed_at))


@pytest.mark.parametrize("orders", [200, pytest.param(1200, marks=slow)])
def test_lanes_that_work_the_same_members_and_capacities_wait_but_never_for_each_other(herd: Herd, track: str, orders: int) -> None:
    shares = {
        letter: {
            "id": letter,
            "if": {"op": "has", "fact": "order.codes", "values": [letter]},
            "award": {"unit": "points", "amount": 100},
            "limit": {"units": units, "over": "reduce"},
        }
        for letter, units in (("a", 900), ("b", 20_000), ("c", 900_000))
    }
    everybody = enrolled(track, a_programme(rules=list(shares.values())), 20)
    answers(herd.come(track, list(at_random(everybody, random.Random(1), range(orders)))))
    assert value(track, "select deadlocks from pg_stat_database where datname = current_database()") == 0
    for letter in shares:
        drawn = value(track, f"select coalesce(sum((book -> 'book' -> 'drawn' ->> 'rule:{letter}')::int), 0) from order_book")
        assert_counted(track, f"rule:{letter}", shares[letter]["limit"]["units"], drawn)  # type: ignore[index]
    assert_accounts_stand(track)
