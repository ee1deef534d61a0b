"""Law 3: one rounding per rule and order, by mode and level; what is spread over lines sums to the figure; equal lines are one line."""

from fractions import Fraction
from math import ceil, floor

import pytest
from builders import a_line, a_programme, a_unit, an_order, balance, books, purchase_rule, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.amount import Rounding, rounded, split
from regulars.programme.facts import Line
from regulars.programme.quote import Quote, quote

lines = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5000)), min_size=1, max_size=5)


def lines_of(pairs: list[tuple[int, int]]) -> list[Line]:
    return [a_line(f"sku{i}", quantity, price) for i, (quantity, price) in enumerate(pairs)]


@given(n=st.integers(-(10**12), 10**12), d=st.integers(1, 10**6))
def test_a_ratio_is_rounded_to_a_neighbour_and_halves_go_away_from_zero(n: int, d: int) -> None:
    exact = Fraction(n, d)
    assert rounded(n, d, Rounding.DOWN) == int(exact)
    assert rounded(n, d, Rounding.UP) == (ceil(exact) if n >= 0 else floor(exact))
    assert rounded(n, d, Rounding.HALF_UP) == (floor(exact + Fraction(1, 2)) if n >= 0 else ceil(exact - Fraction(1, 2)))


@given(total=st.integers(0, 10**12), weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_parts_sum_to_the_whole_and_lie_within_one_of_their_share(total: int, weights: list[int]) -> None:
    parts = split(total, weights)
    if sum(weights):
        assert sum(parts) == total
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(total * weight, sum(weights))) < 1
    else:
        assert parts == [0] * len(weights)


@pytest.mark.parametrize(("mode", "points"), [("down", 2), ("half_up", 3), ("up", 3)])
def test_an_award_of_two_and_a_half_points_by_mode(mode: str, points: int) -> None:
    now = books(a_programme(units={"points": a_unit(rounding={"mode": mode})}, rules=[purchase_rule(rate="0.25")]))
    now.take(stated(an_order("1", 0, a_line(price=1000))))
    assert balance(now) == points


@given(pairs=lines, rate=st.fractions(Fraction(1, 50), 3, max_denominator=50))
def test_level_order_rounds_once_and_level_line_rounds_each_line(pairs: list[tuple[int, int]], rate: Fraction) -> None:
    for level, expected in (
        ("order", int(sum(q * p for q, p in pairs) * rate / 100)),
        ("line", sum(int(q * p * rate / 100) for q, p in pairs)),
    ):
        of = a_programme(units={"points": a_unit(rounding={"level": level})}, rules=[purchase_rule(rate=str(rate))])
        now = books(of)
        now.take(stated(an_order("1", 0, *lines_of(pairs))))
        assert balance(now) == expected


@given(quantity=st.integers(2, 9), cut=st.integers(1, 8), price=st.integers(1, 999), level=st.sampled_from(["order", "line"]))
def test_lines_that_are_equal_but_for_quantity_are_one_line(quantity: int, cut: int, price: int, level: str) -> None:
    cut = min(cut, quantity - 1)
    of = a_programme(units={"points": a_unit(rounding={"level": level})}, rules=[purchase_rule(rate="0.37")])
    whole, parted = books(of), books(of)
    whole.take(stated(an_order("1", 0, a_line("x", quantity, price))))
    parted.take(stated(an_order("1", 0, a_line("x", cut, price, id="1"), a_line("x", quantity - cut, price, id="2"))))
    assert balance(parted) == balance(whole)


@pytest.mark.parametrize(("base", "points"), [("rounded", 4), ("exact", 5)])
def test_a_multiple_applies_to_the_rounded_award_or_by_policy_to_the_exact_one(base: str, points: int) -> None:
    double = {"id": "double", "multiply": {"unit": "points", "by": 2}}
    now = books(a_programme(rules=[purchase_rule(rate="0.25"), double], policies={"multiple_base": base}))
    now.take(stated(an_order("1", 0, a_line(price=1000))))
    assert balance(now) == points


def test_a_multiplied_award_is_rounded_once_more() -> None:
    more = {"id": "more", "multiply": {"unit": "points", "by": "1.5"}}
    now = books(a_programme(rules=[purchase_rule(), more]))
    now.take(stated(an_order("1", 0, a_line(price=399))))
    assert balance(now) == 4


@given(pairs=lines, percent=st.integers(1, 100))
def test_a_discount_is_rounded_half_up_and_its_lines_sum_to_it(pairs: list[tuple[int, int]], percent: int) -> None:
    of = a_programme(rules=[{"id": "off", "discount": {"percent": percent}}])
    answer = quote(of, None, an_order("1", 0, *lines_of(pairs)))
    assert isinstance(answer, Quote)
    total = sum(q * p for q, p in pairs)
    assert answer.discounts in ((("off", floor(Fraction(total * percent, 100) + Fraction(1, 2))),), ())
    assert sum(line.discount for line in answer.lines) == answer.total - answer.payable


@given(parts=st.lists(st.integers(1, 50_000), min_size=1, max_size=6))
def test_a_hundred_percent_off_leaves_exactly_zero_even_with_fractional_prices(parts: list[int]) -> None:
    of = a_programme(rules=[{"id": "free", "discount": {"percent": 100}}])
    answer = quote(of, None, an_order("1", 0, *(a_line(f"s{i}", 1, part) for i, part in enumerate(parts)), scale=10_000))
    assert isinstance(answer, Quote)
    assert answer.payable == 0
    assert all(line.discount <= line.price for line in answer.lines)
