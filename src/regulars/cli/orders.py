"""Files of orders as people see them: the columns as understood, the rows by kind, examples of each trouble."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regulars.gateways.orderfiles import ROLES, Columns, Found, OrderFile, Survey
from regulars.kernel.errors import Invalid, Problem


def columns_of(pairs: Sequence[str] | None) -> Columns:
    """``member=buyer`` and the like as a mapping."""
    columns = {}
    for pair in pairs or ():
        role, equals, name = pair.partition("=")
        if not equals or not name:
            raise Invalid(Problem(f"--column {pair}", "this is not ROLE=NAME", f"roles: {', '.join(ROLES)}"))
        columns[role.strip()] = name
    return columns


def check(file: Path, column: Sequence[str] | None, dates: str | None, as_json: bool) -> None:
    """Survey the file and print what was found."""
    console = Console(stderr=True)
    with console.status("reading the file"):
        survey = OrderFile(file, columns_of(column), dates=None if dates is None else str(dates)).survey()
    if as_json:
        print(json.dumps(msgspec.to_builtins(survey), indent=2, ensure_ascii=False))
    else:
        _print(Console(), survey)


def _print(console: Console, survey: Survey) -> None:
    console.print(f"\n[bold]{escape(survey.file)}[/bold]: {survey.rows:,} rows")
    console.print("\n[italic]columns[/italic]")
    table = Table(box=None, padding=(0, 2), show_header=False)
    for role, (sentence, _) in ROLES.items():
        table.add_row(role, escape(survey.columns.get(role, "-")), f"[dim]{sentence}[/dim]")
    console.print(table)
    if survey.unused:
        console.print(f"  not used: {', '.join(survey.unused)}", markup=False)
    console.print(
        f"\n{survey.orders:,} orders of {survey.members:,} customers, {survey.returns:,} documents of returned goods"
        f" (told by {survey.returns_read_from}), {survey.first or '-'} to {survey.last or '-'}"
    )
    for title, found in (("rows by kind", survey.kinds), ("worth knowing", survey.remarks)):
        if found:
            console.print(f"\n[italic]{title}[/italic]")
            console.print(_found(found))


def _found(found: Sequence[Found]) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for kind in found:
        table.add_row(kind.kind, f"{kind.rows:,}", kind.meaning)
        for example in kind.examples:
            table.add_row("", "", f"[dim]{escape(', '.join(f'{name} {value}' for name, value in example.items()))}[/dim]")
    return table
