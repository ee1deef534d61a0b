"""What shops export: small order files of every shape, and what was read from them."""

from decimal import Decimal
from pathlib import Path

import duckdb

from regulars.gateways.orderfiles import OrderFile, Survey
from regulars.programme.facts import Order

HEADER = "order,customer,date,sku,qty,price"


def a_file(folder: Path, *rows: str, header: str = HEADER, name: str = "orders.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes("".join(f"{row}\n" for row in (header, *rows)).encode(encoding))
    return path


def a_parquet(folder: Path, query: str) -> Path:
    path = folder / "orders.parquet"
    duckdb.execute(f"copy ({query}) to '{path}' (format parquet)")
    return path


def kinds(survey: Survey) -> dict[str, int]:
    return {found.kind: found.rows for found in survey.kinds}


def remarks(survey: Survey) -> dict[str, int]:
    return {found.kind: found.rows for found in survey.remarks}


def orders(file: OrderFile, currency: str = "PLN") -> list[Order]:
    return [order for history in file.histories(currency) for order in history.orders]


def lines(order: Order) -> list[tuple[str, int, Decimal]]:
    """Each line's code, pieces and worth in whole currency (of two decimals)."""
    return [(line.sku, line.quantity, Decimal(line.amount) / order.scale / 100) for line in order.lines]
