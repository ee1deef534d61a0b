"""Refold: evidence that came late is folded into the past, and what it changes is posted now.

It works beside the lane, for a long history takes long: it reads, folds, and commits only if the member has not moved meanwhile.
Invariant (law 7): the outcome is that of timely delivery around the same commitments; nothing that was answered is taken back.
"""

from collections.abc import Iterable, Mapping

import asyncpg
import msgspec

from regulars.flows.commands import Command, Outcome, key_for, known, placed
from regulars.flows.programmes import Programmes
from regulars.flows.settle import Seat
from regulars.gateways.clock import Clock
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.ids import FactId, MemberId
from regulars.kernel.time import Instant
from regulars.programme.decide import Decision, inadmissible
from regulars.programme.definition import Programme
from regulars.programme.dossier import OrderBook
from regulars.programme.facts import MemberMerged, OrderStated, Remembered, TimePassed
from regulars.programme.fold import Folded, differences, fold
from regulars.store.capacities import Counters
from regulars.store.database import Connection, array_text
from regulars.store.histories import Past, read_facts, read_past
from regulars.store.sheet import Moved, Sheet
from regulars.store.snapshot import Found, take_snapshot


class Refolder:
    """Folds late facts into the histories of their members."""

    def __init__(self, pool: asyncpg.Pool, programmes: Programmes, clock: Clock, lane: str) -> None:
        """``lane`` is whose leases of capacities it uses."""
        self._pool = pool
        self._programmes = programmes
        self._clock = clock
        self._lane = lane

    async def take(self, command: Command) -> Outcome:
        """Fold the command's fact in. Raises ``Moved`` when the member was changed meanwhile: it is to be tried again."""
        fact = command.fact
        assert not isinstance(fact, TimePassed)
        async with self._pool.acquire() as connection:
            past, joined = await self._read(connection, command)
            async with connection.transaction():
                now = self._clock.now()
                (found,) = await take_snapshot(connection, [command.wanted])
                if found is None:
                    raise NotFound(Problem(f"member {command.member_id}", "there is no such member", "enrol them first"))
                if found.seq != past.seq:
                    raise Moved
                if (answer := known(command, found, past.snapshot)) is not None:
                    return answer
                programme = await self._programmes.of(connection, command.merchant_id, found.revision)
                late = placed(fact, now, past.snapshot.member, past.snapshot.last)
                assert not isinstance(late, TimePassed)
                if refusal := inadmissible(programme, late):
                    return Outcome(command.member_id, refusal=refusal, accounts=past.snapshot.accounts)
                return await self._settle(connection, command, found, past, programme, late, joined, now)

    async def _read(self, connection: Connection, command: Command) -> tuple[Past, Mapping[FactId, tuple[Remembered, ...]]]:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("select set_config('app.merchants', $1, true)", array_text([command.merchant_id]))
            past = await read_past(connection, command.merchant_id, command.member_id)
            if past is None:
                raise NotFound(Problem(f"member {command.member_id}", "there is no such member", "enrol them first"))
            merges = [fact for fact in past.facts if isinstance(fact, MemberMerged)]
            return past, {fact.id: await read_facts(connection, command.merchant_id, int(fact.absorbed.id)) for fact in merges}

    async def _settle(
        self,
        connection: Connection,
        command: Command,
        found: Found,
        past: Past,
        programme: Programme,
        late: Remembered,
        joined: Mapping[FactId, tuple[Remembered, ...]],
        now: Instant,
    ) -> Outcome:
        again = FoldedAgain(programme, past, late, joined)
        counters = Counters(connection, self._lane)
        asked = {(command.merchant_id, capacity): max(amount, 0) for capacity, amount in again.draws.items() if amount}
        if asked:
            await counters.lock(asked)
            free = {capacity: counters.free[merchant, capacity] for merchant, capacity in asked}
            if any(again.draws[capacity] > free[capacity] for capacity in free):
                again = FoldedAgain(programme, past, again.granted(free), joined)
            await counters.take({(command.merchant_id, capacity): amount for capacity, amount in again.draws.items() if amount})
        sheet = Sheet()
        seat = Seat(sheet, command.merchant_id, command.member_id, past.seq, past.snapshot, now)
        told = msgspec.structs.replace(command.told, key=key_for(command, found))
        grants = again.decision.draws if isinstance(late, OrderStated) and programme.capacities else None
        corrections = differences(past.transfers, again.folded.transfers)
        record = seat.post_late(again.late, again.decision, told, grants, again.folded, corrections, again.draws)
        seat.close()
        await sheet.write(connection)
        return Outcome(command.member_id, record, False, record.refusal, past.snapshot.accounts)


class FoldedAgain:
    """A history with one more fact in it, folded from the beginning; ``draws`` is what it changes of each capacity, all in all."""

    def __init__(self, programme: Programme, past: Past, late: Remembered, joined: Mapping[FactId, tuple[Remembered, ...]]) -> None:
        """Fold it."""
        member = past.snapshot.member
        decisions: list[Decision] = []
        self.draws = {capacity: -amount for capacity, amount in past.draws.items()}
        self.late = late

        def hear(fact: Remembered, decision: Decision) -> None:
            if fact.id == late.id:
                decisions.append(decision)
            for capacity, amount in decision.draws.items():
                self.draws[capacity] = self.draws.get(capacity, 0) + amount

        books = {id: books_of(programme, facts) for id, facts in joined.items()}
        self.folded: Folded = fold(programme, member.id, (*past.facts, late), member.clock, hear, books)
        self.decision = decisions[-1]

    def granted(self, free: Mapping[str, int]) -> Remembered:
        """The late fact, which may draw no more than is ``free``."""
        assert isinstance(self.late, OrderStated)
        grants = {capacity: min(amount, free.get(capacity, 0)) for capacity, amount in self.decision.draws.items()}
        return msgspec.structs.replace(self.late, grants=grants)


def books_of(programme: Programme, facts: Iterable[Remembered]) -> dict[str, OrderBook]:
    """The books of somebody who was merged away, as they stood then."""
    told = tuple(facts)
    until = max((fact.occurred_at for fact in told), default=Instant(0))
    return fold(programme, MemberId("absorbed"), told, until).orders


def stands(programme: Programme, past: Past, joined: Mapping[FactId, tuple[Remembered, ...]]) -> bool:
    """Whether folding the whole past leads to the stored state (law 21)."""
    books = {id: books_of(programme, facts) for id, facts in joined.items()}
    member = past.snapshot.member
    return fold(programme, member.id, past.facts, member.clock, joined=books).member == member
