"""Facts: what happened to one member, immutable, each with its own id and its times.

Evidence (orders) may arrive late and be folded again; a commitment (a redemption, a hold, an adjustment) is kept with its outcome and
never decided again. Two members who are one person share the facts of the pair: each has its own in its own history.
Invariant: an order fact is the whole order as the store sees it, never a delta.
"""

import re
from fractions import Fraction
from typing import Literal

import msgspec

from regulars.kernel.ids import FactId, MemberId, OrderId, UnitId
from regulars.kernel.time import Instant
from regulars.programme.member import MemberState
from regulars.programme.policies import LineKind


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """``quantity`` pieces of one good in an order.

    ``amount`` is the price of all of them as the shop shows it, in ``1/scale`` of the minor unit (``scale`` stands on the order, so that
    a unit price may be an exact fraction). ``discount`` is what was taken off them, in whole minor units, by anybody. ``tax`` is the tax
    inside ``amount`` (beside it, when not ``tax_included``) and ``cost`` what the goods cost the shop (0: unknown), in the same parts.
    ``parent`` is the line that this one belongs to, as a part of a set.
    """

    id: str
    sku: str
    quantity: int
    amount: int
    discount: int = 0
    kind: LineKind = LineKind.GOODS
    categories: tuple[str, ...] = ()
    tax: int = 0
    tax_included: bool = True
    cost: int = 0
    parent: str | None = None


class Rate(msgspec.Struct, frozen=True):
    """Programme currency for one unit of the order's currency, frozen at purchase, and who says so."""

    numerator: int
    denominator: int
    source: str

    @property
    def exact(self) -> Fraction:
        """The ratio."""
        return Fraction(self.numerator, self.denominator)


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one order as its store sees it now.

    ``sequence`` grows with every change; ``placed_at`` never changes. ``discount`` is a discount of the whole order that the store did
    not spread over lines, ``refunded`` money given back without goods; both in minor units and spread by price. ``codes`` are those that
    the customer entered.
    """

    id: OrderId
    placed_at: Instant
    currency: str
    lines: tuple[Line, ...]
    scale: int = 1
    sequence: int = 1
    source: str = "shop"
    channel: str | None = None
    country: str | None = None
    discount: int = 0
    refunded: int = 0
    rate: Rate | None = None
    codes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The store's own name of the order, unique within a merchant."""
        return f"{self.source}:{self.id}"


def unsound(order: Order) -> str:
    """The first field of ``order`` that cannot be; empty when all may be."""
    if order.scale < 1:
        return "scale"
    if order.rate is not None and (order.rate.numerator < 1 or order.rate.denominator < 1):
        return "rate"
    if order.discount < 0 or order.refunded < 0:
        return "discount" if order.discount < 0 else "refunded"
    if ":" in order.source or order.source == "adjustment":  # lots are named by the order or adjustment that opened them
        return "source"
    if order.scale > MOST or order.discount > MOST or order.refunded > MOST or order.sequence > MOST:
        return "amount"
    for line in order.lines if not 0 <= _lowest_sign(order) <= MOST or _every_bit(order) > MOST else ():
        figures = (line.quantity, line.amount, line.discount, line.cost, line.tax)
        if not all(0 <= figure <= MOST for figure in figures[:4]) or abs(line.tax) > MOST:
            return f"lines.{line.id}"
    ids = {line.id for line in order.lines}
    if len(ids) < len(order.lines):
        return "lines.id"
    return "text" if _CONTROL.search(_texts(order)) else ""


_CONTROL = re.compile(r"[\x00-\x1f]")
"""No name holds any of these; records are divided by them."""


def _texts(order: Order) -> str:
    """Every text of an order, one after the other."""
    parts = [order.key, order.channel or "", order.country or "", *order.codes]
    for line in order.lines:
        parts += (line.id, line.sku, line.parent or "", *line.categories)
    return "".join(parts)


MOST = 2**53
"""No figure of an order is larger; sums of many orders still fit the books."""


def _every_bit(order: Order) -> int:
    """At least as large as the largest figure of any line: an or of all of them."""
    bits = 0
    for line in order.lines:
        bits |= line.quantity | line.amount | line.discount | line.cost | line.tax
    return bits


def _lowest_sign(order: Order) -> int:
    """Below zero when any figure of any line is: the sign bit survives an or."""
    return min([line.quantity | line.amount | line.discount | line.cost for line in order.lines], default=0)


class OrderStated(msgspec.Struct, frozen=True, tag="order_stated", omit_defaults=True):
    """Evidence: the store stated an order at ``occurred_at`` (when it changed); we heard of it at ``recorded_at``.

    ``grants`` is the recorded outcome on limited rules: the net change of each capacity (see ``Decision.draws``); None while undecided.
    ``entry``: it came ``live``; or, never too late, with the ``history`` before go-live or as a guest's order ``attached`` to the member.
    """

    id: FactId
    order: Order
    occurred_at: Instant
    recorded_at: Instant
    grants: dict[str, int] | None = None
    entry: Literal["live", "history", "attached"] = "live"


class ValueRedeemed(msgspec.Struct, frozen=True, tag="value_redeemed", omit_defaults=True):
    """Commitment: a member asked to pay ``amount`` units towards an order of ``payable`` minor units (the eligible goods).

    ``granted`` is the recorded outcome (0 when refused); None while it is not decided yet.
    """

    id: FactId
    order_key: str
    unit: UnitId
    amount: int
    payable: int
    occurred_at: Instant
    recorded_at: Instant
    granted: int | None = None


class ValueHeld(msgspec.Struct, frozen=True, tag="value_held", omit_defaults=True):
    """Commitment: a member asked to set ``amount`` units aside until ``expires_at``, for an order that is not placed yet.

    ``hold`` is its name, unique for ever within a member; ``granted`` as in ``ValueRedeemed``.
    """

    id: FactId
    hold: str
    order_key: str
    unit: UnitId
    amount: int
    payable: int
    expires_at: Instant
    occurred_at: Instant
    recorded_at: Instant
    granted: int | None = None


class HoldCaptured(msgspec.Struct, frozen=True, tag="hold_captured", omit_defaults=True):
    """Commitment: a hold pays its order, with ``amount`` of its units (None: all); the others are released."""

    id: FactId
    hold: str
    amount: int | None
    occurred_at: Instant
    recorded_at: Instant
    granted: int | None = None


class HoldReleased(msgspec.Struct, frozen=True, tag="hold_released", omit_defaults=True):
    """Commitment: a hold is given up; ``granted`` is what came back (0 when it had ended already)."""

    id: FactId
    hold: str
    occurred_at: Instant
    recorded_at: Instant
    granted: int | None = None


class ValueAdjusted(msgspec.Struct, frozen=True, tag="value_adjusted", omit_defaults=True):
    """Commitment: ``actor`` gave (``amount`` > 0) or took (< 0) units by hand, for a ``reason`` (a short code)."""

    id: FactId
    unit: UnitId
    amount: int
    reason: str
    actor: str
    occurred_at: Instant
    recorded_at: Instant
    granted: int | None = None


class StatusChanged(msgspec.Struct, frozen=True, tag="status_changed", omit_defaults=True):
    """The member is suspended, closed, opened again (``active``), or erased for ever."""

    id: FactId
    status: Literal["active", "suspended", "closed", "erased"]
    reason: str
    actor: str
    occurred_at: Instant
    recorded_at: Instant


class MemberMerged(msgspec.Struct, frozen=True, tag="member_merged", omit_defaults=True):
    """In the survivor's history: another member, as they stood (``absorbed``), is the same person."""

    id: FactId
    absorbed: MemberState
    actor: str
    occurred_at: Instant
    recorded_at: Instant


class MemberAbsorbed(msgspec.Struct, frozen=True, tag="member_absorbed", omit_defaults=True):
    """In the other one's history: everything went ``into`` the survivor."""

    id: FactId
    into: MemberId
    actor: str
    occurred_at: Instant
    recorded_at: Instant


class MergeUndone(msgspec.Struct, frozen=True, tag="merge_undone", omit_defaults=True):
    """In the survivor's history: the ``merge`` was a mistake, and ``returned`` goes back to the other one."""

    id: FactId
    merge: FactId
    returned: MemberState
    actor: str
    occurred_at: Instant
    recorded_at: Instant


class MergeRestored(msgspec.Struct, frozen=True, tag="merge_restored", omit_defaults=True):
    """In the other one's history: the member stands again, as ``returned``."""

    id: FactId
    returned: MemberState
    actor: str
    occurred_at: Instant
    recorded_at: Instant


class TimePassed(msgspec.Struct, frozen=True, tag="time_passed"):
    """The clock reached ``occurred_at``: whatever was due by then takes effect."""

    occurred_at: Instant


Commitment = ValueRedeemed | ValueHeld | HoldCaptured | HoldReleased | ValueAdjusted
"""The facts that are kept with their outcome, ``granted``."""

Remembered = (
    OrderStated
    | ValueRedeemed
    | ValueHeld
    | HoldCaptured
    | HoldReleased
    | ValueAdjusted
    | StatusChanged
    | MemberMerged
    | MemberAbsorbed
    | MergeUndone
    | MergeRestored
)
"""The facts that a member's history keeps; the passing of time leaves none."""

Fact = Remembered | TimePassed


def kind_of(fact: Fact) -> str:
    """The kind of a fact, as its stored form names it."""
    return str(type(fact).__struct_config__.tag)


def unsound_words(fact: Remembered) -> str:
    """The first text of a commitment that no memory can keep; empty when all may be."""
    for name in ("id", "order_key", "unit", "hold", "reason", "actor"):
        if _UNKEPT.search(str(getattr(fact, name, ""))):
            return name
    return ""


_UNKEPT = re.compile("[\x00\ud800-\udfff]")

Place = tuple[Instant, str, int, str]
"""Where a fact stands among those of its member."""


def fact_order(fact: Remembered) -> Place:
    """The order of folding: by occurrence; at one instant by order, what pays it first, then its states by sequence, then by id.

    What changes the member as a whole comes after everything else of its instant, the undoing of a merge last.
    """
    if isinstance(fact, OrderStated):
        return (fact.occurred_at, fact.order.key, fact.order.sequence, fact.id)
    if isinstance(fact, (ValueRedeemed, ValueHeld)):
        return (fact.occurred_at, fact.order_key, 0, fact.id)
    if isinstance(fact, (HoldCaptured, HoldReleased, ValueAdjusted)):
        return (fact.occurred_at, "", 0, fact.id)
    return (fact.occurred_at, _AFTER_ALL, int(isinstance(fact, (MergeUndone, MergeRestored))), fact.id)


_AFTER_ALL = "\U0010ffff"


def in_its_place(fact: Remembered, clock: Instant, last: Place) -> Remembered:
    """``fact`` dated as it is folded: nothing lies in the future, and a commitment comes after all that was known when it was made."""
    if isinstance(fact, Commitment) and fact.granted is None:
        at = max(fact.recorded_at, clock)
        made = msgspec.structs.replace(fact, occurred_at=at, recorded_at=at)
        return made if fact_order(made) > last else msgspec.structs.replace(made, occurred_at=at + 1, recorded_at=at + 1)
    if fact.occurred_at > fact.recorded_at:
        return msgspec.structs.replace(fact, occurred_at=fact.recorded_at)
    return fact
