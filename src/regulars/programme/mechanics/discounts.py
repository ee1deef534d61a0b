"""Discounts: fixed, by conditions, and cumulative by what the member spent before.

Invariant (law 12): what a discount takes off the lines sums to the discount, and no line goes below zero or its floor.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from regulars.kernel.amount import rounded, split
from regulars.programme.basis import Goods
from regulars.programme.policies import RoundingRule


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    """One step of a cumulative discount: a stretch of spend and its percentage."""

    percent: Annotated[Fraction, Meta(description="The discount on this step.")]
    from_: Annotated[Fraction | None, Meta(description="It begins at this spend (the amount itself included).")] = None
    above: Annotated[Fraction | None, Meta(description="Instead of `from`: it begins just above this spend.")] = None
    to: Annotated[Fraction | None, Meta(description="It ends at this spend (included); absent: it reaches to the next step.")] = None


class Cumulative(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A discount by total spend."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1, description="From the lowest to the highest.")]
    between: Annotated[
        Literal["lower", "none"] | None,
        Meta(description="What a spend between two steps gets: the `lower` step's percentage or `none`. Needed when steps leave a gap."),
    ] = None
    counts_this_order: Annotated[
        bool, Meta(description="Whether the order at hand counts towards its own discount; otherwise it counts from the next one.")
    ] = False


class Discount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Money off. Exactly one of ``percent``, ``amount`` and ``cumulative``."""

    percent: Annotated[Fraction | None, Meta(description="Percentage off, as `10`.")] = None
    amount: Annotated[Fraction | None, Meta(description="Money off the order, as `5.00`.")] = None
    cumulative: Annotated[Cumulative | None, Meta(description="Percentage off by what the member spent before.")] = None
    goods: Annotated[Goods | None, Meta(description="The goods it is for; all counted goods when absent.")] = None
    stage: Annotated[
        Literal["line", "order"] | None,
        Meta(description="Line discounts come before order discounts. Absent: `line` when `goods` are chosen, else `order`."),
    ] = None
    group: Annotated[str, Meta(description="Its stacking group; the unnamed one stacks.")] = ""


class Ramp(msgspec.Struct, frozen=True):
    """A step made ready: from ``first`` to ``last`` minor units of spend, both included (no end: None)."""

    first: int
    last: int | None
    percent: Fraction


def ramps(cumulative: Cumulative, minor: int) -> tuple[Ramp, ...]:
    """Steps in minor units (``minor`` of them to one unit of currency), rising."""
    ready = []
    for step in cumulative.steps:
        first = -int(-step.from_ * minor // 1) if step.from_ is not None else int((step.above or 0) * minor // 1) + 1
        ready.append(Ramp(first, None if step.to is None else int(step.to * minor // 1), step.percent))
    return tuple(ready)


def percent_at(ramps: Sequence[Ramp], spend: int, between: str | None) -> Fraction:
    """The percentage for ``spend`` minor units; in a gap, that of the lower step or none."""
    found = Fraction(0)
    for ramp in ramps:
        if spend >= ramp.first:
            is_inside = ramp.last is None or spend <= ramp.last
            found = ramp.percent if is_inside or between == "lower" else Fraction(0)
    return found


def percent_off(percent: Fraction, bases: Sequence[int], room: Sequence[int], rule: RoundingRule) -> list[int]:
    """``percent`` of the ``bases`` (minor units, per line), spread over the lines; a line takes no more than its ``room``."""
    p = percent / 100
    if rule.level == "line":
        parts = [rounded(base * p.numerator, p.denominator, rule.mode) for base in bases]
    else:
        parts = split(rounded(sum(bases) * p.numerator, p.denominator, rule.mode), bases)
    return [min(part, max(0, space)) for part, space in zip(parts, room, strict=True)]


def amount_off(amount: int, bases: Sequence[int], room: Sequence[int]) -> list[int]:
    """``amount`` minor units off the lines with a basis, by their bases; what one line has no ``room`` for goes to those that have."""
    space = [max(0, rest) if base else 0 for base, rest in zip(bases, room, strict=True)]
    wanted = min(amount, sum(space))
    parts = [min(part, rest) for part, rest in zip(split(wanted, bases), space, strict=True)]
    missing = wanted - sum(parts)
    for i, rest in enumerate(space):
        more = min(missing, rest - parts[i])
        parts[i] += more
        missing -= more
    return parts
