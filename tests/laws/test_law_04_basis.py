"""Law 4: an award's basis is the shown price of the eligible lines after discounts and after the part paid with points."""

from fractions import Fraction
from math import floor

import pytest
from builders import a_line, a_programme, a_unit, an_order, balance, books, paying, purchase_rule, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY
from regulars.programme.basis import Basis
from regulars.programme.explain import Told, explain_order
from regulars.programme.facts import Line, LineKind
from regulars.programme.policies import Policies

lines = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 9000), st.integers(0, 100), st.sampled_from(["tea", "cup", "gift"])), min_size=1, max_size=6
)


def lines_of(rows: list[tuple[int, int, int, str]]) -> list[Line]:
    return [
        a_line(f"s{i}", quantity, price, discount=quantity * price * off // 100, categories=(category,))
        for i, (quantity, price, off, category) in enumerate(rows)
    ]


@given(rows=lines, off=st.integers(0, 500))
def test_the_basis_is_what_was_paid_after_line_and_order_discounts(rows: list[tuple[int, int, int, str]], off: int) -> None:
    goods = lines_of(rows)
    paid = sum(line.amount - line.discount for line in goods)
    now = books(a_programme(rules=[purchase_rule(rate=100)]))
    now.take(stated(an_order("1", 0, *goods, discount=min(off, paid))))
    assert balance(now) == paid - min(off, paid)


@given(rows=lines, whole=st.integers(0, 2000))
def test_chosen_goods_earn_on_their_own_part_and_parts_sum_to_the_whole(rows: list[tuple[int, int, int, str]], whole: int) -> None:
    goods = lines_of(rows)
    order = an_order("1", 0, *goods, discount=min(whole, sum(line.amount - line.discount for line in goods)))
    of = a_programme()
    basis = Basis(order, of.latest.policies)
    lines_paid = basis.lines_of(None)
    assert sum(paid for _, paid in lines_paid) == basis.paid
    assert all(paid >= 0 for _, paid in lines_paid)


def test_the_part_paid_with_points_does_not_earn() -> None:
    now = books(a_programme())
    now.take(stated(an_order("1", 0, a_line(price=100_000))))
    second = an_order("2", DAY, a_line(price=10_000))
    assert now.take(paying(second, 1000, 10_000)).granted == 1000
    now.take(stated(second))
    assert balance(now) == 90


@pytest.mark.parametrize(("kinds", "points"), [(["goods"], 10), (["goods", "delivery"], 15), (["goods", "gift_card"], 40)])
def test_delivery_and_gift_cards_earn_only_if_the_programme_says_so(kinds: list[str], points: int) -> None:
    now = books(a_programme(policies={"basis_includes": kinds}))
    now.take(
        stated(an_order("1", 0, a_line(), a_line("post", 1, 500, kind=LineKind.DELIVERY), a_line("card", 1, 3000, kind=LineKind.GIFT_CARD)))
    )
    assert balance(now) == points


@given(price=st.integers(1, 100_000), rate=st.integers(0, 30))
def test_by_policy_the_basis_is_without_tax(price: int, rate: int) -> None:
    tax = price * rate // (100 + rate)
    order = an_order("1", 0, a_line(price=price, tax=tax))
    assert Basis(order, Policies(basis="net")).paid == price - tax
    assert Basis(order, Policies()).paid == price


@given(price=st.integers(1, 100_000), tax=st.integers(0, 99), off=st.integers(0, 100))
def test_without_tax_a_discount_lowers_the_tax_with_the_price(price: int, tax: int, off: int) -> None:
    inside, discount = price * tax // 100, price * off // 100
    order = an_order("1", 0, a_line(price=price, tax=inside, discount=discount))
    exact = Fraction(price - discount) * (price - inside) / price
    assert Basis(order, Policies(basis="net")).paid == floor(exact + Fraction(1, 2))


@given(rows=lines)
def test_each_award_keeps_its_breakdown_per_line_and_the_lines_sum_to_it(rows: list[tuple[int, int, int, str]]) -> None:
    rules = [purchase_rule(rate="1.7"), {"id": "tea", "award": {"unit": "points", "percent": 3, "goods": {"categories": ["tea"]}}}]
    of = a_programme(units={"points": a_unit()}, rules=rules)
    from regulars.programme.decide import decide
    from regulars.programme.dossier import EMPTY

    now = books(of)
    fact = stated(an_order("1", 0, *lines_of(rows)))
    decision = decide(of, now.member, EMPTY, fact)
    passage = explain_order(of, [Told(fact, decision)], "shop:1")[0]
    told = {d.text.args["rule"]: d for d in passage.details if d.text.key == "award.given"}
    assert decision.order is not None
    assert {award.rule for award in decision.order.awards} == set(told)
    for award in decision.order.awards:
        parts = [d.text.args for d in told[award.rule].details if d.text.key == "award.line"]
        assert sum(int(part["amount"]) for part in parts) == award.amount  # type: ignore[arg-type]
        assert sum(part["basis"].minor for part in parts) == award.basis  # type: ignore[union-attr]


def test_an_order_in_another_currency_earns_at_the_rate_frozen_at_purchase() -> None:
    from regulars.programme.facts import Rate

    now = books(a_programme())
    now.take(stated(an_order("1", 0, a_line(price=1000), currency="EUR", rate=Rate(43, 10, "bank"))))
    assert balance(now) == 43


def test_net_prices_are_spread_by_what_is_left_of_each_line_without_tax() -> None:
    rounding = {"mode": "down", "level": "line"}
    programme = a_programme(units={"points": a_unit(rounding=rounding)}, rules=[purchase_rule(rate="0.5")], policies={"basis": "net"})
    lines = (a_line("food", price=10_300, tax=300), a_line("wine", price=12_300, tax=2_300))
    now = books(programme)
    now.take(stated(an_order("1", 0, *lines)))
    assert balance(now) == 50 + 50
