"""The dossier: what a fact names by key and a decision may read beside the member's state - the book of its order.

Invariant: the book alone tells what the order gave, to which lots, from which lots it was taken back, and under which version.
"""

from typing import Literal

import msgspec

from regulars.kernel.ids import RuleId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.lots import Allocation
from regulars.programme.facts import Order
from regulars.programme.member import Redemption, Situation

HoldEnd = Literal["captured", "released", "expired"]
"""The ways in which a hold ends; each hold ends in exactly one (law 11)."""


class Award(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one rule gives for an order: ``amount`` = the rounded ``base`` on ``basis`` minor units, times the multiple."""

    rule: RuleId
    unit: UnitId
    basis: int
    base: int
    amount: int
    multiples: tuple[RuleId, ...] = ()


class Holding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an order holds in one unit: ``earned`` so far at most, ``clawed`` back of it, and where the clawed part was found.

    ``own`` was taken from the order's own lot, ``takes`` from other lots, ``owed`` became debt, ``written_off`` nobody's.
    """

    earned: int
    earned_at: Instant
    active_from: Instant
    expires_at: Instant
    clawed: int = 0
    takes: tuple[Allocation, ...] = ()
    owed: int = 0
    written_off: int = 0


class OrderBook(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything the engine knows of one order: its first and present state, the situation it was judged in, and what it gave.

    ``drawn`` is what it holds of limited capacities, by their names.
    """

    key: str
    redemption: Redemption | None = None
    state: Order | None = None
    purchase: Order | None = None
    stated_at: Instant | None = None
    version: int = 0
    situation: Situation | None = None
    awards: tuple[Award, ...] = ()
    perks: tuple[RuleId, ...] = ()
    holdings: dict[UnitId, Holding] = {}
    spend: int = 0
    is_counted: bool = False
    drawn: dict[str, int] = {}


class Dossier(msgspec.Struct, frozen=True):
    """The book of the order that the fact names, and those of later orders where the policy `multiples_on_return` counts them anew.

    ``hold`` tells how the hold that the fact names has ended, when it is not open any more. ``granted`` is the most that the fact may draw
    of each limited capacity, as far as anybody has asked; a capacity that is not named may be asked for everything.
    """

    order: OrderBook | None = None
    later: tuple[OrderBook, ...] = ()
    hold: HoldEnd | None = None
    granted: dict[str, int] | None = None


EMPTY = Dossier()
