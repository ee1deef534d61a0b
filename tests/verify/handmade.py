"""A small database written by hand, row by row, without the engine: what a shop with two members in trade would look like.

Invariant: it is right in every figure, so that an audit finds nothing in it; each test plants one fault.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import asyncpg

from regulars.kernel.time import Instant
from regulars.store.schema import make_partitions, migrate

PLACES = ("pending", "active", "held", "debt")
NEVER = 2**62
ANNA, BOB, MERGED, ERASED = 10, 11, 12, 13


def at(text: str) -> int:
    """``2025-01-10 10:00`` in UTC, in microseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


PROGRAMME: dict[str, Any] = {
    "programme": "By hand",
    "currency": "EUR",
    "units": {"points": {"value": "0.01", "expiry": {"after": "6 months"}, "spending": {}}},
    "tiers": {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "silver", "from": "50.00"}]}},
    "rules": [
        {"id": "purchase", "award": {"unit": "points", "amount": 1, "per": "1.00"}, "limit": {"units": 1000, "over": "reduce"}},
        {"id": "wrap", "if": {"op": "nth", "orders": [2]}, "perk": {"name": "wrapping"}},
    ],
}

A1, A2, A1_BACK = at("2025-01-10 10:00"), at("2025-01-20 10:00"), at("2025-02-01 10:00")
HELD, CAPTURED, GIVEN, HOLD_ENDS = at("2025-02-02 10:00"), at("2025-02-03 10:00"), at("2025-02-05 10:00"), at("2025-03-01 00:00")
B1, B2, B1_BACK = at("2025-01-12 10:00"), at("2025-01-13 10:00"), at("2025-02-04 10:00")
A1_ENDS, A2_ENDS, GIVEN_ENDS, B1_ENDS = (at(f"2025-{day} 00:00") for day in ("07-11", "07-21", "08-06", "07-13"))

TEA = {"id": "1", "sku": "TEA", "quantity": 2, "amount": 2000, "tax": 400, "categories": ["tea"]}
CUP = {"id": "2", "sku": "CUP", "quantity": 1, "amount": 2000}


def an_order(id: str, placed_at: int, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An order state as it is stored."""
    return {"id": id, "placed_at": placed_at, "currency": "EUR", "lines": list(lines), **more}


class World:
    """Writes rows, in one connection, with the guards of the database asleep."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        """``connection`` is the owner's."""
        self.connection = connection
        self.balances: dict[int, list[int]] = {}
        self.entries: dict[int, int] = {}

    async def insert(self, table: str, **row: Any) -> None:
        """One row; what is no text, number or bytes is written as JSON."""
        values = [compact(value) if isinstance(value, (dict, list)) else value for value in row.values()]
        marks = ", ".join(f"${i + 1}" for i in range(len(row)))
        await self.connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", *values)

    async def fact(self, member: int, seq: int, when: int, body: dict[str, Any], record: dict[str, Any], sequence: int = 0) -> None:
        """A fact of the shop, and its business key."""
        kind = body["type"]
        body = {**body, "occurred_at": when, "recorded_at": 0}
        told = body["order"] if kind == "order_stated" else {**body, "occurred_at": 0}
        key = f"{kind}/{body['id']}"
        own = {"merchant_id": 1, "member_id": member, "seq": seq, "recorded_at": when}
        await self.insert(
            "fact", **own, kind=kind, key=key, source="shop", actor="shop", occurred_at=when, heard_at=when, body=body, record=record
        )
        digest = hashlib.sha256(compact(told).encode()).digest()
        await self.insert("fact_key", **own, source="shop", key=key, sequence=sequence, digest=digest)

    async def entry(
        self, member: int, fact: int, when: int, movement: str, way: str, amount: int, cause: str, lot: str | None = None, **parts: int
    ) -> None:
        """An entry; ``way`` is ``house.issued > member.active``, ``parts`` its allocations (``A1=5`` for the lot shop:A1:points)."""
        source, target = way.split(" > ")
        balance = self.balances.setdefault(member, [0, 0, 0, 0])
        for side, sign in ((source, -1), (target, 1)):
            if side.startswith("member."):
                balance[PLACES.index(side[7:])] += sign * amount
        seq = self.entries[member] = self.entries.get(member, 0) + 1
        own = {"merchant_id": 1, "member_id": member, "unit": "points", "seq": seq, "recorded_at": when}
        how = {"movement": movement, "source": source, "target": target, "amount": amount, "cause": cause, "lot": lot}
        after = dict(zip(PLACES, balance, strict=True))
        await self.insert("transfer", **own, fact_seq=fact, value_at=when, rule=None, version=1, **how, **after)
        for name, part in parts.items():
            await self.insert("allocation", **own, lot=f"shop:{name}:points", amount=part)

    async def lot(self, member: int, id: str, original: int, active: int, earned_at: int, expires_at: int) -> None:
        """A lot of points, usable at once."""
        own = {"merchant_id": 1, "member_id": member, "unit": "points", "lot": id}
        dates = {"earned_at": earned_at, "active_from": earned_at, "expires_at": expires_at}
        await self.insert("lot", **own, original=original, pending=0, active=active, **dates)

    async def book(self, member: int, key: str, body: dict[str, Any], is_purchase: bool = False) -> None:
        """An order book with its lines."""
        state = body.get("state") or {}
        told = {"placed_at": state.get("placed_at"), "currency": state.get("currency"), "scale": 1 if state else None}
        own = {"merchant_id": 1, "member_id": member, "order_key": key}
        whole = {"book": {"key": key, **body}, **({"is_purchase": True} if is_purchase else {})}
        is_counted = body.get("is_counted", False)
        sequence = state.get("sequence", 1) if state else 0
        await self.insert("order_book", **own, origin_member_id=member, sequence=sequence, **told, is_counted=is_counted, book=whole)
        for line in state.get("lines", []):
            tax = line.get("tax", 0)
            price = {"gross": line["amount"], "net": line["amount"] - tax, "tax": tax, "is_tax_included": True, "discount": 0, "cost": 0}
            goods = {"line_id": line["id"], "kind": "goods", "sku": line["sku"], "quantity": line["quantity"]}
            await self.insert("order_line", **own, **goods, **price)

    async def member(self, id: int, seq: int, state: dict[str, Any], status: str = "active", **more: Any) -> None:
        """A member with the snapshot of their state, and the account of their points."""
        state = {"id": str(id), **state}
        snapshot: dict[str, Any] = {"member": state, "accounts": {}}
        if id in self.balances:
            snapshot["accounts"] = {"points": [*self.balances[id], self.entries[id]]}
            after = dict(zip(PLACES, self.balances[id], strict=True))
            own = {"merchant_id": 1, "member_id": id, "unit": "points", "seq": self.entries[id], "recorded_at": state["clock"]}
            await self.insert("account", **own, **after)
        own = {"merchant_id": 1, "member_id": id, "status": status, "seq": seq, "due_at": state.get("due_at", NEVER), "snapshot": snapshot}
        await self.insert("member", **own, planned_version=1, engine_epoch=1, state_schema=1, enrolled_at=A1, **more)


def compact(value: Any) -> str:
    """JSON without a space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


async def build(url: str) -> None:
    """The whole world in the empty database at ``url``."""
    await migrate(url, Instant(at("2024-12-15 00:00")))
    connection = await asyncpg.connect(url)
    try:
        await make_partitions(connection, Instant(at("2024-12-15 00:00")))
        await connection.execute("set session_replication_role = replica")
        world = World(connection)
        await _house(world)
        await _anna(world)
        await _bob(world)
        await world.member(MERGED, 0, {}, "merged", merged_into=ANNA)
        await world.member(ERASED, 0, {}, "erased")
        await _sealed(world)
    finally:
        await connection.close()


async def _house(world: World) -> None:
    for merchant in (1, 2):
        await world.insert("merchant", merchant_id=merchant, name="shop", recorded_at=A1)
    own = {"merchant_id": 1, "version": 1, "status": "live", "applies_from": -NEVER}
    await world.insert("programme", **own, document=PROGRAMME, actor="me", recorded_at=A1)
    await world.insert("capacity", merchant_id=1, capacity="rule:purchase", most=1000, free=901)
    await world.insert("capacity_lease", merchant_id=1, capacity="rule:purchase", lane="one", free=50)


def _award(basis: int, amount: int) -> dict[str, Any]:
    return {"rule": "purchase", "unit": "points", "basis": basis, "base": amount, "amount": amount}


def _holding(earned: int, earned_at: int, expires_at: int, **more: Any) -> dict[str, Any]:
    return {"points": {"earned": earned, "earned_at": earned_at, "active_from": earned_at, "expires_at": expires_at, **more}}


def _lot(id: str, remaining: int, earned_at: int, expires_at: int) -> dict[str, Any]:
    dates = {"earned_at": earned_at, "active_from": earned_at, "expires_at": expires_at}
    return {"id": id, "unit": "points", "remaining": remaining, **dates}


async def _anna(world: World) -> None:
    """40 points; 20 of them pay; 29 more; half of the first order comes back; 5 are held, 4 captured; 7 are given by hand."""
    first, second = an_order("A1", A1, TEA, CUP), an_order("A2", A2, {**TEA, "quantity": 3, "amount": 3000, "tax": 600})
    kept = an_order("A1", A1, TEA, sequence=2)
    situation = {"number": 2, "spend": 4000, "tiers": {"status": "basic"}, "first_order_at": A1, "previous_order_at": A1}
    lot1, lot2 = _lot("shop:A1:points", 40, A1, A1_ENDS), _lot("shop:A2:points", 29, A2, A2_ENDS)

    record: dict[str, Any] = {"version": 1, "grants": {"rule:purchase": 40}, "situation": {"number": 1}, "awards": [_award(4000, 40)]}
    await world.fact(ANNA, 1, A1, {"type": "order_stated", "id": "shop:A1", "order": first}, record, 1)
    await world.entry(ANNA, 1, A1, "accrual", "house.issued > member.active", 40, "shop:A1", "shop:A1:points")
    pays = {"type": "value_redeemed", "id": "p", "order_key": "shop:A2", "unit": "points", "amount": 20, "payable": 3000}
    await world.fact(ANNA, 2, A2, pays, {"version": 1, "granted": 20})
    await world.entry(ANNA, 2, A2, "redemption", "member.active > house.redeemed", 20, "shop:A2", A1=20)
    record = {"version": 1, "grants": {"rule:purchase": 29}, "situation": situation, "awards": [_award(2980, 29)], "perks": ["wrap"]}
    await world.fact(ANNA, 3, A2, {"type": "order_stated", "id": "shop:A2", "order": second}, record, 1)
    await world.entry(ANNA, 3, A2, "accrual", "house.issued > member.active", 29, "shop:A2", "shop:A2:points")
    record = {"version": 1, "grants": {"rule:purchase": -20}, "situation": {"number": 1}, "awards": [_award(2000, 20)]}
    await world.fact(ANNA, 4, A1_BACK, {"type": "order_stated", "id": "shop:A1#2", "order": kept}, record, 2)
    await world.entry(ANNA, 4, A1_BACK, "reversal", "member.active > house.clawed_back", 20, "shop:A1", "shop:A1:points")
    for seq, hold, order, amount in ((5, "h1", "shop:A3", 5), (6, "h2", "shop:A4", 4)):
        asks = {"type": "value_held", "id": hold, "hold": hold, "order_key": order, "unit": "points", "amount": amount, "payable": 900}
        await world.fact(ANNA, seq, HELD, {**asks, "expires_at": HOLD_ENDS}, {"version": 1, "granted": amount})
        await world.entry(ANNA, seq, HELD, "hold", "member.active > member.held", amount, order, A2=amount)
        status = "open" if hold == "h1" else "captured"
        own = {"merchant_id": 1, "member_id": ANNA, "hold": hold, "order_key": order}
        await world.insert("hold", **own, unit="points", amount=amount, status=status, expires_at=HOLD_ENDS)
    captures = {"type": "hold_captured", "id": "c", "hold": "h2", "amount": None}
    await world.fact(ANNA, 7, CAPTURED, captures, {"version": 1, "granted": 4})
    await world.entry(ANNA, 7, CAPTURED, "capture", "member.held > house.redeemed", 4, "shop:A4")
    gives = {"type": "value_adjusted", "id": "adj", "unit": "points", "amount": 7, "reason": "goodwill", "actor": "staff"}
    await world.fact(ANNA, 8, GIVEN, gives, {"version": 1, "granted": 7})
    await world.entry(ANNA, 8, GIVEN, "adjustment", "house.adjusted > member.active", 7, "adjustment:adj", "adjustment:adj:points")

    await world.lot(ANNA, "shop:A1:points", 40, 0, A1, A1_ENDS)
    await world.lot(ANNA, "shop:A2:points", 29, 20, A2, A2_ENDS)
    await world.lot(ANNA, "adjustment:adj:points", 7, 7, GIVEN, GIVEN_ENDS)
    for seq, when, amount in ((1, A1, 40), (3, A2, 29), (4, A1_BACK, -20)):
        own = {"merchant_id": 1, "member_id": ANNA, "capacity": "rule:purchase", "fact_seq": seq, "recorded_at": when}
        await world.insert("draw", **own, amount=amount)

    common: dict[str, Any] = {"version": 1, "is_counted": True}
    body = {"state": kept, "purchase": first, **common, "situation": {"number": 1}, "awards": [_award(2000, 20)], "spend": 2000}
    await world.book(ANNA, "shop:A1", {**body, "holdings": _holding(40, A1, A1_ENDS, clawed=20), "drawn": {"rule:purchase": 20}})
    paid = {"unit": "points", "amount": 20, "money": 20, "version": 1, "allocations": [{"lot": lot1, "amount": 20}]}
    body = {"redemption": paid, "state": second, **common, "situation": situation, "awards": [_award(2980, 29)], "perks": ["wrap"]}
    await world.book(
        ANNA, "shop:A2", {**body, "spend": 2980, "holdings": _holding(29, A2, A2_ENDS), "drawn": {"rule:purchase": 29}}, is_purchase=True
    )
    paid = {"unit": "points", "amount": 4, "money": 4, "version": 1, "allocations": [{"lot": lot2, "amount": 4}]}
    await world.book(ANNA, "shop:A4", {"redemption": paid})

    paid = {"unit": "points", "amount": 5, "money": 5, "version": 1, "allocations": [{"lot": lot2, "amount": 5}]}
    state = {
        "clock": GIVEN,
        "due_at": HOLD_ENDS,
        "orders": 2,
        "spend": 4980,
        "tiers": {"status": "basic"},
        "lots": [_lot("shop:A2:points", 20, A2, A2_ENDS), _lot("adjustment:adj:points", 7, GIVEN, GIVEN_ENDS)],
        "holds": [{"id": "h1", "order_key": "shop:A3", "redemption": paid, "expires_at": HOLD_ENDS}],
    }
    await world.member(ANNA, 8, state)
    known = {"kind": "email", "digest": b"a" * 32, "member_id": ANNA, "origin_member_id": ANNA}
    await world.insert("identity", merchant_id=1, **known, recorded_at=A1)
    await world.insert("vault_key", merchant_id=1, member_id=ANNA, wrapped_key=b"k", salt=b"s")
    await world.insert("vault", merchant_id=1, member_id=ANNA, name="email", sealed=b"x")


async def _bob(world: World) -> None:
    """30 points pay for an order that is not placed; then what earned them comes back, and Bob owes them."""
    first, gone = an_order("B1", B1, {**CUP, "amount": 3000}), an_order("B1", B1, sequence=2)
    record: dict[str, Any] = {"version": 1, "grants": {"rule:purchase": 30}, "situation": {"number": 1}, "awards": [_award(3000, 30)]}
    await world.fact(BOB, 1, B1, {"type": "order_stated", "id": "shop:B1", "order": first}, record, 1)
    await world.entry(BOB, 1, B1, "accrual", "house.issued > member.active", 30, "shop:B1", "shop:B1:points")
    pays = {"type": "value_redeemed", "id": "q", "order_key": "shop:B2", "unit": "points", "amount": 30, "payable": 3000}
    await world.fact(BOB, 2, B2, pays, {"version": 1, "granted": 30})
    await world.entry(BOB, 2, B2, "redemption", "member.active > house.redeemed", 30, "shop:B2", B1=30)
    record = {"version": 1, "grants": {"rule:purchase": -30}, "situation": {"number": 1}}
    await world.fact(BOB, 3, B1_BACK, {"type": "order_stated", "id": "shop:B1#2", "order": gone}, record, 2)
    await world.entry(BOB, 3, B1_BACK, "reversal", "member.debt > house.clawed_back", 30, "shop:B1")
    await world.lot(BOB, "shop:B1:points", 30, 0, B1, B1_ENDS)
    for seq, when, amount in ((1, B1, 30), (3, B1_BACK, -30)):
        own = {"merchant_id": 1, "member_id": BOB, "capacity": "rule:purchase", "fact_seq": seq, "recorded_at": when}
        await world.insert("draw", **own, amount=amount)
    holdings = _holding(30, B1, B1_ENDS, clawed=30, owed=30)
    await world.book(BOB, "shop:B1", {"state": gone, "purchase": first, "version": 1, "situation": {"number": 1}, "holdings": holdings})
    lot = _lot("shop:B1:points", 30, B1, B1_ENDS)
    paid = {"unit": "points", "amount": 30, "money": 30, "version": 1, "allocations": [{"lot": lot, "amount": 30}]}
    await world.book(BOB, "shop:B2", {"redemption": paid})
    await world.member(BOB, 3, {"clock": B1_BACK, "tiers": {"status": "basic"}, "debt": {"points": 30}})


KEYS = {
    "fact": ("member_id", "seq", "recorded_at"),
    "transfer": ("member_id", "unit", "seq", "recorded_at"),
    "allocation": ("member_id", "unit", "seq", "lot", "recorded_at"),
    "draw": ("member_id", "capacity", "fact_seq", "recorded_at"),
}


async def _sealed(world: World) -> None:
    """January and February, sealed by the words of docs/verify.md, here in Python over whole rows."""
    previous = bytes(32)
    for month, first, end in (("2025-01", "2025-01-01", "2025-02-01"), ("2025-02", "2025-02-01", "2025-03-01")):
        whole, counts = previous + month.encode(), {}
        for table, key in KEYS.items():
            sql = f"select * from {table} where merchant_id = 1 and recorded_at >= $1 and recorded_at < $2"
            rows = [dict(row) for row in await world.connection.fetch(sql, at(f"{first} 00:00"), at(f"{end} 00:00"))]
            rows.sort(key=lambda row, key=key: [row[name].encode() if isinstance(row[name], str) else row[name] for name in key])  # type: ignore[misc]
            texts = ["\x1f".join("\x1e" if value is None else str(value) for value in row.values()) for row in rows]
            whole += hashlib.sha256(b"".join(hashlib.sha256(text.encode()).digest() for text in texts)).digest()
            counts[table] = len(rows)
        digest = hashlib.sha256(whole).digest()
        own = {"merchant_id": 1, "month": month, "facts": counts["fact"], "transfers": counts["transfer"]}
        await world.insert("seal", **own, previous=previous, digest=digest, recorded_at=at(f"{end} 01:00"))
        previous = digest
