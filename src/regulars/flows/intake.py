"""Intake: what a shop tells us of its members' orders goes to the lane, or waits as a guest's.

Invariant: an order is the whole order as the store sees it; telling it again changes nothing.
"""

import asyncpg

from regulars.flows.commands import Command, Outcome
from regulars.flows.lane import Lane
from regulars.flows.settle import Told
from regulars.gateways.clock import Clock
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.ids import FactId
from regulars.kernel.time import Instant
from regulars.programme.facts import Order, OrderStated
from regulars.store.database import working_for
from regulars.store.guests import insert_guest_order, list_guest_orders, remove_guest_order


async def take_order(lane: Lane, merchant_id: int, member_id: int, order: Order, occurred_at: Instant, actor: str = "shop") -> Outcome:
    """The state of a member's order, which is so since ``occurred_at``."""
    fact = OrderStated(FactId(f"{order.key}#{order.sequence}"), order, occurred_at, occurred_at)
    return await lane.take(Command(merchant_id, member_id, fact, Told(order.source, actor)))


async def keep_guest_order(pool: asyncpg.Pool, clock: Clock, merchant_id: int, order: Order, occurred_at: Instant) -> None:
    """The state of an order whose buyer is no member; kept in case they become one."""
    async with working_for(pool, [merchant_id]) as connection:
        await insert_guest_order(connection, merchant_id, order, occurred_at, clock.now())


async def attach_order(
    pool: asyncpg.Pool, lane: Lane, merchant_id: int, member_id: int, source: str, order_id: str, actor: str
) -> list[Outcome]:
    """An earlier guest's order, all its states, becomes the member's: its date is the basis, its effect is now (law 7).

    Raises ``NotFound`` when no guest's order has this id.
    """
    async with working_for(pool, [merchant_id]) as connection:
        states = await list_guest_orders(connection, merchant_id, source, order_id)
    if not states:
        hint = "an order that the store stated with a member belongs to that member already"
        raise NotFound(Problem(f"order {source}:{order_id}", "no guest placed an order of this id", hint))
    outcomes = []
    for order, occurred_at in states:
        fact = OrderStated(FactId(f"{order.key}#{order.sequence}"), order, occurred_at, occurred_at, entry="attached")
        outcomes.append(await lane.take(Command(merchant_id, member_id, fact, Told(source, actor))))
    if any(outcome.refusal is not None for outcome in outcomes):
        return outcomes  # it stays a guest's, and may be attached when what stood against it is gone
    async with working_for(pool, [merchant_id]) as connection:
        told_meanwhile = await remove_guest_order(connection, merchant_id, source, order_id, [order.sequence for order, _ in states])
    if told_meanwhile:
        outcomes += await attach_order(pool, lane, merchant_id, member_id, source, order_id, actor)
    return outcomes
