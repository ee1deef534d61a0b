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

from regulars.flows.batch import Answer, BatchDesk, Late, Moving
from regulars.flows.commands import Command, Outcome
from regulars.flows.patience import Unavailable, patiently
from regulars.flows.programmes import Programmes
from regulars.flows.refold import Refolder
from regulars.gateways.clock import Clock
from regulars.kernel.errors import RegularsError

BATCH = 256
"""Commands that one commit takes at most."""


class Lane:
    """The door through which every command of this process goes."""

    def __init__(self, pool: asyncpg.Pool, programmes: Programmes, clock: Clock, lines: int = 2, patience_seconds: float = 8) -> None:
        """``lines`` batches may be under way at once, each on a connection of its own; a lost database is awaited with patience."""
        self._pool = pool
        self._desk = BatchDesk(programmes, clock)
        self._patience = patience_seconds
        self._name = uuid.uuid4().hex
        self._refolder = Refolder(pool, programmes, clock, self._name)
        self._waiting: dict[tuple[int, int], deque[_Waiting]] = {}
        self._ready: deque[tuple[int, int]] = deque()
        self._wake = asyncio.Event()
        self._idle = 0
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
        """The first command of each member whose turn it is, shared with the other lines that have nothing to do: while one decides, the
        database works for another."""
        share = -(-len(self._ready) // self._idle)
        taken = [self._waiting[self._ready.popleft()][0] for _ in range(min(BATCH, share))]
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
            self._idle += 1
            await self._wake.wait()
            await asyncio.sleep(0)  # whoever was just answered may ask again at once
            batch = self._gather()
            self._idle -= 1
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
            else:
                self._finish(one, outcome)

    async def _fold_in(self, waiting: "_Waiting") -> None:
        """Off the lane: the member's history is folded again, while others go on."""
        try:
            outcome = await patiently(lambda: self._refolder.take(waiting.command), self._patience)
        except Exception as wrong:
            self._answer(waiting, wrong)
        else:
            self._finish(waiting, outcome)

    def _finish(self, waiting: "_Waiting", outcome: "Outcome | Moving | RegularsError") -> None:
        """Its answer; or, where its member became part of another, on to that one."""
        if isinstance(outcome, Moving):
            self._leave(waiting)
            self._enter(_Waiting(msgspec.structs.replace(waiting.command, member_id=outcome.into), waiting.answer))
        else:
            self._answer(waiting, outcome)

    async def _attempt(self, name: str, commands: Sequence[Command]) -> "list[Answer]":
        """One transaction: read, decide, write, commit."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._desk.work(connection, name, commands)


class _Waiting(msgspec.Struct):
    """A command and where its answer is awaited."""

    command: Command
    answer: "asyncio.Future[Outcome]"
