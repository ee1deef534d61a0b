"""MemberState: the bounded snapshot of one member that a decision may read, and the situation that it offers to an order.

Invariant: it holds counters, tiers, debts and open lots, never a history; folding the member's facts gives exactly this state.
"""

import msgspec

from regulars.kernel.ids import MemberId, UnitId
from regulars.kernel.time import BEGINNING, NEVER, Instant
from regulars.ledger.lots import Allocation, Lot

ENGINE_EPOCH = 1
"""Raised by any release that changes a figure (law 21)."""

STATE_SCHEMA = 1
"""Raised when the fields of the stored state change."""


class MemberState(msgspec.Struct):
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
    engine_epoch: int = ENGINE_EPOCH
    state_schema: int = STATE_SCHEMA


class Situation(msgspec.Struct, frozen=True, gc=False):
    """Where a member stood when an order was placed: what rules may read, kept with the order so that returns are judged by it."""

    number: int
    spend: int
    tiers: dict[str, str]
    first_order_at: Instant | None
    previous_order_at: Instant | None
