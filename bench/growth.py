"""How the ledger grows old: appending, a page of a statement and a balance at 0.1 and at 5 million entries, with the guards on."""

import random
import time

import asyncpg
import uvloop
from report import report
from server import bench_server
from shopfloor import MERCHANT, Floor, open_floor

from regulars.flows.settle import Seat, Told
from regulars.kernel.time import DAY, Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision
from regulars.programme.facts import TimePassed
from regulars.store.records import read_snapshot
from regulars.store.schema import make_partitions
from regulars.store.sheet import Sheet
from regulars.store.snapshot import Wanted, take_snapshot
from regulars.views.members import statement_page

MEMBERS = 200_000
SMALL, LARGE = 100_000, 5_000_000
MONTHS = 24
BATCH = 512
BALANCE = "select active from account where merchant_id = $1 and member_id = $2 and unit = 'points'"


async def grow(floor: Floor, entries: int, members: int) -> None:
    """Fill the past with entries: each of ``members`` has as many, one after the other, spread over the months until now."""
    owner = await asyncpg.connect(floor.url)
    now = floor.clock.now()
    first = Instant(now - MONTHS * 30 * DAY)
    await make_partitions(owner, first, MONTHS + 1)
    each = entries // members
    step = (now - DAY - first) // each
    await owner.execute("set session_replication_role = replica")  # the past is laid down as it is; the guards come back after it
    await owner.execute(
        f"""insert into transfer
            select {MERCHANT}, m, 'points', n, {first} + n * {step}, n, 'accrual', 'house.issued', 'member.active', 10,
                {first} + n * {step}, 'bench', 'bench:points', 'bench', 1, 0, 10 * n, 0, 0
            from generate_series(1, {members}) m, generate_series(1, {each}) n order by n, m"""
    )
    await owner.execute(
        f"""insert into account select {MERCHANT}, m, 'points', 0, {10 * each}, 0, 0, {each}, {first} + {each} * {step}
            from generate_series(1, {members}) m"""
    )
    await owner.execute(
        f"""update member set seq = {each}, snapshot = json_build_object(
                'member', snapshot -> 'member', 'last', snapshot -> 'last', 'accounts', json_build_object('points',
                    json_build_array(0, {10 * each}, 0, 0, {each}))) where member_id <= {members}"""
    )
    await owner.execute("set session_replication_role = origin")
    await owner.execute("vacuum analyze")
    await owner.execute("checkpoint")
    await owner.close()


async def append(floor: Floor, members: int, seconds: float) -> float:
    """Entries per second, appended in batches that are each one durable commit."""
    dice, appended, begun = random.Random(1), 0, time.perf_counter()
    async with floor.pool.acquire() as connection:
        while time.perf_counter() - begun < seconds:
            sheet, now = Sheet(), floor.clock.now()
            chosen = dice.sample(range(1, members + 1), BATCH)
            async with connection.transaction():
                founds = await take_snapshot(connection, [Wanted(MERCHANT, one) for one in chosen])
                for one, found in zip(chosen, founds, strict=True):
                    assert found is not None
                    snapshot = read_snapshot(found.snapshot)
                    seat = Seat(sheet, MERCHANT, one, found.seq, snapshot, now)
                    moved = Transfer(Movement.ADJUSTMENT, "points", Account.ADJUSTED, Account.ACTIVE, 1, now, "bench", None)  # type: ignore[arg-type]
                    seat.post(TimePassed(now), Decision(snapshot.member, 1, [moved]), Told("", "bench", is_told=False))
                    seat.close()
                await sheet.write(connection)
            appended += BATCH
    return appended / (time.perf_counter() - begun)


async def pages(floor: Floor, members: int) -> tuple[float, float]:
    """Milliseconds (p99) of a page of twenty lines, from anywhere in the history, and of a balance."""
    dice, looks, balances = random.Random(2), [], []
    async with floor.pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('app.merchants', $1, true)", f"{{{MERCHANT}}}")
        for n in range(2100):
            member = dice.randrange(members) + 1
            begun = time.perf_counter()
            await statement_page(connection, MERCHANT, member, "points", dice.choice((None, 20, 15)), 20)
            mid = time.perf_counter()
            await connection.fetchval(BALANCE, MERCHANT, member)
            end = time.perf_counter()
            if n >= 100:
                looks.append((mid - begun) * 1e3)
                balances.append((end - mid) * 1e3)
    return sorted(looks)[len(looks) * 99 // 100], sorted(balances)[len(balances) * 99 // 100]


async def main() -> None:
    """Print the figures."""
    with bench_server() as server:
        found = {}
        for entries in (SMALL, LARGE):
            async with open_floor(server, f"growth{entries}", MEMBERS) as floor:
                members = min(MEMBERS, entries // 25)
                await grow(floor, entries, members)
                await append(floor, members, 2)
                found[entries] = (await append(floor, members, 8), *await pages(floor, members))
    small, (many, page, balance) = found[SMALL], found[LARGE]
    few = small[0]
    kept = many / few
    names = (f"{SMALL:,}", f"{LARGE:,}")
    report("growth, append", many, "entries/s", f"{few:.0f} entries/s at {names[0]}", kept, "loses <= 30 %", kept >= 0.7, entries=LARGE)
    report("growth, statement page p99", page, "ms", f"2 ms at {names[1]} entries", page / 2, "<= 2 ms", page <= 2, at_small=small[1])
    report("growth, balance p99", balance, "ms", f"1 ms at {names[1]} entries", balance, "<= 1 ms", balance <= 1, at_small=small[2])


if __name__ == "__main__":
    uvloop.run(main())
