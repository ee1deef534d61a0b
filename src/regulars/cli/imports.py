"""Imports as people see them: a bar while it goes on, then what it came to and what was left out."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from regulars.cli.orders import columns_of
from regulars.cli.screen import Screen
from regulars.cli.service import progress_bar, with_service, zone_of
from regulars.config import read_config
from regulars.flows.importer import Import, Imported
from regulars.flows.imports import run
from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.time import start_of_day
from regulars.store.database import working_for
from regulars.store.imports import give_up
from regulars.wiring import Service, open_service


def orders(
    file: Path,
    merchant_id: int,
    source: str,
    columns: list[str] | None,
    dates: str | None,
    as_of: date | None,
    redeem: Literal["never", "greedy"],
    returns: Literal["ignore", "last-purchase-first"],
    is_as_if: bool,
    processes: int | None,
    as_json: bool,
) -> None:
    """Import a history and say what it came to."""

    async def do() -> Imported:
        async with open_service(read_config()) as service:
            zone = await zone_of(service, merchant_id)
            request = Import(
                merchant_id,
                file,
                columns_of(columns),
                dates,
                source,
                zone[1],
                None if as_of is None else start_of_day(as_of, zone[0]),
                redeem,
                returns,
                "give" if is_as_if else "as-paid",
                processes,
            )
            with progress_bar("importing", "orders") as report:
                return await _stoppable(lambda progress: run(request, service.url, service.keyring, progress), report)

    done = asyncio.run(do())
    if as_json:
        print(json.dumps(msgspec.to_builtins(done), indent=2))
    else:
        _print_imported(Screen(), file, done, _left_out(file, columns, dates))


def dismiss(file: str, merchant_id: int) -> None:
    """Count the unfinished imports of a file as done."""

    async def do(service: Service) -> int:
        async with working_for(service.pool, [merchant_id]) as connection:
            return await give_up(connection, merchant_id, Path(file).name)

    if not with_service(do):
        raise NotFound(Problem(file, "no import of a file of this name is unfinished", "`regulars doctor` names those that are"))
    Screen().say(f"{file}: what was taken stays; its import counts as done")


async def _stoppable(work: Callable[[Callable[[int, int], None]], Imported], report: Callable[[int, int], None]) -> Imported:
    """Work in a thread that ends at its next step when somebody interrupts it, before the database is closed."""
    stopped = threading.Event()

    def step(done: int, total: int) -> None:
        if stopped.is_set():
            raise InterruptedError
        report(done, total)

    working = asyncio.get_running_loop().run_in_executor(None, work, step)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stopped.set()
        with suppress(Exception):
            await working
        print("interrupted: what was committed stays; give the same command again and it goes on there", file=sys.stderr)
        raise


def _left_out(file: Path, columns: list[str] | None, dates: str | None) -> list[tuple[str, int]]:
    """Rows of the file that became nothing, by kind."""
    survey = OrderFile(file, columns_of(columns), dates=dates).survey(0)
    return [(kind.kind, kind.rows) for kind in survey.kinds if kind.kind not in ("order line", "return")]


def _print_imported(screen: Screen, file: Path, done: Imported, left_out: list[tuple[str, int]]) -> None:
    rate = f", {done.orders / done.seconds:,.0f} orders a second" if done.seconds > 0 and done.orders else ""
    screen.say(f"{file}: {done.orders:,} orders taken in {done.seconds:.1f} s{rate}", "bold")
    rows = [["members", f"{done.members:,}", f"{done.new_members:,} of them new"]]
    if done.resumed_members:
        rows.append(["taken before it was interrupted", f"{done.resumed_members:,}", "members of an earlier run of this file"])
    if done.returns:
        rows.append(["documents of returned goods", f"{done.returns:,}", ""])
    if done.known:
        rows.append(["orders known already", f"{done.known:,}", "they changed nothing"])
    if done.differing:
        rows.append(["known with another content", f"{done.differing:,}", f"left as they were: {', '.join(done.examples)}"])
    if done.erased_members:
        rows.append(["members who were erased", f"{done.erased_members:,}", "left out"])
    rows += [[f"orders refused: {reason}", f"{count:,}", ""] for reason, count in sorted(done.refused.items())]
    if done.later:
        rows.append(["orders of a later day", f"{done.later:,}", "left out"])
    rows += [[f"rows left out: {kind}", f"{count:,}", "`regulars orders check` shows some"] for kind, count in left_out]
    screen.columns(rows)
