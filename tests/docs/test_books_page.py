"""The queries of the page of the books are run over the orders of the demo; their figures are those of its replay."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT, blocks, output
from servers import on_database, open_folder

from regulars.gateways.postgres import Server
from regulars.ledger.accounts import Account, Movement

DEMO = ROOT / "src/regulars/cli/demo"
ORDERS = DEMO / "online_retail_small.parquet"
QUERIES = {block.title: block.body for block in blocks(ROOT / "docs/books.md") if block.language == "sql"}


@pytest.fixture(scope="module")
def books() -> Iterator[str]:
    """The address of a database with the orders of the demo, as their replay assumed."""
    with open_folder() as folder:
        assert "published" in output(f"regulars programme publish {DEMO}/programme.yaml --actor eva --reason opening", folder)
        assumed = "--as-of 2010-12-10 --redeem greedy --as-if --processes 1"
        assert "893 orders taken" in output(f"regulars import orders {ORDERS} {assumed}", folder)
        with Server(folder / "home/postgres") as server:
            yield server.url


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo's replay."""
    folder: Path = tmp_path_factory.mktemp("replay")
    return json.loads(output(f"regulars replay -p {DEMO}/programme.yaml -o {ORDERS} --processes 1 --json", folder))  # type: ignore[no-any-return]


def rows(url: str, name: str, member: int = 0) -> list[Any]:
    """What a query of the page gives, in a transaction that may only read."""
    query = QUERIES[name].replace(":merchant", "1").replace(":member", str(member))
    script = "set default_transaction_read_only = on"

    async def asked(owner: Any) -> list[Any]:
        await owner.execute(script)
        return await owner.fetch(query)  # type: ignore[no-any-return]

    return on_database(url, asked)  # type: ignore[no-any-return]


def test_the_liability_is_what_the_replay_leaves_outstanding(books: str, report: dict[str, Any]) -> None:
    (unit,) = rows(books, "liability.sql")
    assert unit["outstanding"] == -report["units"]["points"]["reconciliation"]["outstanding"]
    assert unit["outstanding"] == unit["pending"] + unit["usable"] + unit["held"] - unit["owed"]


def test_the_months_are_those_of_the_replay(books: str, report: dict[str, Any]) -> None:
    names = ("month", "issued", "clawed_back", "redeemed", "given_back", "expired")
    found = [{name: month[name] for name in names} for month in rows(books, "months.sql")]
    assert [{name: value or 0 for name, value in month.items()} for month in found] == [
        {name: month[name] for name in names} for month in report["units"]["points"]["months"]
    ]


def test_a_statement_tells_every_entry_with_what_the_accounts_hold_after_it(books: str) -> None:
    accounts = on_database(books, lambda owner: owner.fetch("select * from account where seq > 10"))
    for account in accounts:
        lines = rows(books, "statement.sql", account["member_id"])
        assert [line["seq"] for line in lines] == [*range(1, account["seq"] + 1)]
        assert [lines[-1][name] for name in ("pending", "active", "held", "debt")] == [
            account[name] for name in ("pending", "active", "held", "debt")
        ]


def test_the_accounts_of_house_and_members_sum_to_zero(books: str) -> None:
    balances = {row["account"]: row["balance"] for row in rows(books, "house.sql")}
    (unit,) = rows(books, "liability.sql")
    assert sum(balances.values()) == 0
    assert balances["member.active"] == unit["usable"]
    assert balances.get("member.debt", 0) == -unit["owed"]


def test_what_was_done_by_hand_is_listed_with_who_and_why(books: str) -> None:
    assert [(row["action"], row["actor"], row["reason"]) for row in rows(books, "by-hand.sql")] == [
        ("programme.draft", "eva", ""),
        ("programme.publish", "eva", "opening"),
    ]


def test_the_accounts_and_movements_of_the_page_are_those_of_the_ledger() -> None:
    page = (ROOT / "docs/books.md").read_text(encoding="utf-8")
    assert all(f"| `{account}` |" in page for account in Account)
    assert all(f"`{movement}`" in page for movement in Movement)
