"""Shapes: what goes over the wire, in and out. Amounts are integers in the minor unit of their currency; ids of ours are texts.

Invariant: whatever fits its shape can be asked without harm; unknown fields are refused, so that no typing error passes in silence.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, UnsetType

from regulars.flows.commands import Outcome
from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.ids import OrderId, UnitId
from regulars.kernel.time import NEVER, Instant, instant, moment
from regulars.programme.facts import Line, Order, Rate
from regulars.programme.policies import LineKind
from regulars.store.members import StoredMember
from regulars.store.records import Standing

_PLAIN = r"^[^\x00-\x1f\x7f]*$"
_MOST = 2**53
_UTC = ZoneInfo("UTC")

Name = Annotated[str, Meta(min_length=1, max_length=120, pattern=_PLAIN)]
Words = Annotated[str, Meta(max_length=2000, pattern=_PLAIN)]
Amount = Annotated[int, Meta(ge=0, le=_MOST, description="In the minor unit of the currency: 1999 is 19.99.", examples=[1999])]
Count = Annotated[int, Meta(ge=0, le=_MOST)]
Positive = Annotated[int, Meta(ge=1, le=_MOST)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217.", examples=["PLN"])]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset.", examples=["2026-03-14T12:00:00Z"])]


class LineIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of an order: ``amount`` is the price of all its pieces as the shop shows it."""

    id: Name
    sku: Name
    quantity: Count
    amount: Annotated[int, Meta(ge=0, le=_MOST, description="Price of all pieces, in 1/scale of the minor unit.", examples=[5000])]
    discount: Amount = 0
    kind: LineKind = LineKind.GOODS
    categories: Annotated[list[Name], Meta(max_length=50)] = []
    tax: Annotated[int, Meta(ge=-_MOST, le=_MOST)] = 0
    tax_included: bool = True
    cost: Count = 0
    parent: Name | None = None


class RateIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one unit of the order's currency is worth in the programme's, and who says so."""

    numerator: Positive
    denominator: Positive
    source: Name


class IdentityIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """By what somebody is known; ``customer`` is the shop's own number for them."""

    kind: Literal["customer", "email", "phone", "card", "device"]
    value: Name


class CartIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What lies in a cart."""

    currency: Currency
    lines: Annotated[list[LineIn], Meta(max_length=1000)]
    discount: Amount = 0
    channel: Name | None = None
    country: Name | None = None
    codes: Annotated[list[Name], Meta(max_length=50)] = []
    scale: Annotated[int, Meta(ge=1, le=10**6, description="Line amounts are given in 1/scale of the minor unit.")] = 1
    rate: RateIn | None = None


class OrderIn(CartIn, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole order as the store sees it now; told again with less in it, it is a return. Nobody in ``member``: a guest's."""

    placed_at: Time
    member: Annotated[str, Meta(min_length=1, max_length=200, pattern=_PLAIN)] | None = None
    updated_at: Time | None = None
    sequence: Annotated[Positive | None, Meta(description="Grows with every change; without it, it is taken from `updated_at`.")] = None
    refunded: Amount = 0


class BatchItemIn(OrderIn, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One order of many."""

    id: Name


class BatchIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Many orders of one source."""

    orders: Annotated[list[BatchItemIn], Meta(min_length=1, max_length=500)]


class QuoteIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A cart, and who would pay it; nobody: a guest."""

    cart: CartIn
    member: Annotated[str, Meta(min_length=1, max_length=200, pattern=_PLAIN)] | None = None


class MemberIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """By what a member is known beside the shop's number, and what of their profile is to be kept."""

    identities: Annotated[list[IdentityIn], Meta(max_length=20)] = []
    profile: Annotated[dict[Annotated[str, Meta(pattern="^[a-z_]{1,40}$")], Words], Meta(max_length=40)] = {}


class StatusIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What becomes of a member, and why."""

    status: Literal["active", "suspended", "closed"]
    reason: Words


class RedemptionIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Value that pays for an order: ``payable`` is what of the order may be paid so."""

    member: Name
    order: Name
    unit: Name
    amount: Positive
    payable: Amount


class HoldIn(RedemptionIn, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Value set aside for an order until it is captured or released, at the latest ``expires_at``."""

    expires_at: Time


class CaptureIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of a hold pays; all of it where nothing is said."""

    amount: Positive | None = None


class AdjustmentIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Value given (above zero) or taken by hand, and why."""

    member: Name
    unit: Name
    amount: Annotated[int, Meta(ge=-_MOST, le=_MOST)]
    reason: Annotated[str, Meta(min_length=1, max_length=2000, pattern=_PLAIN)]


class AccountOut(msgspec.Struct, frozen=True):
    """What a member holds of a unit: ``active`` may be spent, ``pending`` will be, ``held`` is set aside, ``debt`` is owed (below zero)."""

    active: int
    pending: int
    held: int
    debt: int


class AwardOut(msgspec.Struct, frozen=True):
    """What a rule gave for an order."""

    rule: str
    unit: str
    amount: int


class OrderOut(msgspec.Struct, frozen=True):
    """What was done with an order; without a member it is kept as a guest's, and may be attached later."""

    order: str
    member: str | None
    is_duplicate: bool = False
    version: int = 0
    awards: list[AwardOut] = []
    perks: list[str] = []
    accounts: dict[str, AccountOut] = {}


class BatchItemOut(msgspec.Struct, frozen=True):
    """What became of one order of many: its answer, or its problem."""

    id: str
    status: int
    answer: OrderOut | None = None
    problem: dict[str, object] | None = None


class BatchOut(msgspec.Struct, frozen=True):
    """One item for each that was sent, in the same order."""

    items: list[BatchItemOut]


class MovedOut(msgspec.Struct, frozen=True):
    """What was done with a member's value."""

    member: str
    amount: int
    accounts: dict[str, AccountOut]


class LotOut(msgspec.Struct, frozen=True):
    """Value that came in together and ends together; never ending without a date."""

    lot: str
    unit: str
    remaining: int
    active_from: datetime | None
    expires_at: datetime | None


class MemberOut(msgspec.Struct, frozen=True):
    """A member as they stand; ``lots`` only where they are asked for."""

    id: str
    status: str
    enrolled_at: datetime
    accounts: dict[str, AccountOut]
    tiers: dict[str, str]
    orders: int
    lots: list[LotOut] | UnsetType = UNSET


def accounts_of(accounts: Mapping[UnitId, Standing]) -> dict[str, AccountOut]:
    """What is held of each unit."""
    return {unit: AccountOut(held.active, held.pending, held.held, held.debt) for unit, held in accounts.items()}


def told(key: str, outcome: Outcome) -> OrderOut:
    """What was done with an order."""
    record = outcome.record
    awards = [AwardOut(award.rule, award.unit, award.amount) for award in record.awards]
    accounts = accounts_of(outcome.accounts)
    return OrderOut(key, str(outcome.member_id), outcome.is_duplicate, record.version, awards, list(record.perks), accounts)


def member_out(stored: StoredMember, is_with_lots: bool = False) -> MemberOut:
    """A member as they stand."""
    snapshot = stored.snapshot
    member = snapshot.member
    lots = [LotOut(lot.id, lot.unit, lot.remaining, time_of(lot.active_from), time_of(lot.expires_at)) for lot in member.lots]
    return MemberOut(
        str(stored.member_id),
        stored.status,
        moment(stored.enrolled_at, _UTC),
        accounts_of(snapshot.accounts),
        dict(member.tiers),
        member.orders,
        lots if is_with_lots else UNSET,
    )


def order_of(said: OrderIn, source: str, id: str) -> Order:
    """The order that was told. Raises ``Invalid`` for times beyond any shop's."""
    sequence = said.sequence
    if sequence is None:
        sequence = 1 if said.updated_at is None else max(1, instant_of(said.updated_at, "updated_at"))
    order = cart_of(said, source, instant_of(said.placed_at, "placed_at"), id)
    return msgspec.structs.replace(order, sequence=sequence, refunded=said.refunded)


def cart_of(said: CartIn, source: str, now: Instant, id: str = "cart") -> Order:
    """A cart, as an order that would be placed now."""
    lines = [
        Line(
            line.id,
            line.sku,
            line.quantity,
            line.amount,
            line.discount,
            line.kind,
            tuple(line.categories),
            line.tax,
            line.tax_included,
            line.cost,
            line.parent,
        )
        for line in said.lines
    ]
    rate = None if said.rate is None else Rate(said.rate.numerator, said.rate.denominator, said.rate.source)
    return Order(
        OrderId(id),
        now,
        said.currency,
        tuple(lines),
        said.scale,
        source=source,
        channel=said.channel,
        country=said.country,
        discount=said.discount,
        rate=rate,
        codes=tuple(said.codes),
    )


def instant_of(at: datetime, place: str) -> Instant:
    """The instant of a time. Raises ``Invalid`` before 1990 and after 2200."""
    if not 1990 <= at.year <= 2200:
        raise Invalid(Problem(place, f"{at.isoformat()} lies beyond 1990 to 2200", "see whether the year was meant"))
    return instant(at)


def time_of(at: Instant) -> datetime | None:
    """A time as it is told; never is nothing."""
    return None if at >= NEVER else moment(at, _UTC)
