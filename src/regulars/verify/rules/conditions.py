"""Conditions, read a second time: comparisons of what is known of an order and its member.

Invariant: what is missing makes its own comparison false, and only that.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

import msgspec

from regulars.verify.rules.calendar import DAY, after, local
from regulars.verify.rules.document import Data, NotUnderstood, Version, known, number, span
from regulars.verify.rules.worth import Worth

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AMOUNTS = ("order.total", "member.spend")
_COMPARISONS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "at_least": lambda fact, bound: fact >= bound,
    "above": lambda fact, bound: fact > bound,
    "at_most": lambda fact, bound: fact <= bound,
    "below": lambda fact, bound: fact < bound,
}


class Known(msgspec.Struct, frozen=True, dict=True):
    """What conditions may ask: the order, what it is worth, its situation, and the levels at that order."""

    order: Data
    source: str
    worth: Worth
    situation: Data
    tiers: dict[str, str]
    version: Version

    @cached_property
    def day(self) -> str:
        """The local day of purchase."""
        return self.placed.date().isoformat()

    @cached_property
    def placed(self) -> datetime:
        """The local time of purchase."""
        return local(self.order["placed_at"], self.version.zone)

    def fact(self, name: str) -> Any:
        """A fact by its name; None where it is missing."""
        if name.startswith("tier."):
            return self.tiers.get(name.removeprefix("tier."))
        if name not in self.facts:
            raise NotUnderstood(f"fact `{name}`")
        return self.facts[name]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """All facts but levels."""
        lines = [line for line in self.order["lines"] if line["quantity"]]
        return {
            "order.total": self.worth.total,
            "order.units": sum(line["quantity"] for line in lines),
            "order.lines": len({line["sku"] for line in lines}),
            "order.skus": frozenset(line["sku"] for line in lines),
            "order.categories": frozenset(category for line in lines for category in line.get("categories", ())),
            "order.codes": frozenset(self.order.get("codes", ())),
            "order.channel": self.order.get("channel"),
            "order.source": self.source,
            "order.country": self.order.get("country"),
            "order.currency": self.order["currency"],
            "order.weekday": _WEEKDAYS[self.placed.weekday()],
            "order.month": self.placed.month,
            "order.number": self.situation["number"],
            "member.spend": self.situation.get("spend", 0),
            "member.first_order_at": self.situation.get("first_order_at"),
            "member.previous_order_at": self.situation.get("previous_order_at"),
        }


def holds(condition: Data, of: Known) -> bool:
    """Whether a condition is true."""
    op = condition["op"]
    known(condition, "condition", ("op", "of", "fact", "value", "values", "orders", "n", "span"))
    if op in ("all", "any"):
        answers = [holds(each, of) for each in condition["of"]]
        return all(answers) if op == "all" else any(answers)
    if op == "not":
        return not holds(condition["of"], of)
    if op in ("nth", "every_nth", "first"):
        count = of.situation["number"]
        return bool({"nth": count in condition.get("orders", ()), "every_nth": count % condition.get("n", 1) == 0, "first": count == 1}[op])
    fact = of.fact(condition["fact"])
    if fact is None:
        return False
    if op in _COMPARISONS:
        bound = number(condition["value"]) * (of.version.minor if condition["fact"] in _AMOUNTS else 1)
        return _COMPARISONS[op](Fraction(fact), bound)
    values = [str(value) for value in condition.get("values", ())]
    if op == "in":
        return str(fact) in values
    if op == "has":
        return bool(fact & {*values})
    if op == "within":
        return _within(of, fact, condition["span"])
    raise NotUnderstood(f"condition `{op}`")


def _within(of: Known, began: int, text: str) -> bool:
    """At most so long after. Where whole days and 24 hours would answer differently, the documents do not say which is meant."""
    length = span(text)
    placed = of.order["placed_at"]
    ends = {after(began, length, of.version.zone, is_whole_day=False)}
    if length.unit == "days":
        ends.add(_same_clock(began, length.count, of))
    answers = {bool(placed <= end) for end in ends}
    if len(answers) > 1:
        raise NotUnderstood("condition `within` across a change of the clocks")
    return answers.pop()


def _same_clock(began: int, days: int, of: Known) -> int:
    """The same time of day so many days later, by the shop's clock."""
    zone = of.version.zone
    later = began + days * DAY
    moved = (local(later, zone).utcoffset() or timedelta()) - (local(began, zone).utcoffset() or timedelta())
    return later - int(moved.total_seconds() * 1_000_000)
