"""kill -9 under load, of PostgreSQL and of the service: nothing that was acknowledged is lost, and nothing happens twice."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from builders import a_programme, a_unit, purchase_rule
from reconciler import assert_nothing_lost_nothing_doubled
from servers import fresh_database, small_server
from worker import MEMBERS, MERCHANT, Acknowledged, read

from regulars import verify
from regulars.flows.programmes import draft, publish
from regulars.gateways.clock import SystemClock
from regulars.gateways.postgres import Server
from regulars.programme.definition import plain
from regulars.store.database import open_pool, working_for
from regulars.store.house import StoredStore, insert_merchant, insert_source, insert_store
from regulars.store.members import insert_members
from regulars.store.schema import migrate

PROGRAMME = a_programme(
    units={"points": a_unit(), "stamps": {}},
    rules=[
        purchase_rule(),
        {"id": "stamp", "award": {"unit": "stamps", "amount": 5}, "limit": {"units": 2_000_003, "over": "reduce"}},
        {"id": "gift", "perk": {"name": "gift"}, "limit": {"uses": 300}},
    ],
)
LONG_SECONDS = 60
"""Nothing takes so long unless it never comes."""


class Crew:
    """Worker processes upon one database, their journals beside it."""

    def __init__(self, url: str, folder: Path, workers: int, callers: int) -> None:
        """All of them at work."""
        self._url = url
        self._folder = folder
        self._callers = callers
        self._base = SystemClock().now()
        self._begun = [0] * workers
        self._processes = [self._start(number) for number in range(workers)]

    def _journal(self, number: int) -> Path:
        return self._folder / f"journal-{number}"

    def size(self, number: int) -> int:
        """Bytes that a worker has journalled."""
        return self._journal(number).stat().st_size if self._journal(number).exists() else 0

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        self._begun[number] = self.size(number)
        words = [self._url, self._journal(number), self._folder / "stop", number, self._callers, self._base]
        with (self._folder / f"said-{number}").open("ab") as said:
            return subprocess.Popen([sys.executable, Path(__file__).with_name("worker.py"), *map(str, words)], stderr=said)

    def has_written(self, number: int, since: int) -> bool:
        """Whether its journal is longer than it was."""
        assert self._processes[number].poll() is None, self._said()
        return self.size(number) > since

    def is_at_work(self, number: int) -> bool:
        """Whether it got answers since it was started last."""
        return self.has_written(number, self._begun[number])

    def kill(self, number: int) -> None:
        """It has no chance to say goodbye; another takes its place."""
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start(number)

    def finish(self) -> list[Acknowledged]:
        """Everybody gets their answer and goes home. What was acknowledged, to all of them."""
        (self._folder / "stop").touch()
        for process in self._processes:
            process.wait(LONG_SECONDS)
        assert self._said() == ""
        return [one for number in range(len(self._processes)) for one in read(self._journal(number))]

    def _said(self) -> str:
        """The last words of workers who came to grief."""
        return "".join((self._folder / f"said-{number}").read_text() for number in range(len(self._processes)))[-3000:]

    def dismiss(self) -> None:
        """Whatever happened."""
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def a_crew(server: Server, folder: Path, workers: int, callers: int) -> Iterator[tuple[str, Crew]]:
    """A shop with members, and workers who serve them."""
    with fresh_database(server) as url:
        asyncio.run(_open_shop(url))
        crew = Crew(url, folder, workers, callers)
        try:
            wait_until(lambda: all(crew.is_at_work(number) for number in range(workers)))
            yield url, crew
        finally:
            crew.dismiss()


async def _open_shop(url: str) -> None:
    clock = SystemClock()
    await migrate(url, clock.now())
    pool = await open_pool(url, 2)
    async with working_for(pool, [MERCHANT]) as connection:
        await insert_merchant(connection, MERCHANT, "The tea shop", clock.now())
        await insert_store(connection, MERCHANT, StoredStore(1, "web", "PLN"))
        await insert_source(connection, MERCHANT, "shop", 1)
        await insert_members(connection, MERCHANT, range(1, MEMBERS + 1), clock.now())
    await publish(pool, clock, MERCHANT, await draft(pool, clock, MERCHANT, plain(PROGRAMME.latest.document), "owner"), "owner")
    await pool.close()


def say(text: str) -> None:
    """A figure for whoever runs it with ``-s``."""
    sys.stdout.write(f"\n{text}\n")


def wait_until(comes: Callable[[], bool]) -> None:
    """Until it ``comes``, which it does."""
    until = time.monotonic() + LONG_SECONDS
    while not comes():
        assert time.monotonic() < until
        time.sleep(0.005)


def kill_server(server: Server, everybody: bool) -> None:
    """The postmaster, and, as when a container is killed, ``everybody`` whom it started."""
    pids = [server.pid, *(children(server.pid) if everybody else ())]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_another(server: Server, pid: int) -> bool:
    """Whether the server has another process than that."""
    return server.pid != pid


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


MANY = 12
"""Kills among which one is sure to come between a commit and its answer."""


def judge(url: str, acknowledged: list[Acknowledged], kills: int, what: str) -> None:
    """Everything is there and once; and of many kills one at least came between a commit and its answer, or nothing was tried at all."""
    assert_nothing_lost_nothing_doubled(url, acknowledged)
    report = asyncio.run(verify.run(url, MERCHANT, lambda *_: None))
    assert [finding for check in report.checks for finding in check.findings] == []
    found = sum(one.is_duplicate for one in acknowledged)
    say(f"{what}: {kills} kills, {len(acknowledged)} acknowledged, 0 lost, 0 doubled, {found} found done when asked again")
    assert found > 0 or kills < MANY


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_killed_database_comes_back_with_everything_that_was_acknowledged(tmp_path: Path, kills: int) -> None:
    dice, started, back = random.Random(kills), [], []
    with small_server("postgres-18") as server, a_crew(server, tmp_path, workers=1, callers=32) as (url, crew):
        for n in range(kills):
            time.sleep(0.3 + dice.random())
            begun = time.monotonic()
            kill_server(server, everybody=n % 2 == 0)
            wait_until(partial(is_another, server, server.pid))
            started.append(time.monotonic() - begun)
            wait_until(partial(crew.has_written, 0, crew.size(0)))
            back.append(time.monotonic() - begun)
        acknowledged = crew.finish()
        judge(url, acknowledged, kills, "postgres")
    say(f"back within {max(back):.2f} s (target 5 s), of which the server took {max(started):.2f} s")


@pytest.mark.parametrize(("workers", "kills"), [(2, 4), pytest.param(4, 40, marks=pytest.mark.slow)])
def test_killed_workers_lose_nothing_that_they_acknowledged_and_do_nothing_twice(
    server18: Server, tmp_path: Path, workers: int, kills: int
) -> None:
    dice = random.Random(kills)
    with a_crew(server18, tmp_path, workers, callers=8) as (url, crew):
        for _ in range(kills):
            victim = dice.randrange(workers)
            wait_until(partial(crew.is_at_work, victim))
            time.sleep(dice.random() * 0.2)
            crew.kill(victim)
        wait_until(lambda: all(crew.is_at_work(number) for number in range(workers)))
        acknowledged = crew.finish()
        judge(url, acknowledged, kills, "workers")
