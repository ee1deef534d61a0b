"""Commitments: what is granted stands - value that pays, value held for an order that is not placed yet, value given or taken by hand.

Invariant (laws 7, 9, 11): an undecided commitment is granted what the rules of this moment allow, or refused with a reason; one that was
granted is never decided again, and what no lot covers by then follows the policy for shortfalls.
"""

import msgspec

from regulars.kernel.time import Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Lot, active_balance
from regulars.programme.definition import Version
from regulars.programme.desk import Desk, own_id
from regulars.programme.dossier import Dossier, HoldEnd, OrderBook
from regulars.programme.facts import HoldCaptured, HoldReleased, ValueAdjusted, ValueHeld, ValueRedeemed
from regulars.programme.mechanics import points
from regulars.programme.member import Hold, Redemption
from regulars.programme.orders import settled
from regulars.programme.reasons import Reason

# --- value that pays ------------------------------------------------------------------------------------------------------------


def redeem(desk: Desk, book: OrderBook | None, fact: ValueRedeemed) -> None:
    """Let units pay towards an order, or say why not."""
    redemption = _promised(desk, book, fact)
    if redemption is not None:
        _pay(desk, book or OrderBook(fact.order_key), desk.pay(redemption, redemption.amount, fact.order_key))


def hold(desk: Desk, dossier: Dossier, fact: ValueHeld) -> None:
    """Set units aside for an order, or say why not."""
    redemption = None
    if dossier.hold is not None or any(other.id == fact.hold for other in desk.member.holds):
        desk.granted = 0
        desk.refuse(Reason.ALREADY_HELD, fact.hold)
    elif fact.granted is None and fact.expires_at <= desk.at:
        desk.granted = 0
        desk.refuse(Reason.HOLD_EXPIRED, fact.hold)
    else:
        redemption = _promised(desk, dossier.order, fact)
    if redemption is not None:
        paid = desk.pay(redemption, redemption.amount, fact.order_key, Account.HELD)
        desk.open_hold(Hold(fact.hold, fact.order_key, paid, fact.expires_at))


def _promised(desk: Desk, book: OrderBook | None, fact: ValueRedeemed | ValueHeld) -> Redemption | None:
    """What ``fact`` may take, not taken yet; None when it is refused. A recorded outcome stands, whatever is known by now (law 7)."""
    version = desk.programme.at(desk.at)
    assert version is not None
    desk.version = version
    desk.granted = fact.granted or 0
    purse = version.purses.get(fact.unit)
    if purse is None:
        desk.refuse(Reason.NOT_SPENDABLE if fact.unit in version.units else Reason.UNIT_UNKNOWN, fact.unit)
    elif book is not None and book.redemption is not None:
        desk.granted = 0
        desk.refuse(Reason.ALREADY_REDEEMED, fact.order_key)
    elif any(other.order_key == fact.order_key for other in desk.member.holds):
        desk.granted = 0
        desk.refuse(Reason.ALREADY_HELD, fact.order_key)
    elif fact.granted is None and desk.member.status != "active":
        desk.refuse(Reason.MEMBER_NOT_ACTIVE, desk.member.id, status=desk.member.status)
    elif fact.granted is None and book is not None and book.state is not None:
        desk.refuse(Reason.ORDER_PLACED, fact.order_key)
    elif fact.granted is None:
        desk.granted = _granted(desk, purse, fact)
    if purse is None or not desk.granted:
        return None
    return Redemption(fact.unit, desk.granted, purse.money(desk.granted), version.number)


def _granted(desk: Desk, purse: points.Purse, fact: ValueRedeemed | ValueHeld) -> int:
    balance = active_balance(desk.member.lots, fact.unit)
    refusal = points.refused(purse, fact.amount, balance, fact.payable)
    if refusal is None:
        return fact.amount
    desk.refusal = refusal
    most, _ = points.allowed(purse, balance, fact.payable)
    return most if desk.version.policies.over_redeem == "clamp" and fact.amount > most else 0


def _pay(desk: Desk, book: OrderBook, redemption: Redemption) -> None:
    """``redemption`` pays for the order of ``book``; an order that is stated already is settled anew."""
    desk.order = msgspec.structs.replace(book, redemption=redemption)
    if book.state is not None:
        desk.version = desk.programme.numbered(book.version)
        desk.order = settled(desk, desk.order, book.state)


# --- the two deliberate ends of a hold ------------------------------------------------------------------------------------------


def capture(desk: Desk, dossier: Dossier, fact: HoldCaptured) -> None:
    """The hold pays its order exactly as it was quoted, with all of its units or some; the others come back (laws 11 and 14)."""
    open_hold = _open(desk, dossier, fact)
    if open_hold is None:
        return
    held = open_hold.redemption
    amount = held.amount if fact.amount is None else fact.amount
    if fact.granted is None:
        purse = desk.programme.numbered(held.version).purses[held.unit]
        if not 0 < amount <= held.amount:
            desk.refuse(Reason.ABOVE_BALANCE, fact.hold, amount=amount, balance=held.amount)
        elif amount < held.amount and amount % purse.step:
            desk.refuse(Reason.NOT_A_STEP, fact.hold, step=purse.step)
        else:
            desk.granted = amount
    if not desk.granted:
        return
    captured = _captured(desk, open_hold, desk.granted)
    _pay(desk, dossier.order or OrderBook(open_hold.order_key), captured)


def _captured(desk: Desk, open_hold: Hold, amount: int) -> Redemption:
    """``amount`` units of the hold as the payment of its order; the hold has ended."""
    held, cause = open_hold.redemption, open_hold.order_key
    desk.end_hold(open_hold, "captured")
    if amount < held.amount:
        purse = desk.programme.numbered(held.version).purses[held.unit]
        held = desk.give_back(held, held.amount - amount, cause, Account.HELD)
        held = msgspec.structs.replace(held, amount=amount, money=purse.money(amount))
    desk.move(Movement.CAPTURE, held.unit, Account.HELD, Account.REDEEMED, amount, cause)
    return held


def release(desk: Desk, dossier: Dossier, fact: HoldReleased) -> None:
    """The hold is given up: its value returns to its lots with their dates."""
    open_hold = _open(desk, dossier, fact)
    if open_hold is None:
        return
    if fact.granted is None:
        desk.granted = open_hold.redemption.amount
    if desk.granted:
        desk.end_hold(open_hold, "released")


def _open(desk: Desk, dossier: Dossier, fact: HoldCaptured | HoldReleased) -> Hold | None:
    """The open hold that ``fact`` names; None, and the reason, when it has ended or never was."""
    desk.version = desk.programme.at(desk.at) or desk.version
    for other in desk.member.holds:
        if other.id == fact.hold:
            desk.granted = fact.granted or 0
            return other
    desk.granted = 0
    desk.refuse(_ENDED[dict(desk.ended).get(fact.hold, dossier.hold)], fact.hold)
    return None


_ENDED: dict[HoldEnd | None, Reason] = {
    "captured": Reason.HOLD_CAPTURED,
    "released": Reason.HOLD_RELEASED,
    "expired": Reason.HOLD_EXPIRED,
    None: Reason.HOLD_UNKNOWN,
}


# --- by hand --------------------------------------------------------------------------------------------------------------------


def adjust(desk: Desk, fact: ValueAdjusted) -> None:
    """Give or take units by hand, or say why not."""
    version = desk.programme.at(desk.at)
    assert version is not None
    desk.version = version
    desk.granted = fact.granted or 0
    balance = active_balance(desk.member.lots, fact.unit)
    if fact.unit not in version.units:
        desk.granted = 0
        desk.refuse(Reason.UNIT_UNKNOWN, fact.unit)
    elif fact.granted is None and desk.member.is_gone:
        desk.refuse(Reason.MEMBER_CLOSED, desk.member.id, status=desk.member.status)
    elif fact.granted is None and -fact.amount > balance:
        desk.refuse(Reason.ABOVE_BALANCE, fact.unit, amount=-fact.amount, balance=balance)
    elif fact.granted is None:
        desk.granted = fact.amount
    cause = f"adjustment:{fact.id}"
    if desk.granted > 0:
        active_from, expires_at = _life(version, fact, desk.at)
        lot = Lot(own_id(cause, fact.unit), fact.unit, desk.granted, desk.at, active_from, expires_at)
        desk.credit(lot, Movement.ADJUSTMENT, Account.ADJUSTED, cause)
    elif desk.granted < 0:
        desk.debit(Movement.ADJUSTMENT, fact.unit, -desk.granted, Account.ADJUSTED, cause)


def _life(version: Version, fact: ValueAdjusted, at: Instant) -> tuple[Instant, Instant]:
    """Usable at once, and as long as the unit lives."""
    unit = msgspec.structs.replace(version.units[fact.unit], activation=None)
    return points.lot_dates(unit, at, version.zone, version.is_exact)
