"""Law 16: a reversal takes from the award's own lot first, then from others, then makes a debt; spent value returns to its lots."""

import random

import msgspec
import pytest
from builders import (
    a_line,
    a_programme,
    a_unit,
    an_order,
    balance,
    books,
    changed,
    live,
    paying,
    purchase_rule,
    some_history,
    some_programme,
    stated,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, Instant
from regulars.ledger.accounts import Account, Movement
from regulars.programme.definition import Programme
from regulars.simulation.books import Books
from regulars.simulation.capacities import Capacities

amounts = st.integers(1, 400)


def bought(of: Programme, *points: int) -> Books:
    """One order a day, each worth so many points."""
    now = books(of)
    for day, amount in enumerate(points):
        now.take(stated(an_order(f"o{day}", day * DAY, a_line(price=amount * 100))))
    return now


def lots(now: Books) -> dict[str, int]:
    return {lot.id.split(":")[1]: lot.remaining for lot in now.member.lots}


@given(first=amounts, second=amounts, third=amounts, spent=st.integers(0, 1200))
def test_a_reversal_takes_from_its_own_lot_then_from_others_then_makes_a_debt(first: int, second: int, third: int, spent: int) -> None:
    of = a_programme(units={"points": a_unit(expiry={"after": "1 year"})})
    now = bought(of, first, second, third)
    if spent:
        now.take(paying(an_order("p", 5 * DAY, a_line(price=10**6)), min(spent, first + second + third), 10**6))
    before = {"o0": 0, "o1": 0, "o2": 0, **lots(now)}
    state = now.now.orders["shop:o1"].state
    assert state is not None
    now.take(stated(changed(state), 6 * DAY))
    own = min(before["o1"], second)
    from_first = min(before["o0"], second - own)
    from_third = min(before["o2"], second - own - from_first)
    assert {"o0": 0, "o1": 0, "o2": 0, **lots(now)} == {"o0": before["o0"] - from_first, "o1": 0, "o2": before["o2"] - from_third}
    assert now.member.debt.get("points", 0) == second - own - from_first - from_third  # type: ignore[call-overload]


@given(first=st.integers(2, 400), later=amounts)
def test_a_debt_is_repaid_by_later_awards_before_they_can_be_spent(first: int, later: int) -> None:
    now = bought(a_programme(), first)
    now.take(paying(an_order("p", DAY, a_line(price=10**6)), first, 10**6))
    state = now.now.orders["shop:o0"].state
    assert state is not None
    now.take(stated(changed(state), 2 * DAY))
    assert now.member.debt == {"points": first}
    now.take(stated(an_order("later", 3 * DAY, a_line(price=later * 100))))
    assert now.member.debt.get("points", 0) == max(0, first - later)  # type: ignore[call-overload]
    assert lots(now).get("later", 0) == max(0, later - first)


@given(first=amounts, back=st.booleans())
def test_by_policy_the_shortfall_is_written_off_and_a_reopened_order_restores_it(first: int, back: bool) -> None:
    now = bought(a_programme(policies={"shortfall": "write_off"}), first)
    now.take(paying(an_order("p", DAY, a_line(price=10**6)), first, 10**6))
    state = now.now.orders["shop:o0"].state
    assert state is not None
    gone = changed(state)
    now.take(stated(gone, 2 * DAY))
    assert (balance(now), now.member.debt) == (0, {})
    if back:
        now.take(stated(changed(gone, *state.lines), 3 * DAY))
        assert balance(now) == 0


@given(first=amounts, second=amounts, spent=st.integers(1, 800), kept=st.integers(0, 7))
def test_spent_value_comes_back_into_the_lots_it_came_from_with_their_dates(first: int, second: int, spent: int, kept: int) -> None:
    of = a_programme(units={"points": a_unit(expiry={"after": "1 year"})})
    now = bought(of, first, second)
    dates = {lot.id: (lot.earned_at, lot.expires_at) for lot in now.member.lots}
    spent = min(spent, first + second)
    order = an_order(
        "p",
        5 * DAY,
        a_line(quantity=7, price=10_000, sku="seven"),
    )
    assert now.take(paying(order, spent, 70_000)).granted == spent
    now.take(stated(order))
    less = changed(order, *([a_line(quantity=kept, price=10_000, sku="seven")] if kept else []))
    now.take(stated(less, 6 * DAY))
    book = now.now.orders[order.key]
    assert book.redemption is not None
    stays = -(-spent * kept // 7)
    assert book.redemption.back == spent - stays
    for lot in now.member.lots:
        if lot.id in dates:
            assert (lot.earned_at, lot.expires_at) == dates[lot.id]
    left_of_first, left_of_second = first - min(first, stays), second - max(0, stays - first)
    held = lots(now)
    assert (held.get("o0", 0), held.get("o1", 0)) == (left_of_first, left_of_second)


@pytest.mark.parametrize(
    ("grace", "returned", "ends"), [(None, 35, 35), ("10 days", 20, 31), ("10 days", 28, 38), ("10 days", 35, 41), ("10 days", 60, 60)]
)
def test_value_comes_back_with_its_old_end_plus_at_most_the_days_of_grace(grace: str | None, returned: int, ends: int) -> None:
    """The lot ends with day 30; grace lets it be used up to ten days after its return, never more than ten after its end."""
    policies = {"lot_boundary": "instant", **({"reinstated_grace": grace} if grace else {})}
    now = bought(a_programme(units={"points": a_unit(expiry={"after": "31 days"})}, policies=policies), 50)
    order = an_order("p", 10 * DAY, a_line(price=99))
    now.take(paying(order, 50, 99))
    now.take(stated(order))
    now.take(stated(changed(order), returned * DAY))
    assert balance(now) == (50 if ends > returned else 0)
    now.pass_time(Instant(max(ends, returned) * DAY - 1))
    assert balance(now) == (50 if ends > returned else 0)
    now.pass_time(Instant(ends * DAY))
    assert balance(now) == 0


def test_grace_is_granted_once_however_often_value_is_spent_and_returned() -> None:
    policies = {"lot_boundary": "instant", "reinstated_grace": "10 days"}
    now = bought(a_programme(units={"points": a_unit(expiry={"after": "30 days"})}, policies=policies), 50)
    for n in range(8):
        order = an_order(f"p{n}", (25 + 4 * n) * DAY, a_line(price=99))
        if now.take(paying(order, 50, 99)).granted:
            now.take(stated(order))
            now.take(stated(changed(order), (27 + 4 * n) * DAY))
    assert max((lot.expires_at for lot in now.member.lots), default=0) <= 40 * DAY
    now.pass_time(Instant(60 * DAY))
    assert balance(now) == 0


def test_a_debt_that_was_repaid_comes_back_into_the_lots_that_repaid_it() -> None:
    of = a_programme(units={"points": a_unit(expiry={"after": "30 days"})})
    now = bought(of, 100)
    state = now.now.orders["shop:o0"].state
    assert state is not None
    paid = an_order("p", DAY, a_line(price=99))
    now.take(paying(paid, 99, 99))
    now.take(stated(paid))
    gone = changed(state)
    now.take(stated(gone, 20 * DAY))
    now.take(stated(an_order("x", 25 * DAY, a_line(price=10_000))))
    assert lots(now) == {"x": 1}
    now.take(stated(changed(gone, *state.lines), 40 * DAY))
    assert lots(now) == {"x": 100}


@pytest.mark.parametrize("shortfall", ["debt", "write_off"])
@given(seed=st.integers(0, 2**32))
def test_returned_and_reopened_the_member_holds_what_they_held_in_the_lots_they_held_it(shortfall: str, seed: int) -> None:
    dice = random.Random(seed)
    of = a_programme(policies={"shortfall": shortfall})
    now = bought(of, *(dice.randint(1, 300) for _ in range(4)))
    now.take(paying(an_order("p", 5 * DAY, a_line(price=10**6)), dice.randint(1, balance(now)), 10**6))
    before = msgspec.structs.replace(now.member, clock=Instant(0))
    key = f"shop:o{dice.randrange(4)}"
    state = now.now.orders[key].state
    assert state is not None
    gone = changed(state)
    now.take(stated(gone, 6 * DAY))
    now.take(stated(changed(gone, *state.lines), 7 * DAY))
    assert msgspec.structs.replace(now.member, clock=Instant(0)) == before


@given(seed=st.integers(0, 2**32), name=st.sampled_from(["plain", "multiples", "levels", "waiting"]))
def test_a_debt_and_usable_points_never_stand_side_by_side(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    owing = {book.key for book in now.now.orders.values() if book.redemption is not None and book.redemption.owed}
    for unit in now.member.debt:  # what an order earned never pays for that order, not even its debt
        assert not [lot for lot in now.member.lots if lot.unit == unit and not lot.is_pending and lot.id.rpartition(":")[0] not in owing]


def test_a_gift_that_came_with_an_order_is_taken_out_when_the_order_comes_back() -> None:
    now = books(some_programme("multiples"))
    order = an_order("2", DAY, a_line())
    now.take(stated(an_order("1", 0, a_line())))
    now.take(stated(order))
    assert now.now.orders[order.key].perks == ("gift",)
    now.take(stated(changed(order), 2 * DAY))
    assert now.now.orders[order.key].perks == ()


def test_each_reversal_names_where_it_was_taken() -> None:
    now = bought(a_programme(), 100, 100)
    now.take(paying(an_order("p", 5 * DAY, a_line(price=10**6)), 150, 10**6))
    state = now.now.orders["shop:o0"].state
    assert state is not None
    now.take(stated(changed(state), 6 * DAY))
    reversals = [(t.source, t.amount, t.lot) for t in now.transfers if t.movement is Movement.REVERSAL]
    assert reversals == [(Account.ACTIVE, 50, "shop:o1:points"), (Account.DEBT, 50, None)]


@pytest.mark.parametrize(("returns", "left"), [("give_back", 100), ("keep", 0)])
def test_what_an_order_drew_of_a_limit_comes_back_with_its_goods_as_the_limit_says(returns: str, left: int) -> None:
    of = a_programme(rules=[{**purchase_rule(), "limit": {"units": 100, "returns": returns}}])
    capacities = Capacities(of.capacities)
    now = books(of, capacities=capacities)
    order = an_order("1", 0, a_line(quantity=4, price=2_500))
    now.take(stated(order))
    now.take(stated(changed(order, a_line(quantity=1, price=2_500)), DAY))
    assert (balance(now), capacities.left("rule:purchase")) == (25, 75 * left // 100)
    now.take(stated(msgspec.structs.replace(changed(order), sequence=3), 2 * DAY))
    assert (balance(now), capacities.left("rule:purchase")) == (0, left)


@given(parts=st.lists(st.integers(0, 9), min_size=1, max_size=6), most=st.integers(1, 1000))
def test_after_any_returns_the_order_has_what_its_kept_goods_earn_within_what_it_was_granted(parts: list[int], most: int) -> None:
    of = a_programme(rules=[{**purchase_rule(), "limit": {"units": most, "over": "reduce"}}])
    capacities = Capacities(of.capacities)
    now = books(of, capacities=capacities)
    order = an_order("1", 0, a_line(quantity=9, price=10_000))
    now.take(stated(order))
    for day, kept in enumerate(parts, 1):
        order = changed(order, *([a_line(quantity=kept, price=10_000)] if kept else []))
        now.take(stated(order, day * DAY))
        assert balance(now) == capacities.drawn["rule:purchase"] == min(kept * 100, most)
