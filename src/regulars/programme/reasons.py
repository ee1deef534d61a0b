"""Reason codes: why something was refused, reduced or did not fire. Stable, for machines; texts put them into words."""

from enum import StrEnum

import msgspec

from regulars.kernel.texts import Argument


class Reason(StrEnum):
    """A stable code."""

    UNSOUND = "unsound"
    DUPLICATE = "duplicate"
    CONTENT_DIFFERS = "content_differs"
    OF_ANOTHER_MEMBER = "of_another_member"
    STALE = "stale"
    TOO_LATE = "too_late"
    IN_FUTURE = "in_future"
    NO_PROGRAMME_YET = "no_programme_yet"
    CURRENCY_WITHOUT_RATE = "currency_without_rate"
    UNIT_UNKNOWN = "unit_unknown"
    NOT_SPENDABLE = "not_spendable"
    ALREADY_REDEEMED = "already_redeemed"
    ORDER_PLACED = "order_placed"
    NO_BALANCE = "no_balance"
    BELOW_MINIMUM = "below_minimum"
    BELOW_MINIMUM_BALANCE = "below_minimum_balance"
    ABOVE_BALANCE = "above_balance"
    ABOVE_SHARE = "above_share"
    NOT_A_STEP = "not_a_step"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    OTHER_CHANNEL = "other_channel"
    CONDITION_UNMET = "condition_unmet"
    EXCLUDED_ITEMS = "excluded_items"
    CONFLICT = "conflict"
    NO_STEP = "no_step"
    NO_EFFECT = "no_effect"
    BUDGET_EXHAUSTED = "budget_exhausted"
    ALREADY_HELD = "already_held"
    HOLD_CAPTURED = "hold_captured"
    HOLD_RELEASED = "hold_released"
    HOLD_EXPIRED = "hold_expired"
    HOLD_UNKNOWN = "hold_unknown"
    MEMBER_NOT_ACTIVE = "member_not_active"
    MEMBER_CLOSED = "member_closed"
    MERGE_UNKNOWN = "merge_unknown"
    MERGE_NOT_LAST = "merge_not_last"


class Refusal(msgspec.Struct, frozen=True):
    """What was refused, by which rule or policy, and the figures that explain it."""

    reason: Reason
    subject: str
    args: dict[str, Argument] = {}
