"""Tales for tests of the memory: a small shop where everything happens that leaves a row, and a look at all its rows."""

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
    await world.wallet.capture(anna, "h-captured", 30)
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
