"""Policies: the keys where shops differ, each explicit, each with a default and a sentence.

Invariant: no figure depends on a choice that is not written here or in the programme.
"""

from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from regulars.kernel.amount import Rounding
from regulars.kernel.time import Span


class LineKind(StrEnum):
    """What an order line is."""

    GOODS = "goods"
    DELIVERY = "delivery"
    FEE = "fee"
    GIFT_CARD = "gift_card"


class RoundingRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How and where an exact figure becomes a whole number: once per rule and `order`, or once per rule and `line`."""

    mode: Annotated[Rounding, Meta(description="`down` (towards zero), `half_up` or `up`.")] = Rounding.DOWN
    level: Annotated[Literal["order", "line"], Meta(description="Once for the whole order, or on each line (equal lines are one).")] = (
        "order"
    )


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where shops differ. Every key has a default; a programme states only what it wants otherwise."""

    basis: Annotated[
        Literal["shown", "net"],
        Meta(description="Awards and spend count the price as the shop shows it (`shown`, with tax) or without tax (`net`)."),
    ] = "shown"
    basis_includes: Annotated[
        tuple[LineKind, ...],
        Meta(
            description="Which kinds of order line count for awards, spend and shares; delivery, fees and gift cards do not unless named."
        ),
    ] = (LineKind.GOODS,)
    spend_counts: Annotated[
        Literal["paid", "total"],
        Meta(description="A member's spend counts what was `paid` after discounts and points, or the order `total` after discounts alone."),
    ] = "paid"
    multiple_base: Annotated[
        Literal["rounded", "exact"],
        Meta(description="A multiple applies to the already rounded award (`rounded`) or to the exact one; the result is rounded again."),
    ] = "rounded"
    multiples_combine: Annotated[
        Literal["highest", "multiply", "add"],
        Meta(
            description="When several multiples meet one award: the `highest` alone, all multiplied, or their extras added"
            " (2x and 3x give 4x)."
        ),
    ] = "highest"
    multiples_on_return: Annotated[
        Literal["keep", "recompute"],
        Meta(
            description="When an order comes back whole, later orders `keep` the multiples and perks of their old number,"
            " or are counted anew (`recompute`). Spend and levels of other orders stay as they stood at their purchase."
        ),
    ] = "keep"
    returned_orders_count: Annotated[
        bool,
        Meta(description="Whether an order that came back whole still counts when the next order gets its number."),
    ] = False
    lot_order: Annotated[
        Literal["expiry_first", "oldest_first"],
        Meta(description="Which lot is spent first: the one that expires first (then the oldest), or simply the oldest."),
    ] = "expiry_first"
    lot_boundary: Annotated[
        Literal["end_of_day", "instant"],
        Meta(
            description="A lot that expires after 6 months is usable through the whole last local day (`end_of_day`),"
            " or exactly until that `instant`, a day being 24 hours. The same holds for the wait before activation."
        ),
    ] = "end_of_day"
    over_redeem: Annotated[
        Literal["refuse", "clamp"],
        Meta(description="A request to spend more than allowed is refused, or lowered to what is allowed (`clamp`)."),
    ] = "refuse"
    shortfall: Annotated[
        Literal["debt", "write_off"],
        Meta(
            description="When a return takes back more than the member still holds: the rest becomes a `debt` that later awards repay,"
            " or is written off."
        ),
    ] = "debt"
    reinstated_grace: Annotated[
        Span | None,
        Meta(
            description="Points that come back with returned goods may be used so long after the return,"
            " and at most so long after their old end."
        ),
    ] = None
    lateness_window: Annotated[
        Span,
        Meta(description="Evidence older than this when it arrives is refused with a reason; counted from the change it reports."),
    ] = Span(30, "days")
    future_facts: Annotated[
        Literal["refuse", "clamp"],
        Meta(description="A fact dated in the future is refused, or dated at its arrival (`clamp`)."),
    ] = "refuse"
    stacking_base: Annotated[
        Literal["remaining", "original"],
        Meta(description="A percentage is taken of what earlier discounts left (`remaining`), or always of the `original` price."),
    ] = "remaining"
    discount_rounding: Annotated[
        RoundingRule, Meta(description="How a money discount becomes whole minor units; the parts on the lines always sum to it.")
    ] = RoundingRule(Rounding.HALF_UP)
    price_floor_percent: Annotated[Fraction, Meta(description="Discounts never lower a line below this percentage of its shown price.")] = (
        Fraction(0)
    )
