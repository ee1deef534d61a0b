"""Commands that work on the database: each opens the service, does one thing, and closes it again."""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import date
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regulars.cli.orders import columns_of
from regulars.cli.screen import Screen
from regulars.config import read_config
from regulars.flows.imports import Import, Imported
from regulars.flows.imports import run as run_import
from regulars.flows.merchants import move_in
from regulars.flows.night import Walked
from regulars.flows.people import Identity, People
from regulars.flows.programmes import draft, publish
from regulars.gateways import dumps
from regulars.gateways.clock import SystemClock
from regulars.gateways.orderfiles import OrderFile
from regulars.gateways.programmefiles import read_programme
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.time import BEGINNING, NEVER, Instant, moment, start_of_day
from regulars.programme.definition import Document, Programme, plain
from regulars.store.database import working_for
from regulars.store.house import StoredStore
from regulars.store.programmes import list_versions
from regulars.store.schema import migrate, prepare_url
from regulars.views.health import Finding, examine
from regulars.views.members import MemberPage, StatementLine, member_page
from regulars.wiring import Service, open_database, open_service
from regulars.worker.schedule import work

T = TypeVar("T")


def with_service(do: Callable[[Service], Awaitable[T]]) -> T:
    """What ``do`` comes to with a running service."""

    async def opened() -> T:
        async with open_service(read_config()) as service:
            return await do(service)

    return asyncio.run(opened())


def publish_programme(file: Path, merchant_id: int, actor: str, reason: str, as_json: bool) -> None:
    """Publish every version of the file that is not published yet; the first publication sets the merchant up."""
    programme = read_programme(file)

    async def do(service: Service) -> list[dict[str, object]]:
        version = programme.latest
        store = StoredStore(1, "web", version.currency, version.document.time_zone)
        await move_in(service.pool, service.clock, merchant_id, version.document.programme, store, ("shop", "file"))
        return [await _published(service, merchant_id, one.document, actor, reason) for one in programme.versions]

    published = with_service(do)
    if as_json:
        print(json.dumps(published, indent=2))
        return
    for one in published:
        screen = Screen()
        if one["is_new"]:
            screen.say(f"version {one['version']}: published, applies {_since(programme, one['applies_from'])}")  # type: ignore[arg-type]
        else:
            screen.say(f"version {one['version']}: published already, as it is here; nothing was changed")


async def _published(service: Service, merchant_id: int, document: Document, actor: str, reason: str) -> dict[str, object]:
    data = plain(document)
    async with working_for(service.pool, [merchant_id]) as connection:
        for one in await list_versions(connection, merchant_id):
            if one.status != "draft" and {**one.document, "version": None} == {**data, "version": None}:
                return {"version": one.version, "applies_from": one.applies_from, "is_new": False}
    number = await draft(service.pool, service.clock, merchant_id, data, actor)
    applies_from = await publish(service.pool, service.clock, merchant_id, number, actor, reason)
    return {"version": number, "applies_from": applies_from, "is_new": True}


def _since(programme: Programme, at: Instant) -> str:
    return "always" if at == BEGINNING else f"from {moment(at, programme.latest.zone):%Y-%m-%d %H:%M:%S %Z}"


def import_orders(
    file: Path,
    merchant_id: int,
    source: str,
    columns: list[str] | None,
    dates: str | None,
    as_of: date | None,
    redeem: str,
    returns: str,
    is_as_if: bool,
    processes: int | None,
    as_json: bool,
) -> None:
    """Import a history and say what it came to."""

    async def do() -> Imported:
        async with open_service(read_config()) as service:
            zone = await _zone_of(service, merchant_id)
            request = Import(
                merchant_id,
                file,
                columns_of(columns),
                dates,
                source,
                zone[1],
                None if as_of is None else start_of_day(as_of, zone[0]),
                redeem,  # type: ignore[arg-type]
                returns,  # type: ignore[arg-type]
                "give" if is_as_if else "as-paid",
                processes,
            )
            with progress_bar("importing", "orders") as report:
                return await _stoppable(lambda progress: run_import(request, service.url, service.keyring, progress), report)

    done = asyncio.run(do())
    if as_json:
        print(json.dumps(msgspec.to_builtins(done), indent=2))
    else:
        _print_imported(Screen(), file, done, _left_out(file, columns, dates))


async def _zone_of(service: Service, merchant_id: int) -> tuple[ZoneInfo, bool]:
    """The zone of a merchant's programme, and whether files are read by its clock."""
    async with working_for(service.pool, [merchant_id]) as connection:
        revision = await connection.fetchval("select revision from merchant where merchant_id = $1", merchant_id)
        if revision is None:
            hint = "`regulars programme publish FILE` sets a merchant up with its first programme"
            raise NotFound(Problem(f"merchant {merchant_id}", "there is no such merchant", hint))
        programme = await service.programmes.of(connection, merchant_id, revision)
    return programme.latest.zone, programme.latest.document.replay.times == "local"


async def _stoppable(work: Callable[[Callable[[int, int], None]], T], report: Callable[[int, int], None]) -> T:
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


def show_member(who: str, merchant_id: int, source: str, as_json: bool) -> None:
    """One member: how they stand, what they hold, what happened last."""

    async def do(service: Service) -> tuple[MemberPage, list[str], ZoneInfo]:
        zone, _ = await _zone_of(service, merchant_id)
        people = People(service.pool, service.clock, service.keyring, service.programmes, merchant_id)
        member_id = await _who(people, who, source)
        async with working_for(service.pool, [merchant_id]) as connection:
            page = None if member_id is None else await member_page(connection, merchant_id, member_id)
        if page is None or member_id is None:
            hint = "give an e-mail, a phone, the shop's customer number (with --source), or the member's id"
            raise NotFound(Problem(f"member {who}", "nobody is known by this", hint))
        try:
            known_by = [f"{one.kind} {one.value}" for one in (await people.read(member_id)).identities]
        except NotFound:
            known_by = []
        return page, known_by, zone

    page, known_by, zone = with_service(do)
    if as_json:
        print(json.dumps({"known_by": known_by, **msgspec.to_builtins(page)}, indent=2))
    else:
        _print_member(Screen(), page, known_by, zone)


async def _who(people: People, who: str, source: str) -> int | None:
    kinds = [Identity("customer", who, source), Identity("email", who), Identity("phone", who), Identity("card", who)]
    for identity in kinds:
        found = await people.find(identity)
        if found is not None:
            return found
    return int(who) if who.isdecimal() and len(who) <= 19 else None


def _print_member(screen: Screen, page: MemberPage, known_by: list[str], zone: ZoneInfo) -> None:
    stored, member = page.member, page.member.snapshot.member
    screen.say(f"Member {stored.member_id}, {stored.status}", "bold")
    rows = [["known by", ", ".join(known_by) or "nothing"], ["orders", f"{page.orders:,} in the memory, {member.orders:,} counted"]]
    if stored.merged_into is not None:
        rows.append(["merged into", str(stored.merged_into)])
    rows += [[f"level in {ladder}", level] for ladder, level in member.tiers.items()]
    rows += [["merge that can be undone", merge] for merge in page.merges]
    screen.columns(rows)
    for unit, held in stored.snapshot.accounts.items():
        screen.say()
        parts = [f"{held.active:,} usable", *([f"{held.pending:,} pending"] if held.pending else [])]
        parts += [f"{held.held:,} held"] if held.held else []
        parts += [f"{-held.debt:,} owed"] if held.debt else []
        screen.say(f"{unit}: {', '.join(parts)}", "italic")
        lots = [lot for lot in member.lots if lot.unit == unit]
        screen.columns(
            [["lot", "left", "ends"]]
            + [[lot.id, f"{lot.remaining:,}", "never" if lot.expires_at == NEVER else _shown(lot.expires_at, zone)] for lot in lots],
            right=True,
        )
        screen.say(f"  last {len(page.statement[unit])} of {held.seq:,} entries")
        screen.columns(
            [["entry", "value date", "change", "usable after", "what"]]
            + [
                [f"{one.seq:,}", _shown(one.value_at, zone), f"{_change(one):+,}", f"{one.active:,}", f"{one.movement} of {one.cause}"]
                for one in page.statement[unit]
            ],
            right=True,
        )


def _change(line: StatementLine) -> int:
    """What it did to the usable balance."""
    return line.amount * ((line.target == "member.active") - (line.source == "member.active"))


def _shown(at: Instant, zone: ZoneInfo) -> str:
    return f"{moment(at, zone):%Y-%m-%d %H:%M}"


def run_worker(is_once: bool) -> None:
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


def backup(file: Path) -> None:
    """Write the whole database to a file."""

    async def do() -> None:
        async with open_database(read_config()) as url:
            with _waiting("writing the copy"):
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
            with _waiting("restoring"):
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


def _waiting(what: str) -> AbstractContextManager[object]:
    return Console(stderr=True).status(what) if sys.stderr.isatty() else nullcontext()
