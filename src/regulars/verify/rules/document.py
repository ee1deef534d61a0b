"""The programme document as it stands in the database: numbers, spans, versions, and the keys that this reading knows.

Invariant: a key that is not known here makes the order "not re-derived" under that key's name.
"""

from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

Data = dict[str, Any]

_DECIMALS = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"], 0
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""ISO 4217: the minor units of currencies that have not two decimals."""


class NotUnderstood(Exception):
    """A feature of the document that this reading does not know; its text is the feature's name."""


class Version(msgspec.Struct, frozen=True, dict=True):
    """One published version of a merchant's programme."""

    number: int
    applies_from: int
    document: Data

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of its days."""
        return ZoneInfo(self.document.get("time_zone", "UTC"))

    @property
    def currency(self) -> str:
        """The currency of its amounts."""
        return str(self.document["currency"])

    @cached_property
    def minor(self) -> int:
        """How many minor units one whole unit of its currency has."""
        return minor_of(self.currency)

    @property
    def rules(self) -> list[Data]:
        """Its rules."""
        return self.document.get("rules", [])  # type: ignore[no-any-return]

    @property
    def units(self) -> dict[str, Data]:
        """What it counts."""
        return self.document.get("units", {})  # type: ignore[no-any-return]

    @property
    def ladders(self) -> dict[str, Data]:
        """Its ladders of levels."""
        return self.document.get("tiers", {})  # type: ignore[no-any-return]

    def policy(self, name: str, default: Any) -> Any:
        """A policy, or what holds without a word."""
        return self.document.get("policies", {}).get(name, default)


class Span(msgspec.Struct, frozen=True):
    """A length of time in the calendar's words: ``months`` (years are twelve), ``days`` (weeks are seven) or ``hours``."""

    count: int
    unit: str


def minor_of(currency: str) -> int:
    """100 for most currencies."""
    return int(10 ** _DECIMALS.get(currency, 2))


@lru_cache(maxsize=1000)
def number(text: str | int) -> Fraction:
    """``12.50``, ``10`` or ``1/3``."""
    return Fraction(str(text).replace(" ", ""))


def span(text: str) -> Span:
    """``14 days``."""
    count, word = text.split()
    singular = word.removesuffix("s")
    times, unit = {"hour": (1, "hours"), "day": (1, "days"), "week": (7, "days"), "month": (1, "months"), "year": (12, "months")}[singular]
    return Span(int(count) * times, unit)


def known(data: Data, where: str, keys: Iterable[str]) -> None:
    """Raises ``NotUnderstood`` for a key that is none of ``keys``."""
    for key in data:
        if key not in keys:
            raise NotUnderstood(f"{where} key `{key}`")


def level_of(ladder: Data, spend: Fraction | int, minor: int) -> str:
    """The level that ``spend`` (in minor units) reaches."""
    reached = [level["id"] for level in ladder["levels"] if number(level["from"]) * minor <= spend]
    return str(reached[-1] if reached else ladder["levels"][0]["id"])


def rank(ladder: Data, level: str | None) -> int:
    """How high a level is; one that the ladder does not know is below all."""
    ids = [each["id"] for each in ladder["levels"]]
    return ids.index(level) if level in ids else -1
