"""Imports: a shop's history comes into the memory by the decisions that a replay would make, a portion of members at a time.

Each portion is one transaction with what it did and how far the run has come; memory does not grow with the file. Invariant: what is
known already changes nothing when it comes again, and a run that was killed goes on where its last commit ended.
"""

import asyncio
import hashlib
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from regulars.flows.importer import Import, Imported, Importer
from regulars.flows.patience import patiently
from regulars.gateways.clock import SystemClock
from regulars.gateways.keys import Keyring
from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.errors import Invalid, Problem
from regulars.programme.history import History
from regulars.store.database import Connection, open_pool, working_for
from regulars.store.imports import advance_run, begin_run, end_run

ORDERS = 2000
"""Orders that one transaction takes, about."""

Progress = Callable[[int, int], None]
"""Hears how many orders are done, and of how many."""


def run(request: Import, url: str, keyring: Keyring, progress: Progress = lambda *_: None) -> Imported:
    """Import the file into the database at ``url``, on all processors where it is large. Raises ``Invalid`` or ``NotFound``."""
    begun = time.monotonic()
    file = OrderFile(request.orders, request.columns, None, request.dates)
    total = file.order_count()
    most = multiprocessing.cpu_count()
    processes = min(most, request.processes or (1 if total < _WORTH_A_PROCESS else most))
    name = _run_name(request)
    if processes == 1:
        done = asyncio.run(_part(request, url, keyring, name, 0, 1, lambda orders: progress(orders, total)))
    else:
        done = _spread(request, url, keyring, name, processes, total, progress)
    progress(total, total)
    done.seconds = time.monotonic() - begun
    return done


_WORTH_A_PROCESS = 4000


def _run_name(request: Import) -> str:
    """The same for the same file imported in the same way."""
    plain = msgspec.structs.replace(request, orders=Path(), processes=None, as_of=None)
    digest = hashlib.sha256(msgspec.json.encode(plain, enc_hook=str))
    with request.orders.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:32]


def _spread(request: Import, url: str, keyring: Keyring, name: str, processes: int, total: int, progress: Progress) -> Imported:
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    done = Imported()
    try:
        with ProcessPoolExecutor(processes, context, _begin_process, (counter,)) as pool:
            parts = [pool.submit(_process, request, url, keyring.master, name, part, processes) for part in range(processes)]
            try:
                while not all(part.done() for part in parts):
                    progress(counter.value, total)
                    time.sleep(0.05)
            except BaseException:
                for child in multiprocessing.active_children():
                    child.terminate()  # what they have not committed is undone by their end
                raise
            for part in parts:
                done.add(part.result())
    except BrokenProcessPool:
        hint = "import the same file again: it goes on where it stopped"
        raise Invalid(Problem(str(request.orders), "a worker process died, perhaps for want of memory", hint)) from None
    return done


_counter: Any = None


def _begin_process(counter: Any) -> None:
    global _counter
    _counter = counter


def _process(request: Import, url: str, master: bytes, name: str, part: int, parts: int) -> Imported:
    done = 0

    def report(orders: int) -> None:
        nonlocal done
        with _counter.get_lock():
            _counter.value += orders - done
        done = orders

    return asyncio.run(_part(request, url, Keyring(master), name, part, parts, report))


async def _part(request: Import, url: str, keyring: Keyring, name: str, part: int, parts: int, report: Callable[[int], None]) -> Imported:
    clock = SystemClock()
    pool = await open_pool(url, 2)
    try:
        importer = await Importer.open(pool, clock, keyring, request)
        async with working_for(pool, [request.merchant_id]) as connection:
            skipped = await begin_run(connection, request.merchant_id, name, request.orders.name, part, parts, clock.now())
        importer.done.resumed_members = skipped
        members = orders = 0
        for portion in _portions(importer.histories(part, parts)):
            members += len(portion)
            orders += sum(len(history.orders) for history in portion)
            if skipped >= len(portion):
                skipped -= len(portion)
            else:
                fresh = portion[skipped:]
                skipped = 0
                behind = partial(
                    advance_run, merchant_id=request.merchant_id, run=name, part=part, parts=parts, members=members, orders=orders
                )
                await patiently(partial(_take, pool, importer, fresh, behind), _PATIENCE_SECONDS)
            report(orders)
        async with working_for(pool, [request.merchant_id]) as connection:
            await end_run(connection, request.merchant_id, name, part, parts)
        return importer.done
    finally:
        await pool.close()


async def _take(pool: asyncpg.Pool, importer: Importer, portion: list[History], behind: Callable[[Connection], Awaitable[None]]) -> None:
    """One portion in one transaction; what it counted counts only when it is committed."""
    before = msgspec.json.encode(importer.done)
    try:
        async with working_for(pool, [importer.merchant_id]) as connection:
            await importer.take(connection, portion)
            await behind(connection)
    except BaseException:
        importer.done = msgspec.json.decode(before, type=Imported)
        raise


_PATIENCE_SECONDS = 60


def _portions(histories: Iterable[History]) -> Iterator[list[History]]:
    portion: list[History] = []
    orders = 0
    for history in histories:
        portion.append(history)
        orders += len(history.orders) + 1
        if orders >= ORDERS:
            yield portion
            portion, orders = [], 0
    if portion:
        yield portion
