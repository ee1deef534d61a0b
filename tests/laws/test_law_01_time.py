"""Law 1: instants are UTC, days and months are the store's; a lot is usable through its whole last local day."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from builders import a_line, a_programme, a_unit, an_order, balance, books, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, HOUR, Instant, end_of_last_day, instant, later_day, local_day, moment, span, start_of_day

ZONES = ["UTC", "Europe/Warsaw", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Asia/Kathmandu", "America/Sao_Paulo"]
instants = st.integers(0, instant(datetime(2040, 1, 1, tzinfo=UTC)))


@given(at=instants, zone=st.sampled_from(ZONES).map(ZoneInfo))
def test_every_instant_belongs_to_exactly_one_local_day(at: Instant, zone: ZoneInfo) -> None:
    day = local_day(at, zone)
    assert day == moment(at, zone).date()
    assert start_of_day(day, zone) <= at < start_of_day(day + timedelta(days=1), zone)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_in_warsaw_has_23_24_or_25_hours(day: str, hours: int) -> None:
    zone, first = ZoneInfo("Europe/Warsaw"), date.fromisoformat(day)
    assert start_of_day(first + timedelta(days=1), zone) - start_of_day(first, zone) == hours * HOUR


@given(day=st.dates(date(2000, 1, 1), date(2040, 1, 1)), months=st.integers(1, 60))
def test_months_keep_the_day_or_end_at_the_last_one(day: date, months: int) -> None:
    end = later_day(day, span(f"{months} months"))
    assert (end.year * 12 + end.month) - (day.year * 12 + day.month) == months
    assert end.day == day.day or (end.day < day.day and (end + timedelta(days=1)).day == 1)


def test_a_month_after_31_january_is_the_last_day_of_february() -> None:
    assert later_day(date(2026, 1, 31), span("1 month")) == date(2026, 2, 28)
    assert later_day(date(2028, 1, 31), span("1 month")) == date(2028, 2, 29)


@given(at=instants, zone=st.sampled_from(ZONES), months=st.integers(1, 24))
def test_a_lot_is_usable_through_its_whole_last_local_day_and_gone_with_the_next(at: Instant, zone: str, months: int) -> None:
    of = a_programme(time_zone=zone, units={"points": a_unit(expiry={"after": f"{months} months"})})
    now = books(of)
    now.take(stated(an_order("1", at, a_line(price=700))))
    last = later_day(local_day(at, ZoneInfo(zone)), span(f"{months} months"))
    gone = start_of_day(last + timedelta(days=1), ZoneInfo(zone))
    assert local_day(Instant(gone - 1), ZoneInfo(zone)) == last
    now.pass_time(Instant(gone - 1))
    assert balance(now) == 7
    now.pass_time(gone)
    assert balance(now) == 0


def test_by_policy_a_lot_ends_exactly_at_the_instant() -> None:
    of = a_programme(
        units={"points": a_unit(expiry={"after": "180 days"})}, policies={"lot_boundary": "instant"}, time_zone="Europe/Warsaw"
    )
    now = books(of)
    now.take(stated(an_order("1", 5 * HOUR, a_line(price=700))))
    now.pass_time(Instant(180 * DAY + 5 * HOUR - 1))
    assert balance(now) == 7
    now.pass_time(Instant(180 * DAY + 5 * HOUR))
    assert balance(now) == 0


def test_a_rule_holds_from_its_first_to_its_last_local_day() -> None:
    rule = {"id": "march", "from": "2026-03-01", "until": "2026-03-31", "award": {"unit": "points", "amount": 5}}
    of = a_programme(rules=[rule], time_zone="Europe/Warsaw")
    first, last = start_of_day(date(2026, 3, 1), ZoneInfo("Europe/Warsaw")), start_of_day(date(2026, 4, 1), ZoneInfo("Europe/Warsaw"))
    for at, points in ((first - 1, 0), (first, 5), (last - 1, 5), (last, 0)):
        now = books(of)
        now.take(stated(an_order("1", at, a_line())))
        assert balance(now) == points


@given(at=instants, zone=st.sampled_from(ZONES).map(ZoneInfo), days=st.integers(1, 400))
def test_the_end_of_the_last_day_is_the_start_of_a_local_day(at: Instant, zone: ZoneInfo, days: int) -> None:
    end = end_of_last_day(at, span(f"{days} days"), zone)
    assert local_day(end, zone) > local_day(Instant(end - 1), zone)
    assert (local_day(end, zone) - local_day(at, zone)).days >= days + 1
