"""Refold: evidence that came late is folded into the past, and what it changes is posted now.

It works beside the lane, for a long history takes long: it reads, then locks the member, folds, and commits.
Invariant (law 7): the outcome is that of timely delivery around the same commitments; nothing that was answered is taken back.
"""

from collections.abc import Mapping

import asyncpg
import msgspec

from regulars.flows.batch import Moving
from regulars.flows.commands import Command, Outcome, key_for, known, placed
from regulars.flows.programmes import Programmes
from regulars.flows.settle import Seat
from regulars.gateways.clock import Clock
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.time import Instant
from regulars.programme.decide import Decision, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.facts import OrderStated, Remembered, TimePassed
from regulars.programme.fold import Folded, differences, fold
from regulars.store.capacities import Counters
from regulars.store.database import Connection, array_text
from regulars.store.histories import Past, read_past
from regulars.store.sheet import Sheet
from regulars.store.snapshot import Found, take_snapshot


class Refolder:
    """Folds late facts into the histories of their members."""

    def __init__(self, pool: asyncpg.Pool, programmes: Programmes, clock: Clock, lane: str) -> None:
        """``lane`` is whose leases of capacities it uses."""
        self._pool = pool
        self._programmes = programmes
        self._clock = clock
        self._lane = lane

    async def take(self, command: Command) -> Outcome | Moving:
        """Fold the command's fact in. A history that went on while it was read is read again, now that nobody else may write to it."""
        fact = command.fact
        assert not isinstance(fact, TimePassed)
        async with self._pool.acquire() as connection:
            past = await self._read(connection, command)
            async with connection.transaction():
                now = self._clock.now()
                (found,) = await take_snapshot(connection, [command.wanted])
                if found is None:
                    raise NotFound(Problem(f"member {command.member_id}", "there is no such member", "enrol them first"))
                if found.merged_into is not None:
                    return Moving(found.merged_into)
                if found.seq != past.seq:
                    past = await self._past(connection, command)
                if (answer := known(command, found, past.snapshot)) is not None:
                    return answer
                programme = await self._programmes.of(connection, command.merchant_id, found.revision)
                late = placed(fact, now, past.snapshot.member, past.snapshot.last)
                assert not isinstance(late, TimePassed)
                if refusal := inadmissible(programme, late):
                    return Outcome(command.member_id, refusal=refusal, accounts=past.snapshot.accounts)
                return await self._settle(connection, command, found, past, programme, late, now)

    async def _read(self, connection: Connection, command: Command) -> Past:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("select set_config('app.merchants', $1, true)", array_text([command.merchant_id]))
            return await self._past(connection, command)

    async def _past(self, connection: Connection, command: Command) -> Past:
        past = await read_past(connection, command.merchant_id, command.member_id)
        if past is None:
            raise NotFound(Problem(f"member {command.member_id}", "there is no such member", "enrol them first"))
        return past

    async def _settle(
        self, connection: Connection, command: Command, found: Found, past: Past, programme: Programme, late: Remembered, now: Instant
    ) -> Outcome:
        again = FoldedAgain(programme, past, late)
        needed = {(command.merchant_id, capacity): max(amount, 0) for capacity, amount in again.draws.items() if amount}
        if needed:
            counters = Counters(connection, self._lane)
            await counters.lock(needed)
            free = {capacity: counters.free[merchant, capacity] for merchant, capacity in needed}
            if any(again.draws[capacity] > free[capacity] for capacity in free):
                again = FoldedAgain(programme, past, late, free)
            await counters.take({(command.merchant_id, capacity): amount for capacity, amount in again.draws.items()})
        sheet = Sheet()
        seat = Seat(sheet, command.merchant_id, command.member_id, past.seq, past.snapshot, now)
        told = msgspec.structs.replace(command.told, key=key_for(command, found))
        grants = again.decision.draws if isinstance(late, OrderStated) and programme.capacities else None
        corrections = differences(past.transfers, again.folded.transfers)
        record = seat.post_late([(late, again.decision, told, grants)], again.folded, corrections, again.draws)
        seat.close()
        await sheet.write(connection)
        return Outcome(command.member_id, record, False, record.refusal, past.snapshot.accounts)


class FoldedAgain:
    """A history with one more fact in it, folded from the beginning; ``draws`` is what it changes of each capacity, all in all."""

    def __init__(self, programme: Programme, past: Past, late: Remembered, free: Mapping[str, int] | None = None) -> None:
        """Fold it; ``free`` is what is there of the capacities, where they were asked."""
        member = past.snapshot.member
        decisions: list[Decision] = []
        self.draws = {capacity: -amount for capacity, amount in past.draws.items()}

        def hear(fact: Remembered, decision: Decision) -> None:
            if fact.id == late.id:
                decisions.append(decision)
            for capacity, amount in decision.draws.items():
                self.draws[capacity] = self.draws.get(capacity, 0) + amount

        granted = {} if free is None else {late.id: dict(free)}
        self.folded: Folded = fold(programme, member.id, (*past.facts, late), member.clock, hear, past.joined, granted)
        self.decision = decisions[-1]


def stands(programme: Programme, past: Past) -> bool:
    """Whether folding the whole past leads to the stored state (law 21)."""
    member = past.snapshot.member
    return fold(programme, member.id, past.facts, member.clock, joined=past.joined).member == member
