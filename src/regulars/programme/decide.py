"""decide: what follows from one fact for one member. The heart of everything: online, at night, in imports, replays and tests.

Invariant: it is pure - the state and the books that it reads are never changed, the new ones are part of its answer - and every unit it
moves stands in a transfer.
"""

from __future__ import annotations

import msgspec

from regulars.kernel.time import Instant, later
from regulars.programme.commitments import adjust, capture, hold, redeem, release
from regulars.programme.definition import Programme
from regulars.programme.desk import Desk
from regulars.programme.dossier import Dossier, HoldEnd, OrderBook
from regulars.programme.effects import Effect
from regulars.programme.facts import (
    MOST,
    Fact,
    HoldCaptured,
    HoldReleased,
    MemberAbsorbed,
    MemberMerged,
    MergeRestored,
    MergeUndone,
    OrderStated,
    Remembered,
    StatusChanged,
    TimePassed,
    ValueAdjusted,
    ValueHeld,
    ValueRedeemed,
    unsound,
    unsound_words,
)
from regulars.programme.member import MemberState
from regulars.programme.orders import take_order
from regulars.programme.pairs import be_absorbed, be_restored, merge, undo
from regulars.programme.reasons import Reason, Refusal
from regulars.programme.status import change_status


class Decision(msgspec.Struct):
    """What follows: ``effects`` as data, the ``member`` and the order's book (and ``later`` books) as they stand then, and why.

    ``version`` is the programme's version that decided; ``refusal`` says why a fact changed nothing; ``granted`` is the outcome of a
    commitment, to be recorded with it. ``draws`` is the net change of each limited capacity (positive takes, negative gives back), to be
    recorded with an order as its ``grants``; ``limited`` says what a limit refused or reduced; ``ended`` names the holds that ended.
    """

    member: MemberState
    version: int = 0
    effects: list[Effect] = []
    order: OrderBook | None = None
    later: tuple[OrderBook, ...] = ()
    refusal: Refusal | None = None
    granted: int | None = None
    draws: dict[str, int] = {}
    limited: tuple[Refusal, ...] = ()
    ended: tuple[tuple[str, HoldEnd], ...] = ()


def decide(programme: Programme, member: MemberState, dossier: Dossier, fact: Fact) -> Decision:
    """Decide ``fact`` for ``member``. Facts come in order of occurrence; what arrives late goes through ``fold``."""
    if isinstance(fact, TimePassed):
        return _decided(Desk(programme, member, fact.occurred_at))
    if refusal := inadmissible(programme, fact):
        return Decision(member, refusal=refusal)
    desk = Desk(programme, member, min(fact.occurred_at, fact.recorded_at))
    if isinstance(fact, OrderStated):
        take_order(desk, dossier, fact)
    else:
        _take(desk, dossier, fact)
    return _decided(desk)


def _take(desk: Desk, dossier: Dossier, fact: Remembered) -> None:
    """What is not an order, each to its own."""
    match fact:
        case ValueRedeemed():
            redeem(desk, dossier.order, fact)
        case ValueHeld():
            hold(desk, dossier, fact)
        case HoldCaptured():
            capture(desk, dossier, fact)
        case HoldReleased():
            release(desk, dossier, fact)
        case ValueAdjusted():
            adjust(desk, fact)
        case StatusChanged():
            change_status(desk, fact)
        case MemberMerged():
            merge(desk, fact)
        case MemberAbsorbed():
            be_absorbed(desk, fact)
        case MergeUndone():
            undo(desk, fact)
        case MergeRestored():
            be_restored(desk, fact)


def _decided(desk: Desk) -> Decision:
    desk.close()
    return Decision(
        desk.member,
        desk.version.number,
        desk.effects,
        desk.order,
        desk.later,
        desk.refusal,
        desk.granted,
        desk.draws,
        tuple(desk.limited),
        tuple(desk.ended),
    )


def inadmissible(programme: Programme, fact: Remembered) -> Refusal | None:
    """Why a fact cannot be taken at all: what it says is impossible, or its time forbids it (law 7)."""
    if isinstance(fact, OrderStated) and (wrong := unsound(fact.order)):
        return Refusal(Reason.UNSOUND, fact.id, {"what": wrong})
    if not _CALENDAR[0] <= fact.occurred_at <= _CALENDAR[1]:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "occurred_at"})
    if isinstance(fact, OrderStated) and not _CALENDAR[0] <= fact.order.placed_at <= _CALENDAR[1]:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "placed_at"})
    if isinstance(fact, ValueHeld) and not _CALENDAR[0] <= fact.expires_at <= _CALENDAR[1]:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "expires_at"})
    if not isinstance(fact, OrderStated) and (wrong := unsound_words(fact)):
        return Refusal(Reason.UNSOUND, "", {"what": wrong})
    if isinstance(fact, ValueAdjusted) and not 0 < abs(fact.amount) <= MOST:
        return Refusal(Reason.UNSOUND, fact.id, {"what": "amount"})
    version = programme.at(min(fact.occurred_at, fact.recorded_at))
    if version is None or (isinstance(fact, OrderStated) and programme.at(fact.order.placed_at) is None):
        return Refusal(Reason.NO_PROGRAMME_YET, fact.id)
    if fact.occurred_at == fact.recorded_at:
        return None
    policies = version.policies
    if fact.occurred_at > fact.recorded_at:
        return Refusal(Reason.IN_FUTURE, fact.id) if policies.future_facts == "refuse" else None
    is_evidence = isinstance(fact, OrderStated) and fact.entry == "live"
    if is_evidence and fact.recorded_at > later(fact.occurred_at, policies.lateness_window, version.zone):
        return Refusal(Reason.TOO_LATE, fact.id, {"window": str(policies.lateness_window)})
    return None


_CALENDAR = (Instant(-5 * 10**16), Instant(18 * 10**16))
"""The instants that facts may have: years 385 to 7673, so that every span around them is still a date."""
