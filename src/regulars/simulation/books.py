"""Books in memory: one member's state and orders under the same `decide` that serves a live shop.

Invariant: whatever the order in which facts are taken, the books end where folding all of them in order of occurrence ends.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from regulars.kernel.ids import FactId, MemberId
from regulars.kernel.time import BEGINNING, Instant
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision, decide, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.dossier import EMPTY, OrderBook
from regulars.programme.effects import Effect
from regulars.programme.facts import Commitment, MemberMerged, OrderStated, Place, Remembered, TimePassed, fact_order, in_its_place
from regulars.programme.fold import NONE, Folded, Granted, Listener, differences, dossier_of, fold, join, keep
from regulars.programme.member import MemberState
from regulars.programme.pairs import merge_facts, undo_facts
from regulars.programme.reasons import Reason, Refusal
from regulars.simulation.capacities import Capacities, decide_within


class Answer(msgspec.Struct, frozen=True):
    """What a caller hears of a fact: refused and why, or taken; of a commitment, how much was granted; and what a limit cut short."""

    refusal: Refusal | None = None
    granted: int | None = None
    limited: tuple[Refusal, ...] = ()


class Books:
    """One member's books with their whole history: they take facts in any order and any number of times."""

    def __init__(self, programme: Programme, member: MemberId, capacities: Capacities | None = None) -> None:
        """Empty books; without ``capacities`` no limit is ever reached."""
        self.programme = programme
        self.capacities = capacities
        self.now = Folded(MemberState(member), {}, [])
        self.facts: list[Remembered] = []
        self.joined: dict[FactId, Mapping[str, OrderBook]] = {}
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
        """Take ``fact``; the same fact again gets the first answer, another under the same id is refused.

        What cannot be taken at all is not remembered: when it comes again it is looked at anew.
        """
        content = msgspec.structs.replace(fact, recorded_at=Instant(0))
        if fact.id in self._answers:
            first, answer = self._answers[fact.id]
            return answer if first == content else Answer(Refusal(Reason.CONTENT_DIFFERS, fact.id))
        if refusal := inadmissible(self.programme, fact):
            return Answer(refusal)
        answer = self._answered(fact)
        self._answers[fact.id] = (content, answer)
        return answer

    def _answered(self, fact: Remembered) -> Answer:
        fact = in_its_place(fact, self.member.clock, self._last)
        is_late = fact.occurred_at < self.member.clock or (bool(self.facts) and fact_order(fact) < self._last)
        if is_late:
            self._last = max(self._last, fact_order(fact))
            return self._fold_again(fact)
        decision = decide_within(self.capacities, self.programme, self.member, dossier_of(self.programme, self.now, fact), fact)
        keep(self.now, decision)
        join(self.now, fact, decision, self.joined)
        self.facts.append(_with_outcome(fact, decision))
        self._last = max(self._last, fact_order(fact))
        return _answer(decision)

    def pass_time(self, until: Instant) -> list[Effect]:
        """Let the clock reach ``until``."""
        decision = decide(self.programme, self.member, EMPTY, TimePassed(until))
        keep(self.now, decision)
        return decision.effects

    def folded_again(self, listener: Listener = lambda *_: None, granted: Granted = NONE) -> Folded:
        """The books from nothing, as of now: must equal them (law 21)."""
        return fold(self.programme, self.member.id, self.facts, self.member.clock, listener, self.joined, granted)

    def _fold_again(self, late: Remembered) -> Answer:
        """Fold everything again and post the difference; the answer to the ``late`` fact is what the fold decided of it.

        Where a capacity lacks what the whole history draws more than before, the late fact gets so much less; and where that is not enough,
        for it changed what others may keep of theirs, it gets nothing.
        """
        self.facts.append(late)
        again, decisions = self._folded_with(None, late)
        limited: dict[str, int] = {}
        for is_second in (False, True):
            more = self._drawn_more(again)
            lacking = self.capacities.lacking(more) if self.capacities is not None else {}
            for name, left in lacking.items():
                limited[name] = 0 if is_second else max(0, decisions[late.id].draws.get(name, 0) - (more[name] - left))
            if lacking:
                again, decisions = self._folded_with(limited, late)
        if self.capacities is not None:
            self.capacities.draw(self._drawn_more(again))
            self.facts = [_with_outcome(fact, decisions[fact.id], is_new=isinstance(fact, OrderStated)) for fact in self.facts]
        self.facts[-1] = _with_outcome(late, decisions[late.id])
        self.now = msgspec.structs.replace(again, transfers=self.transfers + differences(self.transfers, again.transfers))
        return _answer(decisions[late.id])

    def _folded_with(self, granted: dict[str, int] | None, late: Remembered) -> tuple[Folded, dict[FactId, Decision]]:
        decisions: dict[FactId, Decision] = {}

        def hear(fact: Remembered, decision: Decision) -> None:
            decisions[fact.id] = decision

        return self.folded_again(hear, {} if granted is None else {late.id: granted}), decisions

    def _drawn_more(self, again: Folded) -> Counter[str]:
        """What the history draws more of each capacity than the books do."""
        more: Counter[str] = Counter()
        for sign, orders in ((1, again.orders), (-1, self.now.orders)):
            for book in orders.values():
                for name, amount in book.drawn.items():
                    more[name] += sign * amount
        return more


def _answer(decision: Decision) -> Answer:
    return Answer(decision.refusal, decision.granted, decision.limited)


def _with_outcome(fact: Remembered, decision: Decision, is_new: bool = False) -> Remembered:
    """``fact`` as it is remembered: with what was decided of it. An order that ``is_new`` to its limits gets its outcome anew."""
    if isinstance(fact, OrderStated):
        return msgspec.structs.replace(fact, grants=decision.draws) if fact.grants is None or is_new else fact
    if isinstance(fact, Commitment) and fact.granted is None:
        return msgspec.structs.replace(fact, granted=decision.granted)
    return fact


# --- two members ----------------------------------------------------------------------------------------------------------------


def merge(survivor: Books, absorbed: Books, ids: tuple[FactId, FactId], actor: str, at: Instant) -> MemberMerged | Refusal:
    """One person has both books: everything of ``absorbed`` goes to ``survivor``."""
    facts = merge_facts(survivor.programme, survivor.member, absorbed.member, ids, actor, at)
    if isinstance(facts, Refusal):
        return facts
    survivor.joined[facts[0].id] = dict(absorbed.now.orders)
    survivor.take(facts[0])
    absorbed.take(facts[1])
    return facts[0]


def undo_merge(
    survivor: Books, absorbed: Books, merged: MemberMerged, ids: tuple[FactId, FactId], actor: str, at: Instant
) -> Refusal | None:
    """It was a mistake: what belongs to ``absorbed`` goes back."""
    theirs = {key: survivor.now.orders[key] for key in survivor.joined[merged.id] if key in survivor.now.orders}
    facts = undo_facts(survivor.programme, survivor.member, merged, theirs, ids, actor, at)
    if isinstance(facts, Refusal):
        return facts
    absorbed.joined[facts[1].id] = theirs
    survivor.take(facts[0])
    absorbed.take(facts[1])
    return None
