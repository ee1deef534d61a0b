"""The doors of the `regulars` command: what may be asked, and how errors are told.

Exit codes: 0 done; 1 checked, and problems were found; 2 what was given cannot be used. Everything that computes is imported only when it
is asked for, so that `--help` answers at once.
"""

import json
import os
import sys
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

import typer

from regulars import __version__
from regulars.kernel.errors import Problem, RegularsError

app = typer.Typer(
    name="regulars",
    help="A loyalty engine for online shops: exact, explained, tried on your own past before launch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
orders_app = typer.Typer(help="Files of orders.", no_args_is_help=True, rich_markup_mode=None)
programme_app = typer.Typer(help="Programmes: their documents.", no_args_is_help=True, rich_markup_mode=None)
import_app = typer.Typer(help="Bring a shop's past into the database.", no_args_is_help=True, rich_markup_mode=None)
member_app = typer.Typer(help="Members.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(orders_app, name="orders")
app.add_typer(import_app, name="import")
app.add_typer(member_app, name="member")
app.add_typer(programme_app, name="programme")
key_app = typer.Typer(help="Keys of the API.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(key_app, name="key")

Redeem = Literal["never", "greedy"]
Returns = Literal["ignore", "last-purchase-first"]
Dates = Literal["day-first", "month-first"]


ProgrammeFile = Annotated[Path, typer.Option("--programme", "-p", metavar="FILE", help="The programme, YAML or JSON.")]
OrdersFile = Annotated[Path, typer.Option("--orders", "-o", metavar="FILE", help="The orders, CSV or Parquet, one row an order line.")]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], metavar="DATE", help="Figures as of the first local instant of this day."),
]
TimeZone = Annotated[str | None, typer.Option("--time-zone", metavar="ZONE", help="The store's zone, instead of the programme's.")]
ReturnsOption = Annotated[Returns | None, typer.Option("--returns", help="Returned goods: ignore them, or match the latest purchase.")]
RedeemOption = Annotated[Redeem | None, typer.Option("--redeem", help="Members never spend, or as much as allowed at each order.")]
Column = Annotated[
    list[str] | None, typer.Option("--column", "-c", metavar="ROLE=NAME", help="Which column is what, as member=buyer; may be repeated.")
]
DatesOption = Annotated[Dates | None, typer.Option("--dates", help="Which comes first in dates like 3/4/2025.")]
Merchant = Annotated[int, typer.Option("--merchant", min=1, metavar="ID", help="Whose; a single shop is merchant 1.")]
Source = Annotated[str, typer.Option("--source", metavar="NAME", help="Within which the shop's own numbers are unique.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def say_version(is_asked: bool) -> None:
    """Say the version and end."""
    if is_asked:
        print(f"regulars {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Say the version.", is_eager=True, callback=say_version)] = False,
) -> None:
    """A loyalty engine for online shops: exact, explained, tried on your own past before launch."""


@app.command("replay")
def replay(
    programme: ProgrammeFile,
    orders: OrdersFile,
    as_of: AsOf = None,
    time_zone: TimeZone = None,
    returns: ReturnsOption = None,
    redeem: RedeemOption = None,
    column: Column = None,
    dates: DatesOption = None,
    processes: Annotated[int | None, typer.Option("--processes", min=1, help="Processes to use; all processors when not said.")] = None,
    as_json: Json = False,
) -> None:
    """Run a programme over past orders: what it would have given, cost and left open."""
    from regulars.cli import replays

    request = replays.request(programme, orders, as_of, time_zone, returns, redeem, column, dates, processes)
    replays.show(request, as_json)


@app.command("explain")
def explain(
    programme: ProgrammeFile,
    orders: OrdersFile,
    order: Annotated[str | None, typer.Option("--order", metavar="ID", help="Explain this order.")] = None,
    member: Annotated[str | None, typer.Option("--member", metavar="ID", help="Tell this member's whole story.")] = None,
    as_of: AsOf = None,
    time_zone: TimeZone = None,
    returns: ReturnsOption = None,
    redeem: RedeemOption = None,
    column: Column = None,
    dates: DatesOption = None,
    as_json: Json = False,
) -> None:
    """Retell, line by line, what a programme did with an order or a member, and why."""
    from regulars.cli import replays

    request = replays.request(programme, orders, as_of, time_zone, returns, redeem, column, dates, 1)
    replays.explain(request, order, member, as_json)


@orders_app.command("check")
def orders_check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet, one row an order line.")],
    column: Column = None,
    dates: DatesOption = None,
    as_json: Json = False,
) -> None:
    """Say how a file of orders is understood, and count its rows by kind."""
    from regulars.cli import orders

    orders.check(file, column, dates, as_json)


@programme_app.command("check")
def programme_check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The programme, YAML or JSON.")],
    as_json: Json = False,
) -> None:
    """Say whether a programme is valid; each problem with its line, its reason and what to do."""
    from regulars.cli import programmes

    programmes.check(file, as_json)


@programme_app.command("new")
def programme_new(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its name; `list` shows all of them.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it here instead of on the screen.")] = None,
) -> None:
    """Write a commented programme to begin with."""
    from regulars.cli import programmes

    programmes.new(template, to)


@programme_app.command("schema")
def programme_schema() -> None:
    """Print the JSON Schema of programmes, for editors and checks of your own."""
    from regulars.programme.definition import json_schema

    print(json.dumps(json_schema(), indent=2))


@programme_app.command("publish")
def programme_publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The programme, YAML or JSON.")],
    merchant: Merchant = 1,
    actor: Annotated[str, typer.Option("--actor", metavar="NAME", help="Who publishes it.")] = "owner",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit.")] = "",
    as_json: Json = False,
) -> None:
    """Publish a programme: the first version applies to all of the past, a later one from its day, or at once."""
    from regulars.cli import publishing

    publishing.publish(file, merchant, actor, reason, as_json)


@import_app.command("orders")
def import_orders(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet, one row an order line.")],
    merchant: Merchant = 1,
    source: Source = "file",
    column: Column = None,
    dates: DatesOption = None,
    as_of: AsOf = None,
    redeem: Annotated[Redeem, typer.Option("--redeem", help="Members never spent, or as much as allowed at each order.")] = "never",
    returns: Annotated[Returns, typer.Option("--returns", help="Returned goods: ignore them, or match the latest purchase.")] = (
        "last-purchase-first"
    ),
    as_if: Annotated[bool, typer.Option("--as-if", help="As if the programme had run: its discounts come off the orders.")] = False,
    processes: Annotated[int | None, typer.Option("--processes", min=1, help="Processes to use; all processors when not said.")] = None,
    as_json: Json = False,
) -> None:
    """Import past orders by the decisions of the published programme; again, or after a crash, it goes on where it was."""
    from regulars.cli import imports

    day = None if as_of is None else as_of.date()
    imports.orders(file, merchant, source, column, dates, day, redeem, returns, as_if, processes, as_json)


@import_app.command("dismiss")
def import_dismiss(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The name of the file, as `regulars doctor` tells it.")],
    merchant: Merchant = 1,
) -> None:
    """Leave an unfinished import at what it has taken: it counts as done."""
    from regulars.cli import imports

    imports.dismiss(file, merchant)


@member_app.command("show")
def member_show(
    who: Annotated[str, typer.Argument(metavar="WHO", help="E-mail, phone, card, the shop's customer number, or the member's id.")],
    merchant: Merchant = 1,
    source: Source = "file",
    as_json: Json = False,
) -> None:
    """Show how a member stands: what they hold, until when, and what happened last."""
    from regulars.cli import members

    members.show(who, merchant, source, as_json)


@key_app.command("issue")
def key_issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, as `web shop`.")],
    merchant: Merchant = 1,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="For which source of facts it speaks.")] = "shop",
    scope: Annotated[list[str] | None, typer.Option("--scope", help="What it may do; everything when not said. May be repeated.")] = None,
) -> None:
    """Issue a key; its secret is shown once."""
    from regulars.cli import keys

    keys.issue(name, merchant, source, scope or [])


@key_app.command("list")
def key_list(merchant: Merchant = 1) -> None:
    """Show the keys of a merchant, without their secrets."""
    from regulars.cli import keys

    keys.show(merchant)


@key_app.command("end")
def key_end(key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `key list` shows it.")], merchant: Merchant = 1) -> None:
    """End a key: it opens nothing any more."""
    from regulars.cli import keys

    keys.end(key, merchant)


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option("--host", help="Where to listen; behind a proxy that speaks TLS leave it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8000,
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Answer shops over HTTP until somebody ends it."""
    from regulars.web.serve import serve as answer

    answer(host, port, processes)


@app.command("worker")
def worker(once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False) -> None:
    """Do what nobody asks for: what time does to members, seals, the months to come."""
    from regulars.cli import database

    database.worker(once)


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a file that is there.")] = False,
) -> None:
    """Write the whole database to a file, as it is at one moment."""
    from regulars.cli import database

    database.backup(file, replace)


@app.command("restore")
def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `regulars backup` wrote.")]) -> None:
    """Fill an empty database from a backup: all of it or nothing."""
    from regulars.cli import database

    database.restore(file)


@app.command("doctor")
def doctor(as_json: Json = False) -> None:
    """Say whether the database is well, and what to do where it is not."""
    from regulars.cli import database

    database.doctor(as_json)


@app.command("verify")
def verify(
    merchant: Annotated[int | None, typer.Option("--merchant", metavar="ID", help="Only this merchant; all when not said.")] = None,
    as_json: Json = False,
) -> None:
    """Recompute everything that the database holds from its entries and facts, and say what does not agree."""
    from regulars.cli.verify import verify

    if not verify(merchant, as_json):
        raise typer.Exit(1)


@app.command("demo")
def demo(once: Annotated[bool, typer.Option("--once", help="Print and end.")] = False) -> None:
    """A small real shop under a points programme: replayed, imported, verified, one member's story, one order explained."""
    from regulars.cli.demo import show

    show(once)


def run() -> None:
    """The command's entry: errors are told in sentences, never in tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except RegularsError as wrong:
        tell(wrong)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; what is left to flush goes nowhere
        sys.exit(0)
    except OSError as wrong:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(Problem("output", f"it cannot be written: {wrong.strerror}", "is the disk full?"), file=sys.stderr)
        sys.exit(2)


def tell(wrong: RegularsError) -> None:
    """The problems, in JSON where JSON was asked for."""
    if "--json" in sys.argv:
        print(json.dumps({"problems": [{"where": p.where, "what": p.what, "hint": p.hint} for p in wrong.problems]}, indent=2))
        return
    for problem in wrong.problems:
        print(problem, file=sys.stderr)
