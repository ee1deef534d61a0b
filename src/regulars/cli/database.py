"""The database as whoever runs it sees it: the worker, copies, and whether it is well."""

import asyncio
import json
import signal
from pathlib import Path

import asyncpg
import msgspec

from regulars.cli.screen import Screen
from regulars.cli.service import waiting, with_service
from regulars.config import read_config
from regulars.flows.night import Walked
from regulars.gateways import dumps
from regulars.gateways.clock import SystemClock
from regulars.kernel.errors import Invalid, Problem
from regulars.store.schema import migrate, prepare_url
from regulars.views.health import Finding, examine
from regulars.wiring import open_database
from regulars.worker.schedule import work


def worker(is_once: bool) -> None:
    """The night walk and the chores; again every minute unless ``is_once``."""
    screen = Screen()

    def told(night: Walked) -> None:
        if is_once or night.members or night.failed or night.sealed:
            screen.say(f"{night.members:,} members walked" + (f", {len(night.failed)} failed" if night.failed else ""))
        for failure in night.failed[:5]:
            screen.say(f"  {failure}")
        for merchant, months in night.sealed.items():
            screen.say(f"  sealed for merchant {merchant}: {', '.join(months)}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end by its keeper, it ends as by Ctrl-C
    try:
        with_service(lambda service: work(service, is_once, told))
    except KeyboardInterrupt:
        screen.say("stopped; whatever was begun is finished or undone")


def backup(file: Path, is_replacing: bool) -> None:
    """Write the whole database to a file."""
    if file.is_dir():
        raise Invalid(Problem(str(file), "this is a folder", f"name a file in it, as {file / 'regulars.dump'}"))
    if file.exists() and not is_replacing:
        raise Invalid(Problem(str(file), "there is a file of this name", "name another, or say --replace"))

    async def do() -> None:
        async with open_database(read_config()) as url:
            with waiting("writing the copy"):
                await asyncio.to_thread(dumps.backup, url, file)

    asyncio.run(do())
    screen = Screen()
    screen.say(f"{file}: {file.stat().st_size / 1e6:,.1f} MB")
    screen.say("Keep the vault key too (REGULARS_VAULT_KEY, or vault.key in the data folder), in another place:")
    screen.say("without it nobody can read who the members are; with both, everybody can.")


def restore(file: Path) -> None:
    """Fill an empty database from a file, and bring it to the present."""

    async def do() -> None:
        async with open_database(read_config()) as url:
            with waiting("restoring"):
                await asyncio.to_thread(dumps.restore, url, file, None, lambda to: asyncio.run(prepare_url(to)))
            await migrate(url, SystemClock().now())

    asyncio.run(do())
    Screen().say(f"restored from {file}; `regulars verify` proves it")


def doctor(as_json: bool) -> None:
    """Examine the database; exit code 1 when something is not well."""

    async def do() -> list[Finding]:
        async with open_database(read_config()) as url:
            owner = await asyncpg.connect(url)
            try:
                return [finding async for finding in examine(owner, SystemClock().now())]
            finally:
                await owner.close()

    findings = asyncio.run(do())
    if as_json:
        print(json.dumps(msgspec.to_builtins(findings), indent=2))
    else:
        screen = Screen()
        screen.columns([["well" if one.is_well else "NOT WELL", one.name, one.what] for one in findings])
        for one in findings:
            if not one.is_well:
                screen.say(f"{one.name}: {one.hint}")
    if not all(one.is_well for one in findings):
        raise SystemExit(1)
