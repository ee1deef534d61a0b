"""Law 10: what there is n times is given at most n times whatever the race, and n times when enough ask."""

import random

from builders import a_line, a_programme, an_order, books, changed, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY
from regulars.programme.definition import Programme
from regulars.programme.facts import Order
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books
from regulars.simulation.capacities import Capacities


def gifts(stock: int, returns: str = "give_back") -> Programme:
    return a_programme(rules=[{"id": "gift", "perk": {"name": "vase"}, "limit": {"uses": stock, "returns": returns}}])


def owners(shoppers: list[Books]) -> list[str]:
    return [book.key for shopper in shoppers for book in shopper.now.orders.values() if book.perks]


@given(stock=st.integers(1, 8), asking=st.integers(1, 14), seed=st.integers(0, 999))
def test_a_gift_with_stock_n_goes_out_n_times_when_enough_ask_and_never_more(stock: int, asking: int, seed: int) -> None:
    of = gifts(stock)
    capacities = Capacities(of.capacities)
    shoppers = [books(of, f"m{n}", capacities) for n in range(4)]
    dice = random.Random(seed)
    answers = [dice.choice(shoppers).take(stated(an_order(f"o{n}", n * DAY, a_line()))) for n in range(asking)]
    assert len(owners(shoppers)) == capacities.drawn["rule:gift"] == min(stock, asking)
    refused = [refusal.reason for answer in answers for refusal in answer.limited]
    assert refused == [Reason.BUDGET_EXHAUSTED] * max(0, asking - stock)


@given(stock=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_orders_that_are_changed_return_and_come_again_never_hold_more_than_the_stock(stock: int, seed: int) -> None:
    dice = random.Random(seed)
    of = gifts(stock)
    capacities = Capacities(of.capacities)
    shoppers = [books(of, f"m{n}", capacities) for n in range(3)]
    states: dict[str, tuple[Books, Order]] = {}
    for day in range(20):
        if states and dice.random() < 0.6:
            shopper, order = states[dice.choice(sorted(states))]
            order = changed(order, *dice.choice(((), (a_line(),), (a_line(quantity=2),))))
        else:
            shopper, order = dice.choice(shoppers), an_order(f"o{day}", day * DAY, a_line())
        states[order.key] = shopper, order
        before = capacities.drawn["rule:gift"]
        answer = shopper.take(stated(order, day * DAY))
        assert len(owners(shoppers)) == capacities.drawn["rule:gift"] <= stock
        if answer.limited:
            assert before == stock


def test_a_gift_that_came_back_goes_to_the_next() -> None:
    of = gifts(1)
    now = books(of, capacities=Capacities(of.capacities))
    first = an_order("1", 0, a_line())
    now.take(stated(first))
    now.take(stated(an_order("2", DAY, a_line())))
    assert owners([now]) == ["shop:1"]
    now.take(stated(changed(first), 2 * DAY))
    now.take(stated(an_order("3", 3 * DAY, a_line())))
    assert owners([now]) == ["shop:3"]


def test_where_what_was_used_stays_used_it_goes_to_nobody_else() -> None:
    of = gifts(1, "keep")
    now = books(of, capacities=Capacities(of.capacities))
    first = an_order("1", 0, a_line())
    gone = changed(first)
    now.take(stated(first))
    now.take(stated(gone, DAY))
    now.take(stated(an_order("2", 2 * DAY, a_line())))
    assert owners([now]) == []
    now.take(stated(changed(gone, a_line()), 3 * DAY))
    assert owners([now]) == ["shop:1"]


def test_the_same_order_stated_again_takes_no_second_one() -> None:
    of = gifts(2)
    capacities = Capacities(of.capacities)
    now = books(of, capacities=capacities)
    order = an_order("1", 0, a_line())
    for day in range(4):
        now.take(stated(order, day * DAY))
        order = changed(order, a_line(quantity=day + 2))
    assert capacities.left("rule:gift") == 1
