"""MemberState: the bounded snapshot of one member that a decision may read, and the situation that it offers to an order.

Invariant: it holds counters, tiers, debts, open lots and open holds, never a history; folding the member's facts gives exactly this state.
"""

import msgspec

from regulars.kernel.ids import FactId, MemberId, UnitId
from regulars.kernel.time import BEGINNING, NEVER, Instant
from regulars.ledger.lots import Allocation, Lot

ENGINE_EPOCH = 1
"""Raised by any release that changes a figure (law 21)."""

STATE_SCHEMA = 1
"""Raised when the fields of the stored state change."""


class Redemption(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """``amount`` units that paid ``money`` minor units of an order, from which lots, and how many came ``back`` with returned goods.

    ``owed`` and ``written_off`` units were covered by no lot, because late evidence took away what had paid.
    """

    unit: UnitId
    amount: int
    money: int
    version: int
    allocations: tuple[Allocation, ...] = ()
    back: int = 0
    owed: int = 0
    written_off: int = 0


class Hold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Units set aside until ``expires_at`` (the first instant after) for the order of that key, which will be charged as quoted here."""

    id: str
    order_key: str
    redemption: Redemption
    expires_at: Instant


class Joined(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A merge that may be undone: what the member would be without it; ``spend`` is what it was then."""

    merge: FactId
    tiers: dict[str, str] = {}
    first_order_at: Instant | None = None
    last_order_at: Instant | None = None
    spend: int = 0

    def with_order(self, placed_at: Instant) -> "Joined":
        """The same after an order of the member's own."""
        first = placed_at if self.first_order_at is None else min(self.first_order_at, placed_at)
        last = placed_at if self.last_order_at is None else max(self.last_order_at, placed_at)
        return Joined(self.merge, self.tiers, first, last, self.spend)


def _epoch() -> int:
    return ENGINE_EPOCH


def _schema() -> int:
    return STATE_SCHEMA


class MemberState(msgspec.Struct, omit_defaults=True):
    """What the engine knows of one member at ``clock``. Its values are replaced, never changed in place."""

    id: MemberId
    clock: Instant = BEGINNING
    due_at: Instant = NEVER
    orders: int = 0
    spend: int = 0
    first_order_at: Instant | None = None
    last_order_at: Instant | None = None
    tiers: dict[str, str] = {}
    lots: tuple[Lot, ...] = ()
    debt: dict[UnitId, int] = {}
    repaid: dict[UnitId, tuple[Allocation, ...]] = {}
    programme_version: int = 0
    engine_epoch: int = msgspec.field(default_factory=_epoch)  # a factory's value is always written, whatever the default becomes
    state_schema: int = msgspec.field(default_factory=_schema)
    status: str = "active"
    holds: tuple[Hold, ...] = ()
    joined: tuple[Joined, ...] = ()

    @property
    def is_gone(self) -> bool:
        """Closed, erased or merged into another: takes part no more."""
        return self.status in _GONE

    @property
    def held(self) -> dict[UnitId, int]:
        """Units in open holds."""
        held: dict[UnitId, int] = {}
        for hold in self.holds:
            held[hold.redemption.unit] = held.get(hold.redemption.unit, 0) + hold.redemption.amount
        return held


_GONE = frozenset({"closed", "erased", "merged"})


class Situation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a member stood when an order was placed: what rules may read, kept with the order so that returns are judged by it."""

    number: int
    spend: int = 0
    tiers: dict[str, str] = {}
    first_order_at: Instant | None = None
    previous_order_at: Instant | None = None
