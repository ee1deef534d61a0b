"""A herd: callers who all come at once, through several lanes with connections of their own, in this process and in others."""

import asyncio
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.synchronize import Barrier

from world import START

from regulars.flows.commands import Command, Outcome
from regulars.flows.lane import Lane
from regulars.flows.programmes import Programmes
from regulars.gateways.clock import SetClock
from regulars.kernel.time import DAY, SECOND, Instant
from regulars.store.database import open_pool

Heard = Outcome | str
"""What a caller hears: an outcome, or an error in its words, which nobody should."""

RACE = Instant(START + 2 * DAY)
"""When every race begins; the clock of each lane is a second ahead of the one before, as those of machines are."""

LANES = 2
"""Lanes in each process."""

_GATE_SECONDS = 120
_gate: Barrier | None = None


class Herd:
    """This process and ``others`` beside it."""

    def __init__(self, others: ProcessPoolExecutor, gate: Barrier) -> None:
        """All of them begin when the last has come to the ``gate``."""
        self._others = others
        self._gate = gate

    def come(self, url: str, commands: Sequence[Command], callers: int = 64) -> list[Heard]:
        """What each of ``commands`` heard, dealt out to all processes and given there by ``callers`` in all, one after the other each."""
        count = self._gate.parties
        shares = [commands[n::count] for n in range(count)]
        theirs = [self._others.submit(_come, url, share, n, callers // count) for n, share in enumerate(shares[1:], 1)]
        heard = [asyncio.run(_share(url, shares[0], 0, callers // count, self._gate)), *(other.result() for other in theirs)]
        return [heard[n % count][n // count] for n in range(len(commands))]


@contextmanager
def open_herd(others: int) -> Iterator[Herd]:
    """A herd in this process and ``others``."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(others + 1)
    with ProcessPoolExecutor(others, context, _stand, (gate,)) as pool:
        yield Herd(pool, gate)


def _stand(gate: Barrier) -> None:
    global _gate
    _gate = gate


def _come(url: str, commands: Sequence[Command], number: int, callers: int) -> list[Heard]:
    assert _gate is not None
    return asyncio.run(_share(url, commands, number, callers, _gate))


async def _share(url: str, commands: Sequence[Command], number: int, callers: int, gate: Barrier) -> list[Heard]:
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(_lane(url, number * LANES + n)) for n in range(LANES)]
        await asyncio.to_thread(gate.wait, _GATE_SECONDS)
        heard: list[Heard] = [""] * len(commands)
        queue = iter(enumerate(commands))
        await asyncio.gather(*(_call(lanes, queue, heard) for _ in range(callers)))
        return heard


def _lane(url: str, number: int) -> "_OpenLane":
    return _OpenLane(url, SetClock(Instant(RACE + number * SECOND)))


class _OpenLane:
    """A lane with a pool of its own."""

    def __init__(self, url: str, clock: SetClock) -> None:
        self._url = url
        self._clock = clock

    async def __aenter__(self) -> Lane:
        self._pool = await open_pool(self._url, 6)
        self._lane = Lane(self._pool, Programmes(), self._clock)
        return self._lane

    async def __aexit__(self, *_: object) -> None:
        await self._lane.close()
        await self._pool.close()


async def _call(lanes: Sequence[Lane], queue: Iterator[tuple[int, Command]], heard: list[Heard]) -> None:
    for n, command in queue:
        try:
            heard[n] = await lanes[n % len(lanes)].take(command)
        except Exception as wrong:
            heard[n] = f"{type(wrong).__name__}: {wrong}"
