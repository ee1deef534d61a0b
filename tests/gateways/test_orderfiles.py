"""Order files: whatever stands in a shop's export, each row is used or counted, and nothing in it is guessed."""

import contextlib
from decimal import Decimal
from pathlib import Path

import pytest
from exports import HEADER, a_file, a_parquet, kinds, lines, orders, remarks
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.gateways.orderfiles import OrderFile
from regulars.kernel.errors import RegularsError
from regulars.programme.policies import LineKind


@pytest.mark.parametrize("text", ["", "   "])
def test_a_row_without_a_customer_rewards_nobody(tmp_path: Path, text: str) -> None:
    file = OrderFile(a_file(tmp_path, f"1,{text},2025-01-31,tea,1,3.50", f"2,{text},2025-01-31,tea,-1,3.50"))
    assert kinds(file.survey()) == {"no customer": 1, "stock correction": 1}
    assert list(file.histories("PLN")) == []
    assert file.last_instant() is None


def test_each_row_is_counted_by_the_kind_of_its_trouble(tmp_path: Path) -> None:
    rows = {
        "100,ann,2025-01-31,tea,1,3.50": "order line",
        "101,ann,2025-01-31,tea,-1,3.50": "return",
        ",ann,2025-01-31,tea,1,3.50": "no order number",
        "103,ann,2025-01-31,tea,0,3.50": "no quantity",
        "104,ann,2025-01-31,tea,1,0.00": "free of charge",
        "105,ann,2025-01-31,tea,1,-3.50": "negative price",
        "C106,ann,2025-01-31,tea,1,3.50": "cancellation of a positive quantity",
        "C107,ann,2025-02-01,tea,-1,3.50": "return",
        "C108,,2025-02-01,tea,-1,3.50": "no customer",
        "109,,2025-02-01,tea,0,3.50": "stock correction",
    }
    survey = OrderFile(a_file(tmp_path, *rows)).survey()
    assert kinds(survey) == {kind: list(rows.values()).count(kind) for kind in rows.values()}
    assert survey.returns_read_from == "numbers of C and digits"


@pytest.mark.parametrize("numbers", [("C1", "C2", "C3"), ("CZ-1", "CZ-2", "PL-1"), ("C1", "C2", "17")])
def test_a_c_before_the_number_cancels_only_where_most_numbers_are_bare(tmp_path: Path, numbers: tuple[str, ...]) -> None:
    file = OrderFile(a_file(tmp_path, *(f"{number},ann,2025-01-31,tea,1,3.50" for number in numbers)))
    assert sorted(order.id for order in orders(file)) == sorted(numbers)
    assert file.survey().returns_read_from == "negative quantities"


def test_goods_that_came_back_are_pieces_by_code(tmp_path: Path) -> None:
    file = OrderFile(
        a_file(
            tmp_path,
            "1,ann,2025-01-31,tea,5,3.50",
            "R1,ann,2025-02-01,tea,-2,3.50",
            "R1,ann,2025-02-01,tea,-1,3.00",
            "R1,ann,2025-02-01,cup,-1,9.00",
        )
    )
    (history,) = file.histories("PLN")
    assert [(back.id, back.pieces) for back in history.returns] == [("R1", (("cup", 1), ("tea", 3)))]
    assert file.survey().returns == 1
    assert file.last_instant() == history.returns[0].at


def test_a_weighed_quantity_is_one_piece_at_the_price_of_the_line(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path, *(f"1,ann,2025-01-31,tea10,{weight},3.50" for weight in ("0.5", "0.7", "1"))))
    assert sorted(lines(orders(file)[0]), key=str) == [
        ("tea10", 1, Decimal("1.75")),
        ("tea10", 1, Decimal("2.45")),
        ("tea10", 1, Decimal("3.5")),
    ]
    assert remarks(file.survey()) == {"fractional quantity": 2}


def test_lines_that_are_equal_but_for_quantity_are_one_line(tmp_path: Path) -> None:
    rows = ("1,ann,2025-01-31,tea,1,3.50", "1,ann,2025-01-31,tea,4,3.50", "1,ann,2025-01-31,tea,1,3.00", "1,ann,2025-01-31,cup,1,9.00")
    assert lines(orders(OrderFile(a_file(tmp_path, *rows)))[0]) == [
        ("cup", 1, Decimal(9)),
        ("tea", 5, Decimal("17.5")),
        ("tea", 1, Decimal(3)),
    ]


def test_the_same_line_twice_is_bought_twice_and_remarked(tmp_path: Path) -> None:
    file = OrderFile(a_file(tmp_path, *["1,ann,2025-01-31,tea10,2,3.50"] * 3))
    assert lines(orders(file)[0]) == [("tea10", 6, Decimal(21))]
    assert remarks(file.survey()) == {"identical row": 2}


def test_categories_kinds_channel_and_country_come_along(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        "1,ann,2025-01-31,tea,1,3.50,hot | green,GOODS,till,PL",
        "1,ann,2025-01-31,post,1,9.00,,delivery,till,PL",
        header=f"{HEADER},category,kind,channel,country",
    )
    (order,) = orders(OrderFile(path))
    assert (order.channel, order.country) == ("till", "PL")
    assert [(line.kind, line.categories) for line in order.lines] == [(LineKind.DELIVERY, ()), (LineKind.GOODS, ("hot", "green"))]


def test_without_order_numbers_what_a_customer_bought_at_one_time_is_one_order(tmp_path: Path) -> None:
    bought = ("(1, '1997-01-01', 1, 11.77)", "(2, '1997-01-12', 1, 12.0)", "(2, '1997-01-12', 5, 77.0)", "(2, '1997-01-13', 1, 0.0)")
    columns = "customer_id, date::date as date, quantity, amount::double as amount"
    path = a_parquet(tmp_path, f"select {columns} from (values {', '.join(bought)}) t(customer_id, date, quantity, amount)")
    file = OrderFile(path)
    assert [(str(history.member), [lines(order) for order in history.orders]) for history in file.histories("USD")] == [
        ("1", [[("", 1, Decimal("11.77"))]]),
        ("2", [[("", 5, Decimal(77)), ("", 1, Decimal(12))]]),
    ]
    assert kinds(file.survey()) == {"order line": 3, "free of charge": 1}
    assert file.order_count() == 2


def test_lines_of_one_amount_but_other_quantities_stay_two_prices(tmp_path: Path) -> None:
    path = a_file(tmp_path, "ann,2025-01-31,1,12", "ann,2025-01-31,3,12", "ann,2025-01-31,3,12", header="customer,date,qty,amount")
    assert lines(orders(OrderFile(path))[0]) == [("", 1, Decimal(12)), ("", 6, Decimal(24))]


rows = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3", "C4", "C5", "", "x"]),
        st.sampled_from(["ann", "bob", "cid", ""]),
        st.sampled_from(["2025-01-31", "2025-02-01 10:00", "", "soon"]),
        st.sampled_from(["tea", "cup", "POST", ""]),
        st.sampled_from(["1", "2", "0", "-1", "0.5", "", "many"]),
        st.sampled_from(["3.50", "0", "-1", "0.125", "", "free"]),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=12)
@given(rows)
def test_the_kinds_of_a_survey_sum_to_its_rows_and_the_histories_agree(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    file = OrderFile(a_file(tmp_path_factory.mktemp("rows"), *(",".join(row) for row in rows)))
    survey, histories = file.survey(), list(file.histories("PLN"))
    assert sum(kinds(survey).values()) == survey.rows == len(rows)
    assert sum(len(history.orders) for history in histories) == survey.orders == file.order_count()
    assert sum(len(history.returns) for history in histories) == survey.returns
    assert sum(bool(history.orders) for history in histories) == survey.members
    assert all(line.amount > 0 and line.quantity > 0 for history in histories for order in history.orders for line in order.lines)
    assert [history.member for history in histories] == sorted({history.member for history in histories})
    parted = [history for part in range(3) for history in file.histories("PLN", part, 3)]
    assert sorted(parted, key=lambda history: history.member) == histories
    for history in histories:
        assert list(file.histories("PLN", member=history.member)) == [history]
        assert all(history.member in file.members_of(order.id) for order in history.orders)


@settings(max_examples=25)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_file_of_anything_is_read_or_refused_never_fatal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "orders.csv"
    path.write_bytes(HEADER.encode() + b"\n" + content)
    with contextlib.suppress(RegularsError):
        file = OrderFile(path)
        assert sum(kinds(file.survey()).values()) == file.survey().rows
        list(file.histories("PLN"))
