"""The shop's calendar, read a second time: local days, months that end early, and the end of a day.

Invariant: a local day begins at the first instant that the zone calls by its date (law 1).
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from regulars.verify.rules.document import Span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
HOUR = 3_600_000_000
DAY = 24 * HOUR


def local(at: int, zone: ZoneInfo) -> datetime:
    """What the shop's clock shows at the instant."""
    return (_EPOCH + at * _MICROSECOND).astimezone(zone)


def start_of_day(day: date, zone: ZoneInfo) -> int:
    """The first instant called by that date, where midnight may be skipped or come twice."""
    midnights = [_instant(datetime.combine(day, time(0), zone).replace(fold=fold)) for fold in (0, 1)]
    return min((each for each in midnights if local(each, zone).date() == day), default=max(midnights))


def month_of(at: int) -> str:
    """``YYYY-MM`` in UTC."""
    return local(at, ZoneInfo("UTC")).strftime("%Y-%m")


def bounds_of(month: str) -> tuple[int, int]:
    """The first instant of a month in UTC, and the first after it."""
    first = date(int(month[:4]), int(month[5:]), 1)
    return start_of_day(first, ZoneInfo("UTC")), start_of_day(_months_later(first, 1), ZoneInfo("UTC"))


def after(at: int, span: Span, zone: ZoneInfo, is_whole_day: bool) -> int:
    """The end of a span that began at ``at``: through the whole last local day, or at the very instant."""
    if span.unit == "hours":
        return at + span.count * HOUR
    if not is_whole_day and span.unit == "days":
        return at + span.count * DAY
    began = local(at, zone)
    last = began.date() + timedelta(days=span.count) if span.unit == "days" else _months_later(began.date(), span.count)
    if is_whole_day:
        return start_of_day(last + timedelta(days=1), zone)
    return _instant(datetime.combine(last, began.time(), zone))


def _months_later(day: date, count: int) -> date:
    """The same day of a later month, or that month's last."""
    months = day.year * 12 + day.month - 1 + count
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _instant(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
