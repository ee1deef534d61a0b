"""Refold: evidence that came late is folded into the past, and what it changes is posted now.

It works beside the lane, for a long history takes long: it reads, then locks the member, folds, and commits.
Invariant (law 7): the outcome is that of timely delivery around the same commitments; nothing that was answered is taken back.
"""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from regulars.flows.batch import Moving
from regulars.flows.commands import Command, Outcome, key_for, known, placed
from regulars.flows.programmes import Programmes
from regulars.flows.settle import Seat
from regulars.gateways.clock import Clock
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.ids import FactId
from regulars.kernel.time import Instant
from regulars.programme.decide import Decision, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.facts import OrderStated, Remembered, TimePassed
from regulars.programme.fold import NONE, Folded, Granted, differences, fold
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
                if (answer := await known(connection, command, found, past.snapshot)) is not None:
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
        again = FoldedAgain(programme, past, [late])
        if any(again.more.values()):
            counters = Counters(connection, self._lane)
            await counters.gather((command.merchant_id, capacity) for capacity in programme.capacities)
            again = again.within({capacity: free for (_, capacity), free in counters.free.items()})
            await counters.take({(command.merchant_id, capacity): amount for capacity, amount in again.more.items()})
        decision = again.decisions[late.id]
        sheet = Sheet()
        seat = Seat(sheet, command.merchant_id, command.member_id, past.seq, past.snapshot, now)
        told = msgspec.structs.replace(command.told, key=key_for(command, found))
        grants = decision.draws if isinstance(late, OrderStated) and programme.capacities else None
        corrections = differences(past.transfers, again.folded.transfers)
        record = seat.post_late([(late, decision, told, grants)], again.folded, corrections, past.seqs, again.draws)
        seat.close()
        await sheet.write(connection)
        return Outcome(command.member_id, record, False, record.refusal, past.snapshot.accounts)


class FoldedAgain:
    """A history with more facts in it, folded from the beginning.

    ``draws`` is what each fact holds of capacities more (or less) than it did, ``more`` the same over all of them.
    """

    def __init__(self, programme: Programme, past: Past, late: Sequence[Remembered], granted: Granted = NONE) -> None:
        """Fold it; ``granted`` is the most that the late facts may draw, where that is known."""
        self._programme = programme
        self._past = past
        self._late = late
        self.decisions: dict[FactId, Decision] = {}
        self.draws: dict[FactId, dict[str, int]] = {}
        self.more: dict[str, int] = {}
        member = past.snapshot.member
        self.folded: Folded = fold(programme, member.id, (*past.facts, *late), member.clock, self._hear, past.joined, granted)

    def within(self, free: Mapping[str, int]) -> "FoldedAgain":
        """The same, drawing no more than is ``free``: the late facts get so much less in their order, or nothing where that is not enough,
        because they changed what others may keep of theirs."""
        again = self
        for is_second in (False, True):
            lacking = {capacity: left for capacity, left in free.items() if again.more.get(capacity, 0) > left}
            if not lacking:
                break
            again = FoldedAgain(self._programme, self._past, self._late, again._cut(lacking, is_second))
        return again

    def _cut(self, lacking: Mapping[str, int], to_nothing: bool) -> dict[FactId, dict[str, int]]:
        granted: dict[FactId, dict[str, int]] = {fact.id: {} for fact in self._late}
        for capacity, left in lacking.items():
            asked = {fact.id: max(0, self.decisions[fact.id].draws.get(capacity, 0)) for fact in self._late}
            rest = 0 if to_nothing else max(0, sum(asked.values()) - (self.more[capacity] - left))
            for id, amount in asked.items():
                granted[id][capacity] = min(amount, rest)
                rest -= granted[id][capacity]
        return granted

    def _hear(self, fact: Remembered, decision: Decision) -> None:
        self.decisions[fact.id] = decision
        held = self._past.drawn.get(fact.id, {})
        for capacity in held.keys() | decision.draws.keys():
            change = decision.draws.get(capacity, 0) - held.get(capacity, 0)
            if change:
                self.draws.setdefault(fact.id, {})[capacity] = change
                self.more[capacity] = self.more.get(capacity, 0) + change


def stands(programme: Programme, past: Past) -> bool:
    """Whether folding the whole past leads to the stored state (law 21)."""
    member = past.snapshot.member
    return fold(programme, member.id, past.facts, member.clock, joined=past.joined).member == member
