"""The batch: commands decided together in one transaction, members locked, capacities asked, everything written by one statement.

Invariant: each command is decided by itself, as if it were alone; what they share are the locks, the statement and the commit.
"""

from collections.abc import Sequence

import msgspec

from regulars.flows.commands import (
    Command,
    Outcome,
    counts_anew,
    dossier,
    from_the_future,
    is_late,
    is_strangers,
    key_for,
    known,
    placed,
    taken,
)
from regulars.flows.programmes import Programmes
from regulars.flows.settle import Seat
from regulars.gateways.clock import Clock
from regulars.kernel.errors import NotFound, Problem, RegularsError
from regulars.kernel.time import Instant
from regulars.programme.decide import Decision, decide, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.dossier import Dossier
from regulars.programme.facts import Fact, OrderStated, TimePassed
from regulars.store.capacities import Counters, Name
from regulars.store.database import Connection
from regulars.store.histories import books_after
from regulars.store.members import absorbed_members
from regulars.store.records import read_snapshot
from regulars.store.sheet import Sheet
from regulars.store.snapshot import Found, take_snapshot


class Late(msgspec.Struct, frozen=True):
    """It happened before what is folded already."""


class Moving(msgspec.Struct, frozen=True):
    """The member was merged into another."""

    into: int


Answer = Outcome | Late | Moving | RegularsError
"""What becomes of a command: it is answered, goes to the refold, to another member, or cannot be."""


class Case(msgspec.Struct):
    """A command with its decision, before it is posted."""

    command: Command
    fact: Fact
    programme: Programme
    dossier: Dossier
    seat: Seat
    decision: Decision

    def again(self, granted: dict[str, int]) -> None:
        """Decide again, knowing what the capacities give."""
        self.dossier = msgspec.structs.replace(self.dossier, granted=granted)
        self.decision = decide(self.programme, self.seat.snapshot.member, self.dossier, self.fact)

    def post(self) -> Outcome:
        """Onto the sheet."""
        grants = self.decision.draws if isinstance(self.fact, OrderStated) and self.programme.capacities else None
        record = self.seat.post(self.fact, self.decision, self.command.told, grants)
        self.seat.close()
        return Outcome(self.command.member_id, record, False, record.refusal, self.seat.snapshot.accounts)


class BatchDesk:
    """Where batches are worked."""

    def __init__(self, programmes: Programmes, clock: Clock) -> None:
        """By which programmes, at what time."""
        self._programmes = programmes
        self._clock = clock

    async def work(self, connection: Connection, lane: str, commands: Sequence[Command]) -> list[Answer]:
        """Read, decide and write ``commands``, at most one a member, in the transaction of ``connection``; an answer for each.

        ``lane`` is whose leases of capacities are used. Raises ``Moved`` when a member was changed without our lock.
        """
        now = self._clock.now()
        sheet = Sheet()
        founds = await take_snapshot(connection, [command.wanted for command in commands])
        opened = [await self._open(connection, sheet, *pair, now) for pair in zip(commands, founds, strict=True)]
        await _grant(connection, lane, [case for case in opened if isinstance(case, Case)])
        answers = [case.post() if isinstance(case, Case) else case for case in opened]
        if sheet.members:
            await sheet.write(connection)
        return answers

    async def _open(self, connection: Connection, sheet: Sheet, command: Command, found: Found | None, now: Instant) -> "Answer | Case":
        """A command up to its decision, or the answer that needs none."""
        if found is None:
            return NotFound(Problem(f"member {command.member_id}", "there is no such member", "enrol them first"))
        if found.merged_into is not None and not isinstance(command.fact, TimePassed):
            return Moving(found.merged_into)
        snapshot = read_snapshot(found.snapshot)
        if is_strangers(command, found) and not await _is_kin(connection, command, found):
            return taken(command, snapshot)
        if (answer := await known(connection, command, found, snapshot)) is not None:
            return answer
        programme = await self._programmes.of(connection, command.merchant_id, found.revision)
        if refusal := from_the_future(programme, command.fact, now):
            return Outcome(command.member_id, refusal=refusal, accounts=snapshot.accounts)
        fact = placed(command.fact, now, snapshot.member, snapshot.last)
        if isinstance(fact, TimePassed):
            current = programme.at(now) or programme.versions[0]
            if snapshot.member.due_at > fact.occurred_at and snapshot.member.programme_version == current.number:
                return Outcome(command.member_id, accounts=snapshot.accounts)
            fact = TimePassed(max(fact.occurred_at, snapshot.member.clock))
        elif is_late(fact, snapshot):
            refusal = inadmissible(programme, fact)
            return Late() if refusal is None else Outcome(command.member_id, refusal=refusal, accounts=snapshot.accounts)
        names = dossier(found)
        if isinstance(fact, OrderStated) and counts_anew(programme, names):
            assert names.order is not None
            later = await books_after(connection, command.merchant_id, command.member_id, names.order)
            names = msgspec.structs.replace(names, later=later)
        decision = decide(programme, snapshot.member, names, fact)
        if not decision.version:  # it could not be taken at all, so nothing of it is kept
            return Outcome(command.member_id, refusal=decision.refusal, accounts=snapshot.accounts)
        seat = Seat(sheet, command.merchant_id, command.member_id, found.seq, snapshot, now)
        command = msgspec.structs.replace(command, told=msgspec.structs.replace(command.told, key=key_for(command, found)))
        return Case(command, fact, programme, names, seat, decision)


async def _is_kin(connection: Connection, command: Command, found: Found) -> bool:
    """Whether who took the key was merged into the member."""
    kin = await absorbed_members(connection, command.merchant_id, command.member_id)
    return found.again is not None and found.again.member_id in kin


async def _grant(connection: Connection, lane: str, cases: Sequence[Case]) -> None:
    """Let capacities answer, in the order of the batch; a decision that is not given all it asked is made again, knowing so."""
    needed: dict[Name, int] = {}
    returning: set[Name] = set()
    for case in [case for case in cases if case.decision.draws]:
        merchant_id, held = case.command.merchant_id, {} if case.dossier.order is None else case.dossier.order.drawn
        returning.update([(merchant_id, capacity) for capacity in held])  # deciding again may let go of any of them
        for capacity, amount in (dict.fromkeys(held, 0) | case.decision.draws).items():
            name = (merchant_id, capacity)
            needed[name] = needed.get(name, 0) + max(amount, 0)
    if not needed:
        return
    counters = Counters(connection, lane)
    await counters.lock(needed, returning)
    free, used = dict(counters.free), dict.fromkeys(needed, 0)
    for case in cases:
        merchant_id = case.command.merchant_id
        granted: dict[str, int] = {}
        while lacking := {
            capacity: free.get((merchant_id, capacity), 0)
            for capacity, amount in case.decision.draws.items()
            if amount > free.get((merchant_id, capacity), 0) and capacity not in granted
        }:
            granted |= lacking
            case.again(granted)
        for capacity, amount in case.decision.draws.items():
            free[merchant_id, capacity] -= amount
            used[merchant_id, capacity] += amount
    await counters.take(used)
