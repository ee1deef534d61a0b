"""Books in memory: one member's state and orders under the same `decide` that serves a live shop.

Invariant: whatever the order in which facts are taken, the books end where folding all of them in order of occurrence ends.
"""

import msgspec

from regulars.kernel.ids import FactId, MemberId
from regulars.kernel.time import BEGINNING, Instant
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision, decide, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.dossier import EMPTY
from regulars.programme.effects import Effect
from regulars.programme.facts import OrderStated, Place, Remembered, TimePassed, fact_order, in_its_place
from regulars.programme.fold import Folded, Listener, differences, dossier_for, fold, keep
from regulars.programme.member import MemberState
from regulars.programme.reasons import Reason, Refusal


class Answer(msgspec.Struct, frozen=True):
    """What a caller hears of a fact: refused and why, or taken; of a redemption, how much was granted."""

    refusal: Refusal | None = None
    granted: int | None = None


class Books:
    """One member's books with their whole history: they take facts in any order and any number of times."""

    def __init__(self, programme: Programme, member: MemberId) -> None:
        """Empty books."""
        self.programme = programme
        self.now = Folded(MemberState(member), {}, [])
        self.facts: list[Remembered] = []
        self._last: Place = (BEGINNING, "", 0, "")
        self._answers: dict[FactId, tuple[Remembered, Answer]] = {}

    @property
    def member(self) -> MemberState:
        """As they stand."""
        return self.now.member

    @property
    def transfers(self) -> list[Transfer]:
        """Everything ever posted, corrections included."""
        return self.now.transfers

    def take(self, fact: Remembered) -> Answer:
        """Take ``fact``; the same fact again gets the first answer, another under the same id is refused."""
        content = msgspec.structs.replace(fact, recorded_at=Instant(0))
        if fact.id in self._answers:
            first, answer = self._answers[fact.id]
            return answer if first == content else Answer(Refusal(Reason.CONTENT_DIFFERS, fact.id))
        answer = self._answered(fact)
        self._answers[fact.id] = (content, answer)
        return answer

    def _answered(self, fact: Remembered) -> Answer:
        if refusal := inadmissible(self.programme, fact):
            return Answer(refusal)
        fact = in_its_place(fact, self.member.clock, self._last)
        is_late = fact.occurred_at < self.member.clock or (bool(self.facts) and fact_order(fact) < self._last)
        if is_late:
            self._remember(fact)
            return self._fold_again(fact)
        decision = decide(self.programme, self.member, dossier_for(self.programme, self.now.orders, fact), fact)
        keep(self.now, decision)
        self._remember(fact if isinstance(fact, OrderStated) else msgspec.structs.replace(fact, granted=decision.granted))
        return Answer(decision.refusal, decision.granted)

    def pass_time(self, until: Instant) -> list[Effect]:
        """Let the clock reach ``until``."""
        decision = decide(self.programme, self.member, EMPTY, TimePassed(until))
        keep(self.now, decision)
        return decision.effects

    def folded_again(self, listener: Listener = lambda *_: None) -> Folded:
        """The books from nothing, as of now: must equal them (law 21)."""
        return fold(self.programme, self.member.id, self.facts, self.member.clock, listener)

    def _remember(self, fact: Remembered) -> None:
        self.facts.append(fact)
        self._last = max(self._last, fact_order(fact))

    def _fold_again(self, late: Remembered) -> Answer:
        """Fold everything again and post the difference; the answer to the ``late`` fact is what the fold decided of it."""
        answers: list[Answer] = []

        def hear(fact: Remembered, decision: Decision) -> None:
            if fact is late:
                answers.append(Answer(decision.refusal, decision.granted))

        again = self.folded_again(hear)
        self.now = Folded(again.member, again.orders, self.transfers + differences(self.transfers, again.transfers))
        return answers[0]
