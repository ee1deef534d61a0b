"""The statement: a member's history as lines with a running balance, and the proof that it adds up.

Invariant: the last line of a statement is the balance, and the balance is the sum of the open lots.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from regulars.kernel.ids import UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Lot, active_balance, pending_balance
from regulars.ledger.transfers import Transfer, balances


class Line(msgspec.Struct, frozen=True):
    """One movement as the member meets it: what changed, and what they hold after it."""

    value_at: Instant
    movement: Movement
    unit: UnitId
    active_change: int
    pending_change: int
    active: int
    pending: int
    cause: str
    held_change: int = 0
    held: int = 0


def statement(transfers: Iterable[Transfer], unit: UnitId) -> list[Line]:
    """The lines of one unit in the order of posting."""
    lines, active, pending, held = [], 0, 0, 0
    for transfer in transfers:
        if transfer.unit != unit:
            continue
        by_active = _change(transfer, Account.ACTIVE)
        by_pending = _change(transfer, Account.PENDING)
        by_held = _change(transfer, Account.HELD)
        active += by_active
        pending += by_pending
        held += by_held
        lines.append(
            Line(transfer.value_at, transfer.movement, unit, by_active, by_pending, active, pending, transfer.cause, by_held, held)
        )
    return lines


def reconcile(
    transfers: Sequence[Transfer], lots: Iterable[Lot], debt: Mapping[UnitId, int], held: Mapping[UnitId, int] = {}
) -> dict[str, int]:
    """Differences between entries and what is open - lots, debts, holds - per ``unit/account``; empty when all adds up (law 19)."""
    lots = tuple(lots)
    sums = balances(transfers)
    units = {unit for unit, _ in sums} | {lot.unit for lot in lots} | set(debt) | set(held)
    differences = {}
    for unit in sorted(units):
        open_balances = {
            Account.ACTIVE: active_balance(lots, unit),
            Account.PENDING: pending_balance(lots, unit),
            Account.HELD: held.get(unit, 0),
            Account.DEBT: -debt.get(unit, 0),
        }
        for account, expected in open_balances.items():
            if sums[unit, account] != expected:
                differences[f"{unit}/{account}"] = sums[unit, account] - expected
        if total := sum(amount for (of, _), amount in sums.items() if of == unit):
            differences[f"{unit}/all"] = total
    return differences


def _change(transfer: Transfer, account: Account) -> int:
    return transfer.amount * ((transfer.target is account) - (transfer.source is account))
