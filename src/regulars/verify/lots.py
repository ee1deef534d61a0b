"""Lots: what entries put into each and took out of it is what it holds, and all lots together are the balance.

Invariant: a unit in a member's pending or active account lies in exactly one lot, and an entry says which.
"""

from collections import Counter, defaultdict
from typing import Any

from regulars.verify.entries import flows
from regulars.verify.reading import Member
from regulars.verify.report import Check

_HINT = "compare the entries and allocations of this lot with the facts that caused them"


def check() -> Check:
    """The check, empty."""
    return Check("lots", "each lot holds what entries put in less what they took out; lots, holds and debts sum to the balance")


def judge(check: Check, member: Member) -> None:
    """All lots of one member: entries, rows and snapshot tell the same."""
    derived = _derived(check, member)
    rows = {(row["unit"], row["lot"]): row for row in member.lots}
    open_lots = {(lot.get("unit"), lot.get("id")): lot for lot in member.state.get("lots", [])}
    check.saw("lots", len(rows))
    for key in sorted(derived.keys() | rows.keys() | open_lots.keys(), key=str):
        where = f"{member.where}, lot {key[1]} of {key[0]}"
        expected = [derived[key]["pending"], derived[key]["active"]] if key in derived else [0, 0]
        row = rows.get(key)
        if row is None:
            # one that came and went with a single late fact never stood open, and has no row
            check.compare("row", where, "what a lot without a row holds by the entries (pending, active)", [0, 0], expected, _HINT)
            if key in open_lots:
                check.add("row", where, "the row of a lot in the snapshot", "a row", "none", _HINT)
            continue
        check.compare("row", where, "what the row holds (pending, active)", expected, [row["pending"], row["active"]], _HINT)
        _judge_open(check, where, row, open_lots.get(key))
    _judge_sums(check, member)


def _derived(check: Check, member: Member) -> dict[tuple[str, str], Counter[str]]:
    """What lies in each lot by the entries: by the lot that the entry names, or else by its allocations."""
    parts: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for row in member.allocations:
        parts[row["unit"], row["seq"]].append(row)
    check.saw("allocations", len(member.allocations))
    lots: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for account, unit, signed, entry in flows(member.transfers):
        own = parts.get((unit, entry["seq"]), [])
        if account in ("member.pending", "member.active"):
            for lot, amount in [(entry["lot"], abs(signed))] if entry["lot"] else [(part["lot"], part["amount"]) for part in own]:
                lots[unit, lot][account.removeprefix("member.")] += amount if signed > 0 else -amount
            if not entry["lot"]:
                where = f"{member.where}, {unit}, entry {entry['seq']}"
                total = sum(part["amount"] for part in own)
                check.compare(
                    "allocated", where, "what its allocations sum to", entry["amount"], total, "an entry without a lot names all of them"
                )
    _judge_allocations(check, member, parts)
    return lots


def _judge_allocations(check: Check, member: Member, parts: dict[tuple[str, int], list[Any]]) -> None:
    """Allocations belong to an entry that names no lot itself, and were recorded with it."""
    entries = {(row["unit"], row["seq"]): row for row in member.transfers}
    for (unit, seq), own in parts.items():
        entry = entries.get((unit, seq))
        where = f"{member.where}, {unit}, allocations of entry {seq}"
        if entry is None:
            check.add("loose", where, "the entry that they belong to", "an entry", "none", _HINT)
        elif entry["lot"]:
            check.add("loose", where, "an entry that names a lot has no allocations", "none", len(own), _HINT)
        elif any(part["recorded_at"] != entry["recorded_at"] for part in own):
            found = sorted({part["recorded_at"] for part in own})
            check.add("loose", where, "the instant they were recorded", entry["recorded_at"], found, _HINT)


def _judge_open(check: Check, where: str, row: Any, lot: dict[str, Any] | None) -> None:
    """The member's snapshot holds exactly the lots with something in them, with the same dates."""
    held = row["pending"] + row["active"]
    if lot is None:
        check.compare("snapshot", where, "what the row holds of a lot that the snapshot does not name", 0, held, _HINT)
        return
    if held == 0 and lot.get("remaining", 0) == 0:
        return
    told = [lot.get("remaining"), 0] if lot.get("is_pending", False) else [0, lot.get("remaining")]
    check.compare("snapshot", where, "what the snapshot says it holds (pending, active)", [row["pending"], row["active"]], told, _HINT)
    dates = ("earned_at", "active_from", "expires_at")
    check.compare(
        "dates", where, f"its dates in the snapshot ({', '.join(dates)})", [row[d] for d in dates], [lot.get(d) for d in dates], _HINT
    )


def _judge_sums(check: Check, member: Member) -> None:
    """Open lots are the balance; open holds are what is held; the state's debt is the account's."""
    lots: dict[str, Counter[str]] = defaultdict(Counter)
    for row in member.lots:
        lots[row["unit"]]["pending"] += row["pending"]
        lots[row["unit"]]["active"] += row["active"]
    held: Counter[str] = Counter()
    for hold in member.state.get("holds", []):
        held[hold["redemption"]["unit"]] += hold["redemption"]["amount"]
    debt = member.state.get("debt", {})
    accounts = {row["unit"]: row for row in member.accounts}
    for unit in sorted(lots.keys() | held.keys() | debt.keys() | accounts.keys()):
        where = f"{member.where}, {unit}"
        row = accounts.get(unit)
        found = [row["pending"], row["active"], row["held"], -row["debt"]] if row else [0, 0, 0, 0]
        expected = [lots[unit]["pending"], lots[unit]["active"], held[unit], debt.get(unit, 0)]
        check.compare("sum", where, "the account (pending, active, held, debt) against open lots, holds and debts", expected, found, _HINT)
