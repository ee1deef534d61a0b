"""Capacities: limited stock, budgets and uses, as counters that cannot go below zero.

A large capacity is leased to lanes in blocks, so that they do not wait for each other; a lane that lacks anything gathers every lease
back first, also those of lanes that died. Invariant: most = free + leased + drawn at every commit; what is there is given, to the last
unit, and never more.
"""

from collections.abc import Container, Iterable, Mapping

from regulars.store.database import Connection

Name = tuple[int, str]
"""Merchant and capacity."""

BLOCKS = 64
"""A lease is this part of what is free; a capacity of which less than ``BLOCKS`` squared is left is counted directly."""


async def read_left(connection: Connection, merchant_id: int) -> dict[str, int]:
    """What there is of each capacity of a merchant, leases included, as it is now."""
    rows = await connection.fetch(
        """select c.capacity, c.free + coalesce(sum(l.free), 0)::bigint
            from capacity c left join capacity_lease l using (merchant_id, capacity)
            where c.merchant_id = $1 group by c.capacity, c.free""",
        merchant_id,
    )
    return {row[0]: row[1] for row in rows}


class Counters:
    """The counters that one transaction of a lane works on. They stay locked until it ends, and are locked in the order of their names."""

    def __init__(self, connection: Connection, lane: str) -> None:
        """``lane`` names whose leases are used."""
        self._connection = connection
        self._lane = lane
        self._leased: set[Name] = set()
        self.free: dict[Name, int] = {}

    async def lock(self, needed: Mapping[Name, int], returning: Container[Name] = ()) -> None:
        """Learn what is ``free`` of each capacity: at least what is ``needed`` of it, if there is so much anywhere.

        What only comes back is needed with 0; whatever may come back, needed or not, is among the ``returning``. A capacity that nobody set
        up has nothing.
        """
        for name in sorted(needed):
            self.free[name] = await self._locked(name, needed[name], name in returning)

    async def gather(self, names: Iterable[Name]) -> None:
        """Learn all that is ``free`` of each capacity, for who cannot say beforehand what they need of which."""
        for name in sorted(names):
            self.free[name] = await self._gathered(name, None)

    async def take(self, used: Mapping[Name, int]) -> None:
        """Count what was ``used`` of the locked capacities (less than nothing: it came back)."""
        for name, amount in used.items():
            if amount and name in self._leased:
                where = "capacity_lease set free = free - $3 where merchant_id = $1 and capacity = $2 and lane = $4"
                await self._connection.execute(f"update {where}", *name, amount, self._lane)
            elif amount:
                await self._connection.execute(
                    "update capacity set free = free - $3 where merchant_id = $1 and capacity = $2", *name, amount
                )

    async def _locked(self, name: Name, needed: int, is_returning: bool) -> int:
        if not needed:
            return await self._connection.fetchval(_LOCK, *name) or 0
        row = await self._connection.fetchrow(_LOOK, *name, self._lane)
        if row is None or not (row["everywhere"] or is_returning):
            return 0
        if row["leased"] >= needed:
            leased: int | None = await self._connection.fetchval(_LOCK_LEASE, *name, self._lane, needed)
            if leased is not None:
                self._leased.add(name)
                return leased
        return await self._gathered(name, needed)

    async def _gathered(self, name: Name, needed: int | None) -> int:
        """Everything in one place again; of much, this lane leases a block where it is said what is ``needed``."""
        free: int = await self._connection.fetchval(_LOCK, *name) or 0
        back = await self._connection.fetch(_GATHER, *name)
        for row in back:
            free += row[0]
        block = free // BLOCKS
        if block < BLOCKS or needed is None:
            if back:
                await self._connection.execute(_SET, *name, free)
            return free
        block = min(free, max(block, needed))
        await self._connection.execute(_SET, *name, free - block)
        await self._connection.execute(_LEASE, *name, self._lane, block)
        self._leased.add(name)
        return block


_LOOK = """
    select c.free + coalesce(sum(l.free), 0) as everywhere, coalesce(sum(l.free) filter (where l.lane = $3), 0) as leased
    from capacity c left join capacity_lease l using (merchant_id, capacity)
    where c.merchant_id = $1 and c.capacity = $2 group by c.free
"""
_LOCK_LEASE = """
    select free from capacity_lease
    where merchant_id = $1 and capacity = $2 and lane = $3 and free >= $4 for no key update skip locked
"""
"""A lease that is enough: who held one that is not, and then waited for the capacity, and who gathers it would wait for each other."""

_LOCK = "select free from capacity where merchant_id = $1 and capacity = $2 for no key update"
_GATHER = "delete from capacity_lease where merchant_id = $1 and capacity = $2 returning free"
_SET = "update capacity set free = $3 where merchant_id = $1 and capacity = $2"
_LEASE = "insert into capacity_lease (merchant_id, capacity, lane, free) values ($1, $2, $3, $4)"
