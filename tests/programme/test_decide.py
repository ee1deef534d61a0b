"""Decisions at the edges: what a shop may send, whatever it is, gets an answer, and no value is made or lost by it."""

import msgspec
import pytest
from builders import Data, a_line, a_programme, a_unit, an_order, balance, books, changed, paying, purchase_rule, stated

from regulars.kernel.time import DAY, NEVER, Instant
from regulars.programme.decide import decide
from regulars.programme.definition import Programme
from regulars.programme.dossier import EMPTY
from regulars.programme.facts import LineKind, Order, Rate, TimePassed
from regulars.programme.quote import Quote, quote
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books


def with_points(of: Programme, points: int = 1000) -> Books:
    now = books(of)
    now.take(stated(an_order("seed", 0, a_line("seed", price=points * 100))))
    return now


def gold_from(amount: str) -> Data:
    return {"tiers": {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "gold", "from": amount}]}}}


# --- payments with points


def test_a_payment_comes_back_when_the_order_is_cancelled_before_it_was_ever_stated() -> None:
    now = with_points(a_programme())
    order = an_order("p", DAY)
    now.take(paying(order, 100, 1000))
    now.take(stated(order))
    assert balance(now) == 1000


def test_what_a_payment_exceeds_its_order_comes_back_at_once() -> None:
    now = with_points(a_programme())
    order = an_order("p", DAY, a_line(price=300))
    now.take(paying(order, 1000, 5000))
    now.take(stated(order))
    assert now.now.orders[order.key].redemption.back == 700  # type: ignore[union-attr]
    assert balance(now) == 700


def test_a_free_line_carries_nothing_of_a_payment() -> None:
    rules = [purchase_rule(amount=1, per="1.00", goods={"skus": ["b", "seed"]})]
    now = with_points(a_programme(rules=rules), 10_000)
    order = an_order("p", DAY, a_line("a", price=10_000, discount=10_000), a_line("b", price=10_000))
    now.take(paying(order, 5000, 10_000))
    now.take(stated(order))
    assert now.now.orders[order.key].awards[0].basis == 5000
    now.take(stated(changed(order, order.lines[1]), 2 * DAY))
    assert now.now.orders[order.key].redemption.back == 0  # type: ignore[union-attr]


def test_the_same_order_with_its_lines_in_another_sequence_changes_nothing() -> None:
    unit = a_unit(spending={"goods": {"skus": ["tea"]}})
    now = with_points(a_programme(units={"points": unit}))
    order = an_order("p", DAY, a_line("x", price=500), a_line("y", price=500))
    now.take(paying(order, 100, 1000))
    now.take(stated(order))
    before, posted = balance(now), len(now.transfers)
    now.take(stated(changed(order, *reversed(order.lines)), 2 * DAY))
    assert (balance(now), len(now.transfers)) == (before, posted)


def test_points_that_an_order_earned_never_pay_for_it() -> None:
    now = books(a_programme())
    now.take(stated(an_order("z", 0, a_line(price=10_000))))
    order = an_order("b", 0, a_line(price=20_000))
    now.take(paying(order, 100, 20_000))
    now.take(stated(order))
    assert [part.lot.id for part in now.now.orders[order.key].redemption.allocations] == ["shop:z:points"]  # type: ignore[union-attr]


def test_a_second_payment_for_one_order_is_refused_even_when_it_was_recorded_elsewhere() -> None:
    now = with_points(a_programme())
    order = an_order("p", DAY, a_line(price=10_000))
    now.take(msgspec.structs.replace(paying(order, 100, 10_000), granted=100))
    now.take(msgspec.structs.replace(paying(order, 200, 10_000, 2 * DAY), id="other", granted=200))
    now.take(stated(order, 3 * DAY))
    now.take(stated(changed(order), 4 * DAY))
    assert balance(now) == 1000


def test_points_do_not_pay_in_a_currency_of_which_they_know_nothing() -> None:
    now = with_points(a_programme())
    order = an_order("p", DAY, a_line(price=1000), currency="EUR", rate=Rate(43, 10, "bank"))
    now.take(paying(order, 100, 1000))
    now.take(stated(order))
    assert now.now.orders[order.key].awards[0].basis == 4300
    assert balance(now) == 1000 + 43


# --- currencies


def test_a_rate_is_frozen_at_purchase_whatever_later_states_say() -> None:
    order = an_order("p", 0, a_line(quantity=2), currency="EUR", rate=Rate(4, 1, "bank"))
    for rate, currency in ((Rate(5, 1, "bank"), "EUR"), (None, "EUR"), (None, "PLN")):
        now = books(a_programme())
        now.take(stated(order))
        assert now.take(stated(changed(order, a_line(), rate=rate, currency=currency), DAY)).refusal is None
        assert balance(now) == 40


def test_a_discount_in_money_is_converted_for_a_cart_in_another_currency() -> None:
    of = a_programme(rules=[{"id": "five", "discount": {"amount": "5.00"}}])
    answer = quote(of, None, an_order("p", 0, a_line(price=1000), currency="EUR", rate=Rate(5, 1, "bank")))
    assert isinstance(answer, Quote)
    assert answer.discounts == (("five", 100),)


def test_a_rate_on_an_order_in_the_programmes_own_currency_is_ignored() -> None:
    now = books(a_programme())
    now.take(stated(an_order("p", 0, a_line(), rate=Rate(2, 1, "bank"))))
    assert balance(now) == 10


# --- drafts, empty and impossible orders


def test_an_order_first_stated_empty_takes_its_number_when_it_is_filled() -> None:
    rules = [purchase_rule(), {"id": "welcome", "if": {"op": "first"}, "award": {"unit": "points", "amount": 500}}]
    now = books(a_programme(rules=rules))
    draft = an_order("x", 0)
    now.take(stated(draft))
    now.take(stated(an_order("y", DAY, a_line())))
    now.take(stated(changed(draft, a_line()), 2 * DAY))
    assert balance(now) == 520
    assert now.member.orders == 2


def test_lines_without_pieces_are_no_goods() -> None:
    now = books(a_programme(rules=[purchase_rule(), {"id": "gift", "perk": {"name": "gift"}}]))
    order = an_order("p", 0, a_line(price=10_000))
    now.take(stated(order))
    now.take(stated(changed(order, a_line(quantity=0)), DAY))
    assert (now.member.orders, now.now.orders[order.key].perks, balance(now)) == (0, (), 0)


def test_an_order_of_delivery_alone_is_no_order_of_goods() -> None:
    now = books(a_programme())
    now.take(stated(an_order("p", 0, a_line("post", price=1000, kind=LineKind.DELIVERY))))
    assert (now.member.orders, now.member.lots) == (0, ())


IMPOSSIBLE: dict[str, Order] = {
    "scale": an_order("p", 0, a_line(), scale=0),
    "rate": an_order("p", 0, a_line(), currency="EUR", rate=Rate(1, 0, "bank")),
    "lines.tea": an_order("p", 0, a_line(quantity=-1)),
    "lines.cup": an_order("p", 0, a_line(), a_line("cup", discount=-1)),
    "discount": an_order("p", 0, a_line(), discount=-500),
    "refunded": an_order("p", 0, a_line(), refunded=-500),
    "lines.id": an_order("p", 0, a_line("a", id="1"), a_line("b", id="1")),
    "source": an_order("p", 0, a_line(), source="a:b"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_an_order_that_cannot_be_is_refused_with_the_field_that_is_wrong(what: str) -> None:
    now = books(a_programme())
    answer = now.take(stated(IMPOSSIBLE[what]))
    assert answer.refusal is not None
    assert (answer.refusal.reason, answer.refusal.args) == (Reason.UNSOUND, {"what": what})
    assert now.transfers == []
    assert not isinstance(quote(now.programme, None, IMPOSSIBLE[what]), Quote)


def test_time_may_pass_for_ever_and_dates_beyond_the_calendar_are_refused() -> None:
    of = a_programme(units={"points": a_unit(expiry={"after": "1 year"})})
    now = with_points(of)
    assert decide(of, now.member, EMPTY, TimePassed(NEVER)).member.lots == ()
    never_ending = with_points(a_programme())
    assert decide(never_ending.programme, never_ending.member, EMPTY, TimePassed(NEVER)).member.lots == never_ending.member.lots
    for order, at in ((an_order("far", 2**61, a_line()), 2**61), (an_order("long ago", -(2**61), a_line()), DAY)):
        answer = now.take(stated(order, at))
        assert answer.refusal is not None
        assert answer.refusal.reason is Reason.UNSOUND


def test_an_order_and_a_payment_before_the_first_version_are_refused() -> None:
    now = books(a_programme({"version": 1, "applies_from": "1970-02-01"}))
    order = an_order("p", 0, a_line())
    for fact in (stated(order), paying(order, 1, 1000)):
        answer = now.take(fact)
        assert answer.refusal is not None
        assert answer.refusal.reason is Reason.NO_PROGRAMME_YET


# --- versions


def test_a_purchase_after_thresholds_were_raised_downgrades_nobody() -> None:
    now = books(a_programme({"version": 1, **gold_from("150.00")}, {"version": 2, "applies_from": "1970-02-01", **gold_from("400.00")}))
    now.take(stated(an_order("a", 0, a_line(price=20_000))))
    now.take(stated(an_order("b", 40 * DAY, a_line())))
    assert now.member.tiers == {"status": "gold"}


def test_a_return_is_measured_by_the_ladder_in_force_when_it_comes() -> None:
    now = books(a_programme({"version": 1, **gold_from("150.00")}, {"version": 2, "applies_from": "1970-02-01", **gold_from("100.00")}))
    order = an_order("a", 0, a_line(quantity=2, price=6000))
    now.take(stated(order))
    now.take(stated(an_order("b", 40 * DAY, a_line(price=100))))
    now.take(stated(changed(order, a_line(quantity=2, price=5950)), 41 * DAY))
    assert now.member.tiers == {"status": "gold"}


def test_a_ladder_that_came_with_a_later_version_falls_with_returns_of_older_orders() -> None:
    now = books(a_programme({"version": 1}, {"version": 2, "applies_from": "1970-02-01", **gold_from("100.00")}))
    order = an_order("a", 0, a_line(price=60_000))
    now.take(stated(order))
    now.take(stated(an_order("b", 40 * DAY, a_line(price=100))))
    assert now.member.tiers == {"status": "gold"}
    now.take(stated(changed(order), 41 * DAY))
    assert now.member.tiers == {"status": "basic"}


def test_the_state_names_the_version_in_force_and_equals_its_fold() -> None:
    now = books(a_programme({"version": 1}, {"version": 2, "applies_from": "1970-02-01"}))
    order = an_order("a", 0, a_line())
    now.take(stated(order))
    now.take(stated(an_order("b", 40 * DAY, a_line())))
    now.take(stated(changed(order), 41 * DAY))
    assert now.member.programme_version == 2
    assert now.folded_again().member == now.member


def test_points_of_a_unit_that_a_later_version_drops_still_come_back_and_are_counted() -> None:
    other = {"units": {"stars": a_unit()}, "rules": [{"id": "s", "award": {"unit": "stars", "amount": 1, "per": "1.00"}}]}
    now = books(a_programme({"version": 1}, {"version": 2, "applies_from": "1970-02-01", **other}))
    a, p = an_order("a", 0, a_line(price=10_000)), an_order("p", 40 * DAY, a_line(price=10_000))
    now.take(stated(a))
    now.take(paying(p, 100, 10_000, at=20 * DAY))
    now.take(stated(p))
    now.take(stated(changed(a), 19 * DAY, heard=41 * DAY))
    now.take(stated(changed(p), 43 * DAY))
    assert balance(now) == 0


# --- the same whatever the sequence of lines


@pytest.mark.parametrize("skus", ["ab", "ba"])
def test_a_penny_of_a_whole_discount_falls_on_the_same_line_in_quote_and_order(skus: str) -> None:
    of = a_programme(rules=[purchase_rule(amount=1, per="1.00", goods={"skus": ["a"]})])
    order = an_order("p", 0, *(a_line(sku, 1, 100) for sku in skus), discount=1)
    now = books(of)
    now.take(stated(order))
    promised = quote(of, None, order)
    assert isinstance(promised, Quote)
    assert sum(award.amount for award in promised.awards) == balance(now) == 0


def test_an_award_by_line_does_not_depend_on_the_ids_of_lines() -> None:
    of = a_programme(units={"points": a_unit(rounding={"level": "line"})}, rules=[purchase_rule(rate="0.1")])
    for ids in (("1", "2"), ("x", "a")):
        now = books(of)
        now.take(stated(an_order("p", 0, a_line("a", 1, 1900, id=ids[0]), a_line("b", 1, 2900, id=ids[1]))))
        assert balance(now) == 3


def test_a_quote_counts_a_discount_that_the_shop_gave_on_the_whole_order() -> None:
    of = a_programme(rules=[{"id": "much", "discount": {"amount": "80.00"}}])
    answer = quote(of, None, an_order("p", 0, a_line(price=10_000), discount=3000))
    assert isinstance(answer, Quote)
    assert answer.payable == 0


def test_delivery_does_not_lift_an_order_over_the_edge_of_a_cumulative_step() -> None:
    steps = {"steps": [{"from": "100.00", "percent": 10}], "counts_this_order": True}
    of = a_programme(rules=[{"id": "c", "discount": {"cumulative": steps}}])
    answer = quote(of, None, an_order("p", 0, a_line(price=9500), a_line("post", price=600, kind=LineKind.DELIVERY)))
    assert isinstance(answer, Quote)
    assert answer.discounts == ()
    assert [(r.subject, r.reason) for r in answer.refusals] == [("c", Reason.NO_STEP)]


def test_the_loser_of_a_group_is_told_that_another_went_first() -> None:
    big = {"op": "at_least", "fact": "order.total", "value": 100}
    rules: list[Data] = [
        {"id": "win", "if": big, "discount": {"percent": 20, "group": "g"}},
        {"id": "lose", "if": big, "discount": {"percent": 10, "group": "g"}},
        {"id": "absent", "discount": {"percent": 50, "group": "g", "goods": {"skus": ["none"]}, "stage": "order"}},
    ]
    answer = quote(a_programme(rules=rules, groups={"g": {"mode": "best"}}), None, an_order("p", 0, a_line(price=10_000)))
    assert isinstance(answer, Quote)
    assert dict(answer.discounts) == {"win": 2000}
    assert {r.subject: r.reason for r in answer.refusals} == {"lose": Reason.CONFLICT, "absent": Reason.EXCLUDED_ITEMS}


def test_a_percentage_that_meets_a_floor_does_not_move_to_other_lines() -> None:
    rules: list[Data] = [
        {"id": "a", "priority": 1, "discount": {"percent": 20, "goods": {"skus": ["a"]}, "stage": "order"}},
        {"id": "b", "discount": {"percent": 10}},
    ]
    of = a_programme(rules=rules, policies={"price_floor_percent": 80, "stacking_base": "original"})
    answer = quote(of, None, an_order("p", 0, a_line("a", price=1000), a_line("b", price=1000)))
    assert isinstance(answer, Quote)
    assert [(line.sku, line.discount) for line in answer.lines] == [("a", 200), ("b", 100)]


def test_late_facts_are_answered_as_those_that_come_in_time() -> None:
    now = books(a_programme())
    order = an_order("a", 0, a_line())
    now.take(stated(changed(order, a_line(quantity=2)), 2 * DAY))
    answer = now.take(stated(msgspec.structs.replace(changed(order), sequence=2), DAY, heard=3 * DAY))
    assert answer.refusal is None or answer.refusal.reason in (Reason.STALE, Reason.CONTENT_DIFFERS)
    assert now.take(stated(changed(changed(order)), Instant(2 * DAY + 1))).refusal is None
