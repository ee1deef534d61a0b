"""A worker for the tests of kill -9: callers ask, and each answer is journalled outside of the database before the next is asked.

    python worker.py URL JOURNAL STOP NUMBER CALLERS BASE

Invariant: what a caller asks as its n-th command follows from its name alone; after a restart it asks again what was not answered. The
file STOP ends it, once everybody has their answer.
"""

import asyncio
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import asyncpg
import msgspec

from regulars.flows.commands import Outcome
from regulars.flows.intake import take_order
from regulars.flows.lane import Lane
from regulars.flows.night import walk
from regulars.flows.patience import Unavailable
from regulars.flows.programmes import Programmes
from regulars.flows.wallet import Wallet
from regulars.gateways.clock import SystemClock
from regulars.kernel.ids import OrderId, UnitId
from regulars.kernel.time import DAY, HOUR, SECOND, Instant
from regulars.programme.facts import Line, Order
from regulars.store.database import open_pool

MERCHANT = 1
MEMBERS = 300
POINTS = UnitId("points")
KINDS = ("order",) * 9 + ("change",) * 4 + ("redeem",) * 3 + ("hold",) * 2 + ("capture", "release", "give", "take")


class Acknowledged(msgspec.Struct, frozen=True):
    """One answer: the ``n``-th of its caller, under which key the fact was told, and what was heard."""

    caller: str
    n: int
    key: str
    member: int
    granted: int | None
    is_duplicate: bool
    refusal: str | None


class Journal:
    """Answers, on disk before anybody goes on."""

    def __init__(self, path: Path) -> None:
        """Continued where it ends; a line that was cut short by a kill is no line."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        whole = path.read_bytes().rpartition(b"\n")
        os.truncate(self._file, len(whole[0]) + len(whole[1]))
        self.done = Counter(one.caller for one in read(path))
        self._lines: list[bytes] = []
        self._kept: asyncio.Future[None] | None = None

    async def keep(self, answer: Acknowledged) -> None:
        """Returns when it is on disk, together with others of the moment."""
        self._lines.append(msgspec.json.encode(answer) + b"\n")
        if self._kept is None:
            loop = asyncio.get_running_loop()
            self._kept = loop.create_future()
            loop.call_soon(self._write)
        await self._kept

    def _write(self) -> None:
        os.write(self._file, b"".join(self._lines))
        os.fsync(self._file)
        kept, self._kept, self._lines = self._kept, None, []
        assert kept is not None
        kept.set_result(None)


def read(path: Path) -> list[Acknowledged]:
    """What a journal holds."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [msgspec.json.decode(line, type=Acknowledged) for line in lines]


class Caller:
    """Somebody who asks one thing after the other."""

    def __init__(self, name: str, lane: Lane, base: Instant) -> None:
        """Nothing asked yet; the shop of this run exists since ``base``."""
        self._name = name
        self._lane = lane
        self._base = base
        self._wallet = Wallet(lane, MERCHANT, "shop", "till")
        self._clock = SystemClock()

    def ask(self, n: int) -> tuple[str, int, Awaitable[Outcome]]:
        """The ``n``-th command: its key, its member, and the way to its answer."""
        dice, kind = self._dice(n), self._kind(n)
        about = self._last(n, {"change": "order", "capture": "hold", "release": "hold"}.get(kind, kind))
        id, member = f"{self._name}-{about}", self._dice(about).randint(1, MEMBERS)
        match kind:
            case "order":
                return f"order/{id}", member, self._order(member, id, about)
            case "change":
                return f"order/{id}#{n + 1}", member, self._order(member, id, about, n + 1)
            case "redeem":
                paid = self._wallet.redeem(member, id, f"paid:{id}", POINTS, dice.randint(5, 60), 10_000)
                return f"value_redeemed/{id}", member, paid
            case "hold":
                until = Instant(self._base + dice.randint(3, 120) * SECOND)
                held = self._wallet.hold(member, id, f"held:{id}", POINTS, dice.randint(5, 60), 10_000, until)
                return f"value_held/{id}", member, held
            case "capture":
                return f"hold_captured/{id}", member, self._wallet.capture(member, id, id)
            case "release":
                return f"hold_released/{id}", member, self._wallet.release(member, id, id)
            case _:
                amount = dice.randint(10, 90) if kind == "give" else -5
                return f"value_adjusted/shop:{id}", member, self._wallet.adjust(member, id, POINTS, amount, "goodwill")

    def _dice(self, n: int) -> random.Random:
        return random.Random(f"{self._name}/{n}")

    def _kind(self, n: int) -> str:
        """The first few make what the others change."""
        return ("give", "order", "hold")[n] if n < 3 else random.Random(f"{self._name}/kind/{n}").choice(KINDS)

    def _last(self, n: int, kind: str) -> int:
        """The number of the last command of this kind."""
        return next(one for one in range(n, -1, -1) if self._kind(one) == kind)

    async def _order(self, member: int, id: str, about: int, sequence: int = 1) -> Outcome:
        """As it was placed, of which we hear an hour late now and then, or as it stands after change ``sequence``."""
        dice = random.Random(f"{self._name}/{about}/{sequence}")
        lines = tuple(Line(sku, sku, 1, dice.randint(100, 9000)) for sku in dice.sample("abc", dice.randint(0 if sequence > 1 else 1, 3)))
        order = Order(OrderId(id), Instant(self._base - DAY), "PLN", lines, sequence=sequence)
        late = HOUR if sequence == 1 and dice.random() < 0.15 else 0
        return await take_order(self._lane, MERCHANT, member, order, Instant(self._clock.now() - late))


async def call(caller: Caller, name: str, journal: Journal, stop: Path) -> None:
    """Ask without end; what could not be answered is asked again."""
    n = journal.done[name]
    while True:
        key, member, way = caller.ask(n)
        try:
            outcome = await way
        except Unavailable:
            continue
        refusal = None if outcome.refusal is None else str(outcome.refusal.reason)
        await journal.keep(Acknowledged(name, n, key, member, outcome.record.granted, outcome.is_duplicate, refusal))
        n += 1
        if stop.exists():
            return


async def nights(pool: asyncpg.Pool, lane: Lane, stop: Path) -> None:
    """The walk over everybody for whom something is due, again and again."""
    while not stop.exists():
        await asyncio.sleep(0.3)
        try:
            failed = (await walk(pool, lane, SystemClock())).failed
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            continue  # the database is away; the next night comes
        if wrong := [one for one in failed if "it cannot be reached" not in one]:
            raise AssertionError(wrong)


async def main(url: str, path: str, stop: str, number: str, callers: str, base: str) -> None:
    """Work until told to stop."""
    journal, pool = Journal(Path(path)), await _patient_pool(url)
    lane = Lane(pool, Programmes(), SystemClock())
    async with asyncio.TaskGroup() as group:
        for n in range(int(callers)):
            name = f"{number}.{n}"
            group.create_task(call(Caller(name, lane, Instant(int(base))), name, journal, Path(stop)))
        if number == "0":
            group.create_task(nights(pool, lane, Path(stop)))
    await lane.close()
    await pool.close()


async def _patient_pool(url: str) -> asyncpg.Pool:
    while True:
        try:
            return await open_pool(url, 6)
        except (asyncpg.PostgresError, OSError):
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    logging.getLogger("asyncpg").setLevel(logging.ERROR)  # that a pool finds its database away is what this is about
    asyncio.run(main(*sys.argv[1:]))
