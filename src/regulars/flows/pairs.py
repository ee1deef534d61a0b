"""Pairs: two members who are one person are merged, and a mistake is undone (law 25).

Both are locked in the order of their ids, each gets a fact of their own, and orders and identities go with their member. Invariant: what
one gives the other gets, in one transaction; nothing is lost that the undoing needs.
"""

from collections.abc import Sequence

import asyncpg
import msgspec

from regulars.flows.patience import patiently
from regulars.flows.programmes import Programmes
from regulars.flows.settle import Seat, Told
from regulars.gateways.clock import Clock
from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.kernel.ids import FactId
from regulars.kernel.time import Instant
from regulars.programme.decide import decide
from regulars.programme.definition import Programme
from regulars.programme.dossier import EMPTY, OrderBook
from regulars.programme.facts import MemberAbsorbed, MemberMerged, MergeRestored, MergeUndone
from regulars.programme.pairs import merge_facts, undo_facts
from regulars.programme.reasons import Refusal
from regulars.store.database import Connection, working_for
from regulars.store.histories import read_books, read_facts
from regulars.store.keys import key_of
from regulars.store.members import absorbed_members
from regulars.store.pairs import in_both, move_back, move_over, origins
from regulars.store.records import read_snapshot
from regulars.store.sheet import Sheet
from regulars.store.snapshot import Found, Wanted, take_snapshot

_PATIENCE_SECONDS = 8


class Pairs:
    """Merges among one merchant's members."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, programmes: Programmes, merchant_id: int) -> None:
        """Whose members."""
        self._pool = pool
        self._clock = clock
        self._programmes = programmes
        self._merchant_id = merchant_id

    async def merge(self, survivor: int, absorbed: int, actor: str, reason: str = "") -> FactId:
        """``absorbed`` becomes part of ``survivor``: value with its dates, orders, identities, the higher level. Asked twice, it is done.

        Returns the id by which it can be undone. Raises ``NotFound`` or ``Invalid``.
        """
        return await patiently(lambda: self._merge(survivor, absorbed, actor, reason), _PATIENCE_SECONDS)

    async def undo(self, survivor: int, merge: FactId, actor: str, reason: str = "") -> None:
        """The merge was a mistake: what is left of what came goes back. Raises ``NotFound`` or ``Invalid``."""
        await patiently(lambda: self._undo(survivor, merge, actor, reason), _PATIENCE_SECONDS)

    async def _merge(self, survivor: int, absorbed: int, actor: str, reason: str) -> FactId:
        async with working_for(self._pool, [self._merchant_id]) as connection:
            one, other = await self._both(connection, survivor, absorbed)
            if other.merged_into == survivor:
                return await _last_merge(connection, self._merchant_id, survivor, absorbed)
            programme, seats, sheet = await self._seats(connection, (survivor, one), (absorbed, other))
            first, second = (seat.snapshot.member for seat in seats)
            id = FactId(f"{survivor}+{absorbed}/{other.seq}")
            facts = merge_facts(programme, first, second, (id, id), actor, self._moment(seats))
            if isinstance(facts, Refusal):
                raise _not_possible(facts)
            books = await read_books(connection, self._merchant_id, absorbed)
            if shared := await in_both(connection, self._merchant_id, survivor, absorbed):
                hint = "let the hold end, or take the value back that was paid for an order of the other one, and merge then"
                raise Invalid(Problem(shared, "both members have something under this name, which cannot become one", hint))
            self._post(programme, seats, facts, Told("", actor, why=reason), joined_first=True, books=books)
            seats[1].merged_into = survivor
            await _write(seats, sheet, connection)
            await move_over(connection, self._merchant_id, absorbed, survivor)
            return id

    async def _undo(self, survivor: int, merge: FactId, actor: str, reason: str) -> None:
        async with working_for(self._pool, [self._merchant_id]) as connection:
            known, *_ = await read_facts(connection, self._merchant_id, survivor)
            merged = next((fact for fact in known if isinstance(fact, MemberMerged) and fact.id == merge), None)
            if merged is None:
                raise NotFound(Problem(f"merge {merge}", f"nobody was merged into member {survivor} by it", "`member show` lists merges"))
            if any(isinstance(fact, MergeUndone) and fact.merge == merge for fact in known):
                return  # asked again
            absorbed = int(merged.absorbed.id)
            one, other = await self._both(connection, survivor, absorbed)
            programme, seats, sheet = await self._seats(connection, (survivor, one), (absorbed, other))
            people = [absorbed, *await absorbed_members(connection, self._merchant_id, absorbed)]
            theirs = await origins(connection, self._merchant_id, survivor, people)
            books = {key: book for key, book in (await read_books(connection, self._merchant_id, survivor)).items() if key in theirs}
            member = seats[0].snapshot.member
            facts = undo_facts(programme, member, merged, books, (merge, merge), actor, self._moment(seats))
            if isinstance(facts, Refusal):
                raise _not_possible(facts)
            self._post(programme, seats, facts, Told("", actor, why=reason), joined_first=False, books=books)
            await _write(seats, sheet, connection)
            await move_back(connection, self._merchant_id, survivor, absorbed, people, [hold.id for hold in facts[1].returned.holds])

    async def _both(self, connection: Connection, survivor: int, absorbed: int) -> tuple[Found, Found]:
        """Both, locked."""
        named = [Wanted(self._merchant_id, survivor), Wanted(self._merchant_id, absorbed)]
        founds = await take_snapshot(connection, named)
        for found, one in zip(founds, named, strict=True):
            if found is None:
                raise NotFound(Problem(f"member {one.member_id}", "there is no such member", "look them up by an identity"))
        one_found, other_found = founds
        assert one_found is not None
        assert other_found is not None
        return one_found, other_found

    async def _seats(
        self, connection: Connection, one: tuple[int, Found], other: tuple[int, Found]
    ) -> tuple[Programme, tuple[Seat, Seat], Sheet]:
        programme = await self._programmes.of(connection, self._merchant_id, one[1].revision)
        sheet, now = Sheet(), self._clock.now()
        first = Seat(sheet, self._merchant_id, one[0], one[1].seq, read_snapshot(one[1].snapshot), now)
        second = Seat(sheet, self._merchant_id, other[0], other[1].seq, read_snapshot(other[1].snapshot), now)
        return programme, (first, second), sheet

    def _moment(self, seats: tuple[Seat, Seat]) -> Instant:
        """Now, and after everything that either of them lived through."""
        return Instant(max(self._clock.now(), *(seat.snapshot.member.clock + 1 for seat in seats)))

    def _post(
        self,
        programme: Programme,
        seats: tuple[Seat, Seat],
        facts: Sequence[MemberMerged | MemberAbsorbed | MergeUndone | MergeRestored],
        told: Told,
        joined_first: bool,
        books: dict[str, OrderBook],
    ) -> None:
        for seat, fact, joins in zip(seats, facts, (joined_first, not joined_first), strict=True):
            decision = decide(programme, seat.snapshot.member, EMPTY, fact)
            if decision.refusal is not None:
                raise _not_possible(decision.refusal)
            seat.post(fact, decision, msgspec.structs.replace(told, key=key_of(fact)), None, books if joins else None)


async def _write(seats: tuple[Seat, Seat], sheet: Sheet, connection: Connection) -> None:
    for seat in seats:
        seat.close()
    await sheet.write(connection)


async def _last_merge(connection: Connection, merchant_id: int, survivor: int, absorbed: int) -> FactId:
    """The merge that is in force already."""
    facts, *_ = await read_facts(connection, merchant_id, survivor)
    return next(fact.id for fact in reversed(facts) if isinstance(fact, MemberMerged) and fact.absorbed.id == str(absorbed))


def _not_possible(refusal: Refusal) -> Invalid:
    return Invalid(Problem(f"member {refusal.subject}", f"this is refused: {refusal.reason}", "`member show` tells how they stand"))
