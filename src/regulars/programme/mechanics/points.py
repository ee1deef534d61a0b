"""Points: how a unit is earned by an order, when it becomes usable, when it ends, and how much of it may pay.

Invariant: an award is rounded once per rule and order (or line), and nothing may be spent beyond balance, share, step and minimum.
"""

from fractions import Fraction
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from regulars.kernel.amount import Rounding, rounded
from regulars.kernel.ids import UnitId
from regulars.kernel.time import NEVER, Instant, Span, end_of_last_day, later
from regulars.programme.basis import Goods
from regulars.programme.policies import RoundingRule
from regulars.programme.reasons import Reason, Refusal

Positive = Annotated[int, Meta(ge=1)]


class Activation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an award becomes usable."""

    after: Annotated[Span, Meta(description="Waiting time from the order; until then the award is pending: shown, not spendable.")]


class Expiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    """When an award ends."""

    after: Annotated[Span, Meta(description="How long it lives.")]
    from_: Annotated[
        Literal["activation", "earning"], Meta(description="Whether its life is counted from activation or from the order.")
    ] = "activation"
    at_least: Annotated[Span | None, Meta(description="With `from: earning`: it lives at least this long after activation.")] = None


class Spending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the unit may pay for an order."""

    minimum: Annotated[int, Meta(ge=0, description="The least that one order may be paid with, in units.")] = 0
    minimum_balance: Annotated[int, Meta(ge=0, description="The balance a member needs before they may spend at all, in units.")] = 0
    step: Annotated[Positive | None, Meta(description="Only multiples of this many units may be spent.")] = None
    share_percent: Annotated[Fraction, Meta(description="The share of the order (after discounts) that units may pay.")] = Fraction(100)
    goods: Annotated[Goods | None, Meta(description="The goods that may be paid for; all counted goods when absent.")] = None


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is counted: points, stamps, cashback."""

    value: Annotated[Fraction | None, Meta(description="What one is worth when it pays, in the programme's currency, as `0.01`.")] = None
    rounding: Annotated[RoundingRule, Meta(description="How an award becomes a whole number of units.")] = RoundingRule()
    activation: Annotated[Activation | None, Meta(description="Absent: usable at once, that is from the next order.")] = None
    expiry: Annotated[Expiry | None, Meta(description="Absent: it never expires.")] = None
    spending: Annotated[Spending | None, Meta(description="Absent: it cannot pay for orders.")] = None


class Earning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a rule awards. Exactly one way: ``amount`` alone, ``amount`` with ``per``, ``rate``, or ``percent``."""

    unit: Annotated[UnitId, Meta(description="The unit that is awarded.")]
    amount: Annotated[Positive | None, Meta(description="So many units for the order; with `per`, for each whole `per` of the basis.")] = (
        None
    )
    per: Annotated[Fraction | None, Meta(description="Money, as `10.00`: the award counts each whole one of it.")] = None
    rate: Annotated[Fraction | None, Meta(description="Units for one whole unit of currency, in proportion, as `1.5` or `1/3`.")] = None
    percent: Annotated[Fraction | None, Meta(description="Units worth this percentage of the basis, by the unit's `value`.")] = None
    goods: Annotated[Goods | None, Meta(description="The goods that earn; all counted goods when absent.")] = None


class Tariff(msgspec.Struct, frozen=True):
    """An earning made ready, in integers: ``numerator / denominator`` units for each minor unit - of each whole step, where
    ``is_stepwise`` (then ``numerator`` units for each whole ``denominator / scale`` minor units); a flat ``numerator`` without denominator.
    """

    numerator: int
    denominator: int = 0
    scale: int = 1
    is_stepwise: bool = False

    @property
    def is_flat(self) -> bool:
        """The same for every order."""
        return not self.denominator

    def first_at(self, mode: Rounding) -> int:
        """The smallest basis, in whole minor units, that gives anything."""
        if self.is_flat or (mode is Rounding.UP and not self.is_stepwise):
            return 1
        if self.is_stepwise:
            return -(-self.denominator // self.scale)
        halves = 2 if mode is Rounding.HALF_UP else 1
        return -(-self.denominator // (halves * self.numerator))


def tariff(earning: Earning, minor: int, value_minor: Fraction | None) -> Tariff:
    """``earning`` in minor units: ``minor`` of them are one unit of currency, ``value_minor`` of them one unit of the award."""
    ratio = earning.rate / minor if earning.rate is not None else None
    if earning.percent is not None and value_minor:
        ratio = earning.percent / 100 / value_minor
    if ratio is not None:
        return Tariff(ratio.numerator, ratio.denominator)
    if earning.per is None:
        return Tariff(earning.amount or 0)
    per = earning.per * minor
    return Tariff(earning.amount or 0, per.numerator, per.denominator, is_stepwise=True)


def award(tariff: Tariff, basis: int, mode: Rounding) -> int:
    """Whole units for ``basis`` minor units. A flat amount needs a basis above zero; whole steps need no rounding."""
    if tariff.is_stepwise:
        return tariff.numerator * (basis * tariff.scale // tariff.denominator)
    if tariff.denominator:
        return rounded(basis * tariff.numerator, tariff.denominator, mode)
    return tariff.numerator if basis > 0 else 0


def exact_award(tariff: Tariff, basis: int) -> Fraction:
    """The same, not rounded."""
    if tariff.is_flat or tariff.is_stepwise:
        return Fraction(award(tariff, basis, Rounding.DOWN))
    return Fraction(basis * tariff.numerator, tariff.denominator)


def lot_dates(unit: Unit, earned_at: Instant, zone: ZoneInfo, is_exact: bool) -> tuple[Instant, Instant]:
    """From when an award made at ``earned_at`` is usable, and the first instant at which it is gone (law 1, law 5).

    ``is_exact``: spans end at the instant; otherwise after the whole last local day.
    """
    end = later if is_exact else end_of_last_day
    active_from = earned_at if unit.activation is None else end(earned_at, unit.activation.after, zone)
    if unit.expiry is None:
        return active_from, NEVER
    if unit.expiry.from_ == "activation":
        return active_from, end(active_from, unit.expiry.after, zone)
    expires_at = end(earned_at, unit.expiry.after, zone)
    at_least = active_from if unit.expiry.at_least is None else end(active_from, unit.expiry.at_least, zone)
    return active_from, max(expires_at, at_least)


class Purse(msgspec.Struct, frozen=True):
    """A unit's spending made ready: ``value`` minor units each, spent in multiples of ``step``, at most ``share`` of an order."""

    unit: UnitId
    value: Fraction
    step: int
    minimum: int
    minimum_balance: int
    share: Fraction
    goods: Goods | None = None

    def money(self, amount: int) -> int:
        """Minor units that ``amount`` units (a multiple of the step) pay."""
        return amount * self.value.numerator // self.value.denominator


def purse(id: UnitId, unit: Unit, minor: int) -> Purse | None:
    """The spending of ``unit`` in minor units (``minor`` to one unit of currency); None when it cannot pay."""
    if unit.spending is None or unit.value is None:
        return None
    value = unit.value * minor
    step = unit.spending.step or value.denominator
    return Purse(
        id, value, step, unit.spending.minimum, unit.spending.minimum_balance, unit.spending.share_percent / 100, unit.spending.goods
    )


def allowed(purse: Purse, balance: int, payable: int) -> tuple[int, Refusal | None]:
    """The most units that may pay for eligible goods of ``payable`` minor units, and what kept it from being the whole balance.

    The share is taken in whole minor units, rounded down; the units are the largest multiple of the step within it.
    """
    share = payable * purse.share.numerator // purse.share.denominator
    within = share * purse.value.denominator // purse.value.numerator
    most = min(balance, within) // purse.step * purse.step
    if balance <= 0:
        return 0, Refusal(Reason.NO_BALANCE, purse.unit)
    if balance < purse.minimum_balance:
        return 0, Refusal(Reason.BELOW_MINIMUM_BALANCE, purse.unit, {"balance": balance, "minimum": purse.minimum_balance})
    if most < max(purse.minimum, 1):
        return 0, Refusal(Reason.BELOW_MINIMUM, purse.unit, {"most": most, "minimum": max(purse.minimum, purse.step)})
    if most == balance:
        return most, None
    reason = Reason.ABOVE_SHARE if within < balance else Reason.NOT_A_STEP
    return most, Refusal(reason, purse.unit, {"most": most, "balance": balance, "step": purse.step})


def refused(purse: Purse, amount: int, balance: int, payable: int) -> Refusal | None:
    """Why ``amount`` units may not pay for eligible goods of ``payable`` minor units; None when they may (law 9)."""
    most, _ = allowed(purse, balance, payable)
    if 0 < amount <= most and amount >= purse.minimum and amount % purse.step == 0:
        return None
    args = {"amount": amount, "balance": balance, "most": most}
    if amount > balance:
        return Refusal(Reason.ABOVE_BALANCE, purse.unit, args)  # type: ignore[arg-type]
    if balance < purse.minimum_balance:
        return Refusal(Reason.BELOW_MINIMUM_BALANCE, purse.unit, {**args, "minimum": purse.minimum_balance})
    if amount < max(purse.minimum, 1):
        return Refusal(Reason.BELOW_MINIMUM, purse.unit, {**args, "minimum": max(purse.minimum, purse.step)})
    if amount % purse.step:
        return Refusal(Reason.NOT_A_STEP, purse.unit, {**args, "step": purse.step})
    return Refusal(Reason.ABOVE_SHARE, purse.unit, args)  # type: ignore[arg-type]
