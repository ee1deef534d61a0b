"""The chart of accounts: where units come from, where they lie, where they go.

Invariant: a member's accounts and the house's accounts of one unit always sum to zero, for nothing moves except from one to another.
"""

from enum import StrEnum


class Account(StrEnum):
    """A holder of a balance in one unit. The first four belong to a member, the others to the house."""

    PENDING = "member.pending"
    ACTIVE = "member.active"
    HELD = "member.held"
    """Set aside for an order that is not placed yet."""

    DEBT = "member.debt"
    """What a member owes after a return; the only member account that may stand below zero."""

    ISSUED = "house.issued"
    CLAWED_BACK = "house.clawed_back"
    REDEEMED = "house.redeemed"
    EXPIRED = "house.expired"
    WRITTEN_OFF = "house.written_off"
    ADJUSTED = "house.adjusted"
    MERGED = "house.merged"
    """Between two members who are one person: zero over both."""


class Movement(StrEnum):
    """The kinds of movement, by the words of the vocabulary."""

    ACCRUAL = "accrual"
    ACTIVATION = "activation"
    REDEMPTION = "redemption"
    REVERSAL = "reversal"
    REINSTATEMENT = "reinstatement"
    EXPIRY = "expiry"
    REPAYMENT = "repayment"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    ADJUSTMENT = "adjustment"
    MERGE = "merge"


MEMBER_ACCOUNTS = (Account.PENDING, Account.ACTIVE, Account.HELD, Account.DEBT)
LOT_ACCOUNTS = (Account.PENDING, Account.ACTIVE)
"""Those whose balance is the sum of open lots."""
