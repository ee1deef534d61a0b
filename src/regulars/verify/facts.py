"""Facts and their business keys: numbered, remembered for ever, and unchanged since they were told.

Invariant: the digest of a key is recomputed from the stored text itself, so a changed byte in what was told shows.
"""

import hashlib

import msgspec

from regulars.verify.reading import Connection, Fact, Member
from regulars.verify.report import Check

_HINT = "a fact is never changed: restore it from a backup, or find who changed it"


def check() -> Check:
    """The check, empty."""
    return Check("facts", "facts are numbered without a repeat; each has its business key, and its content is what the key remembers")


def judge(check: Check, member: Member) -> None:
    """The facts of one member among themselves."""
    check.saw("facts", len(member.facts))
    last = 0
    for fact in member.facts:
        where = f"{member.where}, fact {fact.seq}"
        if fact.seq <= last:
            check.add("number", where, "its number", f"above {last}", fact.seq, _HINT)
        last = max(last, fact.seq)
        check.compare("kind", where, "its kind in the body", fact.kind, fact.body.get("type"), _HINT)
    if member.row["seq"] < last:
        check.add(
            "last", member.where, "the member's last fact", f"{last} or more", member.row["seq"], "the member row is older than its facts"
        )


async def judge_keys(check: Check, connection: Connection, batch: list[Member]) -> None:
    """Every fact with a key has its row in ``fact_key``, with the digest of its content."""
    facts = [(member, fact) for member in batch for fact in member.facts if fact.row["key"]]
    rows = await connection.fetch(
        """select w.n, k.member_id, k.seq, k.recorded_at, k.digest, k.sequence
        from unnest($2::text[], $3::text[]) with ordinality as w (source, key, n)
        left join fact_key k on k.merchant_id = $1 and k.source = w.source and k.key = w.key order by w.n""",
        batch[0].merchant,
        [fact.row["source"] for _, fact in facts],
        [fact.row["key"] for _, fact in facts],
    )
    for (member, fact), key in zip(facts, rows, strict=True):
        where = f"{member.where}, fact {fact.seq}, key {fact.row['key']}"
        check.saw("keys")
        expected = (fact.row["member_id"], fact.seq, fact.row["recorded_at"])
        if key["member_id"] is None:
            check.add("forgotten", where, "its business key", "remembered", "no row in fact_key", "told again, it would count twice")
        elif (key["member_id"], key["seq"], key["recorded_at"]) != expected:
            found = (key["member_id"], key["seq"], key["recorded_at"])
            check.add("key", where, "whose fact the key names (member, fact, instant)", expected, found, _HINT)
        else:
            check.compare("digest", where, "the digest of its content", digest_of(fact).hex(), key["digest"].hex(), _HINT)
            if isinstance(order := fact.body.get("order"), dict):
                check.compare("sequence", where, "the sequence of the order", order.get("sequence", 1), key["sequence"], _HINT)


async def judge_all_keys(check: Check, connection: Connection, merchant: int) -> None:
    """Every key of ``merchant`` points to a fact that carries it; a document of returned goods to the state of an order that it led to."""
    sql = """select k.source, k.key, k.member_id, k.seq from fact_key k where k.merchant_id = $1 and not exists (
        select from fact f where f.merchant_id = k.merchant_id and f.member_id = k.member_id and f.seq = k.seq
            and f.recorded_at = k.recorded_at and f.source = k.source
            and (f.key = k.key or (k.key like 'return/%' and f.kind = 'order_stated')))"""
    async for row in connection.cursor(sql, merchant):
        where = f"merchant {merchant}, source {row['source']}, key {row['key']}"
        found = f"fact {row['seq']} of member {row['member_id']} is missing or has another key"
        check.add("lost", where, "the fact that the key remembers", "a fact with this key", found, _HINT)


def digest_of(fact: Fact) -> bytes:
    """SHA-256 of what was told: of an order, its text; of anything else, the body with both of its instants set to 0."""
    try:
        parts = msgspec.json.decode(fact.row["body"], type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return hashlib.sha256(fact.row["body"].encode()).digest()
    if fact.kind == "order_stated" and "order" in parts:
        return hashlib.sha256(bytes(parts["order"])).digest()
    timeless = {name: b"0" if name in ("occurred_at", "recorded_at") else bytes(value) for name, value in parts.items()}
    return hashlib.sha256(
        b"{" + b",".join(b"%s:%s" % (msgspec.json.encode(name), value) for name, value in timeless.items()) + b"}"
    ).digest()
