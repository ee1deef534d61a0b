"""Conditions: a small closed tree over a declared catalogue of facts, and its interpreter.

Invariant: what is missing makes its own comparison false, never an error; no condition reads a clock, a history or another member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from regulars.kernel.time import Instant, Span, later, local_day
from regulars.programme.facts import Order
from regulars.programme.member import Situation

Value = int | str | frozenset[str]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class View:
    """What conditions may ask about one order in its situation; answers are found once and kept."""

    __slots__ = ("_answers", "order", "situation", "tiers", "total", "zone")

    def __init__(self, order: Order, situation: Situation, total: int, tiers: dict[str, str], zone: ZoneInfo) -> None:
        """``total``: minor units of the counted lines, after the discounts known so far."""
        self.order = order
        self.situation = situation
        self.total = total
        self.tiers = tiers
        self.zone = zone
        self._answers: dict[str, Value | None] = {}

    def value(self, name: str) -> Value | None:
        """The answer to the catalogue's ``name``; None where there is none."""
        answers = self._answers
        if name in answers:
            return answers[name]
        answer = self.tiers.get(name[5:]) if name.startswith("tier.") else CATALOGUE[name].read(self)
        answers[name] = answer
        return answer


class FactType(msgspec.Struct, frozen=True):
    """One entry of the catalogue: its ``kind`` (amount, number, text, set or instant), its sentence and how it is read."""

    kind: str
    sentence: str
    read: Callable[[View], Value | None]


CATALOGUE: dict[str, FactType] = {
    "order.total": FactType("amount", "Counted lines of the order after the discounts known so far.", lambda v: v.total),
    "order.units": FactType("number", "Pieces in the order.", lambda v: sum(x.quantity for x in v.order.lines)),
    "order.lines": FactType("number", "Different goods in the order.", lambda v: len({x.sku for x in v.order.lines})),
    "order.skus": FactType("set", "Stock codes in the order.", lambda v: frozenset(x.sku for x in v.order.lines)),
    "order.categories": FactType("set", "Categories in the order.", lambda v: frozenset(c for x in v.order.lines for c in x.categories)),
    "order.codes": FactType("set", "Codes that the customer entered.", lambda v: frozenset(v.order.codes)),
    "order.channel": FactType("text", "Where it was sold: web, till, marketplace...", lambda v: v.order.channel),
    "order.source": FactType("text", "Which shop system sent it.", lambda v: v.order.source),
    "order.country": FactType("text", "Country of the order, as the shop writes it.", lambda v: v.order.country),
    "order.currency": FactType("text", "Currency of the order.", lambda v: v.order.currency),
    "order.weekday": FactType("text", "Local day of the week of purchase: monday to sunday.", lambda v: WEEKDAYS[_day(v).weekday()]),
    "order.month": FactType("number", "Local month of purchase: 1 to 12.", lambda v: _day(v).month),
    "order.number": FactType("number", "The order's number in the member's history: 1 for the first.", lambda v: v.situation.number),
    "member.spend": FactType("amount", "What the member spent before this order.", lambda v: v.situation.spend),
    "member.first_order_at": FactType("instant", "When the member's first order was placed.", lambda v: v.situation.first_order_at),
    "member.previous_order_at": FactType("instant", "When the order before was placed.", lambda v: v.situation.previous_order_at),
}
"""Facts that a condition may name; `tier.<ladder>` (text) is there for each ladder of the programme."""


def _day(view: View) -> date:
    return local_day(view.order.placed_at, view.zone)


class Leaf(msgspec.Struct, frozen=True):
    """One comparison, as it came out: the fact's ``actual`` value, what was ``wanted``, and how far it is ``short`` of it."""

    fact: str
    op: str
    wanted: str
    actual: str | None
    passed: bool
    short: int | None = None


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """A condition."""

    def holds(self, view: View) -> bool:
        """Whether it is true of ``view``."""
        raise NotImplementedError

    def leaves(self, view: View) -> Iterator[Leaf]:
        """Each comparison below, evaluated: what `explain` shows."""
        raise NotImplementedError


class All(Node, frozen=True, tag="all"):
    """Every one of them."""

    of: Annotated[tuple[Condition, ...], Meta(description="The conditions.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        for node in self.of:
            if not node.holds(view):
                return False
        return True

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        for node in self.of:
            yield from node.leaves(view)


class AnyOf(Node, frozen=True, tag="any"):
    """At least one of them."""

    of: Annotated[tuple[Condition, ...], Meta(description="The conditions.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        for node in self.of:
            if node.holds(view):
                return True
        return False

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        for node in self.of:
            yield from node.leaves(view)


class Not(Node, frozen=True, tag="not"):
    """Its opposite; a comparison with something missing is false, so its opposite is true."""

    of: Annotated[Condition, Meta(description="One condition.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        return not self.of.holds(view)

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``; what passed inside is what failed here."""
        for leaf in self.of.leaves(view):
            op = leaf.op.removeprefix("not ") if leaf.op.startswith("not ") else f"not {leaf.op}"
            yield msgspec.structs.replace(leaf, op=op, passed=not leaf.passed, short=None)


class Compare(Node, frozen=True):
    """A number or amount against a bound. Amounts are written in the programme's currency, as ``50.00``."""

    fact: Annotated[str, Meta(description="An amount or a number.")]
    value: Annotated[Fraction, Meta(description="The bound.")]
    is_reached_by_more: ClassVar[bool] = True

    def passes(self, actual: int) -> bool:
        """The comparison itself."""
        raise NotImplementedError

    def holds(self, view: View) -> bool:
        """See the class."""
        actual = view.value(self.fact)
        return isinstance(actual, int) and self.passes(actual)

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        actual = view.value(self.fact)
        short = self._short(actual) if self.is_reached_by_more and isinstance(actual, int) and not self.passes(actual) else None
        yield Leaf(self.fact, _tag(self), str(self.value), None if actual is None else str(actual), self.holds(view), short)

    def _short(self, actual: int) -> int:
        enough = -(-self.value.numerator // self.value.denominator)
        return (enough if self.passes(enough) else enough + 1) - actual


class AtLeast(Compare, frozen=True, tag="at_least"):
    """The fact is the bound or more."""

    def passes(self, actual: int) -> bool:
        """>="""
        return actual >= self.value


class Above(Compare, frozen=True, tag="above"):
    """The fact is more than the bound."""

    def passes(self, actual: int) -> bool:
        """>"""
        return actual > self.value


class AtMost(Compare, frozen=True, tag="at_most"):
    """The fact is the bound or less."""

    is_reached_by_more = False

    def passes(self, actual: int) -> bool:
        """<="""
        return actual <= self.value


class Below(Compare, frozen=True, tag="below"):
    """The fact is less than the bound."""

    is_reached_by_more = False

    def passes(self, actual: int) -> bool:
        """<"""
        return actual < self.value


class In(Node, frozen=True, tag="in"):
    """A text or number is one of the values."""

    fact: Annotated[str, Meta(description="A text or a number.")]
    values: Annotated[frozenset[int | str], Meta(description="The values.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        return view.value(self.fact) in self.values

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        actual = view.value(self.fact)
        yield Leaf(self.fact, "in", _listed(self.values), None if actual is None else str(actual), self.holds(view))


class Has(Node, frozen=True, tag="has"):
    """A set has at least one of the values."""

    fact: Annotated[str, Meta(description="A set.")]
    values: Annotated[frozenset[str], Meta(description="The values.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        actual = view.value(self.fact)
        return isinstance(actual, frozenset) and not actual.isdisjoint(self.values)

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        actual = view.value(self.fact)
        shown = _listed(actual & self.values) if isinstance(actual, frozenset) else None
        yield Leaf(self.fact, "has", _listed(self.values), shown, self.holds(view))


class Nth(Node, frozen=True, tag="nth"):
    """This is the member's first, second, ... order, as listed."""

    orders: Annotated[frozenset[Annotated[int, Meta(ge=1)]], Meta(min_length=1, description="Their numbers, the first order being 1.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        return view.situation.number in self.orders

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        yield Leaf("order.number", "nth", _listed(self.orders), str(view.situation.number), self.holds(view))


class EveryNth(Node, frozen=True, tag="every_nth"):
    """This is the member's n-th, 2n-th, 3n-th, ... order."""

    n: Annotated[int, Meta(ge=1, description="Every how many orders.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        return view.situation.number % self.n == 0

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        number = view.situation.number
        yield Leaf("order.number", "every_nth", str(self.n), str(number), self.holds(view), -number % self.n or None)


class First(Node, frozen=True, tag="first"):
    """This is the member's first order."""

    def holds(self, view: View) -> bool:
        """See the class."""
        return view.situation.number == 1

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        yield Leaf("order.number", "first", "1", str(view.situation.number), self.holds(view))


class Within(Node, frozen=True, tag="within"):
    """The order was placed at most so long after an instant, as ``30 days`` after ``member.previous_order_at``."""

    fact: Annotated[str, Meta(description="An instant.")]
    span: Annotated[Span, Meta(description="How long after it at most.")]

    def holds(self, view: View) -> bool:
        """See the class."""
        since = view.value(self.fact)
        return isinstance(since, int) and since <= view.order.placed_at <= later(Instant(since), self.span, view.zone)

    def leaves(self, view: View) -> Iterator[Leaf]:
        """See ``Node``."""
        since = view.value(self.fact)
        shown = local_day(Instant(since), view.zone).isoformat() if isinstance(since, int) else None
        yield Leaf(self.fact, "within", str(self.span), shown, self.holds(view))


Condition = All | AnyOf | Not | AtLeast | Above | AtMost | Below | In | Has | Nth | EveryNth | First | Within


def _tag(node: Node) -> str:
    return str(node.__struct_config__.tag)


def _listed(values: frozenset[int | str] | frozenset[str] | frozenset[int]) -> str:
    return ", ".join(sorted(map(str, values)))
