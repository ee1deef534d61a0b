"""Capacities in memory: what limited rules may give, shared by all members.

Invariant (laws 6 and 10): no more is drawn of a capacity than there is, and as long as there is any, whoever asks for it gets it.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from regulars.programme.decide import Decision, decide
from regulars.programme.definition import Programme
from regulars.programme.dossier import Dossier
from regulars.programme.facts import Fact
from regulars.programme.member import MemberState


class Capacities:
    """How much there is of each, and how much of it is drawn."""

    def __init__(self, most: Mapping[str, int]) -> None:
        """Nothing drawn yet."""
        self.most = dict(most)
        self.drawn: Counter[str] = Counter()

    def left(self, name: str) -> int:
        """How much may still be drawn of the capacity of that name."""
        return max(0, self.most[name] - self.drawn[name])

    def lacking(self, draws: Mapping[str, int]) -> dict[str, int]:
        """What is left of those that cannot give what ``draws`` asks for."""
        return {name: self.left(name) for name, amount in draws.items() if amount > self.left(name)}

    def draw(self, draws: Mapping[str, int]) -> None:
        """Take what is above zero, give back what is below."""
        for name, amount in draws.items():
            self.drawn[name] += amount


def decide_within(capacities: Capacities | None, programme: Programme, member: MemberState, dossier: Dossier, fact: Fact) -> Decision:
    """Decide, and draw what the decision asks for; where something is lacking decide again, knowing what there is."""
    decision = decide(programme, member, dossier, fact)
    if capacities is None or not decision.draws:
        return decision
    while lacking := capacities.lacking(decision.draws):
        dossier = msgspec.structs.replace(dossier, granted={**(dossier.granted or {}), **lacking})
        decision = decide(programme, member, dossier, fact)
    capacities.draw(decision.draws)
    return decision
