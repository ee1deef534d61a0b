"""Tenancy: every row belongs to a merchant that exists, and every row of a member to a member that exists.

Invariant: no row is outside the reach of the other checks, which go from merchant to member to row (law 29).
"""

from regulars.verify.reading import Connection
from regulars.verify.report import Check

OF_MEMBERS = [
    "identity",
    "vault_key",
    "vault",
    "fact",
    "fact_key",
    "order_book",
    "order_line",
    "account",
    "transfer",
    "allocation",
    "lot",
    "hold",
    "draw",
    "outbox",
]
OF_MERCHANTS = [
    "store",
    "source",
    "programme",
    "capacity",
    "capacity_lease",
    "seal",
    "import_run",
    "audit",
    "member",
    "identity_trace",
    "guest_order",
    "api_key",
    "answer",
]
_HINT = "nobody owns these rows: restore their merchant or member, or find who wrote them"


def check() -> Check:
    """The check, empty."""
    return Check("tenancy", "every row belongs to a merchant and a member that exist")


async def judge(check: Check, connection: Connection, merchant: int | None) -> None:
    """All tables; of one ``merchant``, only whether its rows have their members."""
    for table in (*OF_MERCHANTS, *OF_MEMBERS):
        check.saw("tables")
        if merchant is None:
            sql = f"""select t.merchant_id, count(*) as count from {table} t
                where not exists (select from merchant m where m.merchant_id = t.merchant_id) group by 1 order by 1"""
            for row in await connection.fetch(sql):
                where = f"table {table}, merchant {row['merchant_id']}"
                check.add("merchant", where, "the merchant of its rows", "a merchant", f"none, for {row['count']} rows", _HINT)
        if table in OF_MEMBERS:
            await _judge_members(check, connection, table, merchant)


async def _judge_members(check: Check, connection: Connection, table: str, merchant: int | None) -> None:
    sql = f"""select t.merchant_id, t.member_id, count(*) as count from {table} t
        where ($1::bigint is null or t.merchant_id = $1)
            and not exists (select from member m where m.merchant_id = t.merchant_id and m.member_id = t.member_id)
        group by 1, 2 order by 1, 2"""
    async for row in connection.cursor(sql, merchant):
        where = f"table {table}, merchant {row['merchant_id']}, member {row['member_id']}"
        check.add("member", where, "the member of its rows", "a member", f"none, for {row['count']} rows", _HINT)
