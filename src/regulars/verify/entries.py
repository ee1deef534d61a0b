"""The ledger: entries continue each other without a gap, end where the accounts stand, and sum to zero.

Invariant: balances are recomputed from amounts alone; no stored balance is believed.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from regulars.verify.reading import Member, Row
from regulars.verify.report import Check

PLACES = ("pending", "active", "held", "debt")
_RESTORE = "restore from a backup of before the change, or find who changed it: entries are only ever added"


def check() -> Check:
    """The check, empty."""
    return Check("entries", "entries continue without a gap, end where the accounts stand, and sum to zero")


class Sums:
    """What all accounts of a merchant hold, by unit: members by their account rows, the house by the entries."""

    def __init__(self) -> None:
        """All zero."""
        self.members: Counter[str] = Counter()
        self.house: Counter[str] = Counter()
        self.merged: Counter[str] = Counter()

    def conclude(self, check: Check, merchant: int) -> None:
        """Each unit sums to zero over all accounts (law 19)."""
        for unit in sorted(self.members.keys() | self.house.keys()):
            check.saw("units")
            where = f"merchant {merchant}, unit {unit}"
            total = self.members[unit] + self.house[unit]
            check.compare("sum", where, "all accounts together, members and house", 0, total, "see the other findings of this unit")
            hint = "what a merge took from one member reaches the other, and an undone merge brings it back (law 25)"
            check.compare("merged", where, "what merges moved, on its way between members", 0, self.merged[unit], hint)


def judge(check: Check, member: Member, sums: Sums) -> None:
    """All accounts of one member."""
    facts = {fact.seq: fact.row["recorded_at"] for fact in member.facts}
    stored = {row["unit"]: row for row in member.accounts}
    told = member.snapshot.get("accounts", {})
    units = {row["unit"] for row in member.transfers} | stored.keys() | told.keys()
    by_unit = {unit: list(rows) for unit, rows in groupby(member.transfers, key=lambda row: row["unit"])}
    for unit in sorted(units):
        rows = by_unit.get(unit, [])
        check.saw("accounts")
        check.saw("entries", len(rows))
        where = f"{member.where}, {unit}"
        balance = _follow(check, where, rows)
        for row in rows:
            _caused(check, where, row, facts)
            for place, sign in ((row["source"], -1), (row["target"], 1)):
                if place.startswith("house."):
                    sums.house[unit] += sign * row["amount"]
                if place == "house.merged":
                    sums.merged[unit] += sign * row["amount"]
        last = [len(rows), rows[-1]["recorded_at"] if rows else None]
        account = stored.get(unit)
        found = [account[name] for name in (*PLACES, "seq", "recorded_at")] if account else None
        hint = "the account row was changed without an entry, or entries are missing"
        check.compare(
            "account", where, "the account row (pending, active, held, debt, last entry and its instant)", [*balance, *last], found, hint
        )
        check.compare("snapshot", where, "the account in the member's snapshot", [*balance, len(rows)], told.get(unit), hint)
        if account:
            sums.members[unit] += sum(account[place] for place in PLACES)


def _follow(check: Check, where: str, rows: list[Row]) -> list[int]:
    """The balances after the last entry, by the amounts alone."""
    balance = dict.fromkeys(PLACES, 0)
    last = 0
    for row in rows:
        place = f"{where}, entry {row['seq']}"
        if row["seq"] == last:
            check.add("twice", place, "two entries of one account have the same number", last + 1, row["seq"], _RESTORE)
        elif row["seq"] != last + 1:
            check.add("gap", place, "entries are missing before it", last + 1, row["seq"], _RESTORE)
        last = row["seq"]
        for side, sign in ((row["source"], -1), (row["target"], 1)):
            if side.startswith("member."):
                balance[side.removeprefix("member.")] += sign * row["amount"]
        after = [row[name] for name in PLACES]
        check.compare(
            "balance", place, "what the account holds after it (pending, active, held, debt)", list(balance.values()), after, _RESTORE
        )
        for name, amount in balance.items():
            if (amount > 0) if name == "debt" else (amount < 0):
                rule = "0 or less" if name == "debt" else "0 or more"
                check.add("negative", place, f"{name} after it", rule, amount, "an account never goes below zero but by a debt")
    return list(balance.values())


def _caused(check: Check, where: str, row: Row, facts: dict[int, int]) -> None:
    place = f"{where}, entry {row['seq']}"
    if row["fact_seq"] not in facts:
        found = f"fact {row['fact_seq']}, which does not exist"
        check.add("fact", place, "the fact that caused it", "a fact of this member", found, "every entry names its fact (law 20)")
    else:
        hint = "an entry is recorded together with its fact, in the same month"
        check.compare("moment", place, "the instant it was recorded", facts[row["fact_seq"]], row["recorded_at"], hint)


def flows(rows: list[Row]) -> Iterator[tuple[str, str, int, Row]]:
    """Each side of each entry: the account, its unit, the signed amount, and the entry."""
    for row in rows:
        yield row["source"], row["unit"], -row["amount"], row
        yield row["target"], row["unit"], row["amount"], row
