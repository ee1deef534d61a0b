"""Budgets: how much a rule may give altogether, over all members and all time.

What a rule may give is a capacity of its own, shared by everybody; what an order holds of it stands in that order's book.
Invariant (law 6): an order never holds more of a capacity than was granted to it, and gives back what it does not need any more, unless
the limit says that it keeps it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from regulars.kernel.ids import RuleId

Positive = Annotated[int, Meta(ge=1)]


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a rule may give altogether. Exactly one of ``uses`` and ``units``."""

    uses: Annotated[Positive | None, Meta(description="So many orders get what the rule gives.")] = None
    units: Annotated[Positive | None, Meta(description="So many units are awarded by the rule altogether, multiples included.")] = None
    over: Annotated[
        Literal["reduce", "refuse"],
        Meta(description="An award that does not fit any more is lowered to what is left (`reduce`, of `units` only) or not made."),
    ] = "refuse"
    returns: Annotated[
        Literal["give_back", "keep"],
        Meta(description="Whether goods that come back leave room for others (`give_back`), or what was used stays used (`keep`)."),
    ] = "give_back"

    @property
    def most(self) -> int:
        """How much there is of it."""
        return self.uses or self.units or 0


def capacity_of(rule: RuleId) -> str:
    """The name of the capacity that limits ``rule``."""
    return f"rule:{rule}"


class Allowance(msgspec.Struct, frozen=True):
    """What one statement of an order may add to what the order holds of each capacity.

    While it is undecided, ``granted`` names the capacities that were asked and gave less than everything. Once it ``is_recorded``,
    ``granted`` is what it added then (below zero: gave back), and nothing where it is silent.
    """

    granted: Mapping[str, int]
    is_recorded: bool = False

    def drawn(self, name: str, limit: Limit, wanted: int, held: int) -> int:
        """What an order that ``held`` so much of the capacity ``name`` holds of it when it wants ``wanted``."""
        if limit.returns == "keep":
            wanted = max(wanted, held)
        if self.is_recorded:
            return max(0, min(wanted, held + self.granted.get(name, 0)))
        if name not in self.granted or wanted <= held + max(0, self.granted[name]):
            return wanted
        return held + max(0, self.granted[name]) if limit.over == "reduce" else held
