"""Importer: members with their histories into the memory, portion by portion - played from the start, played on, or folded into a past.

Invariant: what is known changes nothing when it comes again; who was erased does not come back.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from regulars.flows.people import Identity
from regulars.flows.programmes import Programmes
from regulars.flows.refold import FoldedAgain
from regulars.flows.settle import Seat, Told
from regulars.gateways.clock import Clock
from regulars.gateways.columnroles import Columns
from regulars.gateways.dice import new_ids
from regulars.gateways.keys import Keyring, new_key, seal
from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.ids import FactId
from regulars.kernel.time import Instant
from regulars.programme import explain
from regulars.programme.definition import Programme
from regulars.programme.dossier import OrderBook
from regulars.programme.facts import Order, OrderStated, Remembered, TimePassed
from regulars.programme.fold import differences
from regulars.programme.history import History, Returned
from regulars.programme.reasons import Reason
from regulars.simulation.capacities import Capacities
from regulars.simulation.figures import Figures
from regulars.simulation.replay import Assumptions, Shop, bought, events_of
from regulars.simulation.returns import Kept
from regulars.store.capacities import Counters
from regulars.store.database import Connection, working_for
from regulars.store.histories import Past, read_books, read_past
from regulars.store.imports import erased, known_keys
from regulars.store.keys import first_key, key_of
from regulars.store.members import Digest, find_members, insert_identities, insert_members
from regulars.store.records import new_snapshot, written_fact
from regulars.store.sheet import Moved, Sheet
from regulars.store.snapshot import Wanted, take_snapshot
from regulars.store.vault import insert_keys, insert_values


class Import(msgspec.Struct, frozen=True):
    """What to import. ``source`` is the name under which the file's order numbers are unique; ``as_of`` None means now.

    ``redeem``, ``returns`` and ``discounts`` as in a replay: by default nobody spent and orders stand as they were paid.
    """

    merchant_id: int
    orders: Path
    columns: Columns = {}
    dates: str | None = None
    source: str = "file"
    times_local: bool = False
    as_of: Instant | None = None
    redeem: Literal["never", "greedy"] = "never"
    returns: Literal["ignore", "last-purchase-first"] = "last-purchase-first"
    discounts: Literal["give", "as-paid"] = "as-paid"
    processes: int | None = None


class Imported(msgspec.Struct):
    """What an import did. ``known`` orders changed nothing; ``differing`` ones are known with another content and stay as they were."""

    members: int = 0
    new_members: int = 0
    orders: int = 0
    returns: int = 0
    known: int = 0
    differing: int = 0
    erased_members: int = 0
    later: int = 0
    refused: dict[str, int] = {}
    examples: list[str] = []
    resumed_members: int = 0
    seconds: float = 0.0

    def add(self, other: "Imported") -> None:
        """Together."""
        for name in ("members", "new_members", "orders", "returns", "known", "differing", "erased_members", "later", "resumed_members"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused = {reason: self.refused.get(reason, 0) + other.refused.get(reason, 0) for reason in self.refused | other.refused}
        self.examples = (self.examples + other.examples)[:5]


class Importer:
    """Takes members with their histories, a portion at a time."""

    def __init__(self, clock: Clock, keyring: Keyring, request: Import, programme: Programme) -> None:
        """Into one merchant's memory, by its programme."""
        self.merchant_id = request.merchant_id
        self._clock = clock
        self._keyring = keyring
        self._request = request
        self._programme = programme
        self._assumptions = Assumptions(
            request.as_of if request.as_of is not None else clock.now(), request.redeem, request.returns, request.discounts
        )
        self._document: tuple[str, ...] = ()
        self.done = Imported()

    @classmethod
    async def open(cls, pool: asyncpg.Pool, clock: Clock, keyring: Keyring, request: Import) -> "Importer":
        """Raises ``NotFound`` for a merchant who is unknown or has no programme."""
        programmes = Programmes()
        async with working_for(pool, [request.merchant_id]) as connection:
            revision = await connection.fetchval("select revision from merchant where merchant_id = $1", request.merchant_id)
            if revision is None:
                hint = "`regulars programme publish` sets up a merchant with its first programme"
                raise NotFound(Problem(f"merchant {request.merchant_id}", "there is no such merchant", hint))
            programme = await programmes.of(connection, request.merchant_id, revision)
        return cls(clock, keyring, request, programme)

    def histories(self, part: int, parts: int) -> Iterator[History]:
        """The members of the file, one part of them, in an order that is always the same."""
        request, version = self._request, self._programme.latest
        zone: ZoneInfo | None = version.zone if request.times_local else None
        file = OrderFile(request.orders, request.columns, zone, request.dates)
        for history in file.histories(version.currency, part, parts):
            orders = tuple(msgspec.structs.replace(order, source=request.source) for order in history.orders)
            yield msgspec.structs.replace(history, orders=orders)

    async def take(self, connection: Connection, portion: list[History]) -> None:
        """Members and everything of theirs that is new, in the transaction of ``connection``."""
        merchant_id, now = self._request.merchant_id, self._clock.now()
        portion = self._one_buyer_each(self._one_person_each(portion))
        digests = {history.member: self._digest(history) for history in portion}
        gone = await erased(connection, merchant_id, digests.values())
        self.done.erased_members += len(gone)
        portion = [history for history in portion if digests[history.member] not in gone]
        self.done.members += len(portion)
        owners = await find_members(connection, merchant_id, [digests[history.member] for history in portion])
        keys = [key for history in portion for key in _keys(history)]
        known = await known_keys(connection, merchant_id, self._request.source, keys)
        fresh = [history for history in portion if digests[history.member] not in owners]
        ids = dict(zip([history.member for history in fresh], new_ids(now, len(fresh)), strict=True))
        if fresh:
            await insert_members(connection, merchant_id, list(ids.values()), now)
            if await insert_identities(connection, merchant_id, [(digests[member], id) for member, id in ids.items()], now):
                raise Moved  # another part of the file has just enrolled one of them
            await self._keep_identities(connection, ids)
            self.done.new_members += len(fresh)
        sheet = Sheet()
        rests = [rest for history in portion if (rest := self._unknown(history, known)).orders or rest.returns]
        older = _by_owner((owners[digests[rest.member]], rest) for rest in rests if rest.member not in ids)
        if older:  # all of them at once, for they are locked in the order of their ids
            await take_snapshot(connection, [Wanted(merchant_id, member_id) for member_id in older])
        capacities, counters = await self._capacities(connection)
        for rest in rests:
            if rest.member in ids:
                seat = Seat(sheet, merchant_id, ids[rest.member], 0, new_snapshot(ids[rest.member]), now)
                self._play(seat, rest, capacities)
        for member_id, rest in older.items():
            await self._add(connection, sheet, member_id, rest, capacities, now)
        if counters is not None and capacities is not None:
            await counters.take({(merchant_id, name): amount for name, amount in capacities.drawn.items()})
        if sheet.members:
            await sheet.write(connection)

    def _one_person_each(self, portion: list[History]) -> list[History]:
        """Who is known by one identity, however it was written, is one person."""
        people: dict[Digest, History] = {}
        for history in portion:
            digest = self._digest(history)
            people[digest] = _together(people[digest], history) if digest in people else history
        return list(people.values())

    def _one_buyer_each(self, portion: list[History]) -> list[History]:
        """An order number belongs to whom it is told of first; where the file gives it to another too, that one is refused."""
        buyers: set[str] = set()
        kept = []
        for history in portion:
            orders = tuple(order for order in history.orders if order.id not in buyers)
            twice = len(history.orders) - len(orders)
            if twice:
                reason = Reason.OF_ANOTHER_MEMBER
                self.done.refused[reason] = self.done.refused.get(reason, 0) + twice
            buyers.update(order.id for order in orders)
            kept.append(msgspec.structs.replace(history, orders=orders) if twice else history)
        return kept

    # One member

    def _play(self, seat: Seat, history: History, capacities: Capacities | None, books: Iterable[OrderBook] = ()) -> None:
        """The shop as it was, from where the member stands: everything new comes after what is known."""
        figures = Figures()
        shop = Shop(self._programme, history, self._assumptions, figures, lambda told: self._post(seat, told), capacities)
        shop.resume(seat.snapshot.member, books)
        for event in events_of(history, self._assumptions, figures):
            if isinstance(event, Returned):
                self._document = (_return_key(event),)
                self.done.returns += 1
            shop.meet(event)
        self._document = ()
        shop.close(self._assumptions.as_of)
        seat.close()
        self.done.orders += figures.orders
        for reason, count in figures.refused.items():
            self.done.refused[reason] = self.done.refused.get(reason, 0) + count

    def _post(self, seat: Seat, told: explain.Told) -> None:
        fact, decision = told.fact, told.decision
        if isinstance(fact, TimePassed):
            seat.post(fact, decision, Told("", "import", is_told=False))
            return
        if isinstance(fact, OrderStated):
            fact = msgspec.structs.replace(fact, entry="history")
        grants = decision.draws if isinstance(fact, OrderStated) and self._programme.capacities else None
        seat.post(fact, decision, self._told(fact, self._document), grants)
        self._document = ()

    async def _add(
        self, connection: Connection, sheet: Sheet, member_id: int, rest: History, capacities: Capacities | None, now: Instant
    ) -> None:
        """More of a member who is known: played on where all of it is newer, folded into the past otherwise."""
        merchant_id = self._request.merchant_id
        (found,) = await take_snapshot(connection, [Wanted(merchant_id, member_id)])
        assert found is not None
        if found.merged_into is not None:
            await self._add(connection, sheet, found.merged_into, rest, capacities, now)
            return
        past = await read_past(connection, merchant_id, member_id)
        assert past is not None
        books = await read_books(connection, merchant_id, member_id)
        seat = Seat(sheet, merchant_id, member_id, past.seq, past.snapshot, now)
        first = min([order.placed_at for order in rest.orders] + [back.at for back in rest.returns])
        if first > past.snapshot.member.clock and first > past.snapshot.last[0]:
            self._play(seat, rest, capacities, books.values())
            return
        facts = list(self._facts(rest, books))
        if not facts:
            return
        self._fold_in(seat, past, facts, capacities)
        seat.close()

    def _facts(self, rest: History, books: dict[str, OrderBook]) -> Iterator[tuple[OrderStated, Told]]:
        """What the rest of a history says, known orders among those that goods may come back from."""
        kept = Kept()
        known = [(purchase.placed_at, -1, purchase.id, (purchase, state)) for purchase, state in bought(books.values())]
        orders = [(order.placed_at, 0, order.id, order) for order in rest.orders]
        returns = [(back.at, 1, back.id, back) for back in rest.returns] if self._request.returns != "ignore" else []
        events: list[Any] = [*known, *orders, *returns]
        for _, _, _, event in sorted(events, key=lambda one: one[:3]):
            if isinstance(event, Order):
                kept.buy(event)
                fact = _stated(event, event.placed_at)
                yield fact, self._told(fact)
            elif isinstance(event, Returned):
                self.done.returns += 1
                document: tuple[str, ...] = (_return_key(event),)
                for state in kept.take_back(event):
                    fact = _stated(state, event.at)
                    yield fact, self._told(fact, document)
                    document = ()
            else:
                kept.know(*event)

    def _fold_in(self, seat: Seat, past: Past, told: list[tuple[OrderStated, Told]], capacities: Capacities | None) -> None:
        programme = self._programme
        again = FoldedAgain(programme, past, [fact for fact, _ in told])
        if capacities is not None:
            again = again.within({name: capacities.left(name) for name in capacities.most})
            capacities.draw(again.more)
        posts = []
        for fact, how in told:
            decision = again.decisions[fact.id]
            posts.append((fact, decision, how, decision.draws if programme.capacities else None))
            if decision.refusal is not None:
                self.done.refused[decision.refusal.reason] = self.done.refused.get(decision.refusal.reason, 0) + 1
            elif fact.order.sequence == 1:
                self.done.orders += 1
        corrections = differences(past.transfers, again.folded.transfers)
        seat.post_late(posts, again.folded, corrections, past.seqs, again.draws)

    # What is known

    def _unknown(self, history: History, known: dict[str, bytes]) -> History:
        """What of a history is new; what is known with another content is counted and left."""
        orders, as_of = [], self._assumptions.as_of
        for order in history.orders:
            if order.placed_at >= as_of:
                self.done.later += 1
                continue
            digest = known.get(first_key(order.id))
            if digest is None:
                orders.append(order)
                continue
            self.done.known += 1
            if self._request.discounts == "as-paid" and digest != written_fact(_stated(order, order.placed_at))[1]:
                self.done.differing += 1
                if len(self.done.examples) < 5:
                    self.done.examples.append(order.id)
        returns = tuple(back for back in history.returns if back.at < as_of and _return_key(back) not in known)
        return msgspec.structs.replace(history, orders=tuple(orders), returns=returns)

    def _told(self, fact: Remembered, document: tuple[str, ...] = ()) -> Told:
        if isinstance(fact, OrderStated):
            order = fact.order
            return Told(order.source, "import", first_key(order.id) if order.sequence == 1 else key_of(fact), False, document)
        return Told(self._request.source, "import", key_of(fact), is_told=False)

    def _identity(self, history_member: str) -> Identity:
        if "@" in history_member:
            return Identity("email", history_member)
        return Identity("customer", history_member, self._request.source)

    def _digest(self, history: History) -> Digest:
        identity = self._identity(history.member)
        return identity.kind, self._keyring.digest(self._request.merchant_id, identity.kind, identity.plain)

    async def _keep_identities(self, connection: Connection, ids: dict[Any, int]) -> None:
        """Each new member's identity, sealed under a key of their own."""
        merchant_id = self._request.merchant_id
        keys, values = [], []
        for member, id in ids.items():
            identity, key, owner = self._identity(member), new_key(), f"{merchant_id}/{id}"
            name = f"identity/{self._keyring.digest(merchant_id, identity.kind, identity.plain).hex()}"
            keys.append((id, self._keyring.wrap(key, owner), new_key()))
            values.append((id, name, seal(key, msgspec.json.encode(identity), f"{owner}/{name}")))
        await insert_keys(connection, merchant_id, keys)
        await insert_values(connection, merchant_id, values)

    async def _capacities(self, connection: Connection) -> tuple[Capacities | None, Counters | None]:
        """What limited rules have left, locked for this portion."""
        if not self._programme.capacities:
            return None, None
        counters = Counters(connection, "import")
        await counters.gather((self._request.merchant_id, name) for name in self._programme.capacities)
        return Capacities({name: free for (_, name), free in counters.free.items()}), counters


def _stated(order: Order, at: Instant) -> OrderStated:
    return OrderStated(FactId(f"{order.key}#{order.sequence}"), order, at, at, entry="history")


def _together(one: History, other: History) -> History:
    """Two histories of one person."""
    orders = tuple(sorted(one.orders + other.orders, key=lambda order: (order.placed_at, order.id)))
    returns = tuple(sorted(one.returns + other.returns, key=lambda back: (back.at, back.id)))
    return History(one.member, orders, returns)


def _by_owner(rests: Iterable[tuple[int, History]]) -> dict[int, History]:
    """Histories by the member they belong to: who was merged may be known by several names of the file."""
    found: dict[int, History] = {}
    for member_id, rest in rests:
        if (other := found.get(member_id)) is not None:
            rest = _together(other, rest)
        found[member_id] = rest
    return found


def _return_key(back: Returned) -> str:
    return f"return/{back.id}@{back.at}"


def _keys(history: History) -> Iterator[str]:
    for order in history.orders:
        yield first_key(order.id)
    for back in history.returns:
        yield _return_key(back)
