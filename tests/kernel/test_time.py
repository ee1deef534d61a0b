"""Time: days and months of the store's own zone, clock changes included; every instant has its one day."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regulars.kernel.time import (
    DAY,
    HOUR,
    Instant,
    Span,
    end_of_last_day,
    instant,
    later,
    later_day,
    local_day,
    moment,
    months_between,
    span,
    start_of_day,
)

WARSAW = ZoneInfo("Europe/Warsaw")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Warsaw",
        "Europe/Prague",
        "Europe/Kyiv",
        "Europe/Lisbon",
        "America/Sao_Paulo",
        "America/Havana",
        "America/St_Johns",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Asia/Gaza",
        "Australia/Lord_Howe",
        "Antarctica/Casey",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Pacific/Kiritimati",
    )
]
instants = st.integers(instant(datetime(1970, 1, 2)), instant(datetime(2040, 1, 1))).map(Instant)


def at(text: str, zone: ZoneInfo = WARSAW, fold: int = 0) -> Instant:
    return instant(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold))


def length_hours(day: date, zone: ZoneInfo) -> float:
    return (start_of_day(day + timedelta(days=1), zone) - start_of_day(day, zone)) / HOUR


@given(instants, st.sampled_from(ZONES))
@example(at("2010-11-07T00:00:30", ZoneInfo("America/St_Johns")), ZoneInfo("America/St_Johns"))
@example(at("2010-11-06T23:01:30", ZoneInfo("America/St_Johns"), fold=1), ZoneInfo("America/St_Johns"))
@example(at("2010-03-04T23:30:00", ZoneInfo("Antarctica/Casey"), fold=1), ZoneInfo("Antarctica/Casey"))
@example(at("2011-12-31T00:00:00", ZoneInfo("Pacific/Apia")), ZoneInfo("Pacific/Apia"))
@example(at("2017-10-15T01:00:00", ZoneInfo("America/Sao_Paulo")), ZoneInfo("America/Sao_Paulo"))
@example(at("2024-11-03T00:30:00", ZoneInfo("America/Havana"), fold=1), ZoneInfo("America/Havana"))
def test_every_instant_belongs_to_exactly_one_local_day(x: Instant, zone: ZoneInfo) -> None:
    day = local_day(x, zone)
    assert start_of_day(day, zone) <= x < start_of_day(day + timedelta(days=1), zone)


@given(st.dates(date(1970, 1, 2), date(2040, 1, 1)), st.sampled_from(ZONES))
def test_days_follow_each_other_without_gap_or_overlap(day: date, zone: ZoneInfo) -> None:
    begins = start_of_day(day, zone)
    assert local_day(Instant(begins - 1), zone) < local_day(begins, zone)
    assert start_of_day(day + timedelta(days=1), zone) >= begins


def test_the_days_of_the_clock_change_in_warsaw_have_23_and_25_hours() -> None:
    assert [length_hours(date(2025, *day), WARSAW) for day in ((3, 29), (3, 30), (3, 31), (10, 25), (10, 26), (10, 27))] == [
        24,
        23,
        24,
        24,
        25,
        24,
    ]


def test_on_lord_howe_the_clock_moves_by_half_an_hour() -> None:
    assert length_hours(date(2025, 4, 6), LORD_HOWE) == 24.5
    assert length_hours(date(2025, 10, 5), LORD_HOWE) == 23.5


@pytest.mark.parametrize(("zone", "day"), [("America/Sao_Paulo", date(2017, 10, 15)), ("Asia/Beirut", date(2025, 3, 30))])
def test_a_day_without_a_midnight_begins_at_its_first_instant(zone: str, day: date) -> None:
    begins = start_of_day(day, ZoneInfo(zone))
    assert moment(begins, ZoneInfo(zone)).isoformat()[:16] == f"{day}T01:00"
    assert local_day(Instant(begins - 1), ZoneInfo(zone)) == day - timedelta(days=1)
    assert length_hours(day, ZoneInfo(zone)) == 23


def test_a_day_with_two_midnights_begins_at_the_first_of_them() -> None:
    havana = ZoneInfo("America/Havana")
    assert length_hours(date(2024, 11, 3), havana) == 25
    assert moment(start_of_day(date(2024, 11, 3), havana), havana).fold == 0


def test_the_day_that_samoa_skipped_is_empty() -> None:
    assert length_hours(date(2011, 12, 30), ZoneInfo("Pacific/Apia")) == 0


def test_an_order_late_in_the_evening_belongs_to_the_day_of_the_store_not_of_greenwich() -> None:
    assert local_day(instant(datetime(2025, 1, 31, 23, 30, tzinfo=UTC)), WARSAW) == date(2025, 2, 1)


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        ("2025-01-31", "1 month", "2025-02-28"),
        ("2024-01-31", "1 month", "2024-02-29"),
        ("2025-01-30", "1 month", "2025-02-28"),
        ("2025-08-31", "1 month", "2025-09-30"),
        ("2025-08-31", "6 months", "2026-02-28"),
        ("2024-02-29", "1 year", "2025-02-28"),
        ("2024-02-29", "4 years", "2028-02-29"),
        ("2025-12-31", "1 day", "2026-01-01"),
        ("2025-02-15", "2 weeks", "2025-03-01"),
        ("2025-11-30", "14 months", "2027-01-30"),
    ],
)
def test_a_month_after_31_january_is_the_last_day_of_february(day: str, after: str, expected: str) -> None:
    assert later_day(date.fromisoformat(day), span(after)) == date.fromisoformat(expected)


def test_hours_have_no_calendar_day() -> None:
    with pytest.raises(ValueError, match="no calendar day"):
        later_day(date(2025, 1, 1), span("24 hours"))


def test_a_lot_is_good_through_the_whole_last_day_unless_it_ends_at_the_instant() -> None:
    earned = at("2025-01-15T14:20")
    assert end_of_last_day(earned, span("6 months"), WARSAW) == at("2025-07-16T00:00")
    assert later(earned, span("6 months"), WARSAW) == at("2025-07-15T14:20")
    assert end_of_last_day(earned, span("180 days"), WARSAW) == at("2025-07-15T00:00")
    assert later(earned, span("180 days"), WARSAW) == earned + 180 * DAY


def test_what_lasts_hours_ends_with_the_hour_under_either_policy() -> None:
    earned = at("2025-03-29T14:20")
    assert end_of_last_day(earned, span("48 hours"), WARSAW) == later(earned, span("48 hours"), WARSAW) == earned + 48 * HOUR


def test_a_month_by_the_wall_clock_keeps_its_hour_over_the_clock_change() -> None:
    assert later(at("2025-03-15T10:00"), span("1 month"), WARSAW) - at("2025-03-15T10:00") == 31 * DAY - HOUR
    assert later(at("2025-02-28T02:30"), span("1 month"), WARSAW) == at("2025-03-28T02:30")
    assert moment(later(at("2025-02-28T02:30") + 2 * DAY, span("4 weeks"), WARSAW), WARSAW).isoformat() == "2025-03-30T03:30:00+02:00"


@given(instants, st.sampled_from(ZONES), st.integers(1, 400), st.sampled_from(["hours", "days", "weeks", "months", "years"]))
def test_a_stretch_of_time_never_ends_before_it_begins_nor_the_whole_day_before_the_instant(
    x: Instant, zone: ZoneInfo, count: int, unit: str
) -> None:
    stretch = span(f"{min(count, 50) if unit == 'years' else count} {unit}")
    assert x < later(x, stretch, zone)
    if unit in ("hours", "months", "years"):
        assert later(x, stretch, zone) <= end_of_last_day(x, stretch, zone)


@pytest.mark.parametrize("text", ["1 day", "180 days", "1 month", "6 months", "1 year", "24 hours", "2 weeks"])
def test_a_span_reads_and_writes_as_the_same_text(text: str) -> None:
    assert str(span(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6",
        "months",
        "six months",
        "-1 days",
        "1.5 days",
        "6 moons",
        "6  months ago",
        "٣ days",
        "1001 years",
        "99999999 days",
        "9" * 5000 + " days",
    ],
)
def test_what_is_no_span_or_longer_than_a_thousand_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        span(text)


def test_twelve_months_and_a_year_are_different_words() -> None:
    assert Span(12, "months") != Span(1, "years")
    assert span("1 year") == span("1 years") == Span(1, "years")
    assert len({span("1 day"), span("1 days")}) == 1


def test_a_time_without_a_zone_is_read_as_utc() -> None:
    assert instant(datetime(2025, 1, 1)) == instant(datetime(2025, 1, 1, tzinfo=UTC)) == at("2025-01-01T01:00")


def test_the_months_between_two_days_include_both() -> None:
    assert list(months_between(date(2024, 11, 30), date(2025, 2, 1))) == ["2024-11", "2024-12", "2025-01", "2025-02"]
    assert list(months_between(date(2025, 3, 5), date(2025, 3, 4))) == ["2025-03"]
    assert list(months_between(date(2025, 4, 1), date(2025, 3, 31))) == []
