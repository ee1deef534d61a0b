"""The definition: a document has exactly one meaning, or is refused with the path, the reason and a hint."""

import copy
import random
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.time import NEVER, start_of_day
from regulars.programme.definition import Programme, document, json_schema, plain, programme

DOCUMENTS = Path(__file__).parent.parent / "programmes"

STEPS = [{"from": 0, "to": 99, "percent": 1}, {"above": 100, "percent": 5}]
FULL: dict[str, Any] = {
    "programme": "tea shop",
    "currency": "PLN",
    "version": 1,
    "time_zone": "Europe/Warsaw",
    "units": {
        "points": {
            "value": "0.01",
            "rounding": {"mode": "half_up", "level": "line"},
            "activation": {"after": "14 days"},
            "expiry": {"after": "6 months", "from": "earning", "at_least": "30 days"},
            "spending": {"minimum": 100, "minimum_balance": 200, "step": 50, "share_percent": "33.3", "goods": {"except_skus": ["card"]}},
        },
        "stamps": {},
    },
    "tiers": {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "gold", "from": "500.50"}], "upgrade": "same_order"}},
    "groups": {"sale": {"mode": "best"}},
    "rules": [
        {"id": "purchase", "award": {"unit": "points", "amount": 1, "per": "2.50", "goods": {"categories": ["tea"]}}},
        {"id": "share", "award": {"unit": "points", "rate": "1/3"}, "from": "2025-01-01", "until": "2025-12-31"},
        {"id": "back", "award": {"unit": "points", "percent": 5}, "if": {"op": "in", "fact": "tier.status", "values": ["gold"]}},
        {"id": "double", "multiply": {"unit": "points", "by": 2}, "if": {"op": "nth", "orders": [2]}, "channels": ["web"]},
        {"id": "off", "discount": {"percent": 10, "group": "sale"}, "priority": 5},
        {"id": "less", "discount": {"amount": "5.00"}, "if": {"op": "at_least", "fact": "order.total", "value": "50.00"}},
        {
            "id": "loyal",
            "discount": {"cumulative": {"steps": [{"from": 0, "to": 99, "percent": 1}, {"above": 100, "percent": 5}], "between": "lower"}},
        },
        {
            "id": "gift",
            "perk": {"name": "a bouquet"},
            "if": {
                "op": "any",
                "of": [
                    {"op": "not", "of": {"op": "within", "fact": "member.previous_order_at", "span": "30 days"}},
                    {"op": "all", "of": [{"op": "has", "fact": "order.skus", "values": ["tea"]}, {"op": "every_nth", "n": 5}]},
                ],
            },
        },
    ],
    "policies": {"reinstated_grace": "14 days", "price_floor_percent": 20, "discount_rounding": {"mode": "down"}},
    "replay": {"redeem": "greedy", "as_of": "2025-06-01"},
}


def a_document(path: str = "", value: Any = None, **keys: Any) -> dict[str, Any]:
    """``FULL`` with the value at ``path`` (as ``units.points.value`` or ``rules.0.id``) replaced, and other top-level ``keys``."""
    data = copy.deepcopy(FULL)
    place: Any = data
    *way, last = path.split(".") if path else [""]
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if path:
        place[int(last) if isinstance(place, list) else last] = value
    return {**data, **keys}


def a_rule(**keys: Any) -> dict[str, Any]:
    return a_document(rules=[{"id": "only", **keys}])


def problems(*documents: Any) -> list[Problem]:
    with pytest.raises(Invalid) as refused:
        programme(documents)
    return list(refused.value.problems)


def test_a_document_that_uses_everything_is_accepted() -> None:
    version = programme([FULL]).latest
    assert len(version.ready) == len(FULL["rules"])
    assert {ready.id for ready in version.awards} == {"purchase", "share", "back"}


WRONG_VALUES = {
    "currency": ["XXX", "currency", "not an ISO 4217"],
    "time_zone": ["Mars/Base", "time_zone", "is not a time zone"],
    "units.points.value": ["0", "units.points.value", "worth more than nothing"],
    "units.points.activation.after": ["0 days", "units.points.activation.after", "the span is empty"],
    "units.points.expiry.after": ["0 months", "units.points.expiry.after", "the span is empty"],
    "units.points.expiry.from": ["activation", "units.points.expiry.at_least", "only matters when life is counted from earning"],
    "units.points.spending.share_percent": ["101", "units.points.spending.share_percent", "no share of an order"],
    "policies.price_floor_percent": ["-1", "policies.price_floor_percent", "no percentage of a price"],
    "tiers.status.levels.0.id": ["gold", "tiers.status.levels", "two levels have the same id"],
    "tiers.status.levels.0.from": ["1", "tiers.status.levels[0].from", "the first level begins at 0"],
    "tiers.status.levels.1.from": ["0", "tiers.status.levels[1].from", "levels must rise"],
    "rules.1.id": ["purchase", "rules[1].id", "another rule is called 'purchase' already"],
    "rules.1.until": ["2024-12-31", "rules[1].until", "before it begins"],
    "rules.0.perk": [{"name": "x"}, "rules[0]", "this one has award and perk"],
    "rules.0.award.unit": ["miles", "rules[0].award.unit", "there is no unit 'miles'"],
    "rules.3.multiply.unit": ["miles", "rules[3].multiply.unit", "there is no unit 'miles'"],
    "rules.3.multiply.by": ["0.5", "rules[3].multiply.by", "a multiple is 1 or more"],
    "rules.0.award.rate": ["1", "rules[0].award", "this one in amount and rate"],
    "rules.1.award.per": ["1", "rules[1].award.per", "`per` goes with `amount`"],
    "rules.0.award.per": ["0", "rules[0].award.per", "0 is not above zero"],
    "rules.1.award.rate": ["-1/3", "rules[1].award.rate", "-1/3 is not above zero"],
    "rules.2.award.percent": ["-2.5", "rules[2].award.percent", "-2.5 is not above zero"],
    "rules.2.award.unit": ["stamps", "rules[2].award.percent", "needs to know what one of 'stamps' is worth"],
    "rules.4.discount.percent": ["100.5", "rules[4].discount.percent", "100.5 % is no discount"],
    "rules.4.discount.group": ["spring", "rules[4].discount.group", "there is no group 'spring'"],
    "rules.5.discount.percent": [5, "rules[5].discount", "this one in percent and amount"],
    "rules.5.discount.amount": ["5.001", "rules[5].discount.amount", "finer than the currency's smallest unit"],
    "rules.6.discount.cumulative.between": [None, "rules[6].discount.cumulative.between", "between 99 and the next step"],
    "rules.6.discount.cumulative.steps.0.above": ["0", "rules[6].discount.cumulative.steps[0]", "either `from` or `above`"],
    "rules.6.discount.cumulative.steps.0.to": ["150", "rules[6].discount.cumulative.steps[1]", "before the step below it has ended"],
    "rules.6.discount.cumulative.steps.1.to": ["50", "rules[6].discount.cumulative.steps[1].to", "ends before it begins"],
    "rules.6.discount.cumulative.steps.1.percent": ["101", "rules[6].discount.cumulative.steps[1].percent", "is no discount"],
    "rules.5.if.fact": ["order.totl", "rules[5].if.fact", "there is no fact 'order.totl'"],
    "rules.5.if.op": ["below", None, None],
    "rules.2.if.fact": ["tier.club", "rules[2].if.fact", "there is no fact 'tier.club'"],
    "rules.2.if.values": [["platinum"], "rules[2].if.values", "is never 'platinum'"],
    "rules.7.if.of.1.of.0.fact": ["order.total", "rules[7].if.of[1].of[0].op", "is of kind amount, which this comparison cannot ask"],
    "rules.7.if.of.0.of.fact": ["order.channel", "rules[7].if.of[0].of.op", "is of kind text, which this comparison cannot ask"],
    "rules.7.if.of.1.of.1.n": [0, "rules[7].if.of[1].of[1].n", "Expected `int` >= 1"],
}


@pytest.mark.parametrize("path", WRONG_VALUES)
def test_a_wrong_value_is_refused_with_its_path_its_reason_and_a_hint(path: str) -> None:
    value, where, says = WRONG_VALUES[path]
    if where is None:
        programme([a_document(path, value)])
        return
    found = problems(a_document(path, value))
    assert [problem.where for problem in found] == [where]
    assert says in found[0].what
    assert found[0].hint


@pytest.mark.parametrize(
    ("data", "where", "says"),
    [
        (a_rule(), "rules[0]", "this one has none"),
        (a_rule(award={"unit": "points"}), "rules[0].award", "this one in none"),
        (a_rule(discount={}), "rules[0].discount", "this one in none"),
        (a_rule(award={"unit": "points", "amount": 0}), "rules[0].award.amount", "Expected `int` >= 1"),
        (a_rule(discount={"amount": "-5"}), "rules[0].discount.amount", "is not above zero"),
        (a_rule(perk={"name": ""}), "rules[0].perk.name", "Expected `str` of length >= 1"),
        (a_rule(id="", perk={"name": "x"}), "rules[0].id", "Expected `str` of length >= 1"),
        (a_document("units.points.spending.step", 7, currency="JPY"), "units.points.spending.step", "7 units are worth 0.07"),
        (a_document("units.stamps", {"spending": {}}), "units.stamps.value", "a unit that can pay needs a worth"),
        (a_document("tiers.status.levels", []), "tiers.status.levels", "length >= 1"),
        (a_document("rules.5.discount.amount", "0.5", currency="JPY"), "rules[5].discount.amount", "finer than the currency"),
    ],
)
def test_a_contradiction_is_refused_where_it_stands(data: dict[str, Any], where: str, says: str) -> None:
    found = [problem for problem in problems(data) if problem.where == where]
    assert any(says in problem.what for problem in found)
    assert all(problem.hint for problem in found)


@pytest.mark.parametrize("path", ["version", "units.points.spending.minimum", "units.points.spending.step", "rules.4.priority"])
@pytest.mark.parametrize("value", ["one", "1", 1.5, True, None, [], {}])
def test_a_count_is_a_whole_number_and_nothing_else(path: str, value: Any) -> None:
    if path.endswith("step") and value is None:
        programme([a_document(path, value)])
        return
    assert problems(a_document(path, value))[0].what


@pytest.mark.parametrize("value", [0.01, float("nan"), float("inf"), True, "1e-2", "0,01", "", [], {"a": 1}])
def test_a_float_or_word_is_no_amount_of_money(value: Any) -> None:
    (problem,) = problems(a_document("units.points.value", value))
    assert problem.where == "units.points.value"
    assert "number" in problem.what


@pytest.mark.parametrize("value", ["", "6", "six months", "-1 days", "6 monthes", 6, None, "1001 years", "999999999999 days"])
def test_what_is_no_span_of_time_is_refused(value: Any) -> None:
    assert problems(a_document("units.points.expiry.after", value))[0].where == "units.points.expiry.after"


@pytest.mark.parametrize("junk", [None, 5, "programme", [], [FULL], True, 1.5, {5: 6}, {None: 1}])
def test_what_is_no_document_is_refused(junk: Any) -> None:
    assert problems(junk)[0].what


def test_an_empty_programme_is_refused() -> None:
    assert problems()[0].what == "the programme is empty"
    with pytest.raises(Invalid, match="the programme is empty"):
        Programme([])


@pytest.mark.parametrize("depth", [60, 900, 20_000])
def test_a_condition_that_nobody_can_read_is_refused(depth: int) -> None:
    condition: dict[str, Any] = {"op": "first"}
    for _ in range(depth):
        condition = {"op": "not", "of": condition}
    assert "nested too deeply" in problems(a_rule(perk={"name": "x"}, **{"if": condition}))[0].what


def test_a_rule_until_the_end_of_the_calendar_never_ends() -> None:
    data = a_document("rules.1.until", "9999-12-31")
    assert next(ready.ends for ready in programme([data]).latest.awards if ready.id == "share") == NEVER


def test_a_rule_holds_through_its_last_local_day() -> None:
    share = next(ready for ready in programme([FULL]).latest.awards if ready.id == "share")
    warsaw = ZoneInfo("Europe/Warsaw")
    assert (share.starts, share.ends) == (start_of_day(date(2025, 1, 1), warsaw), start_of_day(date(2026, 1, 1), warsaw))


def test_the_version_in_force_is_the_last_that_has_begun() -> None:
    second = a_document(version=2, applies_from="2025-03-01")
    both = programme([second, a_document(applies_from="2025-01-01")])
    warsaw = ZoneInfo("Europe/Warsaw")
    begins = start_of_day(date(2025, 3, 1), warsaw)
    assert both.at(start_of_day(date(2024, 12, 31), warsaw)) is None
    assert [found and found.number for found in map(both.at, (begins - 1, begins))] == [1, 2]
    assert (both.latest.number, both.numbered(1).number) == (2, 1)


@pytest.mark.parametrize(
    ("keys", "where", "says"),
    [
        ({"version": 2}, "versions[1].applies_from", "begin at once"),
        ({"applies_from": "2025-01-01"}, "versions[1].version", "version 1 begins after version 1"),
        ({"version": 2, "applies_from": "2025-01-01", "currency": "EUR"}, "versions[1].currency", "has another currency"),
        ({"version": 2, "applies_from": "2025-01-01", "time_zone": "UTC"}, "versions[1].time_zone", "has another time_zone"),
        ({"version": 2, "applies_from": "2025-01-01", "programme": "x"}, "versions[1].programme", "has another programme"),
        ({"version": 2, "applies_from": "2025-01-01", "rules": [{}]}, "versions[1].rules[0]", "`id` is missing"),
    ],
)
def test_versions_that_contradict_each_other_are_refused(keys: dict[str, Any], where: str, says: str) -> None:
    (problem,) = problems(FULL, a_document(**keys))
    assert problem.where == where
    assert says in problem.what
    assert problem.hint


def test_the_problem_of_one_version_among_several_names_it() -> None:
    assert [problem.where for problem in problems(FULL, [])] == ["versions[1]"]


@pytest.mark.parametrize("data", [FULL, {"programme": "x", "currency": "PLN"}], ids=["full", "bare"])
def test_a_document_survives_being_written_and_read(data: dict[str, Any]) -> None:
    once = document(data)
    assert document(plain(once)) == once
    assert plain(document(plain(once))) == plain(once)


@given(st.fractions(min_value=0, max_denominator=10**6).filter(bool))
def test_an_amount_survives_being_written_and_read(value: Any) -> None:
    text = f"{value.numerator}/{value.denominator}"
    once = document(a_document("units.points.value", text))
    assert document(plain(once)).units == once.units
    assert once.units["points"].value == value  # type: ignore[index]


def _counted(data: Any) -> Any:
    """Whole numbers as numbers, all else as text: what stands in a file."""
    if isinstance(data, dict):
        return {key: _counted(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_counted(value) for value in data]
    return int(data) if data.isdigit() else data


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_accepts_the_programmes_of_the_replay(path: Path) -> None:
    written = _counted(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(written, json_schema())
    jsonschema.validate(plain(document(written)), json_schema())


def test_the_schema_accepts_a_document_that_uses_everything() -> None:
    jsonschema.validate(FULL, json_schema())
    jsonschema.validate(plain(document(FULL)), json_schema())


@pytest.mark.parametrize(
    "broken",
    [
        {"programme": "x"},
        a_document(curency="PLN"),
        a_document("units.points.value", "a lot"),
        a_document("units.points.expiry.after", "soon"),
        a_document("rules.0.award.amount", 0),
        a_document("rules.3.if.op", "nht"),
        a_document("policies.lot_order", "random"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(broken: dict[str, Any]) -> None:
    assert problems(broken)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, json_schema())


JUNK: list[Any] = [
    *(None, True, 0, -1, 10**30, 0.5, float("nan"), "", "x", "1e9", "-1", "1/3", "9" * 400, "\x00", "points", "tier."),
    *("9999-12-31", "0001-01-01", "6 months", "0 days", "1000 years", [], {}, [[]], {"op": "first"}, {"a": {"b": []}}),
]


def damaged(data: Any, dice: random.Random) -> Any:
    """``data`` with one thing deleted, replaced, doubled or renamed somewhere."""
    if not isinstance(data, (dict, list)) or not data or dice.random() < 0.08:
        return copy.deepcopy(dice.choice(JUNK))
    key = dice.choice(list(data)) if isinstance(data, dict) else dice.randrange(len(data))
    what = dice.random()
    if what < 0.1:
        del data[key]
    elif what < 0.2 and isinstance(data, dict):
        data[dice.choice(["x", "op", "from", key + "s"])] = data.pop(key)
    elif what < 0.2:
        data.append(copy.deepcopy(data[key]))
    else:
        data[key] = damaged(data[key], dice)
    return data


def test_units_keep_the_order_in_which_they_were_written_and_sets_have_one() -> None:
    data = a_document(units={"stamps": {}, "points": FULL["units"]["points"], "miles": {}})
    data["rules"][3]["channels"] = ["web", "till", "app"]
    written = plain(document(data))
    assert list(written["units"]) == ["stamps", "points", "miles"]
    assert written["rules"][3]["channels"] == ["app", "till", "web"]


@settings(max_examples=600)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_damaged_document_works_or_is_refused_with_a_reason(seed: int, times: int) -> None:
    dice = random.Random(seed)
    data: Any = copy.deepcopy(FULL)
    for _ in range(times):
        data = damaged(data, dice)
    refused: tuple[Problem, ...] = (Problem("", "accepted"),)
    try:
        version = programme([data]).latest
    except Invalid as wrong:
        refused = wrong.problems
    else:
        assert document(plain(version.document)) == version.document
    assert refused
    assert all(problem.what for problem in refused)
