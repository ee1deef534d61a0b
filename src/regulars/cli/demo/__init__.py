"""The demo: 1,115 real invoices of a gift shop under a points programme - tried on paper, taken into a database, proved, explained."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from regulars.cli.replays import print_passages, print_report, with_progress
from regulars.cli.screen import Screen
from regulars.cli.service import progress_bar
from regulars.cli.verify import print_report as print_audit
from regulars.config import Config
from regulars.flows.importer import Import, Imported
from regulars.flows.imports import run
from regulars.flows.merchants import move_in
from regulars.flows.night import walk
from regulars.flows.programmes import draft, publish
from regulars.flows.replays import Prepared, Replay, explained_member, explained_order, prepare
from regulars.programme.definition import plain
from regulars.store.database import working_for
from regulars.store.house import StoredStore
from regulars.verify import Report
from regulars.verify import run as audit
from regulars.views.totals import Total, unit_totals
from regulars.wiring import Service, open_service

MEMBER = "14195"
ORDER = "501303"
MERCHANT = 1


def show(once: bool) -> None:
    """Replay the sample, import it into a database of its own, verify that, and print."""
    screen = Screen()
    here = files("regulars.cli.demo")
    with as_file(here / "programme.yaml") as programme, as_file(here / "online_retail_small.parquet") as orders:
        request = Replay(programme=programme, orders=orders)
        screen.say("A real gift shop: 200 of its customers, December 2009 to December 2010.")
        screen.say("The programme: a point for each whole pound, double on the second order; 500 points pay 5 pounds of a later order.")
        report = with_progress(request)
        print_report(screen, report)
        screen.say()
        screen.say("The same past, taken into a database by the same decisions", "bold")
        with _home() as home:
            _print_memory(screen, report, *asyncio.run(_remember(home, request)))
        screen.say()
        screen.say(f"The story of member {MEMBER}, its beginning", "bold")
        print_passages(screen, explained_member(request, MEMBER)[:12])
        screen.say()
        screen.say(f"Order {ORDER}, line by line", "bold")
        print_passages(screen, explained_order(request, ORDER))
    screen.say()
    screen.say("Next: `regulars programme new points --to mine.yaml`, then `regulars replay --programme mine.yaml --orders YOUR.csv`.")
    if not once:
        screen.say("docs/tutorial.md leads from a CSV of your orders to an exact replay in ten minutes, docs/running.md to a live shop.")


@contextmanager
def _home() -> Iterator[Path]:
    """A folder for the demo's own database, gone when the demo ends."""
    with tempfile.TemporaryDirectory(prefix="regulars-demo-") as folder:
        Path(folder).chmod(0o711)  # a server that root starts runs as another user, who must be able to enter
        yield Path(folder)


async def _remember(home: Path, request: Replay) -> tuple[Imported, list[Total], Report]:
    """Publish, import as the replay assumed, let the night pass, and audit what came of it."""
    prepared = prepare(request)
    async with open_service(Config(home)) as service:
        await _publish(service, prepared)
        with progress_bar("importing", "orders") as progress:
            imported = await asyncio.to_thread(run, _as_replayed(request, prepared), service.url, service.keyring, progress)
        async with working_for(service.pool, [MERCHANT]) as connection:
            totals = await unit_totals(connection, MERCHANT)
        await walk(service.pool, service.lane, service.clock)
        return imported, totals, await audit(service.url, None, lambda _what, _done: None)


async def _publish(service: Service, prepared: Prepared) -> None:
    document = prepared.programme.latest.document
    await move_in(service.pool, service.clock, MERCHANT, document.programme, StoredStore(1, "web", document.currency), ("file",))
    number = await draft(service.pool, service.clock, MERCHANT, plain(document), "demo")
    await publish(service.pool, service.clock, MERCHANT, number, "demo")


def _as_replayed(request: Replay, prepared: Prepared) -> Import:
    assumed = prepared.assumptions
    is_local = prepared.programme.latest.document.replay.times == "local"
    return Import(
        MERCHANT,
        request.orders,
        times_local=is_local,
        as_of=assumed.as_of,
        redeem=assumed.redeem,
        returns=assumed.returns,
        discounts="give",
    )


def _print_memory(screen: Screen, report: dict[str, Any], imported: Imported, totals: list[Total], audited: Report) -> None:
    screen.say(f"  {imported.orders:,} orders of {imported.members:,} customers imported in {imported.seconds:.1f} s")
    for total in totals:
        outstanding = -report["units"][total.unit]["reconciliation"]["outstanding"]
        agreed = "as in the replay" if total.outstanding == outstanding else f"but {outstanding:,} in the replay"
        screen.say(f"  {total.entries:,} entries leave {total.outstanding:,} {total.unit} with {total.holders:,} members, {agreed}")
    screen.say("  audited by code that shares nothing with the engine:")
    print_audit(screen, audited)
