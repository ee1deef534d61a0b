"""Edges of the new facts: what cannot be is refused, lines with tax beside them, codes, and what a document may not limit."""

from typing import Any

import pytest
from builders import a_line, a_programme, an_order, balance, books, by_hand, holding, purchase_rule, stated

from regulars.kernel.errors import Invalid
from regulars.kernel.time import DAY
from regulars.programme.basis import canonical
from regulars.programme.reasons import Reason


def test_a_hold_without_an_end_and_a_correction_of_nothing_are_unsound() -> None:
    now = books(a_programme())
    for fact in (holding(an_order("1", 0, a_line()), 1, 1000, 2**62), by_hand(0, DAY)):
        answer = now.take(fact)
        assert answer.refusal is not None
        assert answer.refusal.reason is Reason.UNSOUND
    assert now.facts == []


def test_an_order_cannot_come_from_a_source_that_names_corrections_or_cost_less_than_nothing() -> None:
    for order in (an_order("1", 0, a_line(), source="adjustment"), an_order("1", 0, a_line(cost=-1))):
        answer = books(a_programme()).take(stated(order))
        assert answer.refusal is not None
        assert answer.refusal.reason is Reason.UNSOUND


@pytest.mark.parametrize(("included", "points"), [(True, 80), (False, 100)])
def test_net_prices_are_without_tax_where_the_shown_price_has_it_inside(included: bool, points: int) -> None:
    now = books(a_programme(policies={"basis": "net"}))
    now.take(stated(an_order("1", 0, a_line(price=10_000, tax=2_000, tax_included=included))))
    assert balance(now) == points


def test_lines_are_one_only_when_tax_cost_and_parent_are_equal_too() -> None:
    same = [a_line("tea", 1, 500, id=id, cost=100) for id in "ab"]
    (one,) = canonical(same)
    assert (one.quantity, one.cost) == (2, 200)
    for other in ({"tax_included": False}, {"cost": 90}, {"parent": "set"}):
        assert len(canonical([*same, a_line("tea", 1, 500, id="c", **{"cost": 100, **other})])) == 2


@pytest.mark.parametrize(("codes", "points"), [(("WELCOME",), 15), (("OTHER", "WELCOME"), 15), ((), 10)])
def test_a_code_that_the_customer_entered_is_a_fact_of_the_order(codes: tuple[str, ...], points: int) -> None:
    welcome = {"op": "has", "fact": "order.codes", "values": ["WELCOME"]}
    now = books(a_programme(rules=[purchase_rule(), {"id": "w", "if": welcome, "award": {"unit": "points", "amount": 5}}]))
    now.take(stated(an_order("1", 0, a_line(), codes=codes)))
    assert balance(now) == points


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ({"multiply": {"unit": "points", "by": 2}, "limit": {"uses": 1}}, "rules[0].limit"),
        ({"award": {"unit": "points", "amount": 1}, "limit": {}}, "rules[0].limit"),
        ({"award": {"unit": "points", "amount": 1}, "limit": {"uses": 1, "units": 1}}, "rules[0].limit"),
        ({"perk": {"name": "vase"}, "limit": {"units": 5}}, "rules[0].limit.units"),
        ({"perk": {"name": "vase"}, "limit": {"uses": 5, "over": "reduce"}}, "rules[0].limit.over"),
        ({"perk": {"name": "vase"}, "limit": {"uses": 0}}, "rules[0].limit.uses"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_with_its_place_and_a_hint(rule: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as caught:
        a_programme(rules=[{"id": "r", **rule}])
    (problem,) = caught.value.problems
    assert problem.where == where
    assert problem.hint


def test_what_there_is_of_each_limit_is_known_by_name() -> None:
    of = a_programme(
        {"rules": [{**purchase_rule(), "limit": {"units": 100}}]},
        {
            "version": 2,
            "applies_from": "1970-02-01",
            "rules": [{**purchase_rule(), "limit": {"units": 300}}],
        },
    )
    assert (of.versions[0].capacities, of.capacities) == ({"rule:purchase": 100}, {"rule:purchase": 300})
