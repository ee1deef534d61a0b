"""Lots: what is left of each credit, and when it begins and ends.

Invariant: lots are spent in the programme's order (by default the one that expires first), nothing is taken from a lot beyond what
remains in it, and value that comes back comes back with the dates it had.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from regulars.kernel.ids import LotId, UnitId
from regulars.kernel.time import NEVER, Instant


class Lot(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """``remaining`` of one credit in ``unit``: earned, usable from ``active_from``, gone at ``expires_at`` (the first instant after)."""

    id: LotId
    unit: UnitId
    remaining: int
    earned_at: Instant
    active_from: Instant
    expires_at: Instant
    is_pending: bool = False
    first_end: Instant | None = None
    """Where its end was moved by days of grace: the end it had before."""

    @property
    def due_at(self) -> Instant:
        """When time next changes this lot."""
        return self.active_from if self.is_pending else self.expires_at


class Allocation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """``amount`` that one debit took from ``lot``, which stands here as it was, so that value can return to it after it closed."""

    lot: Lot
    amount: int


SpendingOrder = Callable[[Lot], Any]
"""A sorting key: the lots with the smallest are spent first."""


def expiry_first(lot: Lot) -> tuple[int, int, str]:
    """The lot that expires first, then the oldest."""
    return (lot.expires_at, lot.earned_at, lot.id)


def oldest_first(lot: Lot) -> tuple[int, str]:
    """The lot that was earned first, whatever its end."""
    return (lot.earned_at, lot.id)


def next_due(lots: Iterable[Lot]) -> Instant:
    """When time next changes any of them; ``NEVER`` for none."""
    return min([lot.active_from if lot.is_pending else lot.expires_at for lot in lots], default=NEVER)


def active_balance(lots: Iterable[Lot], unit: UnitId) -> int:
    """What may be spent now."""
    return sum([lot.remaining for lot in lots if not lot.is_pending and lot.unit == unit])


def pending_balance(lots: Iterable[Lot], unit: UnitId) -> int:
    """What will become active: shown, never spendable."""
    return sum([lot.remaining for lot in lots if lot.is_pending and lot.unit == unit])


def with_lot(lots: tuple[Lot, ...], lot: Lot, order: SpendingOrder) -> tuple[Lot, ...]:
    """``lots`` (in spending order) and ``lot`` in its place; value for a lot that is open already is added to it."""
    for i, known in enumerate(lots):
        if known.id == lot.id and known.is_pending == lot.is_pending:
            return (*lots[:i], replace_remaining(known, known.remaining + lot.remaining), *lots[i + 1 :])
    if not lots or order(lots[-1]) <= order(lot):
        return (*lots, lot)
    return tuple(sorted((*lots, lot), key=order))


def replace_remaining(lot: Lot, remaining: int) -> Lot:
    """``lot`` with another remainder."""
    return Lot(lot.id, lot.unit, remaining, lot.earned_at, lot.active_from, lot.expires_at, lot.is_pending, lot.first_end)


def activated(lot: Lot) -> Lot:
    """``lot``, usable."""
    return Lot(lot.id, lot.unit, lot.remaining, lot.earned_at, lot.active_from, lot.expires_at, False, lot.first_end)


def take(
    lots: tuple[Lot, ...], unit: UnitId, amount: int, eligible: Callable[[Lot], bool]
) -> tuple[tuple[Lot, ...], tuple[Allocation, ...]]:
    """Up to ``amount`` of ``unit`` from the eligible lots, front to back.

    Returns the lots that stay open and what was taken from which; the caller compares the sum with what it wanted.
    """
    left, kept, taken = amount, [], []
    for lot in lots:
        if left > 0 and lot.unit == unit and eligible(lot):
            part = min(lot.remaining, left)
            left -= part
            taken.append(Allocation(lot, part))
            if part < lot.remaining:
                kept.append(replace_remaining(lot, lot.remaining - part))
        else:
            kept.append(lot)
    return tuple(kept), tuple(taken)


def last_taken(allocations: tuple[Allocation, ...], amount: int) -> tuple[tuple[Allocation, ...], tuple[Allocation, ...]]:
    """Split ``allocations`` into what stays taken and the ``amount`` that goes back: what was taken last goes back first.

    Giving back in several steps or in one ends at the same lots.
    """
    stays, back, left = list(allocations), [], amount
    while left > 0 and stays:
        last = stays.pop()
        part = min(last.amount, left)
        left -= part
        back.append(Allocation(last.lot, part))
        if part < last.amount:
            stays.append(Allocation(last.lot, last.amount - part))
    return tuple(stays), tuple(back)
