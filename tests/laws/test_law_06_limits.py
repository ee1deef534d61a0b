"""Law 6: limits hold exactly whatever the order of arrival; what is over a limit is reduced or refused as it says, with the reason."""

import random

import msgspec
import pytest
from builders import Data, a_line, a_programme, an_order, books, changed, purchase_rule, some_history, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import MemberId
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import Programme
from regulars.programme.facts import OrderStated
from regulars.programme.history import History
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books
from regulars.simulation.capacities import Capacities
from regulars.simulation.figures import Figures
from regulars.simulation.replay import Assumptions, replay


def limited(limit: Data, **award: object) -> Programme:
    return a_programme(rules=[{**purchase_rule(**award), "limit": limit}])


def held(shoppers: list[Books]) -> dict[str, int]:
    """What all orders hold of each capacity."""
    sums: dict[str, int] = {}
    for shopper in shoppers:
        for book in shopper.now.orders.values():
            for name, amount in book.drawn.items():
                sums[name] = sums.get(name, 0) + amount
    return sums


SOME: list[Data] = [
    {**purchase_rule(), "limit": {"units": 500, "over": "reduce"}},
    {"id": "refusing", "award": {"unit": "points", "rate": "0.5"}, "limit": {"units": 200}},
    {"id": "keeping", "award": {"unit": "points", "rate": "0.5"}, "limit": {"units": 150, "over": "reduce", "returns": "keep"}},
    {"id": "three", "if": {"op": "every_nth", "n": 2}, "award": {"unit": "points", "amount": 7}, "limit": {"uses": 3}},
    {"id": "double", "if": {"op": "nth", "orders": [2]}, "multiply": {"unit": "points", "by": 2}},
]


@given(seed=st.integers(0, 2**32))
def test_no_limit_is_ever_passed_whatever_arrives_in_whatever_order(seed: int) -> None:
    dice = random.Random(seed)
    of = a_programme(rules=SOME)
    capacities = Capacities(of.capacities)
    shoppers = [books(of, name, capacities) for name in ("anna", "bob", "cyd")]
    arrivals = [
        (fact.occurred_at + dice.choice((0, 0, dice.randrange(30 * DAY))), dice.random(), shopper, fact)
        for shopper in shoppers
        for event in some_history(dice, 4)
        for fact in event
        if isinstance(fact, OrderStated)
    ]
    for heard, _, shopper, fact in sorted(arrivals, key=lambda arrival: arrival[:2]):
        shopper.take(msgspec.structs.replace(fact, recorded_at=Instant(heard)))
        assert held(shoppers) == {name: amount for name, amount in capacities.drawn.items() if amount}
        assert all(0 <= capacities.drawn[name] <= most for name, most in of.capacities.items())
    for shopper in shoppers:
        again = shopper.folded_again()
        assert (again.member, again.orders) == (shopper.member, shopper.now.orders)


@given(wants=st.lists(st.integers(1, 300), min_size=1, max_size=12), most=st.integers(1, 900), seed=st.integers(0, 999))
def test_what_there_is_is_given_to_the_last_unit_when_enough_ask(wants: list[int], most: int, seed: int) -> None:
    of = limited({"units": most, "over": "reduce"})
    capacities = Capacities(of.capacities)
    shoppers = [books(of, f"m{n}", capacities) for n in range(len(wants))]
    turns = list(enumerate(wants))
    random.Random(seed).shuffle(turns)
    for n, points in turns:
        shoppers[n].take(stated(an_order("1", 0, a_line(price=points * 100))))
    given_out = sum(lot.remaining for shopper in shoppers for lot in shopper.member.lots)
    assert given_out == capacities.drawn["rule:purchase"] == min(most, sum(wants))


@pytest.mark.parametrize(("over", "second"), [("reduce", 30), ("refuse", 0)])
def test_an_award_over_the_limit_is_reduced_or_refused_and_says_why(over: str, second: int) -> None:
    of = limited({"units": 130, "over": over})
    now = books(of, capacities=Capacities(of.capacities))
    assert now.take(stated(an_order("1", 0, a_line(price=10_000)))).limited == ()
    (refusal,) = now.take(stated(an_order("2", DAY, a_line(price=5_000)))).limited
    assert (refusal.reason, refusal.subject, refusal.args) == (Reason.BUDGET_EXHAUSTED, "purchase", {"wanted": 50, "granted": second})
    assert sum(lot.remaining for lot in now.member.lots) == 100 + second


def test_units_of_a_limit_count_what_multiples_add() -> None:
    of = a_programme(
        rules=[{**purchase_rule(), "limit": {"units": 150, "over": "reduce"}}, {"id": "x", "multiply": {"unit": "points", "by": 2}}]
    )
    now = books(of, capacities=Capacities(of.capacities))
    now.take(stated(an_order("1", 0, a_line(price=10_000))))
    assert sum(lot.remaining for lot in now.member.lots) == 150


def test_late_evidence_draws_only_what_is_left_by_now() -> None:
    of = limited({"units": 150, "over": "reduce"})
    capacities = Capacities(of.capacities)
    anna, bob = books(of, "anna", capacities), books(of, "bob", capacities)
    anna.take(stated(an_order("1", 5 * DAY, a_line(price=5_000))))
    bob.take(stated(an_order("2", 6 * DAY, a_line(price=6_000))))
    anna.take(stated(an_order("3", DAY, a_line(price=10_000)), heard=7 * DAY))
    assert {key: book.drawn for key, book in anna.now.orders.items()} == {"shop:1": {"rule:purchase": 50}, "shop:3": {"rule:purchase": 40}}
    assert capacities.left("rule:purchase") == 0


def test_what_late_evidence_frees_goes_to_others_and_does_not_come_back() -> None:
    of = limited({"units": 100})
    capacities = Capacities(of.capacities)
    anna, bob = books(of, "anna", capacities), books(of, "bob", capacities)
    order = an_order("1", 0, a_line(price=10_000))
    anna.take(stated(order))
    gone = changed(order)
    anna.take(stated(gone, 5 * DAY))
    assert bob.take(stated(an_order("2", 6 * DAY, a_line(price=10_000)))).limited == ()
    anna.take(stated(changed(gone, *order.lines), 7 * DAY))
    anna.take(stated(an_order("3", 2 * DAY, a_line(price=100)), heard=8 * DAY))
    assert held([anna, bob]) == {"rule:purchase": 100}
    assert sum(lot.remaining for lot in anna.member.lots) == 0


@given(seed=st.integers(0, 2**32), members=st.integers(1, 6))
def test_a_replay_gives_to_those_who_came_first(seed: int, members: int) -> None:
    dice = random.Random(seed)
    of = limited({"uses": 5}, amount=1)
    orders = {
        f"m{m}": [an_order(f"{m}-{n}", dice.randrange(100 * DAY), a_line()) for n in range(dice.randint(1, 4))] for m in range(members)
    }
    histories = [History(MemberId(m), tuple(sorted(own, key=lambda o: o.placed_at))) for m, own in orders.items()]
    figures = Figures()
    heard: list[str] = []

    def hear(told) -> None:
        if isinstance(told.fact, OrderStated) and told.decision.draws:
            heard.append(told.fact.order.id)

    replay(of, histories, Assumptions(Instant(200 * DAY)), figures, {history.member: hear for history in histories})
    every = sorted((order.placed_at, member, order.id) for member, own in orders.items() for order in own)
    assert heard == [id for _, _, id in every[:5]]
    assert figures.units["points"].issued == figures.limits["rule:purchase"].drawn == min(5, len(every))
