"""Law 18: a tier is a fold of counted spend (returns subtract) and the policy; computing it again gives the tier the member has."""

import random
from typing import Any

import pytest
from builders import a_line, a_programme, an_order, books, changed, live, some_history, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY

LEVELS = [{"id": "basic", "from": 0}, {"id": "silver", "from": "100.00"}, {"id": "gold", "from": "300.00"}]


def ladder(**keys: Any) -> dict[str, Any]:
    more = {"id": "gold-double", "if": {"op": "in", "fact": "tier.status", "values": ["gold"]}, "multiply": {"unit": "points", "by": 2}}
    purchase = {"id": "purchase", "award": {"unit": "points", "amount": 1, "per": "1.00"}}
    return {"tiers": {"status": {"levels": LEVELS, **keys}}, "rules": [purchase, more]}


def level_of(spend: int) -> str:
    return "gold" if spend >= 30_000 else "silver" if spend >= 10_000 else "basic"


@given(seed=st.integers(0, 2**32))
def test_the_level_is_that_of_the_spend_on_kept_goods(seed: int) -> None:
    dice = random.Random(seed)
    now = live(a_programme(**ladder()), some_history(dice, 6), dice)
    spend = sum(book.spend for book in now.now.orders.values() if book.state is not None)
    assert now.member.spend == spend
    assert now.member.tiers == {"status": level_of(spend)}


@given(seed=st.integers(0, 2**32))
def test_by_policy_a_level_once_reached_stays(seed: int) -> None:
    dice = random.Random(seed)
    history = some_history(dice, 6)
    now = books(a_programme(**ladder(review="never")))
    highest = 0
    for event in history:
        for fact in event:
            if not isinstance(fact, str):
                now.take(fact)
                highest = max(highest, now.member.spend)
    assert now.member.tiers == {"status": level_of(highest)}


@pytest.mark.parametrize(("upgrade", "points"), [("next_order", 300), ("same_order", 600)])
def test_the_order_that_reaches_a_level_has_its_benefits_only_if_the_ladder_says_so(upgrade: str, points: int) -> None:
    now = books(a_programme(**ladder(upgrade=upgrade)))
    now.take(stated(an_order("1", 0, a_line(price=30_000))))
    assert sum(lot.remaining for lot in now.member.lots) == points
    now.take(stated(an_order("2", DAY, a_line(price=1000))))
    assert sum(lot.remaining for lot in now.member.lots) == points + 20


def test_the_edge_of_a_level_belongs_to_it() -> None:
    for price, level in ((9_999, "basic"), (10_000, "silver"), (29_999, "silver"), (30_000, "gold")):
        now = books(a_programme(**ladder()))
        now.take(stated(an_order("1", 0, a_line(price=price))))
        assert now.member.tiers == {"status": level}


def test_a_return_is_judged_by_the_level_held_at_purchase() -> None:
    now = books(a_programme(**ladder()))
    first = an_order("1", 0, a_line(price=30_000))
    second = an_order("2", DAY, a_line(quantity=2, price=1000))
    now.take(stated(first))
    now.take(stated(second))
    now.take(stated(changed(first), 2 * DAY))
    assert now.member.tiers == {"status": "basic"}
    now.take(stated(changed(second, a_line(quantity=1, price=1000)), 3 * DAY))
    assert sum(lot.remaining for lot in now.member.lots) == 20


def test_on_a_ladder_that_upgrades_with_the_same_order_a_return_that_undoes_the_level_undoes_its_benefit() -> None:
    now = books(a_programme(**ladder(upgrade="same_order")))
    order = an_order("1", 0, a_line(quantity=3, price=10_000))
    now.take(stated(order))
    assert sum(lot.remaining for lot in now.member.lots) == 600
    now.take(stated(changed(order, a_line(quantity=2, price=10_000)), DAY))
    assert sum(lot.remaining for lot in now.member.lots) == 200


def test_a_new_version_with_other_thresholds_moves_nobody_before_their_next_order() -> None:
    higher = [{"id": "basic", "from": 0}, {"id": "silver", "from": "500.00"}]
    of = a_programme(
        {"version": 1, **ladder()}, {"version": 2, "applies_from": "1970-01-10", "tiers": {"status": {"levels": higher}}, "rules": []}
    )
    now = books(of)
    now.take(stated(an_order("1", 0, a_line(price=15_000))))
    now.pass_time(20 * DAY)
    assert now.member.tiers == {"status": "silver"}
