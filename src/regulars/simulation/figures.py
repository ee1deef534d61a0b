"""Figures: what a replay counts, and how the counts of many members become one.

Invariant: per unit, what was issued is what was clawed back, spent, expired, written off and what members hold; `reconciliation` sums to
zero from two independent sides, the transfers and the members' open lots.
"""

from collections import Counter
from datetime import date
from functools import cache
from typing import Any

import msgspec

from regulars.kernel.ids import UnitId
from regulars.kernel.time import months_between
from regulars.ledger.accounts import Account
from regulars.programme.definition import Programme
from regulars.programme.member import MemberState


class UnitFigures(msgspec.Struct):
    """One unit's figures. ``redeemed`` is everything that ever paid, ``given_back`` what of it came back with returned goods."""

    issued: int = 0
    clawed_back: int = 0
    redeemed: int = 0
    given_back: int = 0
    redemptions: int = 0
    redeemed_minor: int = 0
    expired: int = 0
    written_off: int = 0
    outstanding: int = 0
    pending: int = 0
    owed: int = 0
    members_with_points: int = 0

    def add(self, other: "UnitFigures") -> None:
        """Count ``other`` too."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))

    def reconciliation(self) -> dict[str, int]:
        """Signed items that sum to zero."""
        return {
            "issued": self.issued,
            "clawed_back": -self.clawed_back,
            "redeemed": -self.redeemed,
            "given_back": self.given_back,
            "expired": -self.expired,
            "written_off": self.written_off,
            "owed": self.owed,
            "outstanding": -self.outstanding,
        }


class Drawn(msgspec.Struct, frozen=True):
    """A limit: the ``most`` that there is of it, and how much of that orders hold at the end."""

    most: int
    drawn: int


class Figures(msgspec.Struct):
    """What a replay counted."""

    orders: int = 0
    members: int = 0
    revenue_minor: int = 0
    discount_minor: int = 0
    perks: int = 0
    members_with_perks: int = 0
    orders_without_points: int = 0
    returned_units_matched: int = 0
    returned_units_unmatched: int = 0
    orders_fully_returned: int = 0
    orders_after_as_of: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    ladders: dict[str, Counter[str]] = {}
    units: dict[UnitId, UnitFigures] = {}
    limits: dict[str, Drawn] = {}
    flows: Counter[tuple[UnitId, Account, Account, int, int]] = msgspec.field(default_factory=Counter)
    """Amounts moved, by unit, from, to, year and month of the value date; `settle_flows` turns them into figures."""

    months: dict[UnitId, dict[tuple[int, int], Counter[str]]] = {}
    """What moved, by unit, year and month."""

    def unit(self, unit: UnitId) -> UnitFigures:
        """The figures of ``unit``."""
        found = self.units.get(unit)
        if found is None:
            found = self.units[unit] = UnitFigures()
        return found

    def close_member(self, member: MemberState) -> None:
        """Count what ``member`` holds at the end."""
        self.members += 1
        for ladder, level in member.tiers.items():
            self.ladders.setdefault(ladder, Counter())[level] += 1
        holding = set()
        for lot in member.lots:
            figures = self.unit(lot.unit)
            figures.outstanding += lot.remaining
            if lot.is_pending:
                figures.pending += lot.remaining
            holding.add(lot.unit)
        for unit in holding:
            self.unit(unit).members_with_points += 1
        for unit, owed in member.debt.items():
            self.unit(unit).owed += owed

    def settle_flows(self) -> None:
        """Turn the moves counted so far into figures and months."""
        for (unit, source, target, year, month), amount in self.flows.items():
            figures, months = self.unit(unit), self.months.setdefault(unit, {})
            in_month = months.setdefault((year, month), Counter())
            for name, sign in _meaning(source, target):
                setattr(figures, name, getattr(figures, name) + sign * amount)
                in_month[name] += sign * amount
        self.flows.clear()

    def add(self, other: "Figures") -> None:
        """Count ``other`` too."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused.update(other.refused)
        for ladder, levels in other.ladders.items():
            self.ladders.setdefault(ladder, Counter()).update(levels)
        for unit, figures in other.units.items():
            self.unit(unit).add(figures)
        for unit, months in other.months.items():
            for month, counts in months.items():
                self.months.setdefault(unit, {}).setdefault(month, Counter()).update(counts)

    def report(self, programme: Programme, as_of: date) -> dict[str, Any]:
        """Plain data: the figures of the latest version's first unit on top, those of every unit of any version under `units`."""
        version = programme.latest
        units = list(dict.fromkeys(unit for of in reversed(programme.versions) for unit in of.units))
        main = units[0] if units else None
        first = self.unit(main) if main is not None else UnitFigures()
        names: dict[str, list[str]] = {}
        for of in reversed(programme.versions):
            for id, rungs in of.ladders.items():
                names.setdefault(id, []).extend(name for name in rungs.names if name not in names.get(id, []))
        ladders = {id: {level: self.ladders.get(id, Counter())[level] for level in levels} for id, levels in names.items()}
        return {
            "programme": version.document.programme,
            "version": version.number,
            "currency": version.currency,
            "as_of": as_of.isoformat(),
            "unit": main,
            **{name: getattr(self, name) for name in ("orders", "members", "revenue_minor", "discount_minor")},
            **msgspec.structs.asdict(first),
            **{name: getattr(self, name) for name in _COUNTS[4:]},
            "tiers": next(iter(ladders.values()), {}),
            "ladders": ladders,
            "refused": dict(sorted(self.refused.items())),
            **({"limits": msgspec.to_builtins(self.limits)} if self.limits else {}),
            "reconciliation": first.reconciliation(),
            "units": {
                unit: {
                    **msgspec.structs.asdict(self.unit(unit)),
                    "reconciliation": self.unit(unit).reconciliation(),
                    "months": self._roll_forward(unit),
                }
                for unit in units
            },
        }

    def _roll_forward(self, unit: UnitId) -> list[dict[str, Any]]:
        """Month by month: what was issued, taken back, spent and expired, and what stood at the end."""
        months = self.months.get(unit, {})
        if not months:
            return []
        rows, standing = [], 0
        first, last = (date(year, month, 1) for year, month in (min(months), max(months)))
        for label in months_between(first, last):
            moved = months.get((int(label[:4]), int(label[5:])), Counter())
            standing += sum(sign * moved[name] for name, sign in _FLOWS.items())
            rows.append({"month": label, **{name: moved[name] for name in _FLOWS}, "standing": standing})
        return rows


_FLOWS = {"issued": 1, "clawed_back": -1, "redeemed": -1, "given_back": 1, "expired": -1, "written_off": 1}
"""What raises (1) and what lowers (-1) the units that stand with members."""

_COUNTS = (
    "orders",
    "members",
    "revenue_minor",
    "discount_minor",
    "perks",
    "members_with_perks",
    "orders_without_points",
    "returned_units_matched",
    "returned_units_unmatched",
    "orders_fully_returned",
    "orders_after_as_of",
)


@cache
def _meaning(source: Account, target: Account) -> tuple[tuple[str, int], ...]:
    """The figures that a move from ``source`` to ``target`` changes, and which way."""
    found = []
    if source is Account.ISSUED:
        found.append(("issued", 1))
    if Account.CLAWED_BACK in (source, target):
        found.append(("clawed_back", 1 if target is Account.CLAWED_BACK else -1))
    if target is Account.REDEEMED:
        found.append(("redeemed", 1))
    if source is Account.REDEEMED:
        found.append(("given_back", 1))
    if target is Account.EXPIRED:
        found.append(("expired", 1))
    if Account.WRITTEN_OFF in (source, target):
        found.append(("written_off", 1 if source is Account.WRITTEN_OFF else -1))
    return tuple(found)
