"""Transfers: one balanced movement each, from the account it debits to the account it credits.

Invariant: a transfer cannot be unbalanced, because its one amount is taken from one account and given to the other.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from regulars.kernel.ids import LotId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import LOT_ACCOUNTS, Account, Movement
from regulars.ledger.lots import Allocation


class Transfer(msgspec.Struct, frozen=True, gc=False, tag=True, omit_defaults=True):
    """``amount`` (> 0) of ``unit`` from ``source`` to ``target``, in force from ``value_at``.

    ``cause`` names the order or commitment behind it; ``lot`` the one lot it opens, fills or closes; ``allocations`` say how much
    came from (or went back to) which lot where there are several.
    """

    movement: Movement
    unit: UnitId
    source: Account
    target: Account
    amount: int
    value_at: Instant
    cause: str
    lot: LotId | None = None
    allocations: tuple[Allocation, ...] = ()

    def by_lot(self) -> list[tuple[LotId | None, int]]:
        """How much of it concerns which lot; None for what lies in no lot."""
        return [(part.lot.id, part.amount) for part in self.allocations] or [(self.lot, self.amount)]


def balances(transfers: Iterable[Transfer]) -> Counter[tuple[UnitId, Account]]:
    """What the transfers leave on each (unit, account)."""
    sums: Counter[tuple[UnitId, Account]] = Counter()
    for transfer in transfers:
        sums[transfer.unit, transfer.source] -= transfer.amount
        sums[transfer.unit, transfer.target] += transfer.amount
    return sums


def lot_balances(transfers: Iterable[Transfer]) -> Counter[LotId]:
    """What the transfers leave in each lot; closed lots are not among them."""
    sums: Counter[LotId] = Counter()
    for transfer in transfers:
        change = (transfer.target in LOT_ACCOUNTS) - (transfer.source in LOT_ACCOUNTS)
        for lot, amount in transfer.by_lot():
            if lot is not None:
                sums[lot] += change * amount
    return Counter({lot: amount for lot, amount in sums.items() if amount})
