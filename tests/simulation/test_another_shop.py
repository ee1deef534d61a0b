"""Another shop's file with other columns - 23,570 buyers of records, Polish headers, semicolons, decimal commas, no order numbers - under
a programme of its own, against a second reading of the same rules in plain Python on rows."""

import json
from collections import Counter
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from regulars.cli.main import app
from regulars.kernel.time import later_day, span

PROGRAMME = """
programme: Records
currency: USD
time_zone: America/New_York
units:
  points: {value: 0.05, expiry: {after: 6 months}, spending: {minimum: 20, share_percent: 30}}
rules:
  - {id: purchase, award: {unit: points, rate: 1}}
  - {id: fourth, if: {op: every_nth, n: 4}, multiply: {unit: points, by: 2.5}}
replay: {redeem: greedy, as_of: 1998-07-01, times: local}
"""
END = date(1998, 7, 1)


def counted(source: Path) -> Counter[str]:
    """Orders are the positive lines of a customer's day; half a year later a lot is good through the whole last day."""
    sums: Counter[str] = Counter()
    query = (
        f"select customer_id, date, cast(round(sum(amount) * 100) as bigint) from '{source}' where amount > 0 group by 1, 2 order by 1, 2"
    )
    for _, theirs in groupby(duckdb.sql(query).fetchall(), key=lambda row: row[0]):
        lots: list[list[Any]] = []
        sums["members"] += 1
        for number, (_, day, total) in enumerate(theirs, 1):
            sums["expired"] += sum(left for gone, left in lots if gone <= day)
            lots = [lot for lot in lots if lot[0] > day]
            pays = min(sum(left for _, left in lots), total * 30 // 100 // 5)
            pays = pays if pays >= 20 else 0
            sums.update(orders=1, revenue_minor=total, redeemed=pays, redemptions=int(pays > 0))
            points = (total - pays * 5) // 100
            points = points * 5 // 2 if number % 4 == 0 else points
            sums["issued"] += points
            for lot in lots:
                part = min(lot[1], pays)
                lot[1] -= part
                pays -= part
            lots = sorted([lot for lot in lots if lot[1]] + [[later_day(day, span("6 months")) + timedelta(days=1), points]])
        sums["expired"] += sum(left for gone, left in lots if gone <= END)
        sums["outstanding"] += sum(left for gone, left in lots if gone > END)
    return sums


@pytest.mark.slow
def test_a_file_of_other_columns_under_another_programme_gives_the_same_figures(shared_data: Path, tmp_path: Path) -> None:
    source, orders, programme = shared_data / "cdnow_master.parquet", tmp_path / "zamowienia.csv", tmp_path / "records.yaml"
    programme.write_text(PROGRAMME)
    duckdb.sql(
        f"""copy (select customer_id as "Klient", date as "Data", quantity as "Ilość", replace(printf('%.2f', amount), '.', ',') as "Kwota"
        from '{source}') to '{orders}' (delimiter ';', header true)"""
    )
    result = CliRunner().invoke(app, ["replay", "-p", str(programme), "-o", str(orders), "--json"], catch_exceptions=False)
    report = json.loads(result.stdout)
    expected = counted(source)
    assert {name: report[name] for name in expected} == dict(expected)
    assert report["orders"] == 67_511
