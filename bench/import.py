"""A history into the memory: orders of three lines per second against TPC-B on the same server; the real year by the programmes A to F,
member by member equal to the replay; memory that does not grow with the file."""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from report import report
from server import YARDSTICK, Yardstick, bench_server, database_us
from shop import PROGRAMME_E
from shopfloor import MERCHANT, open_floor

from regulars.flows.importer import Import
from regulars.flows.imports import run
from regulars.flows.replays import Replay, prepare
from regulars.gateways.keys import Keyring
from regulars.gateways.postgres import Server
from regulars.gateways.programmefiles import read_programme
from regulars.programme.definition import plain, programme

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from equality import differing_members  # noqa: E402 - the tests' own judge

SHARED = Path(os.environ.get("REGULARS_SHARED", ROOT.parent / "shared"))
MANY = 200_000
KEYRING = Keyring(b"a master secret for the benches!")


def history(folder: Path, orders: int) -> Path:
    """A generated Parquet file of so many orders of three lines, eight to a member."""
    file = folder / f"{orders}.parquet"
    duckdb.sql(
        f"""copy (
            select hash(i // 3) % {max(1, orders // 8)} as customer_id, i // 3 as order_id, 'sku' || i % 10000 as sku,
                1 + i % 3 as quantity, to_timestamp(1600000000 + hash(i // 3 + 1) % 90000000) as ordered_at,
                (199 + hash(i) % 9800) / 100 as unit_price
            from range({3 * orders}) t(i)
        ) to '{file}' (format parquet)"""
    )
    return file


def import_into(server: Server, name: str, document: dict[str, Any], request: Import) -> tuple[str, Any]:
    """The file into a fresh database under a programme; its address, and what the import says."""

    async def floor() -> str:
        async with open_floor(server, name, 0, programme([document])) as opened:
            return opened.url

    url = asyncio.run(floor())
    return url, run(request, url, KEYRING)


def largest_worker_mb() -> float:
    """Most memory that any process of an import held."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def python_us() -> float:
    """Microseconds of processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) * 1e6


def main() -> None:
    """Print the figures."""
    if len(sys.argv) > 1:  # one import in a process of its own, so that its memory is its own
        url, file = sys.argv[1:3]
        run(Import(MERCHANT, Path(file), processes=1), url, KEYRING)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with bench_server() as server, tempfile.TemporaryDirectory() as folder:
        yardstick = Yardstick(server)
        yardstick.run()
        file = history(Path(folder), MANY)
        database, spent = database_us(server), python_us()
        url, done = import_into(server, "generated", PROGRAMME_E, Import(MERCHANT, file))
        database, spent = database_us(server) - database, python_us() - spent
        yardstick.run()
        value = done.orders / done.seconds
        ratio = value / yardstick.tps
        report(
            "import, orders of 3 lines from Parquet",
            value,
            "orders/s",
            YARDSTICK,
            ratio,
            ">= 1.2 x TPC-B",
            ratio >= 1.2,
            tpcb=round(yardstick.tps),
            lines_per_second=round(3 * value),
            orders=done.orders,
            seconds=round(done.seconds, 1),
            where_the_time_goes={
                "python_and_reading_us_per_order": round(spent / done.orders),
                "database_us_per_order": round(database / done.orders),
                "tpcb_both_processors_us": round(2e6 / yardstick.tps),
            },
        )
        again = run(Import(MERCHANT, file), url, KEYRING)
        report("import, the same file again", again.orders, "orders taken", "0", 0.0, "0", again.orders == 0, known=again.known)
        _memory(server, Path(folder))
        _the_real_year(server)


_HELD_BY = "DuckDB's sort of the file by member, which may take 1 GB before it goes to disk; our own part is one portion"


def _memory(server: Server, folder: Path) -> None:
    sizes = []
    for orders in (20_000, 200_000):
        url, _ = import_into(server, f"memory{orders}", PROGRAMME_E, Import(MERCHANT, history(folder, 10), processes=1))
        command = [sys.executable, __file__, url, str(history(folder, orders))]
        sizes.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    grown = sizes[1] / sizes[0]
    report("import, memory", sizes[1], "MB", "the same with a tenth of the orders", grown, "<= 1.15 x", grown <= 1.15, held_by=_HELD_BY)


def _the_real_year(server: Server) -> None:
    """A to F over the real year, or the committed sample where that is absent."""
    year = SHARED / "data/online_retail_2009_2010.parquet"
    file = year if year.exists() else ROOT / "src/regulars/cli/demo/online_retail_small.parquet"
    for name in "abcdef":
        prepared = prepare(Replay(ROOT / f"tests/programmes/{name}.yaml", file))
        assumed = prepared.assumptions
        document = read_programme(ROOT / f"tests/programmes/{name}.yaml").latest.document
        request = Import(
            MERCHANT,
            file,
            times_local=document.replay.times == "local",
            as_of=assumed.as_of,
            redeem=assumed.redeem,
            returns=assumed.returns,
            discounts="give",
        )
        url, done = import_into(server, f"year_{name}", plain(document), request)
        members, differing = asyncio.run(differing_members(url, KEYRING, request, prepared))
        report(
            f"import, programme {name.upper()} over {'the real year' if year.exists() else 'the real sample'}",
            differing,
            "members who differ from the replay",
            f"{members} members of the replay",
            differing / members,
            "0",
            differing == 0,
            orders_per_second=round(done.orders / done.seconds),
            orders=done.orders,
            largest_worker_mb=round(largest_worker_mb()),
        )


if __name__ == "__main__":
    main()
