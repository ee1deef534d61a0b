"""The six reference programmes A to F, replayed to the exact point: the real year against published figures, the sample against a
second reading of the same rules, written here in plain Python on rows, that shares nothing with the engine."""

import json
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from builders import DEMO_ORDERS, ROOT
from typer.testing import CliRunner

from regulars.cli.main import app

PROGRAMMES = ROOT / "tests/programmes"
AS_OF = datetime(2010, 12, 10)
DAYS_180 = timedelta(days=180)


def replayed(name: str, orders: Path, *flags: str) -> dict[str, Any]:
    asked = ["replay", "--programme", str(PROGRAMMES / f"{name}.yaml"), "--orders", str(orders), "--json", *flags]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    assert sum(report["reconciliation"].values()) == 0
    return report


class Bought:
    """One order: when, its number, and what is kept of it by (price, code)."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.at = datetime.max
        self.kept: dict[tuple[Decimal, str], int] = defaultdict(int)

    def pence(self) -> int:
        total = sum((price * pieces for (price, _), pieces in self.kept.items()), Decimal(0))
        return int((total * 100).quantize(Decimal(1), ROUND_HALF_UP))


def read(path: Path) -> tuple[dict[int, list[Bought]], list[tuple[datetime, str, int, str, int]]]:
    """Orders by customer in order of time, and returned pieces in order of (time, document, customer, code)."""
    orders: dict[tuple[int, str], Bought] = {}
    returned: dict[tuple[str, int], tuple[datetime, dict[str, int]]] = {}
    query = f"select invoice, stock_code, quantity, invoice_date, unit_price, customer_id from '{path}' where customer_id is not null"
    for invoice, code, pieces, at, price, customer in duckdb.sql(query).fetchall():
        if invoice.startswith("C"):
            if pieces < 0:
                first, codes = returned.setdefault((invoice, customer), (at, defaultdict(int)))
                returned[invoice, customer] = (min(first, at), codes)
                codes[code] -= pieces
        elif pieces > 0 and price > 0:
            order = orders.setdefault((customer, invoice), Bought(invoice))
            order.at = min(order.at, at)
            order.kept[Decimal(repr(price)), code] += pieces
    by_customer: dict[int, list[Bought]] = defaultdict(list)
    for (customer, _), order in orders.items():
        by_customer[customer].append(order)
    for theirs in by_customer.values():
        theirs.sort(key=lambda order: (order.at, order.number))
    back = [(at, inv, cust, code, n) for (inv, cust), (at, codes) in returned.items() for code, n in codes.items()]
    return by_customer, sorted(back)


def test_a_points_for_each_whole_pound_that_live_180_days() -> None:
    customers, _ = read(DEMO_ORDERS)
    orders = [order for theirs in customers.values() for order in theirs]
    expired = sum(o.pence() // 100 for o in orders if o.at + DAYS_180 <= AS_OF)
    report = replayed("a", DEMO_ORDERS)
    assert (report["orders"], report["members"]) == (len(orders), len(customers))
    assert report["revenue_minor"] == sum(o.pence() for o in orders)
    assert report["issued"] == sum(o.pence() // 100 for o in orders)
    assert report["expired"] == expired
    assert report["outstanding"] == report["issued"] - expired
    assert report["orders_without_points"] == sum(o.pence() < 100 for o in orders)


def test_b_double_on_the_second_and_triple_on_the_third_order() -> None:
    customers, _ = read(DEMO_ORDERS)
    issued = sum(o.pence() // 100 * {1: 2, 2: 3}.get(n, 1) for theirs in customers.values() for n, o in enumerate(theirs))
    assert replayed("b", DEMO_ORDERS)["issued"] == issued


def test_c_a_perk_with_every_fifth_order() -> None:
    customers, _ = read(DEMO_ORDERS)
    report = replayed("c", DEMO_ORDERS)
    assert report["perks"] == sum(len(theirs) // 5 for theirs in customers.values())
    assert report["members_with_perks"] == sum(len(theirs) >= 5 for theirs in customers.values())


def test_d_levels_by_spend() -> None:
    customers, _ = read(DEMO_ORDERS)
    tiers = dict.fromkeys(("basic", "silver", "gold", "platinum"), 0)
    for theirs in customers.values():
        spend = sum(o.pence() for o in theirs)
        tiers["platinum" if spend >= 1_000_000 else "gold" if spend >= 200_000 else "silver" if spend >= 50_000 else "basic"] += 1
    assert replayed("d", DEMO_ORDERS)["tiers"] == tiers


def test_e_spending_500_points_at_a_time_up_to_a_tenth_of_the_order() -> None:
    customers, _ = read(DEMO_ORDERS)
    sums: dict[str, int] = defaultdict(int)
    for theirs in customers.values():
        lots: list[list[Any]] = []
        for order in theirs:
            sums["expired"] += sum(left for born, left in lots if born + DAYS_180 <= order.at)
            lots = [lot for lot in lots if lot[0] + DAYS_180 > order.at]
            spend = min(sum(left for _, left in lots), order.pence() // 10) // 500 * 500
            sums["redeemed"] += spend
            sums["redemptions"] += spend > 0
            earned = (order.pence() - spend) // 100
            sums["issued"] += earned
            for lot in lots:
                part = min(lot[1], spend)
                lot[1] -= part
                spend -= part
            lots = [lot for lot in lots if lot[1]] + ([[order.at, earned]] if earned else [])
        sums["expired"] += sum(left for born, left in lots if born + DAYS_180 <= AS_OF)
        sums["outstanding"] += sum(left for born, left in lots if born + DAYS_180 > AS_OF)
    report = replayed("e", DEMO_ORDERS)
    assert {name: report[name] for name in sums} == dict(sums)


def test_f_returned_goods_take_their_points_back() -> None:
    customers, back = read(DEMO_ORDERS)
    issued = sum(o.pence() // 100 for theirs in customers.values() for o in theirs)
    matched = unmatched = 0
    for at, _, customer, code, pieces in back:
        for order in reversed([o for o in customers.get(customer, []) if o.at <= at]):
            for key in sorted((k for k in order.kept if k[1] == code), reverse=True):
                part = min(pieces, order.kept[key])
                order.kept[key] -= part
                pieces -= part
                matched += part
        unmatched += pieces
    report = replayed("f", DEMO_ORDERS)
    kept = sum(o.pence() // 100 for theirs in customers.values() for o in theirs)
    assert (report["returned_units_matched"], report["returned_units_unmatched"]) == (matched, unmatched)
    assert report["orders_fully_returned"] == sum(not any(o.kept.values()) for theirs in customers.values() for o in theirs)
    assert (report["issued"], report["clawed_back"], report["outstanding"]) == (issued, issued - kept, kept)
    holders = sum(sum(o.pence() // 100 for o in theirs) > 0 for theirs in customers.values())
    assert report["members_with_points"] == holders


PUBLISHED: dict[str, dict[str, Any]] = {
    "a": {
        "orders": 19213,
        "members": 4312,
        "revenue_minor": 883200326,
        "issued": 8822985,
        "expired": 3911367,
        "outstanding": 4911618,
        "orders_without_points": 11,
    },
    "b": {"issued": 11456876},
    "c": {"perks": 2244, "members_with_perks": 1180},
    "d": {"tiers": {"basic": 1712, "silver": 1661, "gold": 827, "platinum": 112}},
    "e": {"issued": 8761895, "redeemed": 6109000, "redemptions": 7430, "expired": 784548, "outstanding": 1868347},
    "f": {
        "issued": 8822985,
        "clawed_back": 315707,
        "outstanding": 8507278,
        "returned_units_matched": 197929,
        "returned_units_unmatched": 14056,
        "orders_fully_returned": 217,
        "members_with_points": 4289,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_real_year_gives_the_published_figures_to_the_point(name: str, shared_data: Path) -> None:
    report = replayed(name, shared_data / "online_retail_2009_2010.parquet")
    assert {key: report[key] for key in PUBLISHED[name]} == PUBLISHED[name]
    facts = json.loads((shared_data / "facts.json").read_text())["replay_oracle_online_retail_2009_2010"]
    assert facts["F_returns"]["kept"] == PUBLISHED["f"]["outstanding"]
    assert facts["as_of"] == report["as_of"]


@pytest.mark.slow
def test_the_real_years_dirt_is_counted_by_kind_and_never_fatal(shared_data: Path) -> None:
    asked = ["orders", "check", str(shared_data / "online_retail_2009_2010.parquet"), "--json"]
    survey = json.loads(CliRunner().invoke(app, asked, catch_exceptions=False).stdout)
    kinds = {kind["kind"]: kind["rows"] for kind in survey["kinds"]}
    raw = json.loads((shared_data / "facts.json").read_text())["online_retail_ii_2009_2010_raw"]
    assert survey["rows"] == sum(kinds.values()) == raw["row_count"]
    assert kinds["no customer"] + kinds["stock correction"] == raw["null_customer"]
    assert {remark["kind"] for remark in survey["remarks"]} >= {"service code", "price finer than the currency"}


def test_members_spread_over_processes_give_the_same_figures() -> None:
    for name in ("e", "f"):
        assert replayed(name, DEMO_ORDERS, "--processes", "2") == replayed(name, DEMO_ORDERS, "--processes", "1")


def test_flags_override_the_documents_replay_section() -> None:
    assert replayed("e", DEMO_ORDERS, "--redeem", "never")["redeemed"] == 0
    assert replayed("f", DEMO_ORDERS, "--returns", "ignore")["clawed_back"] == 0
    early = replayed("a", DEMO_ORDERS, "--as-of", "2010-06-01")
    assert early["as_of"] == "2010-06-01"
    assert early["orders"] + early["orders_after_as_of"] == replayed("a", DEMO_ORDERS)["orders"]


def test_the_day_of_the_figures_begins_by_the_stores_clock() -> None:
    here, far_east = replayed("b", DEMO_ORDERS, "--as-of", "2010-12-09"), ["--as-of", "2010-12-09", "--time-zone", "Pacific/Kiritimati"]
    assert replayed("b", DEMO_ORDERS, *far_east)["orders"] < here["orders"]
