"""Files of orders as people see them: the columns as understood, the rows by kind, examples of each trouble."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec
from rich.console import Console

from regulars.cli.screen import Screen
from regulars.gateways.columnroles import ROLES, Columns
from regulars.gateways.orderfiles import OrderFile, Survey
from regulars.kernel.errors import Invalid, Problem


def columns_of(pairs: Sequence[str] | None) -> Columns:
    """``member=buyer`` and the like as a mapping."""
    columns = {}
    for pair in pairs or ():
        role, equals, name = pair.partition("=")
        if not equals or not name:
            raise Invalid(Problem(f"--column {pair}", "this is not ROLE=NAME", f"roles: {', '.join(ROLES)}"))
        if role.strip() in columns:
            raise Invalid(Problem(f"--column {pair}", f"`{role.strip()}` was given a column already", "say each role once"))
        columns[role.strip()] = name
    return columns


def check(file: Path, column: Sequence[str] | None, dates: str | None, as_json: bool) -> None:
    """Survey the file and print what was found."""
    with Console(stderr=True).status("reading the file") if sys.stderr.isatty() else nullcontext():
        survey = OrderFile(file, columns_of(column), dates=None if dates is None else str(dates)).survey()
    if as_json:
        print(json.dumps(msgspec.to_builtins(survey), indent=2, ensure_ascii=False))
    else:
        _print(Screen(), survey)
    if not survey.orders:
        raise SystemExit(1)


def _print(screen: Screen, survey: Survey) -> None:
    screen.say()
    screen.say(f"{survey.file}: {_counted(survey.rows, 'row')}", "bold")
    screen.say()
    screen.say("columns", "italic")
    screen.columns([role, survey.columns.get(role, "-"), sentence] for role, (sentence, _) in ROLES.items())
    if survey.unused:
        screen.say(f"  not used: {', '.join(survey.unused)}")
    screen.say()
    if not survey.orders:
        screen.say("No row of it can be replayed: there is no order of a known customer.")
    else:
        screen.say(f"{_counted(survey.orders, 'order')} of {_counted(survey.members, 'customer')}, {survey.first} to {survey.last}")
        screen.say(f"{_counted(survey.returns, 'document')} of returned goods, told by {survey.returns_read_from}")
        screen.say("times without a zone are UTC here; a programme with `replay: {times: local}` reads them by its own clock")
    for title, found in (("rows by kind", survey.kinds), ("worth knowing", survey.remarks)):
        if found:
            screen.say()
            screen.say(title, "italic")
            screen.columns([kind.kind, f"{kind.rows:,}", kind.meaning] for kind in found)
            for kind in found:
                for example in kind.examples:
                    screen.say(f"    {kind.kind}: {', '.join(f'{name} {value}' for name, value in example.items())}", "dim")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
