"""Capacities: what limits may give at most is what is free, leased and drawn, and draws are what facts recorded.

Invariant: nothing of a limit is lost or given twice (law 6).
"""

from collections import Counter

from regulars.verify.reading import Connection, Member
from regulars.verify.report import Check

_HINT = "stop the service, compare draws with the facts' grants, and correct `free`"


def check() -> Check:
    """The check, empty."""
    return Check("capacities", "each limit: most = free + leased + drawn; draws are the grants that facts recorded")


def judge(check: Check, member: Member, drawn: Counter[str]) -> None:
    """One member's draws against the grants of their facts and what their orders hold; adds to what the merchant's members drew."""
    recorded = {fact.seq: fact.row["recorded_at"] for fact in member.facts}
    draws: Counter[tuple[int, str]] = Counter()
    for row in member.draws:
        drawn[row["capacity"]] += row["amount"]
        if row["recorded_at"] == recorded.get(row["fact_seq"]):
            draws[row["fact_seq"], row["capacity"]] += row["amount"]
        elif row["recorded_at"] not in recorded.values():
            # late news may correct what an earlier fact drew; the correction is recorded with the news
            where = f"{member.where}, fact {row['fact_seq']}, capacity {row['capacity']}"
            check.add("moment", where, "the instant it was drawn", "that of a fact of this member", row["recorded_at"], _HINT)
    check.saw("draws", len(member.draws))
    grants = Counter({(fact.seq, name): net for fact in member.facts for name, net in (fact.record.get("grants") or {}).items() if net})
    for seq, name in sorted(draws.keys() | grants.keys()):
        where = f"{member.where}, fact {seq}, capacity {name}"
        check.compare(
            "draw", where, "what was drawn with it", grants[seq, name], draws[seq, name], "a draw and its fact are written together"
        )
    if not member.was_merged:
        judge_whole(check, member)


def judge_whole(check: Check, member: Member) -> None:
    """Draws against what orders hold of each capacity, where all of both are known: of one member, or of all that merges touched."""
    held: Counter[str] = Counter()
    for book in member.books:
        held.update(book.body.get("drawn", {}))
    own: Counter[str] = Counter()
    for row in member.draws:
        own[row["capacity"]] += row["amount"]
    for name in sorted(held.keys() | own.keys()):
        where = f"{member.where}, capacity {name}"
        check.compare("orders", where, "what the member's orders hold of it", own[name], held[name], "an order holds what its facts drew")


async def conclude(check: Check, connection: Connection, merchant: int, drawn: Counter[str]) -> None:
    """Every capacity of ``merchant``."""
    rows = await connection.fetch(
        """select c.capacity, c.most, c.free, coalesce((select sum(l.free) from capacity_lease l
            where l.merchant_id = c.merchant_id and l.capacity = c.capacity), 0)::bigint as leased,
            coalesce((select min(l.free) from capacity_lease l
            where l.merchant_id = c.merchant_id and l.capacity = c.capacity), 0) as least
        from capacity c where c.merchant_id = $1""",
        merchant,
    )
    for row in rows:
        check.saw("capacities")
        where = f"merchant {merchant}, capacity {row['capacity']}"
        taken = drawn[row["capacity"]]
        found = f"{row['free']} free + {row['leased']} leased + {taken} drawn = {row['free'] + row['leased'] + taken}"
        if row["free"] + row["leased"] + taken != row["most"]:
            check.add("sum", where, "free, leased and drawn together", row["most"], found, _HINT)
        if min(row["free"], row["least"], taken) < 0:
            check.add("negative", where, "free, leased and drawn", "none below zero", found, _HINT)
    for name in sorted(drawn.keys() - {row["capacity"] for row in rows}):
        check.add("unknown", f"merchant {merchant}, capacity {name}", "the capacity that was drawn of", "a row", "none", _HINT)
