"""Amounts: rounding mirrors itself, a split sums to what was split, and a number is read exactly or not at all."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.amount import Rounding, fraction, rounded, split

integers = st.integers(-(10**18), 10**18)
positive = st.integers(1, 10**12)


@pytest.mark.parametrize(
    ("numerator", "denominator", "down", "half_up", "up"),
    [(0, 3, 0, 0, 0), (4, 2, 2, 2, 2), (7, 3, 2, 2, 3), (8, 3, 2, 3, 3), (5, 2, 2, 3, 3), (-5, 2, -2, -3, -3), (-7, 3, -2, -2, -3)],
)
def test_a_ratio_is_rounded_down_half_up_or_up(numerator: int, denominator: int, down: int, half_up: int, up: int) -> None:
    assert rounded(numerator, denominator, Rounding.DOWN) == down
    assert rounded(numerator, denominator, Rounding.HALF_UP) == half_up
    assert rounded(numerator, denominator, Rounding.UP) == up


@given(integers, positive, st.sampled_from(Rounding))
def test_a_refund_is_rounded_as_its_award_was(numerator: int, denominator: int, mode: Rounding) -> None:
    assert rounded(-numerator, denominator, mode) == -rounded(numerator, denominator, mode)


@given(integers, positive, st.sampled_from(Rounding))
def test_rounding_moves_a_ratio_by_less_than_one_and_the_right_way(numerator: int, denominator: int, mode: Rounding) -> None:
    exact, whole = Fraction(numerator, denominator), rounded(numerator, denominator, mode)
    assert abs(whole - exact) < 1
    if mode is Rounding.DOWN:
        assert abs(whole) <= abs(exact)
    elif mode is Rounding.UP:
        assert abs(whole) >= abs(exact)
    else:
        assert abs(whole - exact) <= Fraction(1, 2)


def test_what_cannot_be_split_evenly_goes_to_the_largest_remainder_then_to_the_earlier_line() -> None:
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(10, [5, 3, 3]) == [4, 3, 3]
    assert split(1, [1, 2]) == [0, 1]


def test_with_no_weight_at_all_nobody_carries_anything() -> None:
    assert split(100, [0, 0]) == [0, 0]
    assert split(100, []) == []


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1).filter(any))
def test_a_split_always_sums_to_the_figure_and_is_fair_to_one_unit(total: int, weights: list[int]) -> None:
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or not part


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1))
def test_no_line_carries_more_than_its_price_when_the_discount_fits_the_order(total: int, weights: list[int]) -> None:
    fits = min(total, sum(weights))
    assert all(0 <= part <= weight for part, weight in zip(split(fits, weights), weights, strict=True))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", Fraction(3, 2)),
        ("3/2", Fraction(3, 2)),
        (3, Fraction(3)),
        ("-0.25", Fraction(-1, 4)),
        ("12.50", Fraction(25, 2)),
        ("007", Fraction(7)),
    ],
)
def test_a_number_is_read_exactly(text: str | int, value: Fraction) -> None:
    assert fraction(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1e3",
        "1E3",
        "1e999999999",
        "1_000",
        "1,5",
        "+1",
        ".5",
        "5.",
        "1/0",
        "1/-2",
        "1 / 2",
        "inf",
        "nan",
        "½",
        "٣",
        "1\n",
        "9" * 5000,
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a plain number"):
        fraction(text)
