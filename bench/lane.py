"""Orders accepted per second through the lane with a live programme of twenty rules - decided, recorded, with lots, outbox and guards -
against TPC-B on the same server; and the settle statement alone."""

import asyncio
import gc
import itertools
import random
import time

import msgspec
import uvloop
from report import report
from server import SECONDS, YARDSTICK, Yardstick, bench_server, database_us
from shop import an_order, programme_of_twenty
from shopfloor import MERCHANT, Floor, open_floor

from regulars.flows.commands import Command
from regulars.flows.settle import Seat, Told
from regulars.gateways.postgres import Server
from regulars.kernel.ids import FactId
from regulars.programme.decide import decide
from regulars.programme.dossier import EMPTY
from regulars.programme.facts import OrderStated
from regulars.store.records import new_snapshot
from regulars.store.sheet import Sheet
from regulars.store.snapshot import Wanted, take_snapshot

MEMBERS = 200_000
BATCH = 256
NUMBERS = itertools.count()


class Measured(msgspec.Struct):
    """What callers saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    python_us: float
    database_us: float


async def callers(server: Server, floor: Floor, count: int, lines: int, seconds: float) -> Measured:
    """So many callers, each with one order after the other, for so long."""
    dice = random.Random(count * 1000 + lines)
    waits: list[float] = []
    until = time.perf_counter() + seconds

    async def caller() -> None:
        while time.perf_counter() < until:
            now = floor.clock.now()
            order = msgspec.structs.replace(an_order(dice, str(next(NUMBERS)), 0, lines), placed_at=now, source="shop")
            fact = OrderStated(FactId(order.key), order, now, now)
            begun = time.perf_counter()
            outcome = await floor.lane.take(Command(MERCHANT, dice.randrange(MEMBERS) + 1, fact, Told("shop", "shop")))
            waits.append(time.perf_counter() - begun)
            assert outcome.refusal is None, outcome.refusal

    database, begun, spent = database_us(server), time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(count)))
    wall, spent, database = time.perf_counter() - begun, time.process_time() - spent, database_us(server) - database
    waits.sort()
    n = len(waits)
    return Measured(n / wall, waits[n // 2] * 1e3, waits[n * 99 // 100] * 1e3, spent / n * 1e6, database / n)


def decide_us() -> float:
    """Microseconds of processor time that deciding one order takes."""
    dice, programme, count = random.Random(4), programme_of_twenty(), 3000
    facts = []
    for n in range(count):
        order = an_order(dice, str(n), 0, 3)
        facts.append(OrderStated(FactId(order.key), order, order.placed_at, order.placed_at))
    begun = time.process_time()
    for fact in facts:
        decide(programme, new_snapshot(1).member, EMPTY, fact)
    return (time.process_time() - begun) / count * 1e6


async def settle_alone(floor: Floor, seconds: float) -> float:
    """Orders per second of transactions that only write what was decided before: 256 orders of three lines each."""
    dice, programme = random.Random(5), programme_of_twenty()
    decided = []
    for n in range(BATCH * 4):
        now = floor.clock.now()
        order = msgspec.structs.replace(an_order(dice, f"s-{n}", 0, 3), placed_at=now, source="shop")
        fact = OrderStated(FactId(order.key), order, now, now)
        decided.append((fact, decide(programme, new_snapshot(1).member, EMPTY, fact)))
    written, spent, member, number = 0, 0.0, 0, 0
    async with floor.pool.acquire() as connection:
        while spent < seconds and member + BATCH <= MEMBERS:
            sheet, now = Sheet(), floor.clock.now()
            members = range(member + 1, member + BATCH + 1)
            member += BATCH
            async with connection.transaction():
                founds = await take_snapshot(connection, [Wanted(MERCHANT, one) for one in members])
                for one, found in zip(members, founds, strict=True):
                    assert found is not None
                    fact, decision = decided[number % len(decided)]
                    number += 1
                    seat = Seat(sheet, MERCHANT, one, found.seq, new_snapshot(one), now)
                    if found.seq == 0:
                        seat.post(fact, decision, Told("shop", "shop", f"alone/{number}"))
                        seat.close()
                begun = time.perf_counter()
                written += len(sheet.members)
                if sheet.members:
                    await sheet.write(connection)
                spent += time.perf_counter() - begun
    return written / spent if spent else 0.0


async def main() -> None:
    """Print the figures."""
    with bench_server() as server:
        yardstick = Yardstick(server)
        yardstick.run()
        async with open_floor(server, "lane", MEMBERS) as floor:
            alone = await settle_alone(floor, SECONDS)
        async with open_floor(server, "lane2", MEMBERS) as floor:
            gc.collect()
            gc.freeze()
            await callers(server, floor, 32, 3, 2)
            few = await callers(server, floor, 32, 3, SECONDS)
            yardstick.run()
            many = await callers(server, floor, 256, 3, SECONDS)
            long = await callers(server, floor, 32, 20, SECONDS)
        yardstick.run()
    for measured, count, target in ((few, 32, 1.2), (many, 256, 1.6)):
        _say(f"lane, {count} callers, orders of 3 lines", measured, yardstick.tps, target)
    _say("lane, 32 callers, orders of 20 lines", long, yardstick.tps, None)
    ratio = alone / yardstick.tps
    report("lane, the settle statement alone", alone, "orders/s", YARDSTICK, ratio, ">= 2 x TPC-B", ratio >= 2, tpcb=round(yardstick.tps))
    quiet = few.p99_ms <= 15
    report("lane, p99 at 32 callers", few.p99_ms, "ms", "15 ms on a quiet machine", few.p99_ms / 15, "<= 15 ms", quiet)


def _say(bench: str, measured: Measured, tps: float, target: float | None) -> None:
    ratio = measured.per_second / tps
    wanted = "reported" if target is None else f">= {target} x TPC-B"
    report(
        bench,
        measured.per_second,
        "orders/s",
        YARDSTICK,
        ratio,
        wanted,
        target is None or ratio >= target,
        tpcb=round(tps),
        p50_ms=round(measured.p50_ms, 1),
        p99_ms=round(measured.p99_ms, 1),
        where_the_time_goes={
            "python_us_per_order": round(measured.python_us),
            "of_that_decide_us": round(decide_us()),
            "database_us_per_order": round(measured.database_us),
            "tpcb_both_processors_us": round(2e6 / tps),
        },
    )


if __name__ == "__main__":
    uvloop.run(main())
