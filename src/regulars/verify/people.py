"""People: identities lead to living members; of erased ones nothing personal is left; merged ones hold nothing.

Invariant: an erasure is complete, and a merge moved everything (laws 25, 28).
"""

from regulars.verify.reading import Connection, Member
from regulars.verify.report import Check

_ERASED = "erase the member again: what is left names a person who asked to be forgotten"
_MERGED = "see the facts of the merge: everything goes to the survivor"


def check() -> Check:
    """The check, empty."""
    return Check("people", "identities name living members; nothing personal is left of erased ones; merged ones hold nothing")


async def judge_identities(check: Check, connection: Connection, merchant: int) -> None:
    """Identities, keys and vaults of ``merchant``, by the status of their members."""
    sql = """select p.kind, p.member_id, m.status, count(*) as count from (
            select merchant_id, member_id, 'identity' as kind from identity where merchant_id = $1
            union all select merchant_id, member_id, 'vault_key' from vault_key where merchant_id = $1
            union all select merchant_id, member_id, 'vault' from vault where merchant_id = $1
        ) p left join member m on m.merchant_id = p.merchant_id and m.member_id = p.member_id
        group by 1, 2, 3 order by 2, 1"""
    async for row in connection.cursor(sql, merchant):
        check.saw("personal rows", row["count"])
        where = f"merchant {merchant}, member {row['member_id']}"
        if row["status"] is None:
            check.add("nobody", where, f"the member of {row['kind']} rows", "a member", "none", _ERASED)
        elif row["status"] == "erased":
            check.add("erased", where, f"{row['kind']} rows of an erased member", 0, row["count"], _ERASED)
        elif row["status"] == "merged" and row["kind"] == "identity":
            check.add("merged", where, "identity rows of a merged member", 0, row["count"], "they belong to the survivor now")


def judge(check: Check, member: Member) -> None:
    """A merged member holds nothing."""
    check.saw("members")
    if member.row["status"] != "merged":
        return
    for row in member.accounts:
        found = [row[name] for name in ("pending", "active", "held", "debt")]
        check.compare("holds", f"{member.where}, {row['unit']}", "what a merged member holds", [0, 0, 0, 0], found, _MERGED)
    left = {"open lots": sum(1 for row in member.lots if row["pending"] + row["active"]), "order books": len(member.books)}
    left["open holds"] = sum(1 for row in member.holds if row["status"] == "open")
    for what, count in left.items():
        check.compare("holds", member.where, f"{what} of a merged member", 0, count, _MERGED)


async def judge_merges(check: Check, connection: Connection, merchant: int) -> None:
    """Who was merged leads to a member that lives, if not at once."""
    sql = """with recursive way as (
            select member_id as first, merged_into as next, 1 as steps from member where merchant_id = $1 and status = 'merged'
            union all select w.first, m.merged_into, w.steps + 1 from way w join member m
                on m.merchant_id = $1 and m.member_id = w.next and m.status = 'merged' where w.steps < 100
        ) select w.first, w.next, m.status from way w left join member m on m.merchant_id = $1 and m.member_id = w.next
        where m.status is null or w.steps = 100"""
    for row in await connection.fetch(sql, merchant):
        where = f"merchant {merchant}, member {row['first']}"
        check.add("way", where, "the member it was merged into", "a living one in the end", row["next"], _MERGED)
