"""Checkout: what a cart would get, for a member as they stand now or for a guest.

Invariant: asking changes nothing and waits for nobody; what limits have left is what they had when it was asked.
"""

import asyncpg
import msgspec

from regulars.flows.programmes import Programmes
from regulars.kernel.errors import NotFound, Problem
from regulars.programme.definition import Programme
from regulars.programme.facts import Order
from regulars.programme.quote import Quote, quote
from regulars.programme.reasons import Refusal
from regulars.store.capacities import read_left
from regulars.store.database import working_for
from regulars.store.members import read_standing


class Asked(msgspec.Struct, frozen=True):
    """A quote, or why there is none, with the programme and the member it was made for."""

    answer: Quote | Refusal
    programme: Programme
    member_id: int | None


async def ask(pool: asyncpg.Pool, programmes: Programmes, merchant_id: int, member_id: int | None, cart: Order) -> Asked:
    """What the cart would get. ``member_id`` None is a guest. Raises ``NotFound`` for a member who is unknown."""
    async with working_for(pool, [merchant_id]) as connection:
        standing = await read_standing(connection, merchant_id, member_id)
        programme = await programmes.of(connection, merchant_id, standing.revision)
        left = await read_left(connection, merchant_id) if programme.capacities else {}
    if member_id is not None and standing.snapshot is None:
        raise NotFound(Problem(f"member {member_id}", "there is no such member", "enrol them first, or ask for a guest"))
    state = None if standing.snapshot is None else standing.snapshot.member
    return Asked(quote(programme, state, cart, left), programme, standing.member_id)
