"""Law 13: a quote is a pure function: same inputs, same bytes, whatever the order of rules or lines or the splitting of a line."""

import random
from itertools import pairwise

import msgspec
from builders import (
    PROGRAMMES,
    Data,
    a_line,
    a_programme,
    a_unit,
    an_order,
    books,
    live,
    purchase_rule,
    some_history,
    some_programme,
    stated,
)
from hypothesis import given
from hypothesis import strategies as st
from laws.test_law_12_discounts import GROUPS, discounts

from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import Programme
from regulars.programme.facts import Line, Order
from regulars.programme.quote import quote


def some_rules(rules: list[Data]) -> list[Data]:
    return [
        *rules,
        purchase_rule(rate="1.3"),
        {"id": "tea", "award": {"unit": "points", "amount": 1, "per": "3.00", "goods": {"categories": ["tea"]}}},
        {"id": "big", "if": {"op": "at_least", "fact": "order.total", "value": 50}, "multiply": {"unit": "points", "by": 2}},
        {"id": "gift", "if": {"op": "has", "fact": "order.categories", "values": ["cup"]}, "perk": {"name": "saucer"}},
    ]


def a_shop(rules: list[Data]) -> Programme:
    units = {"points": a_unit(rounding={"level": "line"}, spending={"share_percent": 30, "goods": {"categories": ["tea"]}})}
    return a_programme(rules=rules, groups=GROUPS, units=units)


def asked(of: Programme, cart: Order) -> bytes:
    now = books(of)
    now.take(stated(an_order("before", 0, a_line(price=99_900))))
    return msgspec.json.encode(quote(of, now.member, cart))


carts = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9000), st.sampled_from(["tea", "cup"])), min_size=1, max_size=5)


@given(rules=discounts(), cart=carts, seed=st.integers(0, 10**6))
def test_the_order_of_rules_and_lines_and_the_splitting_of_a_line_change_no_byte(
    rules: list[Data], cart: list[tuple[int, int, str]], seed: int
) -> None:
    dice = random.Random(seed)
    lines = [Line(str(i), f"s{i}", q, q * p, 0, categories=(c,)) for i, (q, p, c) in enumerate(cart)]
    order = an_order("cart", DAY, *lines, scale=10)
    rules = some_rules(rules)
    pieces = []
    for line in lines:
        cuts = sorted({0, line.quantity, *(dice.randint(0, line.quantity) for _ in range(2))})
        pieces += [(line, b - a) for a, b in pairwise(cuts)]
    dice.shuffle(pieces)
    parted = tuple(Line(f"p{i}", x.sku, n, x.amount // x.quantity * n, 0, categories=x.categories) for i, (x, n) in enumerate(pieces))
    before = asked(a_shop(rules), order)
    assert asked(a_shop(dice.sample(rules, len(rules))), msgspec.structs.replace(order, lines=parted)) == before
    assert asked(a_shop(rules), order) == before


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(PROGRAMMES)))
def test_asking_changes_neither_member_nor_cart(seed: int, name: str) -> None:
    dice = random.Random(seed)
    of = some_programme(name)
    now = live(of, some_history(dice), dice)
    cart = an_order("cart", 300 * DAY, a_line(price=5000))
    before = msgspec.json.encode((now.member, cart))
    first = quote(of, now.member, cart)
    assert msgspec.json.encode((now.member, cart)) == before
    assert quote(of, now.member, cart) == first


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(PROGRAMMES)))
def test_what_the_quote_promises_the_order_gives(seed: int, name: str) -> None:
    dice = random.Random(seed)
    of = some_programme(name)
    now = live(of, some_history(dice), dice)
    at = Instant(200 * DAY)
    now.pass_time(at)
    cart = an_order("cart", at, a_line(price=dice.randint(1, 90_000)))
    promised = quote(of, now.member, cart)
    now.take(stated(cart))
    given_awards = now.now.orders[cart.key].awards
    assert sorted(given_awards, key=lambda a: a.rule) == list(promised.awards)  # type: ignore[union-attr]
