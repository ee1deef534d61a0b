"""fold: a member's whole history folded again, commitments standing where they stood.

Invariant (law 7): the outcome depends on which facts there are, not on when they arrived; what late evidence changes is posted as a
difference, and nothing that was answered is taken back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from regulars.kernel.ids import FactId, LotId, MemberId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import MEMBER_ACCOUNTS, Account, Movement
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision, decide
from regulars.programme.definition import Programme
from regulars.programme.dossier import EMPTY, Dossier, HoldEnd, OrderBook
from regulars.programme.facts import (
    HoldCaptured,
    HoldReleased,
    MemberAbsorbed,
    MemberMerged,
    MergeRestored,
    MergeUndone,
    OrderStated,
    Place,
    Remembered,
    TimePassed,
    ValueHeld,
    ValueRedeemed,
    fact_order,
)
from regulars.programme.member import MemberState


class Folded(msgspec.Struct):
    """Where a history leads: the member, the books of their orders by key, every transfer on the way, and how their holds ended."""

    member: MemberState
    orders: dict[str, OrderBook]
    transfers: list[Transfer]
    ended: dict[str, HoldEnd] = {}


Listener = Callable[[Remembered, Decision], None]

Joined = Mapping[FactId, Mapping[str, OrderBook]]
"""The books that came with a merge (or came back with its undoing), as they stood then, by the id of the fact that brought them."""

Granted = Mapping[FactId, dict[str, int]]
"""What a fact may draw of limited capacities at most, as far as anybody has asked."""

NONE: Mapping[FactId, Any] = MappingProxyType({})
"""Of no fact."""


def fold(
    programme: Programme,
    member: MemberId,
    facts: Iterable[Remembered],
    until: Instant,
    listener: Listener = lambda *_: None,
    joined: Joined = NONE,
    granted: Granted = NONE,
) -> Folded:
    """Fold ``facts`` in the order of their occurrence, up to the instant ``until``; ``listener`` hears each fact's decision."""
    folded = Folded(MemberState(member), {}, [])
    for at, fact in _in_order(list(facts), joined):
        timely = msgspec.structs.replace(fact, occurred_at=at, recorded_at=at)  # whether it came too late was decided when it came
        dossier = dossier_of(programme, folded, fact)
        if fact.id in granted:
            dossier = msgspec.structs.replace(dossier, granted=granted[fact.id])
        decision = decide(programme, folded.member, dossier, timely)
        keep(folded, decision)
        join(folded, fact, decision, joined)
        listener(fact, decision)
    keep(folded, decide(programme, folded.member, EMPTY, TimePassed(until)))
    return folded


def keep(folded: Folded, decision: Decision) -> None:
    """Make ``decision`` the present."""
    folded.member = decision.member
    if decision.order is not None:
        folded.orders[decision.order.key] = decision.order
    for book in decision.later:
        folded.orders[book.key] = book
    if decision.ended:
        folded.ended.update(decision.ended)
    folded.transfers += [effect for effect in decision.effects if isinstance(effect, Transfer)]


def join(folded: Folded, fact: Remembered, decision: Decision, joined: Joined) -> None:
    """The books of orders go with their member: they come with a merge and leave with its undoing."""
    if decision.refusal is not None:
        return
    if isinstance(fact, (MemberMerged, MergeRestored)):
        folded.orders.update(joined.get(fact.id, {}))
    elif isinstance(fact, MergeUndone):
        for key in joined.get(fact.merge, {}):
            folded.orders.pop(key, None)
    elif isinstance(fact, MemberAbsorbed):
        folded.orders.clear()


def dossier_of(programme: Programme, folded: Folded, fact: Remembered) -> Dossier:
    """What ``fact`` names by key, out of everything folded so far."""
    if isinstance(fact, (OrderStated, ValueRedeemed)):
        return dossier_for(programme, folded.orders, fact)
    if isinstance(fact, ValueHeld):
        return Dossier(folded.orders.get(fact.order_key), hold=folded.ended.get(fact.hold))
    if isinstance(fact, (HoldCaptured, HoldReleased)):
        keys = [hold.order_key for hold in folded.member.holds if hold.id == fact.hold]
        return Dossier(folded.orders.get(keys[0]) if keys else None, hold=folded.ended.get(fact.hold))
    return EMPTY


def dossier_for(programme: Programme, orders: Mapping[str, OrderBook], fact: OrderStated | ValueRedeemed) -> Dossier:
    """The book of the order that ``fact`` names and, where a policy counts orders anew, the books of the orders after it."""
    key = fact.order.key if isinstance(fact, OrderStated) else fact.order_key
    book = orders.get(key)
    if book is None or book.situation is None or not programme.numbered(book.version).counts_anew:
        return Dossier(book)
    stated_at = (book.stated_at or 0, book.key)
    later = [other for other in orders.values() if other.stated_at is not None and (other.stated_at, other.key) > stated_at]
    return Dossier(book, tuple(sorted(later, key=lambda other: (other.stated_at or 0, other.key))))


def _in_order(facts: list[Remembered], joined: Joined) -> list[tuple[Instant, Remembered]]:
    """Each fact with the instant at which it is folded: that of its occurrence.

    Of an order that came with a merge, what is heard only after the merge takes effect with it at the earliest: before it, the order
    stood in another member's history.
    """
    if not joined:
        return [(fact.occurred_at, fact) for fact in sorted(facts, key=fact_order)]
    bringers = {fact.id: fact for fact in facts if fact.id in joined and isinstance(fact, (MemberMerged, MergeRestored))}
    placed: list[tuple[Place, int, Place, Remembered]] = []
    for fact in facts:
        place = fact_order(fact)
        merges = [one for one in bringers.values() if _comes_after(fact, one, joined[one.id])]
        after = max((fact_order(one) for one in merges), default=place)
        placed.append((after, 1, place, fact) if after > place else (place, 0, place, fact))
    placed.sort(key=lambda one: one[:3])
    return [(place[0], fact) for place, _, _, fact in placed]


def _comes_after(fact: Remembered, bringer: Remembered, brought: Mapping[str, OrderBook]) -> bool:
    """Whether ``fact`` was heard after what brought its order: a later state of it was, whatever the clocks say. Of somebody who stands
    again, all evidence heard since comes after it, for what the merge took and gave back is settled."""
    book = brought.get(_order_of(fact) or "")
    if isinstance(fact, OrderStated) and book is not None and book.state is not None and fact.order.sequence > book.state.sequence:
        return True
    if fact.recorded_at < bringer.recorded_at:
        return False
    return book is not None or (isinstance(bringer, MergeRestored) and isinstance(fact, OrderStated))


def _order_of(fact: Remembered) -> str | None:
    if isinstance(fact, OrderStated):
        return fact.order.key
    return fact.order_key if isinstance(fact, (ValueRedeemed, ValueHeld)) else None


def differences(posted: Iterable[Transfer], due: Iterable[Transfer]) -> list[Transfer]:
    """The transfers that turn what was ``posted`` into what is ``due``: what is missing is added, what is too much goes back.

    They are posted at the moment of knowing and keep the value date of what they correct. Each concerns one lot, so that the entries of a
    lot always sum to what lies in it.
    """
    net: Counter[tuple[Movement, UnitId, Account, Account, Instant, str, LotId | None]] = Counter()
    for sign, transfers in ((1, due), (-1, posted)):
        for t in transfers:
            one, other, way = (t.source, t.target, sign) if t.source < t.target else (t.target, t.source, -sign)
            for lot, amount in t.by_lot():
                net[t.movement, t.unit, one, other, t.value_at, t.cause, lot] += way * amount
    corrections = []
    for (movement, unit, one, other, value_at, cause, lot), amount in net.items():
        source, target = (one, other) if amount > 0 else (other, one)
        if amount:
            corrections.append(Transfer(movement, unit, source, target, abs(amount), value_at, cause, lot))
    return sorted(corrections, key=_out_of_members_last)


def _out_of_members_last(transfer: Transfer) -> bool:
    """So that no account of the member stands below zero between two corrections."""
    return transfer.source in MEMBER_ACCOUNTS and transfer.target not in MEMBER_ACCOUNTS
