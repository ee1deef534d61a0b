"""Time as a shop means it: instants are microseconds of UTC, days and months are those of the store's own zone.

Invariant: every instant belongs to exactly one local day, whatever its length (23, 24, 24.5 or 25 hours), and a local day begins at
the first instant that the zone calls by its date.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NewType
from zoneinfo import ZoneInfo

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z; comparable, and exact."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

BEGINNING = Instant(-(2**62))
"""Before every instant that a calendar can name."""
NEVER = Instant(2**62)
"""After every instant that a calendar can name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_QUARTER = HOUR // 4

SpanUnit = Literal["hours", "days", "weeks", "months", "years"]


class Span:
    """A stretch of calendar time such as ``6 months``; written and read as that text."""

    __slots__ = ("count", "unit")

    def __init__(self, count: int, unit: SpanUnit) -> None:
        """``count`` of ``unit``."""
        self.count = count
        self.unit = unit

    def __eq__(self, other: object) -> bool:
        """The same words, not the same length: 12 months are not 1 year."""
        return isinstance(other, Span) and (self.count, self.unit) == (other.count, other.unit)

    def __hash__(self) -> int:
        """By its words."""
        return hash((self.count, self.unit))

    def __repr__(self) -> str:
        """For debugging."""
        return f"Span({self.count}, {self.unit!r})"

    def __str__(self) -> str:
        """As the programme document writes it."""
        return f"{self.count} {self.unit[:-1] if self.count == 1 else self.unit}"


_LONGEST: dict[SpanUnit, int] = {"hours": 8_766_000, "days": 365_250, "weeks": 52_000, "months": 12_000, "years": 1_000}


def span(text: str) -> Span:
    """A span from ``"180 days"`` or ``"1 month"``, up to a thousand years. Raises ``ValueError`` for anything else."""
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*([a-z]+)\s*", text.lower())
    if found is not None:
        for unit in SpanUnit.__args__:  # type: ignore[attr-defined]
            if found[2] in (unit, unit[:-1]):
                if int(found[1]) > _LONGEST[unit]:
                    raise ValueError(f"{text!r} is longer than a thousand years")
                return Span(int(found[1]), unit)
    raise ValueError(f"{text!r} is not a span of time")


def is_zone(name: str) -> bool:
    """Whether ``name`` is an IANA time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def instant(moment: datetime) -> Instant:
    """The instant of an aware ``moment``; one without a zone is read as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Instant((aware - _EPOCH) // _MICROSECOND)


def moment(at: Instant, zone: ZoneInfo) -> datetime:
    """``at`` as a local date and time with its offset."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone)


def _day(at: Instant, zone: ZoneInfo) -> date:
    """A clock that is set back over midnight does not bring yesterday back."""
    day = moment(at, zone).date()
    tomorrow = day + timedelta(days=1)
    return tomorrow if start_of_day(tomorrow, zone) <= at else day


@lru_cache(maxsize=200_000)
def _day_of_quarter(quarter: int, zone: ZoneInfo) -> date | None:
    """The day of a whole quarter of an hour; None where a day ends within it, as in Newfoundland until 2011."""
    first, last = _day(Instant(quarter * _QUARTER), zone), _day(Instant((quarter + 1) * _QUARTER - 1), zone)
    return first if first == last else None


def local_day(at: Instant, zone: ZoneInfo) -> date:
    """The store's calendar day that ``at`` belongs to."""
    return _day_of_quarter(at // _QUARTER, zone) or _day(at, zone)


@lru_cache(maxsize=100_000)
def start_of_day(day: date, zone: ZoneInfo) -> Instant:
    """The first instant of ``day``; where midnight is skipped by the clock's change, the first one after it."""
    return instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def later_day(day: date, span: Span) -> date:
    """The day that lies ``span`` after ``day``; a month after 31 January is the last day of February."""
    if span.unit in ("months", "years"):
        months = day.month - 1 + span.count * (12 if span.unit == "years" else 1)
        year, month = day.year + months // 12, months % 12 + 1
        return date(year, month, min(day.day, monthrange(year, month)[1]))
    if span.unit == "hours":
        raise ValueError("a span of hours has no calendar day")
    return day + timedelta(days=span.count * (7 if span.unit == "weeks" else 1))


def later(at: Instant, span: Span, zone: ZoneInfo) -> Instant:
    """The instant ``span`` after ``at``: hours, days and weeks by the stopwatch (a day is 24 hours), months and years by the wall clock."""
    if span.unit == "hours":
        return Instant(at + span.count * HOUR)
    if span.unit == "days":
        return Instant(at + span.count * DAY)
    if span.unit == "weeks":
        return Instant(at + span.count * 7 * DAY)
    local = moment(at, zone)
    day = later_day(local.date(), span)
    return instant(datetime(day.year, day.month, day.day, local.hour, local.minute, local.second, local.microsecond, tzinfo=zone))


def end_of_last_day(at: Instant, span: Span, zone: ZoneInfo) -> Instant:
    """The first instant after the local day that lies ``span`` after ``at``: what lasts ``span`` is good through that whole day.

    Hours have no last day; what lasts hours ends with the hour.
    """
    if span.unit == "hours":
        return later(at, span, zone)
    return start_of_day(later_day(local_day(at, zone), span) + timedelta(days=1), zone)


def months_between(first: date, last: date) -> Iterator[str]:
    """``YYYY-MM`` of every month from that of ``first`` to that of ``last``, both included."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        yield f"{year:04d}-{month:02d}"
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
