"""Law 15: earn - clawed back = what the order would have earned with only the kept goods, under the version of its purchase."""

import random
from typing import Any

import msgspec
import pytest
from builders import (
    PROGRAMMES,
    a_line,
    a_programme,
    a_unit,
    an_order,
    balance,
    books,
    changed,
    fewer,
    paying,
    purchase_rule,
    some_lines,
    some_programme,
    stated,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, Instant
from regulars.ledger.accounts import Account
from regulars.ledger.transfers import balances
from regulars.programme.basis import Basis
from regulars.simulation.books import Books

names = st.sampled_from(sorted(PROGRAMMES))


def earned(now: Books, unit: str = "points") -> int:
    """Issued less clawed back."""
    sums = balances(now.transfers)
    return -sums[unit, Account.ISSUED] - sums[unit, Account.CLAWED_BACK]  # type: ignore[index]


@given(seed=st.integers(0, 2**32), name=names)
def test_what_stays_is_what_the_kept_goods_would_have_earned(seed: int, name: str) -> None:
    dice = random.Random(seed)
    of = some_programme(name)
    now = books(of)
    order = an_order("1", 0, *some_lines(dice))
    now.take(stated(order))
    bought = order.lines
    for step in range(1, dice.randint(2, 6)):
        order = changed(order, *dice.choice((fewer(dice, bought), fewer(dice, order.lines), bought, ())))
        now.take(stated(order, step * DAY))
    alone = books(of)
    if order.lines:
        alone.take(stated(msgspec.structs.replace(order, sequence=1)))
    assert earned(now) == earned(alone)


@given(seed=st.integers(0, 2**32), name=names, pay=st.integers(0, 400))
def test_any_sequence_of_partial_returns_ends_as_one_return_of_all_of_them(seed: int, name: str, pay: int) -> None:
    dice = random.Random(seed)
    of = some_programme(name)
    order = an_order("2", 30 * DAY, *some_lines(dice))
    states = [order]
    for _ in range(dice.randint(1, 4)):
        states.append(changed(states[-1], *fewer(dice, states[-1].lines)))
    slowly, at_once = books(of), books(of)
    for now in (slowly, at_once):
        now.take(stated(an_order("1", 15 * DAY, a_line(price=77_700))))
        now.pass_time(Instant(30 * DAY))
        now.take(paying(order, pay, 10**6))
        now.take(stated(order))
    for state in states[1:]:
        slowly.take(stated(state, 40 * DAY))
    at_once.take(stated(states[-1], 40 * DAY))
    assert slowly.member == at_once.member
    assert balances(slowly.transfers) == balances(at_once.transfers)
    assert slowly.now.orders == at_once.now.orders


def test_a_return_is_judged_by_the_version_of_the_purchase() -> None:
    of = a_programme({"version": 1}, {"version": 2, "applies_from": "1970-02-01", "rules": [purchase_rule(amount=7, per="1.00")]})
    now = books(of)
    old, new = an_order("old", 0, a_line(quantity=2)), an_order("new", 40 * DAY, a_line(quantity=2))
    now.take(stated(old))
    now.take(stated(new))
    assert balance(now) == 20 + 140
    now.take(stated(changed(old, a_line(quantity=1)), 50 * DAY))
    now.take(stated(changed(new, a_line(quantity=1)), 51 * DAY))
    assert balance(now) == 10 + 70


def test_multiples_come_back_with_the_goods_that_earned_them() -> None:
    now = books(some_programme("multiples"))
    now.take(stated(an_order("1", 0, a_line(price=10_000))))
    second = an_order("2", DAY, a_line(quantity=2, price=10_000))
    now.take(stated(second))
    assert balance(now) == 100 + 400
    now.take(stated(changed(second, a_line(quantity=1, price=10_000)), 2 * DAY))
    assert balance(now) == 100 + 200


@pytest.mark.parametrize(("policy", "third"), [("keep", 300), ("recompute", 200)])
def test_awards_of_other_orders_change_only_where_the_policy_counts_them_anew(policy: str, third: int) -> None:
    plain: dict[str, Any] = PROGRAMMES["multiples"]
    now = books(a_programme(**{**plain, "policies": {"multiples_on_return": policy}}))
    orders = [an_order(str(n), n * DAY, a_line(price=10_000)) for n in (1, 2, 3)]
    for order in orders:
        now.take(stated(order))
    assert balance(now) == 100 + 200 + 300
    now.take(stated(changed(orders[0]), 5 * DAY))
    assert balance(now) == {"keep": 200, "recompute": 100}[policy] + third


@given(whole=st.integers(1, 50_000), refunded=st.integers(0, 50_000))
def test_a_refund_without_goods_lowers_the_basis_of_the_whole_order(whole: int, refunded: int) -> None:
    refunded = min(whole, refunded)
    now = books(a_programme(rules=[purchase_rule(rate=100)]))
    order = an_order("1", 0, a_line(price=whole))
    now.take(stated(order))
    now.take(stated(changed(order, *order.lines, refunded=refunded), DAY))
    assert balance(now) == whole - refunded


@given(prices=st.lists(st.integers(1, 5000), min_size=2, max_size=5), share=st.integers(0, 100))
def test_a_refund_without_goods_is_spread_by_price_and_the_parts_sum_to_it(prices: list[int], share: int) -> None:
    of = a_programme(units={"points": a_unit()})
    refunded = sum(prices) * share // 100
    order = an_order("1", 0, *(a_line(f"s{i}", 1, price) for i, price in enumerate(prices)), refunded=refunded)
    basis = Basis(order, of.latest.policies)
    assert sum(paid for _, paid in basis.lines_of(None)) == sum(prices) - refunded
