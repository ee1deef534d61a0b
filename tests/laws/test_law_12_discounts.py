"""Law 12: stages, groups by mode, priority, then id; no line goes below zero or below the floor that the owner sets."""

from typing import Any

import pytest
from builders import Data, a_line, a_programme, an_order, books, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY
from regulars.programme.quote import Quote, quote

GOODS = [{"categories": ["tea"]}, {"skus": ["s0", "s1"]}, {"except_skus": ["s2"]}, None]


@st.composite
def discounts(draw: st.DrawFn) -> list[Data]:
    rules = []
    for i in range(draw(st.integers(1, 6))):
        discount: Data = draw(
            st.one_of(
                st.integers(0, 100).map(lambda p: {"percent": p}),
                st.integers(1, 20_000).map(lambda minor: {"amount": f"{minor // 100}.{minor % 100:02}"}),
            )
        )
        goods = draw(st.sampled_from(GOODS))
        group = draw(st.sampled_from(["", "first", "best", "only"]))
        stage = draw(st.sampled_from([None, "line", "order"]))
        discount |= {"goods": goods} if goods else {}
        discount |= {"group": group} if group else {}
        discount |= {"stage": stage} if stage else {}
        rules.append({"id": f"r{i}", "priority": draw(st.integers(0, 3)), "discount": discount})
    return rules


carts = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 20_000), st.sampled_from(["tea", "cup"])), min_size=1, max_size=5)
GROUPS = {"first": {"mode": "first"}, "best": {"mode": "best"}, "only": {"mode": "exclusive"}}


def priced(rules: list[Data], cart: list[tuple[int, int, str]], **policies: Any) -> Quote:
    of = a_programme(rules=rules, groups=GROUPS, policies=policies)
    answer = quote(of, None, an_order("1", 0, *(a_line(f"s{i}", q, p, categories=(c,)) for i, (q, p, c) in enumerate(cart))))
    assert isinstance(answer, Quote)
    return answer


@given(rules=discounts(), cart=carts, floor=st.integers(0, 100), base=st.sampled_from(["remaining", "original"]))
def test_no_line_goes_below_zero_or_the_owners_floor(rules: list[Data], cart: list[tuple[int, int, str]], floor: int, base: str) -> None:
    answer = priced(rules, cart, price_floor_percent=floor, stacking_base=base)
    for line in answer.lines:
        assert line.discount >= 0
        assert (line.price - line.discount) * 100 >= line.price * floor
    assert sum(amount for _, amount in answer.discounts) == sum(line.discount for line in answer.lines) == answer.total - answer.payable


@given(rules=discounts(), cart=carts)
def test_of_a_first_or_best_group_one_rule_a_stage_applies_and_beside_an_exclusive_one_none(
    rules: list[Data], cart: list[tuple[int, int, str]]
) -> None:
    answer = priced(rules, cart)
    applied = [rule for rule in rules if rule["id"] in dict(answer.discounts)]
    for stage in ("line", "order"):
        here = [
            r["discount"] for r in applied if (r["discount"].get("stage") or ("line" if "goods" in r["discount"] else "order")) == stage
        ]
        groups = [d.get("group", "") for d in here]
        assert groups.count("first") <= 1
        assert groups.count("best") <= 1
        if "only" in groups:
            assert len(groups) == 1


def rule(id: str, group: str = "", priority: int = 0, **discount: Any) -> Data:
    return {"id": id, "priority": priority, "discount": {**discount, **({"group": group} if group else {})}}


CART = [(1, 10_000, "tea")]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("a", percent=10), rule("b", percent=10)], {"a": 1000, "b": 900}),
        ([rule("a", percent=10), rule("b", priority=1, amount="50.00")], {"b": 5000, "a": 500}),
        ([rule("a", "first", percent=10), rule("b", "first", percent=20)], {"a": 1000}),
        ([rule("a", "first", percent=10), rule("b", "first", priority=1, percent=20)], {"b": 2000}),
        ([rule("a", "best", priority=9, percent=10), rule("b", "best", amount="15.00")], {"b": 1500}),
        ([rule("a", "only", percent=10), rule("b", percent=50)], {"a": 1000}),
        ([rule("a", percent=10), rule("b", amount="1000.00")], {"a": 1000, "b": 9000}),
        ([rule("a", percent=50, stage="order"), rule("b", percent=50, stage="line")], {"b": 5000, "a": 2500}),
    ],
)
def test_groups_by_mode_then_priority_then_id(rules: list[Data], expected: dict[str, int]) -> None:
    answer = priced(rules, CART)
    assert dict(answer.discounts) == expected
    assert dict(priced(rules[::-1], CART).discounts) == expected


def test_by_policy_every_percentage_is_of_the_original_price() -> None:
    assert dict(priced([rule("a", percent=10), rule("b", percent=10)], CART, stacking_base="original").discounts) == {"a": 1000, "b": 1000}


CUMULATIVE = {
    "steps": [{"from": "2000.00", "to": "4000.00", "percent": 5}, {"above": "5000.00", "percent": 7}],
    "between": "none",
}


@pytest.mark.parametrize(
    ("spent", "between", "percent"),
    [
        (199_999, "none", 0),
        (200_000, "none", 5),
        (400_000, "none", 5),
        (400_001, "none", 0),
        (400_001, "lower", 5),
        (500_000, "none", 0),
        (500_000, "lower", 5),
        (500_001, "none", 7),
        (9_000_000, "none", 7),
    ],
)
def test_a_cumulative_discount_keeps_its_edges_to_the_smallest_coin(spent: int, between: str, percent: int) -> None:
    of = a_programme(rules=[{"id": "c", "discount": {"cumulative": {**CUMULATIVE, "between": between}}}])
    now = books(of)
    now.take(stated(an_order("1", 0, a_line(price=spent))))
    answer = quote(of, now.member, an_order("2", DAY, a_line(price=10_000)))
    assert isinstance(answer, Quote)
    assert answer.payable == 10_000 - 100 * percent


@pytest.mark.parametrize(("counts", "payable"), [(False, 250_000), (True, 237_500)])
def test_an_order_counts_towards_its_own_discount_only_if_the_programme_says_so(counts: bool, payable: int) -> None:
    of = a_programme(rules=[{"id": "c", "discount": {"cumulative": {**CUMULATIVE, "counts_this_order": counts}}}])
    answer = quote(of, None, an_order("1", 0, a_line(price=250_000)))
    assert isinstance(answer, Quote)
    assert answer.payable == payable
