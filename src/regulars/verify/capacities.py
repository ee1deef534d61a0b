"""Capacities: what limits may give at most is what is free, leased and drawn, and draws are what facts recorded.

Invariant: nothing of a limit is lost or given twice (law 6).
"""

from collections import Counter

from regulars.verify.orders import key_of
from regulars.verify.reading import NEVER, Connection, Member
from regulars.verify.report import Check

_HINT = "stop the service, compare draws with the facts' grants, and correct `free`"


def check() -> Check:
    """The check, empty."""
    return Check("capacities", "each limit: most = free + leased + drawn; draws are the grants that facts recorded")


def judge(check: Check, member: Member, drawn: Counter[str]) -> None:
    """One member's draws against the grants of their facts and what their orders hold; adds to what the merchant's members drew."""
    draws: Counter[tuple[int, str]] = Counter()
    for row in member.draws:
        draws[row["fact_seq"], row["capacity"]] += row["amount"]
        drawn[row["capacity"]] += row["amount"]
    check.saw("draws", len(member.draws))
    grants = Counter({(fact.seq, name): net for fact in member.facts for name, net in (fact.record.get("grants") or {}).items() if net})
    late = _late(member)
    for seq, name in sorted(draws.keys() | grants.keys()):
        if seq in late:
            check.leave("draws of late facts against their records: the same entries carry what changed for other orders")
            continue
        where = f"{member.where}, fact {seq}, capacity {name}"
        check.compare("draw", where, "what was drawn", grants[seq, name], draws[seq, name], "a draw and its fact are written together")
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


def _late(member: Member) -> set[int]:
    """Facts that were told after a later one: with them the whole history is folded again, and draws change for other orders too."""
    late, last = set(), (-NEVER, "")
    for fact in member.facts:
        place = (fact.row["occurred_at"], fact.body.get("order_key") or key_of(fact.body.get("order", {})))
        if place < last:
            late.add(fact.seq)
        last = max(last, place)
    return late


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
