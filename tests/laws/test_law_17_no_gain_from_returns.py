"""Law 17: earn, spend, return, reopen in any order never leaves the member better off than having bought only what was kept."""

import random
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from builders import POINTS, PROGRAMMES, a_programme, a_unit, balance, books, live, purchase_rule, some_history
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, Instant
from regulars.programme.basis import Basis, money_kept
from regulars.programme.definition import Programme
from regulars.programme.entitlement import entitlement
from regulars.simulation.books import Books

MULTIPLES: list[dict[str, Any]] = [
    purchase_rule(),
    {"id": "double", "if": {"op": "nth", "orders": [2]}, "multiply": {"unit": "points", "by": 2}},
    {"id": "triple", "if": {"op": "nth", "orders": [3]}, "multiply": {"unit": "points", "by": 3}},
]
STRICT: dict[str, dict[str, Any]] = {
    "plain": {},
    "waiting": {"units": {"points": a_unit(activation={"after": "9 days"})}},
    "expiring": {"units": {"points": a_unit(expiry={"after": "20 days"})}},
    "in part": {"units": {"points": a_unit(value="0.02", spending={"step": 5, "share_percent": 40})}},
    "multiples, counted anew": {"rules": MULTIPLES, "policies": {"multiples_on_return": "recompute"}},
}


def held_and_used(now: Books) -> Fraction:
    """In points: those on the account and in open holds, debt counted, and the money that value still pays for kept goods."""
    version = now.programme.latest
    used = 0
    for book in now.now.orders.values():
        if book.redemption is not None and book.purchase is not None and book.state is not None:
            used += money_kept(Basis(book.purchase, version.policies, book.redemption.money), book.state)
        elif book.redemption is not None:
            used += book.redemption.money
    pending = sum(lot.remaining for lot in now.member.lots if lot.is_pending)
    return balance(now) + pending + now.member.held.get(POINTS, 0) + used / version.purses[POINTS].value


def of_kept_orders_alone(of: Programme, now: Books) -> int:
    """What the kept goods give when nothing else had ever been bought, in the order in which they were bought."""
    number, spend, points = 0, 0, 0
    version = of.latest
    for book in sorted(now.now.orders.values(), key=lambda b: (b.stated_at or 0, b.key)):
        if book.state is None or book.situation is None or book.purchase is None or not book.state.lines:
            continue
        number += 1
        value = 0
        if book.redemption is not None:
            value = money_kept(Basis(book.purchase, version.policies, book.redemption.money), book.state)
        basis = Basis(book.state, version.policies, value)
        situation = msgspec.structs.replace(book.situation, number=number, spend=spend)
        points += sum(award.amount for award in entitlement(version, book.state, situation, basis)[0])
        spend += basis.paid
    return points


@pytest.mark.parametrize("name", STRICT)
@given(seed=st.integers(0, 2**32))
def test_no_history_of_returns_leaves_more_than_the_kept_orders_alone(name: str, seed: int) -> None:
    of = a_programme(**STRICT[name])
    dice = random.Random(seed)
    now = live(of, some_history(dice, 6), dice, by_hand_too=False)
    now.pass_time(Instant(300 * DAY))
    assert held_and_used(now) <= of_kept_orders_alone(of, now)


@pytest.mark.slow
@pytest.mark.parametrize("thousand", range(10))
def test_ten_thousand_histories_of_returns_leave_no_gain(thousand: int) -> None:
    programmes = [a_programme(**plain) for plain in STRICT.values()]
    for seed in range(thousand * 1000, thousand * 1000 + 1000):
        of, dice = programmes[seed % len(programmes)], random.Random(seed)
        now = live(of, some_history(dice, 6), dice, by_hand_too=False)
        now.pass_time(Instant(300 * DAY))
        assert held_and_used(now) <= of_kept_orders_alone(of, now), seed


@pytest.mark.parametrize(
    "plain",
    [{"rules": MULTIPLES}, PROGRAMMES["multiples"], {"rules": MULTIPLES, "policies": {"returned_orders_count": True}}],
    ids=["keep", "keep, expiring", "returned orders count"],
)
@given(seed=st.integers(0, 2**32))
def test_where_a_policy_keeps_multiples_the_excess_is_at_most_what_the_multiples_added(plain: dict[str, Any], seed: int) -> None:
    of = a_programme(**plain)
    dice = random.Random(seed)
    now = live(of, some_history(dice, 6), dice, by_hand_too=False)
    added = sum(award.amount - award.base for book in now.now.orders.values() for award in book.awards)
    assert held_and_used(now) <= of_kept_orders_alone(of, now) + added


@given(seed=st.integers(0, 2**32))
def test_where_shortfalls_are_written_off_the_excess_is_at_most_what_was_written_off(seed: int) -> None:
    of = a_programme(policies={"shortfall": "write_off"})
    dice = random.Random(seed)
    now = live(of, some_history(dice, 6), dice, by_hand_too=False)
    lost = sum(h.written_off for book in now.now.orders.values() for h in book.holdings.values())
    lost += sum(book.redemption.written_off for book in now.now.orders.values() if book.redemption is not None)
    lost += sum(hold.redemption.written_off for hold in now.member.holds)
    assert held_and_used(now) <= of_kept_orders_alone(of, now) + lost


def test_buying_for_points_and_returning_both_orders_leaves_nothing() -> None:
    from builders import a_line, an_order, changed, paying, stated

    now = books(a_programme())
    first, second = an_order("1", 0, a_line(price=50_000)), an_order("2", DAY, a_line(price=50_000))
    now.take(stated(first))
    now.take(paying(second, 500, 50_000))
    now.take(stated(second))
    now.take(stated(changed(first), 2 * DAY))
    now.take(stated(changed(second), 3 * DAY))
    assert (now.member.lots, now.member.debt) == ((), {})
