"""Pairs: rows that go with a member who is merged into another, and come back when that is undone.

Invariant: each row remembers whose it was at first, so that the way back is known.
"""

from collections.abc import Sequence

from regulars.store.database import Connection


async def move_over(connection: Connection, merchant_id: int, absorbed: int, survivor: int) -> None:
    """Orders, open holds and identities of the one become the other's."""
    for table in ("order_book", "order_line", "identity"):
        await connection.execute(
            f"update {table} set member_id = $3 where merchant_id = $1 and member_id = $2", merchant_id, absorbed, survivor
        )
    await connection.execute(
        "update hold set member_id = $3 where merchant_id = $1 and member_id = $2 and status = 'open'", merchant_id, absorbed, survivor
    )


async def in_both(connection: Connection, merchant_id: int, one: int, other: int) -> str:
    """An order or a hold that both members have under one name; empty when there is none."""
    found = await connection.fetchval(
        """select name from (
                select 'order ' || a.order_key as name from order_book a join order_book b using (merchant_id, order_key)
                    where a.merchant_id = $1 and a.member_id = $2 and b.member_id = $3
                union all select 'hold ' || a.hold from hold a join hold b using (merchant_id, hold)
                    where a.merchant_id = $1 and a.member_id = $2 and b.member_id = $3 and b.status = 'open'
            ) n limit 1""",
        merchant_id,
        one,
        other,
    )
    return str(found or "")


async def move_back(
    connection: Connection, merchant_id: int, survivor: int, absorbed: int, people: Sequence[int], holds: Sequence[str]
) -> None:
    """What was at first of these ``people``, and these ``holds``, becomes the other one's again."""
    await connection.execute(
        """update order_line l set member_id = $3 from order_book b
            where l.merchant_id = $1 and l.member_id = $2 and b.merchant_id = $1 and b.member_id = $2 and b.order_key = l.order_key
                and b.origin_member_id = any ($4)""",
        merchant_id,
        survivor,
        absorbed,
        list(people),
    )
    for table in ("order_book", "identity"):
        await connection.execute(
            f"update {table} set member_id = $3 where merchant_id = $1 and member_id = $2 and origin_member_id = any ($4)",
            merchant_id,
            survivor,
            absorbed,
            list(people),
        )
    await connection.execute(  # told again meanwhile, they were sealed with the survivor too
        """delete from vault v using identity i where v.merchant_id = $1 and v.member_id = $2
            and i.merchant_id = $1 and i.member_id = $3 and v.name = 'identity/' || encode(i.digest, 'hex')""",
        merchant_id,
        survivor,
        absorbed,
    )
    await connection.execute(
        "update hold set member_id = $3 where merchant_id = $1 and member_id = $2 and hold = any ($4) and status = 'open'",
        merchant_id,
        survivor,
        absorbed,
        list(holds),
    )


async def origins(connection: Connection, merchant_id: int, survivor: int, people: Sequence[int]) -> set[str]:
    """The keys of the survivor's orders that were at first of these ``people``."""
    rows = await connection.fetch(
        "select order_key from order_book where merchant_id = $1 and member_id = $2 and origin_member_id = any ($3)",
        merchant_id,
        survivor,
        list(people),
    )
    return {row[0] for row in rows}
