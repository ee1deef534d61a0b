"""Order files: columns are known by their names, any name is safe, and any table is read whatever wrote it."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from exports import HEADER, a_file, a_parquet, kinds, lines, orders

from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.errors import Invalid, NotFound


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        "OrderID,CustomerID,OrderDate,ProductCode,Quantity,UnitPrice",
        "order_number,email,created_at,sku,quantity,unit_price",
        "invoiceNo,customerId,invoiceDate,stockCode,qty,unitPrice",
        "Order Number, Customer E-mail ,Ordered at,SKU,Units,Price (each)",
        "Nr zamówienia,Klient,Data zamówienia,Kod produktu,Ilość,Cena jednostkowa",
        "Číslo objednávky,Zákazník,Datum,Kód,Množství,Cena za kus",
        "Номер заказа,Покупатель,Дата,Артикул,Количество,Цена",
        "Замовлення,Клієнт,Дата,Товар,Кількість,Ціна",
        "RECEIPT,CUSTOMER_NO,TIMESTAMP,EAN,ITEM QUANTITY,ITEM PRICE",
    ],
)
def test_columns_are_recognised_by_the_names_that_shops_use(tmp_path: Path, header: str) -> None:
    file = OrderFile(a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50", header=header))
    assert list(file.columns) == ["member", "order", "time", "sku", "quantity", "price"]
    (order,) = orders(file)
    assert (order.id, lines(order)) == ("17", [("tea", 2, Decimal(7))])


def test_what_is_said_of_a_column_comes_before_what_its_name_says(tmp_path: Path) -> None:
    path = a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50,card7,9.00", header=f"{HEADER},card,line_total")
    assert [str(history.member) for history in OrderFile(path, {"member": "card"}).histories("PLN")] == ["card7"]
    assert lines(orders(OrderFile(path, {"amount": "line_total"}))[0]) == [("tea", 2, Decimal(9))]
    with pytest.raises(Invalid, match="not both"):
        OrderFile(path, {"amount": "line_total", "price": "price"})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"member": "kunde"}, "no column 'kunde'"),
        ({"colour": "sku"}, "no such role"),
        ({"order": "ORDER"}, "its columns: order"),
    ],
)
def test_a_wrong_word_about_columns_is_refused_with_what_there_is(tmp_path: Path, columns: dict[str, str], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        OrderFile(a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50"), columns)


def test_every_missing_column_is_named_with_the_way_to_say_it(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        OrderFile(a_file(tmp_path, "1,2", header="alpha,beta"))
    assert [problem.what.split("`")[1] for problem in refused.value.problems] == ["member", "time", "price"]
    assert refused.value.problems[0].hint == "say --column member=NAME; the file's columns: alpha, beta"


INTERNAL = [
    *("ts", "unit", "ord", "use", "member", "quantity", "rowid", "source", "lines", "worth", "number", "pieces"),
    *("cancels", "micro_quantity", "is_finer", "exact_unit"),
]


@pytest.mark.parametrize("name", INTERNAL)
def test_a_column_may_have_any_name_that_we_use_ourselves(tmp_path: Path, name: str) -> None:
    roles = {"member": "customer", "order": "order", "time": "date", "sku": "sku", "quantity": "qty", "price": "price"}
    plain = OrderFile(a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50"), roles)
    extra = OrderFile(a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50,zz", header=f"{HEADER},{name}", name="extra.csv"), roles)
    assert list(extra.histories("PLN")) == list(plain.histories("PLN"))
    assert kinds(extra.survey()) == kinds(plain.survey())
    assert extra.survey().unused == (name,)


@pytest.mark.parametrize("name", INTERNAL)
def test_a_column_that_matters_may_have_it_too(tmp_path: Path, name: str) -> None:
    path = a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50", header=HEADER.replace("order", name))
    (order,) = orders(OrderFile(path, {"order": name, "time": "date", "price": "price", "quantity": "qty"}))
    assert (order.id, lines(order)) == ("17", [("tea", 2, Decimal(7))])


@pytest.mark.parametrize("name", ['the "best" customer', "o'hara", "a; drop table lines; --", "{member}", "%s", "\\", 'x" as y', "名前"])
def test_the_name_of_a_column_is_only_a_name(tmp_path: Path, name: str) -> None:
    path = a_file(tmp_path, "17,ann,2025-01-31,tea,2,3.50", header=HEADER.replace("customer", '"' + name.replace('"', '""') + '"'))
    file = OrderFile(path, {"member": name})
    assert [str(history.member) for history in file.histories("PLN")] == ["ann"]
    assert file.survey().orders == 1


@pytest.mark.parametrize("value", ["x'); drop table lines; --", "' or '1'='1", '"', "{}", "%", "?"])
def test_a_value_is_only_a_value(tmp_path: Path, value: str) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    file = OrderFile(a_file(tmp_path, f"{quoted},{quoted},2025-01-31,{quoted},2,3.50", "2,bob,2025-01-31,tea,1,1"))
    assert file.members_of(value) == [value]
    assert [history.orders[0].id for history in file.histories("PLN", member=value)] == [value]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_line_ends_and_encodings_of_spreadsheets_are_understood(tmp_path: Path, encoding: str, mark: str, end: str) -> None:
    text = f"{HEADER}\n1,ann,2025-01-31,thé,1,3.50\n".replace(",", mark).replace("\n", end)
    (tmp_path / "orders.csv").write_bytes(text.encode(encoding))
    assert lines(orders(OrderFile(tmp_path / "orders.csv"))[0]) == [("thé", 1, Decimal("3.5"))]


def test_a_letter_of_another_encoding_far_down_the_file_is_read_too(tmp_path: Path) -> None:
    rows = [f"{i},ann,2025-01-31,tea,1,3.50" for i in range(50_000)]
    assert OrderFile(a_file(tmp_path, *rows, "x,ann,2025-01-31,thé,1,3.50", encoding="latin-1")).members_of("x") == ["ann"]


def test_a_line_break_or_mark_within_quotes_belongs_to_the_value(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path, *["1,ann,2025-01-31,tea,1,3.50"] * 3, '2,ann,2025-01-31,"green, or\nblack ""tea""",1,3.50'))
    assert [line[0] for order in orders(file) for line in lines(order)] == ["tea", 'green, or\nblack "tea"']


def test_a_row_that_is_too_short_is_counted_not_fatal(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path, *["1,ann,2025-01-31,tea,1,3.50"] * 3, "2,ann,2025-01-31", ""))
    assert kinds(file.survey()) == {"order line": 3, "unreadable price": 1}


@pytest.mark.parametrize("name", ["orders[1].csv", "or*ders?.csv", "o'hara.csv", "two words.csv", "objednávky.csv", "{a}.csv"])
def test_the_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    a_file(tmp_path, "1,bob,2025-01-31,tea,1,3.50", name="orders1.csv")
    a_file(tmp_path, "1,bob,2025-01-31,tea,1,3.50", name="or-ders-.csv")
    assert OrderFile(a_file(tmp_path, "1,ann,2025-01-31,tea,1,3.50", name=name)).members_of("1") == ["ann"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "nothing to read"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "neither CSV nor Parquet"),
        (b"PK\x03\x04\x14\x00\x06\x00", "neither CSV nor Parquet"),
        (b"PAR1 is not all that it takes", "cannot be read as a table"),
        (b"\xff\xfe\xff", "."),
        (b"hello", "no column is recognised"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "orders.csv").write_bytes(content)
    with pytest.raises(Invalid, match=says):
        OrderFile(tmp_path / "orders.csv")


def test_a_file_that_is_not_there_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        OrderFile(tmp_path / "orders.csv")
    with pytest.raises(Invalid, match="this is a folder"):
        OrderFile(tmp_path)


def test_a_file_with_a_header_alone_has_no_orders(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path))
    survey = file.survey()
    assert (survey.rows, survey.orders, survey.first, survey.last, survey.kinds) == (0, 0, None, None, ())
    assert (list(file.histories("PLN")), file.last_instant(), file.order_count()) == ([], None, 0)


@pytest.mark.parametrize("customers", ["15461.0::double", "15461::int", "'15461.0'", "' 15461 '", "15461::decimal(10, 0)"])
def test_a_customer_number_is_the_same_whatever_its_column_became(tmp_path: Path, customers: str) -> None:
    path = a_parquet(tmp_path, f"select {customers} as customer_id, timestamp '2025-01-31 14:05' as date, 0.1::double as price")
    file = OrderFile(path)
    assert [str(history.member) for history in file.histories("PLN")] == ["15461"]
    assert lines(orders(file)[0]) == [("", 1, Decimal("0.1"))]


def test_missing_customers_prices_and_times_of_a_parquet_file_are_missing(tmp_path: Path) -> None:
    bought = (
        "('nan', '2025-01-31', '1')",
        "('1', '2025-01-31', 'nan')",
        "('1', 'infinity', '1')",
        "('1', null, '1')",
        "(null, '2025-01-31', '1')",
    )
    columns = "customer_id::double as customer_id, date::timestamp as date, price::double as price"
    path = a_parquet(tmp_path, f"select {columns} from (values {', '.join(bought)}) t(customer_id, date, price)")
    assert kinds(OrderFile(path).survey()) == {"no customer": 2, "unreadable price": 1, "unreadable time": 2}


@pytest.mark.parametrize("type", ["timestamptz", "timestamp_ns", "timestamp_s", "timestamp", "varchar"])
def test_the_times_of_a_parquet_file_are_read_from_any_of_its_types(tmp_path: Path, type: str) -> None:
    path = a_parquet(tmp_path, f"select 1 as customer_id, (timestamp '2025-01-31 14:05')::{type} as date, 1 as price")
    assert (
        orders(OrderFile(path, local_to=ZoneInfo("UTC")))[0].placed_at == datetime(2025, 1, 31, 14, 5, tzinfo=UTC).timestamp() * 1_000_000
    )
