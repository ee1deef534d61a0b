"""Multiples and perks: double on the second order, triple on the third, a gift with every n-th.

Invariant: a multiple never makes an award smaller, and what it adds comes back with the order that earned it.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

import msgspec
from msgspec import Meta

from regulars.kernel.ids import UnitId

ONCE = Fraction(1)


class Multiple(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Multiply what the order earns in a unit."""

    unit: Annotated[UnitId, Meta(description="The unit whose awards are multiplied.")]
    by: Annotated[Fraction, Meta(description="The factor, 1 or more, as `2` or `1.5`.")]


class Perk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gift or service that travels with the order."""

    name: Annotated[str, Meta(min_length=1, description="What it is, in the shop's words, as `free bouquet arrangement`.")]


def combined(factors: Sequence[Fraction], how: str) -> Fraction:
    """One factor of several: the `highest`, all multiplied (`multiply`), or 1 plus all their extras (`add`)."""
    if len(factors) == 1:
        return factors[0]
    if how == "highest":
        return max(factors, default=ONCE)
    product = total = ONCE
    for factor in factors:
        product *= factor
        total += factor - 1
    return product if how == "multiply" else total
