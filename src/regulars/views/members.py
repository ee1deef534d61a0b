"""Members as people look at them: how they stand, what they hold, what happened.

Invariant: reading changes nothing, and a page of any length of history costs the same.
"""

from typing import Any

import msgspec

from regulars.kernel.ids import UnitId
from regulars.kernel.time import Instant
from regulars.programme.facts import MemberMerged
from regulars.store.database import Connection
from regulars.store.histories import read_facts
from regulars.store.members import StoredMember, find_member


class StatementLine(msgspec.Struct, frozen=True):
    """One entry as the member meets it: what moved from where to where, and what the account holds after it."""

    seq: int
    recorded_at: Instant
    value_at: Instant
    movement: str
    source: str
    target: str
    amount: int
    cause: str
    rule: str | None
    version: int
    actor: str
    active: int
    pending: int
    held: int
    debt: int


class MemberPage(msgspec.Struct, frozen=True):
    """A member, the last lines of their statement by unit, how many orders the memory holds, and the merges that may be undone."""

    member: StoredMember
    statement: dict[UnitId, list[StatementLine]]
    orders: int
    merges: list[str]


LINES = 10


async def member_page(connection: Connection, merchant_id: int, member_id: int, lines: int = LINES) -> MemberPage | None:
    """Everything of one page; None when there is no such member."""
    member = await find_member(connection, merchant_id, member_id)
    if member is None:
        return None
    statement = {unit: await statement_page(connection, merchant_id, member_id, unit, None, lines) for unit in member.snapshot.accounts}
    orders: int = await connection.fetchval(
        "select count(*) from order_book where merchant_id = $1 and member_id = $2", merchant_id, member_id
    )
    facts, *_ = await read_facts(connection, merchant_id, member_id)
    open_merges = {joined.merge for joined in member.snapshot.member.joined}
    merges = [str(fact.id) for fact in facts if isinstance(fact, MemberMerged) and fact.id in open_merges]
    return MemberPage(member, statement, orders, merges)


async def statement_page(
    connection: Connection, merchant_id: int, member_id: int, unit: str, before: int | None, limit: int
) -> list[StatementLine]:
    """The newest ``limit`` entries of an account, or those ``before`` an entry: newest first, by keyset."""
    rows = await connection.fetch(_STATEMENT, merchant_id, member_id, unit, before if before is not None else 2**62, limit)
    return [_line(row) for row in rows]


def _line(row: Any) -> StatementLine:
    return StatementLine(**dict(row))


_STATEMENT = """
    select t.seq, t.recorded_at, t.value_at, t.movement, t.source, t.target, t.amount, t.cause, t.rule, t.version,
        coalesce((select f.actor from fact f where f.merchant_id = t.merchant_id and f.member_id = t.member_id and f.seq = t.fact_seq
            and f.recorded_at = t.recorded_at), '') as actor,
        t.active, t.pending, t.held, t.debt
    from transfer t
    where t.merchant_id = $1 and t.member_id = $2 and t.unit = $3 and t.seq < $4
    order by t.seq desc limit $5
"""
