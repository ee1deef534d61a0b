"""fold: a member's whole history folded again, commitments standing where they stood.

Invariant (law 7): the outcome depends on which facts there are, not on when they arrived; what late evidence changes is posted as a
difference, and nothing that was answered is taken back.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from regulars.kernel.ids import MemberId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import MEMBER_ACCOUNTS, Account, Movement
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision, decide
from regulars.programme.definition import Programme
from regulars.programme.dossier import Dossier, OrderBook
from regulars.programme.facts import OrderStated, Remembered, TimePassed, fact_order
from regulars.programme.member import MemberState


class Folded(msgspec.Struct):
    """Where a history leads: the member, the books of their orders by key, and every transfer on the way."""

    member: MemberState
    orders: dict[str, OrderBook]
    transfers: list[Transfer]


Listener = Callable[[Remembered, Decision], None]


def fold(
    programme: Programme, member: MemberId, facts: Iterable[Remembered], until: Instant, listener: Listener = lambda *_: None
) -> Folded:
    """Fold ``facts`` in the order of their occurrence, up to the instant ``until``; ``listener`` hears each fact's decision."""
    folded = Folded(MemberState(member), {}, [])
    for fact in sorted(facts, key=fact_order):
        timely = msgspec.structs.replace(fact, recorded_at=fact.occurred_at)  # whether it came too late was decided when it came
        decision = decide(programme, folded.member, dossier_for(programme, folded.orders, fact), timely)
        keep(folded, decision)
        listener(fact, decision)
    keep(folded, decide(programme, folded.member, Dossier(), TimePassed(until)))
    return folded


def keep(folded: Folded, decision: Decision) -> None:
    """Make ``decision`` the present."""
    folded.member = decision.member
    if decision.order is not None:
        folded.orders[decision.order.key] = decision.order
    for book in decision.later:
        folded.orders[book.key] = book
    folded.transfers += [effect for effect in decision.effects if isinstance(effect, Transfer)]


def dossier_for(programme: Programme, orders: dict[str, OrderBook], fact: Remembered) -> Dossier:
    """What ``fact`` names by key: its order's book and, where a policy counts orders anew, the books of the orders after it."""
    key = fact.order.key if isinstance(fact, OrderStated) else fact.order_key
    book = orders.get(key)
    if book is None or book.situation is None or not programme.numbered(book.version).counts_anew:
        return Dossier(book)
    stated_at = (book.stated_at or 0, book.key)
    later = [other for other in orders.values() if other.stated_at is not None and (other.stated_at, other.key) > stated_at]
    return Dossier(book, tuple(sorted(later, key=lambda other: (other.stated_at or 0, other.key))))


def differences(posted: Iterable[Transfer], due: Iterable[Transfer]) -> list[Transfer]:
    """The transfers that turn what was ``posted`` into what is ``due``: what is missing is added, what is too much goes back.

    They are posted at the moment of knowing and keep the value date of what they correct.
    """
    net: Counter[tuple[Movement, UnitId, Account, Account, Instant, str, str | None]] = Counter()
    for sign, transfers in ((1, due), (-1, posted)):
        for t in transfers:
            if t.source < t.target:
                net[t.movement, t.unit, t.source, t.target, t.value_at, t.cause, t.lot] += sign * t.amount
            else:
                net[t.movement, t.unit, t.target, t.source, t.value_at, t.cause, t.lot] -= sign * t.amount
    corrections = []
    for (movement, unit, one, other, value_at, cause, lot), amount in net.items():
        source, target = (one, other) if amount > 0 else (other, one)
        if amount:
            corrections.append(Transfer(movement, unit, source, target, abs(amount), value_at, cause, lot))  # type: ignore[arg-type]
    return sorted(corrections, key=_out_of_members_last)


def _out_of_members_last(transfer: Transfer) -> bool:
    """So that no account of the member stands below zero between two corrections."""
    return transfer.source in MEMBER_ACCOUNTS and transfer.target not in MEMBER_ACCOUNTS
