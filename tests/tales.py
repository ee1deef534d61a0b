"""Tales for tests of the memory: a small shop where everything happens that leaves a row, and a look at all its rows."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from builders import POINTS, a_line, a_programme, a_unit, an_order, changed, purchase_rule, stated
from world import World

from regulars.flows.intake import keep_guest_order
from regulars.flows.people import Identity
from regulars.kernel.time import DAY, HOUR, Instant
from regulars.programme.definition import Programme
from regulars.store.tables import metadata

Row = dict[str, Any]


def a_lively_programme() -> Programme:
    """Points that end, and a welcome for the first hundred thousand orders: so many that lanes lease them in blocks."""
    welcome = {"id": "welcome", "award": {"unit": "points", "amount": 50}, "limit": {"uses": 100_000}}
    return a_programme(units={"points": a_unit(expiry={"after": "6 months"})}, rules=[purchase_rule(), welcome])


async def a_lively_shop(world: World) -> tuple[int, int, int]:
    """Anna buys, returns, pays, holds and is given points; Ben, who is Anna too, was merged into her; Cleo stands for herself."""
    anna = await world.people.enrol([Identity("email", "anna@example.org"), Identity("card", "7001")], {"name": "Anna Nowak"})
    ben = await world.people.enrol([Identity("phone", "+48 600 100 200")], {"name": "Anna N."})
    cleo = await world.people.enrol([Identity("customer", "31", "shop")])
    await buy(world, anna, "a1", 30_000)
    order = await buy(world, anna, "a2", 20_000)
    await world.take(anna, stated(changed(order, a_line(price=5_000)), world.clock.now()))
    await world.give(anna, 100)
    await world.wallet.redeem(anna, "pay-a3", "shop:a3", POINTS, 220, 50_000)
    await buy(world, anna, "a3", 50_000)
    soon = Instant(world.clock.now() + 6 * HOUR)
    await world.wallet.hold(anna, "h-captured", "shop:a4", POINTS, 40, 50_000, soon)
    await world.wallet.capture(anna, "h-captured", "h-captured", 30)
    await world.wallet.hold(anna, "h-open", "shop:a5", POINTS, 25, 50_000, Instant(soon + 400 * DAY))
    await buy(world, ben, "b1", 40_000)
    await world.pairs.merge(anna, ben, "eva")
    await buy(world, cleo, "c1", 12_300)
    await world.wallet.hold(cleo, "h-cleo", "shop:c2", POINTS, 20, 50_000, Instant(soon + 400 * DAY))
    await keep_guest_order(world.pool, world.clock, 1, an_order("g1", world.clock.now(), a_line(price=9_900)), world.clock.now())
    return anna, ben, cleo


async def buy(world: World, member: int, id: str, price: int) -> Any:
    """One order of tea, now; returns its state."""
    order = an_order(id, world.clock.now(), a_line(price=price))
    outcome = await world.take(member, stated(order))
    assert outcome.refusal is None
    return order


@asynccontextmanager
async def as_owner(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection of whoever owns the database, past every policy."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def everything(url: str) -> dict[str, str]:
    """A hash of all rows of each table."""
    hashed = "select '{0}', md5(string_agg(t::text, chr(10) order by t::text)) from {0} t"
    async with as_owner(url) as owner:
        return dict(await owner.fetch(" union all ".join(hashed.format(name) for name in sorted(metadata.tables))))


SEALED = ("fact", "transfer", "allocation", "draw")
FIRST = bytes(32)


async def digest_of(owner: "asyncpg.Connection[Any]", merchant: int, month: str, previous: bytes = FIRST) -> bytes:
    """The seal of a month by its definition (`store.seals`), reckoned a second time from whole rows."""
    digest = hashlib.sha256(previous + month.encode())
    for name in SEALED:
        table = metadata.tables[name]
        rows = await owner.fetch(
            f"select * from {name} where merchant_id = $1 and to_char(moment(recorded_at) at time zone 'UTC', 'YYYY-MM') = $2",
            merchant,
            month,
        )
        key = [column.name for column in table.primary_key.columns]
        texts = [chr(31).join(_text(row[column.name]) for column in table.columns) for row in sorted(rows, key=_by(key))]
        digest.update(hashlib.sha256(b"".join(hashlib.sha256(text.encode()).digest() for text in texts)).digest())
    return digest.digest()


def _by(key: list[str]) -> Any:
    return lambda row: [row[name].encode() if isinstance(row[name], str) else row[name] for name in key]


def _text(value: Any) -> str:
    if value is None:
        return chr(30)
    return str(value).lower() if isinstance(value, bool) else str(value)
