"""How fast a programme replays a shop's past: the real year and a million generated orders, file reading apart; and its memory."""

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import msgspec
from report import report
from shop import PROGRAMME_E, histories, programme_e, programme_of_twenty

from regulars.flows.replays import Replay, run
from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.time import Instant
from regulars.programme.definition import Programme
from regulars.programme.history import History
from regulars.simulation.figures import Figures
from regulars.simulation.replay import Assumptions, replay

SHARED = Path(os.environ.get("REGULARS_SHARED", Path(__file__).parent.parent.parent / "shared"))
SAMPLE = Path(__file__).parent.parent / "src/regulars/cli/demo/online_retail_small.parquet"
ASSUMED = Assumptions(Instant(2_000_000_000 * 1_000_000), redeem="greedy")
MANY = 1_000_000
BATCH = 5000


def batches(of: Iterable[History]) -> Iterator[list[History]]:
    """Lists of some thousand members, so that making them is not measured."""
    source = iter(of)
    while batch := list(islice(source, BATCH)):
        yield batch


def rate(of: Programme, source: Iterable[History]) -> tuple[float, int]:
    """Orders per second of processor time, and orders."""
    figures, spent = Figures(), 0.0
    for batch in batches(source):
        begun = time.process_time()
        replay(of, batch, ASSUMED, figures)
        spent += time.process_time() - begun
    return figures.orders / spent, figures.orders


def resident_mb() -> float:
    """Most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the figures."""
    full = SHARED / "data/online_retail_2009_2010.parquet"
    year = list(OrderFile(full if full.exists() else SAMPLE).histories("GBP"))
    name = "the real year" if full.exists() else "the real sample"
    for programme, label, target in ((programme_e(), "E", 25_000), (programme_of_twenty(), "20 rules", 6000)):
        best = max((rate(programme, year) for _ in range(7)), key=lambda found: found[0])
        _speed(f"replay, {label}, {name}", best, target)
    del year
    few = rate(programme_e(), histories(100_000))
    before = resident_mb()
    many = rate(programme_e(), histories(MANY))
    _speed("replay, E, generated", many, 25_000, orders_per_second_of_the_first_100_000=round(few[0]))
    grown = resident_mb() / before
    report("replay, memory", resident_mb(), "MB", "the same after 100,000 orders", grown, "<= 1.1 x at 10 x the orders", grown <= 1.1)
    _speed("replay, 20 rules, generated", rate(programme_of_twenty(), histories(100_000)), 6000)
    _from_file()


def _speed(bench: str, found: tuple[float, int], target: int, **more: object) -> None:
    value, orders = found
    report(bench, value, "orders/s and core", f"{target} orders/s", value / target, f">= {target}", value >= target, orders=orders, **more)


def _from_file() -> None:
    """A million orders from a file, all processors, reading included."""
    with tempfile.TemporaryDirectory() as folder:
        orders, document = Path(folder) / "orders.parquet", Path(folder) / "e.json"
        document.write_bytes(msgspec.json.encode({**PROGRAMME_E, "replay": {"redeem": "greedy"}}))
        duckdb.sql(
            f"""copy (
                select hash(i // 3) % {MANY // 8} as customer_id, i // 3 as order_id, 'sku' || i % 10000 as sku, 1 + i % 3 as quantity,
                    to_timestamp(1600000000 + hash(i // 3 + 1) % 90000000) as ordered_at, (199 + hash(i) % 9800) / 100 as unit_price
                from range({3 * MANY}) t(i)
            ) to '{orders}' (format parquet)"""
        )
        begun = time.perf_counter()
        figures = run(Replay(programme=document, orders=orders))
        wall = time.perf_counter() - begun
        value = figures["orders"] / wall
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        cores = multiprocessing.cpu_count()
        report(
            "replay, E, from a Parquet file",
            value,
            f"orders/s of the clock, {cores} processors",
            "reported",
            value / 25_000,
            "reported: reading included",
            True,
            seconds=round(wall, 1),
            largest_worker_mb=round(children),
            file_mb=round(orders.stat().st_size / 1e6, 1),
        )


if __name__ == "__main__":
    main()
