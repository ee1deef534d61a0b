"""Law 2: amounts are integers, ratios exact fractions; no float touches a price, a balance or a ratio."""

import ast
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import ROOT, a_line, a_programme, a_unit, an_order, balance, books, purchase_rule, stated
from hypothesis import example, given
from hypothesis import strategies as st

from regulars.kernel.money import exponent
from regulars.programme.quote import quote

FLOORS = [
    path for floor in ("kernel", "ledger", "programme", "simulation") for path in sorted((ROOT / "src/regulars" / floor).rglob("*.py"))
]
ONLY_WORDS = {"_nearest"}
"""Functions in which a float may stand, because it only measures how alike two words are."""


@pytest.mark.parametrize("path", FLOORS, ids=lambda path: str(path.relative_to(ROOT / "src/regulars")))
def test_no_float_is_written_or_made_on_the_floors_of_money(path: Path) -> None:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef) and function.name not in ONLY_WORDS:
            for node in ast.walk(function):
                assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{function.name}: {node.value}"
                assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"), function.name


def assert_no_float(value: Any) -> None:
    assert not isinstance(value, float)
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            assert_no_float(item)


@example(price=9_007_199_254_740_991, quantity=1, rate=Fraction(300))
@given(price=st.integers(1, 9 * 10**9), quantity=st.integers(1, 10**6), rate=st.fractions(Fraction(1, 1000), 1000))
def test_awards_beyond_a_floats_precision_are_exact(price: int, quantity: int, rate: Fraction) -> None:
    of = a_programme(units={"points": a_unit()}, rules=[purchase_rule(rate=str(rate))])
    now = books(of)
    order = an_order("1", 0, a_line(quantity=quantity, price=price))
    answer = quote(of, None, order)
    now.take(stated(order))
    assert balance(now) == price * quantity * rate / 100 // 1
    assert_no_float(answer)
    assert_no_float(now.now)


@given(parts=st.lists(st.integers(1, 10**9), min_size=1, max_size=6))
def test_unit_prices_may_be_fractions_of_the_minor_unit_but_an_order_total_is_whole(parts: list[int]) -> None:
    of = a_programme(rules=[purchase_rule(rate=100)])
    now = books(of)
    now.take(stated(an_order("1", 0, *(a_line(f"s{i}", 1, part) for i, part in enumerate(parts)), scale=10_000)))
    assert balance(now) == (sum(parts) * 2 + 10_000) // 20_000


def test_points_are_never_rounded_by_a_currencys_rules() -> None:
    for currency, minor in (("JPY", 1), ("KWD", 1000), ("PLN", 100)):
        now = books(a_programme(currency=currency, units={"points": {}}, rules=[purchase_rule(amount=1, per="1")]))
        now.take(stated(an_order("1", 0, a_line(price=7 * minor), currency=currency)))
        assert balance(now) == 7


def test_a_currencys_decimals_are_those_of_iso_4217() -> None:
    assert [exponent(c) for c in ("PLN", "CZK", "UAH", "RUB", "JPY", "ISK", "IQD", "KWD", "CLF")] == [2, 2, 2, 2, 0, 0, 3, 3, 4]
