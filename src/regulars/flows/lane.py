"""The lane: commands that wait are decided and settled together, one commit for all of them, an answer for each.

A lane takes whatever waits when its last commit returns - no timer - at most one command a member. Invariant: a command is answered
only after what it did is durable, and a command that cannot be done harms no other.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence

import asyncpg
import msgspec

from regulars.flows.commands import Command, Outcome, counts_anew, dossier, is_late, key_for, known, placed
from regulars.flows.patience import Unavailable, patiently
from regulars.flows.programmes import Programmes
from regulars.flows.refold import Refolder
from regulars.flows.settle import Seat
from regulars.gateways.clock import Clock
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.time import Instant
from regulars.programme.decide import Decision, decide, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.dossier import Dossier
from regulars.programme.facts import Fact, OrderStated, TimePassed
from regulars.store.capacities import Counters, Name
from regulars.store.database import Connection
from regulars.store.histories import books_after
from regulars.store.records import read_snapshot
from regulars.store.sheet import Sheet
from regulars.store.snapshot import Found, take_snapshot

BATCH = 256
"""Commands that one commit takes at most."""


class Lane:
    """The door through which every command of this process goes."""

    def __init__(self, pool: asyncpg.Pool, programmes: Programmes, clock: Clock, lines: int = 2, patience_seconds: float = 8) -> None:
        """``lines`` batches may be under way at once, each on a connection of its own; a lost database is awaited with patience."""
        self._pool = pool
        self._programmes = programmes
        self._clock = clock
        self._patience = patience_seconds
        self._name = uuid.uuid4().hex
        self._refolder = Refolder(pool, programmes, clock, self._name)
        self._waiting: dict[tuple[int, int], deque[_Waiting]] = {}
        self._ready: deque[tuple[int, int]] = deque()
        self._wake = asyncio.Event()
        self._lines = [asyncio.create_task(self._work(f"{self._name}-{i}")) for i in range(lines)]
        self._late: set[asyncio.Task[None]] = set()

    async def take(self, command: Command) -> Outcome:
        """Decide and settle; returns when it is durable.

        Raises ``NotFound`` for a member who is unknown, ``Unavailable`` when the database is away for longer than the lane's patience.
        """
        waiting = _Waiting(command, asyncio.get_running_loop().create_future())
        self._enter(waiting)
        return await waiting.answer

    async def close(self) -> None:
        """Finish what was taken, take nothing more."""
        while self._waiting or self._late:
            await asyncio.sleep(0.01)
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    # Waiting

    def _enter(self, waiting: "_Waiting") -> None:
        member = (waiting.command.merchant_id, waiting.command.member_id)
        queue = self._waiting.get(member)
        if queue is None:
            self._waiting[member] = deque((waiting,))
            self._ready.append(member)
            self._wake.set()
        else:
            queue.append(waiting)

    def _gather(self) -> list["_Waiting"]:
        """The first command of each member whose turn it is."""
        taken = [self._waiting[self._ready.popleft()][0] for _ in range(min(BATCH, len(self._ready)))]
        if not self._ready:
            self._wake.clear()
        return taken

    def _leave(self, waiting: "_Waiting") -> None:
        """Its member's next command may go."""
        member = (waiting.command.merchant_id, waiting.command.member_id)
        queue = self._waiting[member]
        queue.popleft()
        if queue:
            self._ready.append(member)
            self._wake.set()
        else:
            del self._waiting[member]

    def _answer(self, waiting: "_Waiting", answer: "Outcome | Exception") -> None:
        if not waiting.answer.done():
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        self._leave(waiting)

    # Working

    async def _work(self, name: str) -> None:
        while True:
            await self._wake.wait()
            batch = self._gather()
            if batch:
                await self._settle(name, batch)

    async def _settle(self, name: str, batch: list["_Waiting"]) -> None:
        """Bring every command of ``batch`` to its answer, by halves where the whole cannot be done."""
        try:
            outcomes = await patiently(lambda: self._attempt(name, [one.command for one in batch]), self._patience)
        except Exception as wrong:
            if len(batch) == 1 or isinstance(wrong, Unavailable):
                for one in batch:
                    self._answer(one, wrong)
            else:
                middle = len(batch) // 2
                await self._settle(name, batch[:middle])
                await self._settle(name, batch[middle:])
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Late):
                task = asyncio.create_task(self._fold_in(one))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            elif isinstance(outcome, Moving):
                self._leave(one)
                self._enter(_Waiting(msgspec.structs.replace(one.command, member_id=outcome.into), one.answer))
            else:
                self._answer(one, outcome)

    async def _fold_in(self, waiting: "_Waiting") -> None:
        """Off the lane: the member's history is folded again, while others go on."""
        try:
            self._answer(waiting, await patiently(lambda: self._refolder.take(waiting.command), self._patience))
        except Exception as wrong:
            self._answer(waiting, wrong)

    async def _attempt(self, name: str, commands: Sequence[Command]) -> list["Outcome | Late | Moving | Exception"]:
        """One transaction: read, decide, write, commit."""
        async with self._pool.acquire() as connection, connection.transaction():
            now = self._clock.now()
            sheet = Sheet()
            founds = await take_snapshot(connection, [command.wanted for command in commands])
            outcomes: list[Outcome | Late | Moving | Exception | None] = [None] * len(commands)
            cases: list[tuple[int, Case]] = []
            for i, (command, found) in enumerate(zip(commands, founds, strict=True)):
                answer = await self._open(connection, sheet, command, found, now)
                if isinstance(answer, Case):
                    cases.append((i, answer))
                else:
                    outcomes[i] = answer
            await _grant(connection, name, [case for _, case in cases])
            for i, case in cases:
                outcomes[i] = case.post()
            if sheet.members:
                await sheet.write(connection)
        return outcomes  # type: ignore[return-value]

    async def _open(
        self, connection: Connection, sheet: Sheet, command: Command, found: Found | None, now: Instant
    ) -> "Outcome | Late | Moving | Exception | Case":
        """A command up to its decision, or the answer that needs none."""
        if found is None:
            return NotFound(Problem(f"member {command.member_id}", "there is no such member", "enrol them first"))
        if found.merged_into is not None and not isinstance(command.fact, TimePassed):
            return Moving(found.merged_into)
        snapshot = read_snapshot(found.snapshot)
        if (answer := known(command, found, snapshot)) is not None:
            return answer
        programme = await self._programmes.of(connection, command.merchant_id, found.revision)
        fact = placed(command.fact, now, snapshot.member, snapshot.last)
        if isinstance(fact, TimePassed):
            current = programme.at(now) or programme.versions[0]
            if snapshot.member.due_at > fact.occurred_at and snapshot.member.programme_version == current.number:
                return Outcome(command.member_id, accounts=snapshot.accounts)
            fact = TimePassed(max(fact.occurred_at, snapshot.member.clock))
        elif refusal := inadmissible(programme, fact):
            return Outcome(command.member_id, refusal=refusal, accounts=snapshot.accounts)
        elif is_late(fact, snapshot):
            return Late()
        names = dossier(found)
        if isinstance(fact, OrderStated) and counts_anew(programme, names):
            assert names.order is not None
            later = await books_after(connection, command.merchant_id, command.member_id, names.order)
            names = msgspec.structs.replace(names, later=later)
        seat = Seat(sheet, command.merchant_id, command.member_id, found.seq, snapshot, now)
        command = msgspec.structs.replace(command, told=msgspec.structs.replace(command.told, key=key_for(command, found)))
        return Case(command, fact, programme, names, seat, decide(programme, snapshot.member, names, fact))


class _Waiting(msgspec.Struct):
    """A command and where its answer is awaited."""

    command: Command
    answer: "asyncio.Future[Outcome]"


class Late(msgspec.Struct, frozen=True):
    """It happened before what is folded already."""


class Moving(msgspec.Struct, frozen=True):
    """The member was merged into another."""

    into: int


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


async def _grant(connection: Connection, lane: str, cases: Sequence[Case]) -> None:
    """Let capacities answer, in the order of the batch; a decision that is not given all it asked is made again, knowing so."""
    needed: dict[Name, int] = {}
    for case in cases:
        for capacity, amount in case.decision.draws.items():
            name = (case.command.merchant_id, capacity)
            needed[name] = needed.get(name, 0) + max(amount, 0)
    if not needed:
        return
    counters = Counters(connection, lane)
    await counters.lock(needed)
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
