"""Replays and explanations as people see them: a table, a roll-forward month by month, a tree of sentences."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regulars.cli.orders import columns_of
from regulars.cli.screen import Screen
from regulars.flows.explaining import plain
from regulars.flows.replays import Replay, explained_member, explained_order, run
from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.money import Money
from regulars.locale import amount, speak
from regulars.programme.explain import Passage


def request(
    programme: Path,
    orders: Path,
    as_of: datetime | None,
    time_zone: str | None,
    returns: Literal["ignore", "last-purchase-first"] | None,
    redeem: Literal["never", "greedy"] | None,
    column: Sequence[str] | None,
    dates: str | None,
    processes: int | None,
) -> Replay:
    """What the flags ask for."""
    return Replay(
        programme=programme,
        orders=orders,
        columns=columns_of(column),
        dates=dates,
        time_zone=time_zone,
        as_of=None if as_of is None else as_of.date(),
        redeem=redeem,
        returns=returns,
        processes=processes,
    )


def show(request: Replay, as_json: bool) -> None:
    """Run the replay and print its figures."""
    report = with_progress(request)
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print_report(Screen(), report)


def with_progress(request: Replay) -> dict[str, Any]:
    """Run it, with a bar of the orders done on the terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("orders"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("replaying", total=None)
        return run(request, lambda done, total: bar.update(task, completed=done, total=total))


def explain(request: Replay, order: str | None, member: str | None, as_json: bool) -> None:
    """Explain an order or a member."""
    if order is not None and member is not None:
        raise Invalid(Problem("explain", "an order and a member cannot be told at once", "keep --order or --member, one of the two"))
    if order is None and member is None:
        raise Invalid(Problem("explain", "say what to explain", "add --order ID or --member ID, one of the two"))
    passages = explained_order(request, order) if order is not None else explained_member(request, member or "")
    if as_json:
        print(json.dumps([plain(passage) for passage in passages], indent=2, ensure_ascii=False))
    else:
        print_passages(Screen(), passages)


def print_passages(screen: Screen, passages: Iterable[Passage]) -> None:
    """Passages as trees of sentences."""
    for passage in passages:
        for line in _lines(passage):
            screen.say(line)


def print_report(screen: Screen, report: dict[str, Any]) -> None:
    """The figures as tables: the replay, the balance of its units, and their months."""
    currency = report["currency"]
    screen.say()
    screen.say(f"{report['programme']}, version {report['version']}, as of {report['as_of']}", "bold")
    rows = [["orders", f"{report['orders']:,}"], ["members", f"{report['members']:,}"]]
    rows.append(["revenue", amount(Money(report["revenue_minor"], currency))])
    for name, label in _OPTIONAL.items():
        if report[name] and (report["unit"] is not None or "points" not in name):
            rows.append([label, amount(Money(report[name], currency)) if name.endswith("_minor") else f"{report[name]:,}"])
    for ladder, levels in report["ladders"].items():
        rows.append([f"members in {ladder}", ", ".join(f"{level} {count:,}" for level, count in levels.items())])
    rows += [[f"orders refused: {reason}", f"{count:,}"] for reason, count in report["refused"].items()]
    screen.columns(rows)
    for unit, figures in report["units"].items():
        _print_unit(screen, unit, figures, currency)


_OPTIONAL = {
    "discount_minor": "discounts given",
    "perks": "perks",
    "members_with_perks": "members with perks",
    "orders_without_points": "orders without points",
    "members_with_points": "members holding points",
    "returned_units_matched": "returned pieces matched",
    "returned_units_unmatched": "returned pieces without a purchase",
    "orders_fully_returned": "orders that came back whole",
    "orders_after_as_of": "orders on or after that day, left out",
}


def _print_unit(screen: Screen, unit: str, figures: dict[str, Any], currency: str) -> None:
    screen.say()
    screen.say(f"{unit}: where they went", "italic")
    payments = "1 payment" if figures["redemptions"] == 1 else f"{figures['redemptions']:,} payments"
    paid = f"in {payments}, together {amount(Money(figures['redeemed_minor'], currency))}"
    rows = [
        [name.replace("_", " "), f"{signed:+,}", paid if name == "redeemed" else ""]
        for name, signed in figures["reconciliation"].items()
        if signed
    ]
    screen.columns([*rows, ["sum", f"{sum(figures['reconciliation'].values()):,}", ""]], right=True)
    months = figures["months"]
    if not months:
        return
    names = [name for name in _MONTHLY if any(month[name] for month in months)]
    screen.say()
    screen.say(f"{unit}: month by month", "italic")
    highest = max(month["standing"] for month in months) or 1
    bars = ["█" * max(0, round(12 * month["standing"] / highest)) for month in months]
    header = ["month", *(name.replace("_", " ") for name in names), "standing", ""]
    body = [[m["month"], *(f"{m[name]:,}" for name in (*names, "standing")), bar] for m, bar in zip(months, bars, strict=True)]
    screen.columns([header, *body], right=True)


_MONTHLY = ("issued", "clawed_back", "redeemed", "given_back", "expired", "written_off")


def _lines(passage: Passage, first: str = "", rest: str = "") -> Iterator[str]:
    yield first + speak(passage.text)
    for i, detail in enumerate(passage.details):
        is_last = i == len(passage.details) - 1
        yield from _lines(detail, rest + ("└── " if is_last else "├── "), rest + ("    " if is_last else "│   "))
