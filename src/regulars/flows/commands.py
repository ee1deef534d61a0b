"""Commands: one fact for one member on its way to a decision, and what its caller hears.

Invariant: the same fact told again gets the first answer, and the same key with other content is refused; neither changes anything.
"""

import msgspec

from regulars.flows.settle import Told
from regulars.kernel.ids import UnitId
from regulars.kernel.time import MINUTE, Instant
from regulars.programme.decide import inadmissible
from regulars.programme.definition import Programme
from regulars.programme.dossier import Dossier, HoldEnd
from regulars.programme.facts import Fact, OrderStated, Place, Remembered, StatusChanged, TimePassed, fact_order, in_its_place
from regulars.programme.member import MemberState
from regulars.programme.reasons import Reason, Refusal
from regulars.store.database import Connection
from regulars.store.records import Record, Snapshot, Standing, read_book, read_record, written_fact
from regulars.store.snapshot import Found, Wanted, read_answer, wanted

CLOCKS_DIFFER = 5 * MINUTE
"""What a shop dates so little ahead of us is of now: its clock is not ours."""


class Command(msgspec.Struct, frozen=True):
    """``fact`` for a member of a merchant, and how it came to us; ``told.key`` is not yet filled."""

    merchant_id: int
    member_id: int
    fact: Fact
    told: Told = Told()

    @property
    def wanted(self) -> Wanted:
        """What it names."""
        return wanted(self.merchant_id, self.member_id, self.told.source, self.fact)


class Outcome(msgspec.Struct, frozen=True):
    """What a caller hears: the record of the decision, whether it was made earlier, why nothing was done, and the accounts after it."""

    member_id: int
    record: Record = Record()
    is_duplicate: bool = False
    refusal: Refusal | None = None
    accounts: dict[UnitId, Standing] = {}


async def known(connection: Connection, command: Command, found: Found, snapshot: Snapshot) -> Outcome | None:
    """The answer to a fact that was told before, or under a key that is taken; None for a new one."""
    fact = command.fact
    if isinstance(fact, TimePassed):
        return None
    seen = found.again
    if isinstance(fact, OrderStated) and found.first is not None:
        if found.first.member_id != command.member_id and found.book is None:
            return _refused(command, snapshot, Reason.OF_ANOTHER_MEMBER)
        if found.first.sequence == fact.order.sequence:
            seen = found.first
    if seen is None:
        return None
    if seen.digest != written_fact(fact)[1]:
        return _refused(command, snapshot, Reason.CONTENT_DIFFERS)
    record = read_record(await read_answer(connection, command.merchant_id, seen))
    return Outcome(command.member_id, record, True, record.refusal, snapshot.accounts)


def is_strangers(command: Command, found: Found) -> bool:
    """Whether the key of a commitment was taken by somebody else, be it one who was merged into the member since."""
    return not isinstance(command.fact, OrderStated) and found.again is not None and found.again.member_id != command.member_id


def taken(command: Command, snapshot: Snapshot) -> Outcome:
    """The answer to a key that is a stranger's."""
    return _refused(command, snapshot, Reason.CONTENT_DIFFERS)


def key_for(command: Command, found: Found) -> str:
    """The business key under which a new fact is remembered: of an order's first state the order's own, of others with their sequence."""
    names = command.wanted
    return (names.key if names.first_key is None or found.first is not None else names.first_key) or ""


def from_the_future(programme: Programme, fact: Fact, now: Instant) -> Refusal | None:
    """Why evidence that is dated further ahead than clocks differ is not taken, where the programme refuses it."""
    if not isinstance(fact, OrderStated) or fact.entry != "live" or fact.occurred_at <= now + CLOCKS_DIFFER:
        return None
    return inadmissible(programme, msgspec.structs.replace(fact, recorded_at=now))


def placed(fact: Fact, now: Instant, member: MemberState, last: Place) -> Fact:
    """``fact`` as heard ``now``; history is taken as heard in its time, and a change of status happens after all that is known."""
    if isinstance(fact, TimePassed):
        return fact
    if isinstance(fact, StatusChanged):
        at = max(now, member.clock)
        made = msgspec.structs.replace(fact, occurred_at=at, recorded_at=at)
        return made if fact_order(made) > last else msgspec.structs.replace(made, occurred_at=at + 1, recorded_at=at + 1)
    heard = fact.occurred_at if isinstance(fact, OrderStated) and fact.entry == "history" else now
    return in_its_place(msgspec.structs.replace(fact, recorded_at=heard), member.clock, last)


def is_late(fact: Remembered, snapshot: Snapshot) -> bool:
    """Whether it occurred before something that is folded already."""
    return fact.occurred_at < snapshot.member.clock or fact_order(fact) < snapshot.last


_ENDS: dict[str | None, HoldEnd] = {"captured": "captured", "released": "released", "expired": "expired"}
"""By what stands beside a hold; one that is open, or was refused, has not ended."""


def dossier(found: Found) -> Dossier:
    """What the fact names by key, as far as it is one row; a policy may ask for later books too."""
    return Dossier(None if found.book is None else read_book(found.book), (), _ENDS.get(found.hold_status))


def counts_anew(programme: Programme, of: Dossier) -> bool:
    """Whether a change of the order may move the numbers of later ones."""
    return of.order is not None and of.order.situation is not None and programme.numbered(of.order.version).counts_anew


def _refused(command: Command, snapshot: Snapshot, reason: Reason) -> Outcome:
    subject = command.wanted.order_key or command.wanted.key or ""
    return Outcome(command.member_id, refusal=Refusal(reason, subject), accounts=snapshot.accounts)
