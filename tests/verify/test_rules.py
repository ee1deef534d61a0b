"""The second reading of the rules gives the figures that the documentation prints, and those worked out by hand."""

from datetime import date
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from handmade import at

from regulars.verify.rules.awards import Deserved, dates, deserved, understood
from regulars.verify.rules.calendar import bounds_of, start_of_day
from regulars.verify.rules.document import NotUnderstood, Version
from regulars.verify.rules.worth import back_of, spread

Data = dict[str, Any]
NEVER = 2**62


def version(**document: Any) -> Version:
    """A version in EUR."""
    return Version(1, -NEVER, {"programme": "p", "currency": "EUR", **document})


def goods(sku: str, quantity: int, amount: int, **more: Any) -> Data:
    """A line; its id is its code."""
    return {"id": sku, "sku": sku, "quantity": quantity, "amount": amount, **more}


ORDER_1 = [goods("TEA-01", 1, 999, categories=["tea"])]
ORDER_2 = [goods("TEA-01", 3, 2997, categories=["tea"])]
ORDER_3 = [goods("CUP-02", 2, 2500, categories=["cups"]), goods("TEA-01", 1, 999, categories=["tea"])]
POINT = {"id": "p", "award": {"unit": "points", "amount": 1, "per": "1.00"}}


def worked_out(of: Version, lines: list[Data], payment: Data | None = None, purchase: list[Data] | None = None, **more: Any) -> Deserved:
    """What an order with these lines deserves; ``more`` goes to the order, but its ``situation`` and what limits granted (``drawn``)."""
    situation, drawn = more.pop("situation", {"number": 1}), more.pop("drawn", {})
    order = {"id": "1", "placed_at": at("2025-03-20 10:00"), "currency": "EUR", **more}
    bought = {**order, "lines": lines if purchase is None else purchase}
    return deserved(of, {**order, "lines": lines}, "shop", situation, payment, bought, drawn)


def amounts(of: Deserved) -> list[tuple[str, int]]:
    """Rule and units."""
    return [(award.rule, award.amount) for award in of.awards]


def test_four_ways_to_award() -> None:
    ways = {"stamps": {"amount": 1}, "steps": {"amount": 5, "per": "2.00"}, "points": {"rate": "1.5"}, "cash": {"percent": 5}}
    units: Data = {**{unit: {} for unit in ways}, "cash": {"value": "0.01"}}
    of = version(units=units, rules=[{"id": unit, "award": {"unit": unit, **way}} for unit, way in ways.items()])
    assert amounts(worked_out(of, ORDER_1)) == [("stamps", 1), ("steps", 20), ("points", 14), ("cash", 49)]


def test_rounding_once_or_by_line() -> None:
    units = {
        "down": {},
        "half": {"rounding": {"mode": "half_up", "level": "order"}},
        "lines": {"rounding": {"mode": "down", "level": "line"}},
    }
    of = version(units=units, rules=[{"id": unit, "award": {"unit": unit, "rate": "0.39"}} for unit in units])
    assert amounts(worked_out(of, ORDER_3)) == [("down", 13), ("half", 14), ("lines", 12)]


def test_with_net_prices_each_line_earns_on_its_own_price_without_tax() -> None:
    """10.00 of which 2.00 are tax, and 10.00 without: 8.00 and 10.00; at 0.3, rounded by line, 2 and 3."""
    units = {"points": {"rounding": {"level": "line"}}}
    of = version(units=units, rules=[{"id": "p", "award": {"unit": "points", "rate": "0.3"}}], policies={"basis": "net"})
    due = worked_out(of, [goods("a", 1, 1000, tax=200), goods("b", 1, 1000)])
    assert (due.spend, amounts(due)) == (1800, [("p", 5)])


@pytest.mark.parametrize(("combine", "points"), [("highest", 87), ("multiply", 174), ("add", 116)])
def test_multiples_meet(combine: str, points: int) -> None:
    double = {"id": "d", "if": {"op": "nth", "orders": [2]}, "multiply": {"unit": "points", "by": 2}}
    triple = {"id": "t", "channels": ["till"], "multiply": {"unit": "points", "by": 3}}
    of = version(units={"points": {}}, rules=[POINT, double, triple], policies={"multiples_combine": combine})
    assert amounts(worked_out(of, ORDER_2, channel="till", situation={"number": 2})) == [("p", points)]


@pytest.mark.parametrize(("base", "points"), [("rounded", 42), ("exact", 44)])
def test_a_multiple_of_the_rounded_or_the_exact_award(base: str, points: int) -> None:
    rules = [{"id": "p", "award": {"unit": "points", "rate": "0.5"}}, {"id": "t", "multiply": {"unit": "points", "by": 3}}]
    assert amounts(worked_out(version(units={"points": {}}, rules=rules, policies={"multiple_base": base}), ORDER_2)) == [("p", points)]


def test_chosen_goods_and_the_days_and_conditions_of_a_rule() -> None:
    rules: list[Data] = [
        {"id": "no tea", "award": {**POINT["award"], "goods": {"except_categories": ["tea"]}}},
        {"id": "tea", "award": {**POINT["award"], "goods": {"categories": ["tea"]}}, "from": "2025-03-20", "until": "2025-03-20"},
        {"id": "before", "award": POINT["award"], "until": "2025-03-19"},
        {"id": "web", "award": POINT["award"], "channels": ["web"]},
        {"id": "thursday", "award": POINT["award"], "if": {"op": "in", "fact": "order.weekday", "values": ["thursday"]}},
        {"id": "missing", "award": POINT["award"], "if": {"op": "in", "fact": "order.country", "values": ["PL"]}},
        {"id": "not", "award": POINT["award"], "if": {"op": "not", "of": {"op": "in", "fact": "order.country", "values": ["PL"]}}},
        {"id": "34.99", "award": POINT["award"], "if": {"op": "at_least", "fact": "order.total", "value": "34.99"}},
        {"id": "35.00", "award": POINT["award"], "if": {"op": "at_least", "fact": "order.total", "value": "35.00"}},
    ]
    due = worked_out(version(units={"points": {}}, rules=rules), ORDER_3)
    assert amounts(due) == [("no tea", 25), ("tea", 9), ("thursday", 34), ("not", 34), ("34.99", 34)]


@pytest.mark.parametrize(("upgrade", "points"), [("next_order", 34), ("same_order", 51)])
def test_a_level_counts_from_the_order_that_reaches_it_or_the_next(upgrade: str, points: int) -> None:
    tiers = {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "silver", "from": "34.99"}], "upgrade": upgrade}}
    silver = {"id": "s", "if": {"op": "in", "fact": "tier.status", "values": ["silver"]}, "multiply": {"unit": "points", "by": "1.5"}}
    assert amounts(worked_out(version(units={"points": {}}, tiers=tiers, rules=[POINT, silver]), ORDER_3)) == [("p", points)]


def test_value_lies_on_lines_and_comes_back_with_them() -> None:
    """As in replay.md: 63 points paid 3.15 of 37.20. And R2: of 1.35 the kept tea keeps 0.68, 13 of 27 points come back."""
    of = version(units={"points": {"value": "0.05", "spending": {}}}, rules=[POINT])
    assert worked_out(of, [goods("TEA", 3, 3720)], {"unit": "points", "amount": 63, "money": 315}).spend == 3405
    bought, kept, paid = [goods("TEA", 2, 2480)], [goods("TEA", 1, 1240)], {"unit": "points", "amount": 27, "money": 135}
    assert amounts(worked_out(of, bought, paid)) == [("p", 23)]
    assert amounts(worked_out(of, kept, paid, bought)) == [("p", 11)]
    order = {"id": "1", "currency": "EUR"}
    assert back_of({**order, "lines": kept}, {**order, "lines": bought}, of, paid) == 13


def test_fine_prices_are_rounded_once_and_other_currencies_at_their_rate() -> None:
    of = version(units={"points": {}}, rules=[POINT])
    assert worked_out(of, [goods(name, 1, 125) for name in "abc"], scale=10).spend == 38
    rate = {"numerator": 3, "denominator": 4, "source": "bank"}
    assert worked_out(of, [goods("a", 1, 187086)], scale=10, currency="USD", rate=rate).spend == 14032


@pytest.mark.parametrize(
    ("limit", "granted", "amount"),
    [({"units": 9, "over": "reduce"}, 7, 7), ({"units": 9}, 7, 7), ({"units": 9}, 0, 0), ({"units": 9}, 9, 9), ({"uses": 1}, 1, 9)],
)
def test_a_limit_lets_through_what_was_drawn(limit: Data, granted: int, amount: int) -> None:
    due = worked_out(version(units={"points": {}}, rules=[{**POINT, "limit": limit}]), ORDER_1, drawn={"rule:p": granted})
    assert [(award.amount, award.wanted) for award in due.awards] == [(amount, 9)]


def test_the_days_of_a_lot() -> None:
    """As in programme.md, in Prague."""
    points = {"activation": {"after": "14 days"}, "expiry": {"after": "6 months"}}
    early = {"activation": {"after": "14 days"}, "expiry": {"after": "1 month", "from": "earning", "at_least": "3 weeks"}}
    of = version(time_zone="Europe/Prague", units={"points": points, "early": early, "none": {}})
    bought = at("2025-03-03 09:00")
    assert dates(of, "points", bought) == (at("2025-03-17 23:00"), at("2025-09-18 22:00"))
    assert dates(of, "early", bought) == (at("2025-03-17 23:00"), at("2025-04-08 22:00"))
    assert dates(of, "none", bought) == (bought, NEVER)


def test_a_day_begins_where_the_zone_says() -> None:
    """Midnight is skipped in Cairo on 28 April 2023, and comes twice in Havana on 5 November 2023."""
    assert start_of_day(date(2023, 4, 28), ZoneInfo("Africa/Cairo")) == at("2023-04-27 22:00")
    assert start_of_day(date(2023, 11, 5), ZoneInfo("America/Havana")) == at("2023-11-05 04:00")
    assert bounds_of("2024-12") == (at("2024-12-01 00:00"), at("2025-01-01 00:00"))


def test_what_is_spread_sums_to_the_figure() -> None:
    assert spread(30, [4056, 10323, 4632, 338, 8112]) == [5, 11, 5, 0, 9]
    assert spread(1, [Fraction(1), Fraction(1)]) == [1, 0]
    assert spread(5, [0, 0]) == [5, 0]


@pytest.mark.parametrize(
    "document",
    [
        {"weather": "fine"},
        {"policies": {"mood": "good"}},
        {"units": {"points": {"colour": "red"}}},
        {"tiers": {"status": {"levels": [], "period": "1 year"}}},
        {"rules": [{**POINT, "moon": "full"}]},
        {"rules": [{"id": "p", "award": {"unit": "points", "dice": 6}}]},
    ],
)
def test_what_is_not_known_is_named(document: Data) -> None:
    with pytest.raises(NotUnderstood, match="key `"):
        understood(version(**document))


@pytest.mark.parametrize("condition", [{"op": "resembles", "fact": "order.total"}, {"op": "in", "fact": "order.smell", "values": []}])
def test_a_condition_that_is_not_known_is_named(condition: Data) -> None:
    with pytest.raises(NotUnderstood):
        worked_out(version(units={"points": {}}, rules=[{**POINT, "if": condition}]), ORDER_1)
