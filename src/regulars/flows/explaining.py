"""Explaining: what became of an order, told from the facts as they are remembered.

Invariant (law 20): nothing is recorded for it; the facts are folded again, and what is told is what stands in the books.
"""

from typing import Any

import asyncpg

from regulars.flows.programmes import Programmes
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.money import Money
from regulars.locale import speak
from regulars.programme.decide import Decision
from regulars.programme.explain import Passage, Told, explain_order
from regulars.programme.facts import Remembered
from regulars.programme.fold import fold
from regulars.store.database import array_text
from regulars.store.histories import read_past
from regulars.store.orders import find_owner


async def explain(pool: asyncpg.Pool, programmes: Programmes, merchant_id: int, order_key: str) -> list[Passage]:
    """Everything that was done with an order and with the lot it opened. Raises ``NotFound``."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("select set_config('app.merchants', $1, true)", array_text([merchant_id]))
        owner = await find_owner(connection, merchant_id, order_key)
        past = None if owner is None else await read_past(connection, merchant_id, owner[0])
        if owner is None or past is None:
            hint = "the order of a guest is explained once it is attached to a member"
            raise NotFound(Problem(f"order {order_key}", "no member placed an order of this id", hint))
        programme = await programmes.of(connection, merchant_id, owner[1])
    told: list[Told] = []

    def hear(fact: Remembered, decision: Decision) -> None:
        told.append(Told(fact, decision))

    member = past.snapshot.member
    fold(programme, member.id, past.facts, member.clock, hear, past.joined)
    return explain_order(programme, told, order_key)


def plain(passage: Passage) -> dict[str, Any]:
    """A passage as data: key, arguments, the sentence, and what belongs under it."""
    return {
        "key": passage.text.key,
        "args": {name: _argument(value) for name, value in passage.text.args.items()},
        "text": speak(passage.text),
        "details": [plain(detail) for detail in passage.details],
    }


def _argument(value: Any) -> Any:
    if isinstance(value, Money):
        return {"minor": value.minor, "currency": value.currency}
    return value if isinstance(value, (int, str)) else {"at": value.at, "zone": value.zone}
