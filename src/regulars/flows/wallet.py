"""Wallet: what members hold is spent, held for an order, and adjusted by hand.

Invariant: each of these is a commitment under a business key of its own: asked twice, it happens once.
"""

from regulars.flows.commands import Command, Outcome
from regulars.flows.lane import Lane
from regulars.flows.settle import Told
from regulars.kernel.ids import FactId, UnitId
from regulars.kernel.time import Instant
from regulars.programme.facts import Fact, HoldCaptured, HoldReleased, ValueAdjusted, ValueHeld, ValueRedeemed

_NOW = Instant(0)
"""Commitments are dated by the lane."""


class Wallet:
    """The wallets of one merchant's members, as one ``source`` works with them."""

    def __init__(self, lane: Lane, merchant_id: int, source: str, actor: str) -> None:
        """``actor``: on whose behalf."""
        self._lane = lane
        self._merchant_id = merchant_id
        self._told = Told(source, actor)

    async def redeem(self, member_id: int, key: str, order_key: str, unit: UnitId, amount: int, payable: int) -> Outcome:
        """Pay ``amount`` units towards an order of which ``payable`` minor units may be paid so."""
        return await self._take(member_id, ValueRedeemed(FactId(key), order_key, unit, amount, payable, _NOW, _NOW))

    async def hold(self, member_id: int, hold: str, order_key: str, unit: UnitId, amount: int, payable: int, until: Instant) -> Outcome:
        """Set ``amount`` units aside for an order until an instant."""
        return await self._take(member_id, ValueHeld(FactId(hold), hold, order_key, unit, amount, payable, until, _NOW, _NOW))

    async def capture(self, member_id: int, key: str, hold: str, amount: int | None = None) -> Outcome:
        """The hold pays its order, all of it or ``amount``; the rest is released. Refused, it may be asked again under another key."""
        return await self._take(member_id, HoldCaptured(FactId(key), hold, amount, _NOW, _NOW))

    async def release(self, member_id: int, key: str, hold: str) -> Outcome:
        """The hold is given up."""
        return await self._take(member_id, HoldReleased(FactId(key), hold, _NOW, _NOW))

    async def adjust(self, member_id: int, key: str, unit: UnitId, amount: int, reason: str) -> Outcome:
        """Give or take units by hand, for a ``reason``; leaves an audit record. Its lot bears key and source."""
        return await self._take(
            member_id, ValueAdjusted(FactId(f"{self._told.source}:{key}"), unit, amount, reason, self._told.actor, _NOW, _NOW)
        )

    async def _take(self, member_id: int, fact: Fact) -> Outcome:
        return await self._lane.take(Command(self._merchant_id, member_id, fact, self._told))
