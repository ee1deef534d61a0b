"""The service as commands use it: opened, used once, closed again; and what shows that something takes long."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regulars.config import read_config
from regulars.kernel.errors import NotFound, Problem
from regulars.store.database import working_for
from regulars.wiring import Service, open_service

T = TypeVar("T")


def with_service(do: Callable[[Service], Awaitable[T]]) -> T:
    """What ``do`` comes to with a running service."""

    async def opened() -> T:
        async with open_service(read_config()) as service:
            return await do(service)

    return asyncio.run(opened())


async def zone_of(service: Service, merchant_id: int) -> tuple[ZoneInfo, bool]:
    """The zone of a merchant's programme, and whether files are read by its clock."""
    async with working_for(service.pool, [merchant_id]) as connection:
        revision = await connection.fetchval("select revision from merchant where merchant_id = $1", merchant_id)
        if revision is None:
            hint = "`regulars programme publish FILE` sets a merchant up with its first programme"
            raise NotFound(Problem(f"merchant {merchant_id}", "there is no such merchant", hint))
        programme = await service.programmes.of(connection, merchant_id, revision)
    return programme.latest.zone, programme.latest.document.replay.times == "local"


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal; what it gives hears how many are done, and of how many."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield report


def waiting(what: str) -> AbstractContextManager[object]:
    """Something that moves on a terminal while it takes long."""
    return Console(stderr=True).status(what) if sys.stderr.isatty() else nullcontext()
