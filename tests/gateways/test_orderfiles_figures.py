"""Order files: prices and times as people write them, read exactly or left out."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from exports import HEADER, a_file, kinds, lines, orders, remarks
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.errors import Invalid
from regulars.kernel.ids import OrderId

WARSAW = ZoneInfo("Europe/Warsaw")


def price_of(folder: Path, text: str, *more: str) -> Decimal | None:
    """The price that a file with ``text`` (and ``more`` before it) as unit price gives its last row."""
    rows = [f"{i};ann;2025-01-31;tea;1;{price}" for i, price in enumerate((*more, text))]
    found = {order.id: order for order in orders(OrderFile(a_file(folder, *rows, header=HEADER.replace(",", ";"))))}
    last = found.get(OrderId(str(len(more))))
    return None if last is None else lines(last)[0][2]


def when(folder: Path, *texts: str, **options: Any) -> list[str]:
    """The instants of orders that a file dates ``texts``, in UTC; rows whose time is unreadable are left out."""
    file = OrderFile(a_file(folder, *(f"{i},ann,{text},tea,1,3.50" for i, text in enumerate(texts))), **options)
    found = sorted(orders(file), key=lambda order: int(order.id))
    return [datetime.fromtimestamp(order.placed_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S") for order in found]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("12,50", "12.50"),
        ("12.50", "12.50"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1,23,456.50", "123456.50"),
        ("1 234,50 zł", "1234.50"),
        ("1\u00a0234,50\u00a0Kč", "1234.50"),
        ("1\u202f234,50 €", "1234.50"),
        ("1'234.50", "1234.50"),
        ("£1,234.50", "1234.50"),
        ("PLN 12,50", "12.50"),
        ("Rs.500", "500"),
        ("500,- Kč", "500"),
        ("500,-", "500"),
        ("12,50 грн.", "12.50"),
        ("0,125", "0.125"),
        ("2.345", "2.345"),
        ("12", "12"),
        (".5", "0.5"),
        ("+3.5", "3.5"),
    ],
)
def test_a_price_is_read_as_it_is_written(tmp_path: Path, text: str, price: str) -> None:
    assert price_of(tmp_path, text) == Decimal(price)


@pytest.mark.parametrize(
    ("before", "text", "price"),
    [
        (["12,50"], "1.000", "1000"),
        (["12,50", "1.000", "2.000"], "1.000", "1000"),
        (["12.50"], "1,000", "1000"),
        (["12.50"], "12,50", None),
        (["12,50"], "12.50", None),
        (["1.50"], "1,2345", None),
    ],
)
def test_one_file_has_one_decimal_mark_and_what_reads_otherwise_is_left_out(
    tmp_path: Path, before: list[str], text: str, price: str | None
) -> None:
    assert price_of(tmp_path, text, "7.25" if "." in before[0] else "7,25", *before) == (None if price is None else Decimal(price))


@pytest.mark.parametrize("text", ["", "-", "free", "1e3", "2x5", "1/2", "12.50.7", "1,2,3", "NaN", "Infinity", "0x10", "12 - 13"])
def test_what_is_no_number_is_counted_and_left_out(tmp_path: Path, text: str) -> None:
    file = OrderFile(a_file(tmp_path, f'1,ann,2025-01-31,tea,1,"{text}"', f'2,ann,2025-01-31,tea,"{text}",1'))
    assert kinds(file.survey()) == {"unreadable price": 1, "unreadable quantity": 1}


@pytest.mark.parametrize("text", ["-3.50", "−3.50", "(3.50)", "-£3.50", "£-3.50", "(£3.50)"])
def test_a_negative_price_is_no_price_of_goods(tmp_path: Path, text: str) -> None:
    assert kinds(OrderFile(a_file(tmp_path, f"1,ann,2025-01-31,tea,1,{text}")).survey()) == {"negative price": 1}


def test_the_quantity_is_read_by_the_mark_of_the_prices(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path, "1;ann;2025-01-31;tea;2,000;3,50", header=HEADER.replace(",", ";")))
    assert lines(orders(file)[0]) == [("tea", 2, Decimal(7))]


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 10**4)), min_size=1, max_size=300))
def test_a_price_is_kept_exactly_to_a_millionth(tmp_path_factory: pytest.TempPathFactory, bought: list[tuple[int, int]]) -> None:
    rows = (f"{i},ann,2025-01-31,tea,{quantity},{micro // 10**6}.{micro % 10**6:06d}" for i, (micro, quantity) in enumerate(bought))
    found = {order.id: order for order in orders(OrderFile(a_file(tmp_path_factory.mktemp("exact"), *rows)))}
    assert [found[OrderId(str(i))].lines[0].amount for i in range(len(bought))] == [micro * quantity for micro, quantity in bought]
    assert {order.scale for order in found.values()} == {10_000}


def test_three_decimals_are_kept_and_remarked(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path, "1,ann,2025-01-31,tea10,3,0.125", "1,ann,2025-01-31,tea20,1,0.1234567"))
    assert lines(orders(file)[0])[0] == ("tea10", 3, Decimal("0.375"))
    assert remarks(file.survey()) == {"price finer than the currency": 2, "price finer than a millionth": 1}


def test_an_order_in_another_currency_keeps_its_own_minor_unit(tmp_path: Path) -> None:
    rows = ("1,ann,2025-01-31,tea,2,350,jpy", "2,bob,2025-01-31,tea,2,3.50,", "3,cid,2025-01-31,tea,1,1,zł")
    path = a_file(tmp_path, *rows, header=f"{HEADER},currency")
    found = {order.id: (order.currency, order.lines[0].amount // order.scale) for order in orders(OrderFile(path))}
    assert found == {"1": ("JPY", 700), "2": ("PLN", 700), "3": ("ZŁ", 100)}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2025-01-31", "2025-01-31 00:00:00"),
        ("2025-01-31 14:05", "2025-01-31 14:05:00"),
        ("2025-01-31T14:05:09.250", "2025-01-31 14:05:09"),
        ("2025-01-31T14:05:00Z", "2025-01-31 14:05:00"),
        ("2025-01-31T14:05:00+01:00", "2025-01-31 13:05:00"),
        ("2025-01-31 14:05:00 +0100", "2025-01-31 13:05:00"),
        ("2025-01-31 14:05:00-05", "2025-01-31 19:05:00"),
        ("2025-01-31 14:05:00 UTC", "2025-01-31 14:05:00"),
        ("2025/01/31 14:05", "2025-01-31 14:05:00"),
        ("31.01.2025", "2025-01-31 00:00:00"),
        ("31.1.2025 14:05", "2025-01-31 14:05:00"),
        ("31.01.25", "2025-01-31 00:00:00"),
        ("31/01/2025", "2025-01-31 00:00:00"),
        ("31/01/25 14:05", "2025-01-31 14:05:00"),
        ("31-01-2025", "2025-01-31 00:00:00"),
        ("1/31/2025 2:05 PM", "2025-01-31 14:05:00"),
        ("01/31/25", "2025-01-31 00:00:00"),
        ("20250131", "2025-01-31 00:00:00"),
    ],
)
def test_a_time_is_read_in_the_ways_that_exports_write_it(tmp_path: Path, text: str, at: str) -> None:
    assert when(tmp_path, text) == [at]


@pytest.mark.parametrize("text", ["3/4/2025", "03-04-2025", "1/2/25 10:00"])
def test_a_date_that_reads_two_ways_is_refused_with_the_way_to_settle_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        when(tmp_path, text)
    assert refused.value.problems[0].hint == "say --dates day-first or month-first"
    assert when(tmp_path, "3/4/2025", dates="day-first") == ["2025-04-03 00:00:00"]
    assert when(tmp_path, "3/4/2025", dates="month-first") == ["2025-03-04 00:00:00"]


def test_one_clear_date_settles_the_others(tmp_path: Path) -> None:
    assert when(tmp_path, "3/4/2025", "31/4/2025", "30/4/2025") == ["2025-04-03 00:00:00", "2025-04-30 00:00:00"]
    assert when(tmp_path, "3/4/2025", "4/30/2025") == ["2025-03-04 00:00:00", "2025-04-30 00:00:00"]


@pytest.mark.parametrize(
    "text", ["", "yesterday", "0001-01-01", "9999-12-31", "2025-02-30", "2025-01-31 25:00", "0000-00-00", "1738332300"]
)
def test_a_time_that_cannot_be_is_counted_and_left_out(tmp_path: Path, text: str) -> None:
    file = OrderFile(a_file(tmp_path, f"1,ann,{text},tea,1,3.50", "2,ann,2025-01-31,tea,1,3.50"))
    assert kinds(file.survey()) == {"order line": 1, "unreadable time": 1}


def test_times_without_a_zone_are_local_when_they_are_said_to_be(tmp_path: Path) -> None:
    texts = ("2025-03-29 23:30", "2025-03-30 01:30", "2025-03-30 02:30", "2025-03-30 03:30", "2025-10-26 02:30", "2025-10-26 03:30")
    assert when(tmp_path, *texts, local_to=WARSAW) == [
        "2025-03-29 22:30:00",
        "2025-03-30 00:30:00",
        "2025-03-30 01:30:00",
        "2025-03-30 01:30:00",
        "2025-10-26 00:30:00",
        "2025-10-26 02:30:00",
    ]


def test_a_time_with_an_offset_needs_no_zone_even_beside_times_without(tmp_path: Path) -> None:
    texts = ("2025-07-01 12:00:00+00:00", "2025-07-01 12:00:00", "2025-07-01T12:00:00Z")
    assert when(tmp_path, *texts, local_to=WARSAW) == ["2025-07-01 12:00:00", "2025-07-01 10:00:00", "2025-07-01 12:00:00"]
