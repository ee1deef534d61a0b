"""Tiers: levels that a member reaches by what they spent.

Invariant: a tier is a function of the counted spend and the ladder; computing it again gives the tier that the member has.
"""

from bisect import bisect_right
from fractions import Fraction
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One level of a ladder."""

    id: Annotated[str, Meta(min_length=1, description="Its name, as `gold`; conditions name it.")]
    from_: Annotated[
        Fraction, Meta(description="The spend from which it holds (that amount included), as `500.00`; 0 for the first level.")
    ]


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Levels by lifetime spend."""

    levels: Annotated[tuple[Level, ...], Meta(min_length=1, description="From the lowest, which begins at 0, to the highest.")]
    upgrade: Annotated[
        Literal["next_order", "same_order"],
        Meta(description="Whether the order that reaches a level already has its benefits (`same_order`) or only the next one."),
    ] = "next_order"
    review: Annotated[
        Literal["at_return", "never"],
        Meta(description="Whether a return that takes the spend below a level takes the level too, or a level once reached stays."),
    ] = "at_return"


class Rungs(msgspec.Struct, frozen=True):
    """A ladder made ready: ``bounds`` in minor units, rising, and the level that each begins."""

    ladder: Ladder
    bounds: tuple[int, ...]
    names: tuple[str, ...]

    def at(self, spend: int) -> str:
        """The level of a member who spent ``spend`` minor units."""
        return self.names[max(0, bisect_right(self.bounds, spend) - 1)]

    def rank(self, name: str) -> int:
        """Its place from below; -1 for a level that this version does not have."""
        return self.names.index(name) if name in self.names else -1


def rungs(ladder: Ladder, minor: int) -> Rungs:
    """``ladder`` in minor units (``minor`` of them to one unit of currency)."""
    return Rungs(ladder, tuple(-int(-level.from_ * minor // 1) for level in ladder.levels), tuple(level.id for level in ladder.levels))
