"""Totals: what the members of a merchant hold, unit by unit.

Invariant: every figure is a sum of entries or accounts as they stand; nothing is kept beside them.
"""

import msgspec

from regulars.kernel.ids import UnitId
from regulars.store.database import Connection


class Total(msgspec.Struct, frozen=True):
    """One unit: entries ever posted, members who hold any, and what is outstanding (pending, active and held, less what is owed)."""

    unit: UnitId
    entries: int
    holders: int
    outstanding: int


async def unit_totals(connection: Connection, merchant_id: int) -> list[Total]:
    """All units of a merchant."""
    rows = await connection.fetch(
        """select unit, sum(seq)::bigint, count(*) filter (where pending + active + held > 0),
                sum(pending + active + held + debt)::bigint
            from account where merchant_id = $1 group by unit order by unit""",
        merchant_id,
    )
    return [Total(*row) for row in rows]
