"""Effects: what follows from a decision, as data. Value moves by transfers; the rest is named here."""

import msgspec

from regulars.kernel.ids import RuleId
from regulars.kernel.time import Instant
from regulars.ledger.transfers import Transfer


class ChangeTier(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Move the member to ``level`` of ``ladder``."""

    ladder: str
    level: str
    previous: str
    value_at: Instant


class GrantPerk(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Put the perk of ``rule`` (a gift or service) into the order."""

    rule: RuleId
    order_key: str
    value_at: Instant


class RevokePerk(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Take that perk out of it again."""

    rule: RuleId
    order_key: str
    value_at: Instant


Effect = Transfer | ChangeTier | GrantPerk | RevokePerk
