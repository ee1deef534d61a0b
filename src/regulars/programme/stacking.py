"""Stacking: which of several applicable discounts apply together, and in what order.

Invariant: the outcome depends on priority and id alone, never on the order in which rules were written.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from regulars.kernel.ids import RuleId
from regulars.programme.reasons import Reason


class Mode(StrEnum):
    """How the rules of one group get on with each other."""

    STACK = "stack"
    FIRST = "first"
    BEST = "best"
    EXCLUSIVE = "exclusive"


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stacking group of discounts."""

    mode: Annotated[
        Mode,
        Meta(
            description="`stack`: all apply; `first`: the one of the highest priority that has an effect; `best`: the one worth most to"
            " the member; `exclusive`: like `first`, and nothing else of that stage applies beside it."
        ),
    ]


STACKING = Group(Mode.STACK)


class Candidate(msgspec.Struct, frozen=True):
    """A discount whose conditions hold. ``measure`` tells what it would take off each line, given what is left of each;
    ``without_effect`` why it would be nothing.
    """

    rule: RuleId
    priority: int
    group: str
    mode: Mode
    measure: Callable[[Sequence[int]], list[int]]
    without_effect: Reason = Reason.NO_EFFECT


class Applied(msgspec.Struct, frozen=True):
    """What a rule took off each line, in minor units."""

    rule: RuleId
    parts: tuple[int, ...]

    @property
    def amount(self) -> int:
        """Off the whole order."""
        return sum(self.parts)


def stack(candidates: Iterable[Candidate], left: Sequence[int]) -> list[Applied]:
    """The discounts of one stage that apply to lines of which ``left`` remains, in order of application.

    Higher priority goes first, then the smaller id. A group decides at the place of its first rule.
    """
    ranked = sorted(candidates, key=lambda c: (-c.priority, c.rule))
    for candidate in ranked:
        if candidate.mode is Mode.EXCLUSIVE and any(parts := candidate.measure(left)):
            return [Applied(candidate.rule, tuple(parts))]
    applied: list[Applied] = []
    decided: set[str] = set()
    for candidate in ranked:
        if candidate.group in decided and candidate.mode is not Mode.STACK:
            continue
        rivals = [c for c in ranked if c.group == candidate.group] if candidate.mode is Mode.BEST else [candidate]
        measured = [(rival, rival.measure(left)) for rival in rivals]
        chosen, parts = max(measured, key=lambda pair: sum(pair[1]))  # max keeps the first of equals: the higher rank
        if any(parts) or candidate.mode is Mode.BEST:
            decided.add(candidate.group)
        if any(parts):
            applied.append(Applied(chosen.rule, tuple(parts)))
            left = [rest - part for rest, part in zip(left, parts, strict=True)]
    return applied
