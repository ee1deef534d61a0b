"""Write the pages that the code itself knows best: the reference, the schema, and the marked tables of `replay.md`.

`python docs/generate.py` writes them; `--check` writes nothing and ends with 1 when a committed page differs.
"""

import json
import re
import sys
import types
from collections.abc import Iterable, Iterator
from datetime import date
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import typer
from msgspec import NODEFAULT, Meta

from regulars.cli.main import app
from regulars.flows.access import SCOPES
from regulars.gateways import columnroles, orderfiles
from regulars.kernel.time import Span
from regulars.locale import catalogue
from regulars.programme.basis import Goods
from regulars.programme.conditions import CATALOGUE, Condition
from regulars.programme.definition import Document, ReplaySection, Rule, json_schema
from regulars.programme.mechanics.budget import Limit
from regulars.programme.mechanics.discounts import Cumulative, Discount, Step
from regulars.programme.mechanics.multiples import Multiple, Perk
from regulars.programme.mechanics.points import Activation, Earning, Expiry, Spending, Unit
from regulars.programme.mechanics.tiers import Ladder, Level
from regulars.programme.policies import Policies, RoundingRule
from regulars.programme.reasons import Reason
from regulars.programme.stacking import Group
from regulars.web.app import ROUTES
from regulars.web.problems import TITLES

DOCS = Path(__file__).parent

SECTIONS: dict[type[msgspec.Struct], str] = {
    Document: "The document",
    Unit: "Unit",
    RoundingRule: "Rounding",
    Activation: "Activation",
    Expiry: "Expiry",
    Spending: "Spending",
    Goods: "Goods",
    Ladder: "Ladder of levels",
    Level: "Level",
    Group: "Stacking group",
    Rule: "Rule",
    Earning: "Award",
    Multiple: "Multiple",
    Discount: "Discount",
    Cumulative: "Cumulative discount",
    Step: "Step of a cumulative discount",
    Perk: "Perk",
    Limit: "Limit",
    Policies: "Policies",
    ReplaySection: "Replay",
}
"""Every struct that a document is made of, with the title of its section; conditions have a section of their own."""

CONDITIONS: tuple[type[msgspec.Struct], ...] = get_args(Condition)


def main() -> int:
    """Write or check; returns the exit code."""
    is_check = "--check" in sys.argv[1:]
    stale = []
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not is_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        name = f"docs/{path.relative_to(DOCS)}"
        print(f"{name} differs from what the code says; `make docs` writes it anew" if is_check else f"{name} written")  # noqa: T201
    return 1 if is_check and stale else 0


def pages() -> dict[Path, str]:
    """Each generated file with its text."""
    return {
        DOCS / "reference" / "programme.md": programme_page(),
        DOCS / "reference" / "commands.md": commands_page(),
        DOCS / "reference" / "api.md": api_page(),
        DOCS / "reference" / "programme.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        DOCS / "replay.md": filled((DOCS / "replay.md").read_text(encoding="utf-8")),
    }


# --- the API --------------------------------------------------------------------------------------------------------------------


def api_page() -> str:
    """Every route, every scope, every code of a problem."""
    routes = []
    for handler in ROUTES:
        (path,) = handler.paths
        address = "/v1/" + re.sub(r":\w+}", "}", path.lstrip("/"))
        for method in sorted(handler.http_methods):
            routes.append(
                (f"`{method} {address}`", f"`{handler.opt['needs']}`", f"{handler.summary}. {(handler.fn.__doc__ or '').strip()}")
            )
    scopes = [(f"`{scope}`", f"may {what}") for scope, what in SCOPES.items()]
    codes = [(f"`{code}`", title) for code, title in TITLES.items()]
    return (
        "\n\n".join(
            [
                "# API reference",
                "Every address of the API. `docs/generate.py` writes this page; do not edit it. [docs/api.md](../api.md) shows how to"
                " use them; a running service tells every field at `/openapi/openapi.json`.",
                "## Addresses",
                _table(("address", "scope", "what it does"), routes),
                "## Scopes",
                _table(("scope", "a key with it"), scopes),
                "## Codes of problems",
                "Whatever the programme refuses bears the [reason](programme.md#reason-codes) as its code. The others:",
                _table(("code", "what it means"), codes),
            ]
        )
        + "\n"
    )


# --- the programme --------------------------------------------------------------------------------------------------------------


def programme_page() -> str:
    """Every key of a programme."""
    parts = [
        "# Programme reference",
        "Every key of a programme document, as the code reads it. `docs/generate.py` writes this page; do not edit it.",
        "[docs/programme.md](../programme.md) shows how to use these keys. [programme.schema.json](programme.schema.json) is the same"
        " for editors; `regulars programme schema` prints it.",
        "Amounts are written in the programme's currency, as `12.50`. Numbers may be written `10`, `12.50` or `1/3`. A span of time is"
        " a whole number and a unit: `12 hours`, `14 days`, `2 weeks`, `6 months`, `1 year`. A day is written `2025-01-31`.",
    ]
    for kind, title in SECTIONS.items():
        parts += [f"## {title}", _sentence(kind)]
        parts.append(_policies() if kind is Policies else _keys(kind))
    parts += ["## Conditions", _conditions(), "## Facts", _facts(), "## Reason codes", _reasons()]
    return "\n\n".join(parts) + "\n"


def _sentence(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split()).replace("``", "`")


def _keys(kind: type[msgspec.Struct]) -> str:
    rows = [(f"`{f.encode_name}`", _type(f.type), _default(f), description(f)) for f in msgspec.structs.fields(kind)]
    return _table(("key", "type", "default", "meaning"), rows)


def _policies() -> str:
    rows = [(f"`{f.encode_name}`", _type(f.type), _default(f), description(f)) for f in msgspec.structs.fields(Policies)]
    return _table(("policy", "values", "default", "meaning"), rows)


def description(field: msgspec.structs.FieldInfo) -> str:
    """The sentence that stands beside a key in its struct; empty when there is none."""
    return next((meta.description for meta in _metas(field.type) if meta.description), "")


def _metas(annotation: Any) -> Iterator[Meta]:
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        yield from (extra for extra in reversed(extras) if isinstance(extra, Meta))
        yield from _metas(inner)


def _type(annotation: Any) -> str:
    """A type in a reader's words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        least = next((meta.ge for meta in _metas(annotation) if meta.ge is not None), None)
        return _type(args[0]) + (f", {least} or more" if least is not None else "")
    if origin in (Union, types.UnionType):
        if set(CONDITIONS) <= set(args):
            return "[condition](#conditions)"
        return " or ".join(_type(arg) for arg in args if arg is not type(None))
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin in (tuple, frozenset):
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"mapping of id to {_type(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    if isinstance(annotation, type) and annotation in SECTIONS:
        return f"[{SECTIONS[annotation].lower()}](#{_anchor(SECTIONS[annotation])})"
    return _WORDS[getattr(annotation, "__supertype__", annotation)]


_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    bool: "`true`, `false`",
    date: "day",
    Fraction: "number",
    Span: "span",
}


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not NODEFAULT:
        value = field.default_factory()
    elif field.default is not NODEFAULT:
        value = field.default
    else:
        return "required"
    if value is None or value == "" or (isinstance(value, (tuple, frozenset, dict)) and not value):
        return "-"
    plain = msgspec.to_builtins(value, enc_hook=str)
    return f"`{_flow(plain)}`" if plain != {} else "-"


def _flow(plain: Any) -> str:
    """Plain data as YAML on one line."""
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in plain.items()) + "}"
    if isinstance(plain, (list, tuple)):
        return "[" + ", ".join(map(_flow, plain)) + "]"
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def _conditions() -> str:
    rows = []
    for node in CONDITIONS:
        keys = [f"`{f.encode_name}`: {description(f)}" for f in msgspec.structs.fields(node)]
        rows.append((f"`{node.__struct_config__.tag}`", _sentence(node), " ".join(keys) or "-"))
    intro = "A condition is a mapping with `op`. A fact that is missing makes its own comparison false."
    return f"{intro}\n\n" + _table(("op", "true when", "keys"), rows)


def _facts() -> str:
    rows = [(f"`{name}`", fact.kind, fact.sentence) for name, fact in CATALOGUE.items()]
    rows.append(("`tier.<ladder>`", "text", "The member's level in that ladder when the order is placed."))
    intro = "An `amount` is compared in the programme's currency. `member.*` is as it stood before the order."
    return f"{intro}\n\n" + _table(("fact", "kind", "meaning"), rows)


def _reasons() -> str:
    words = catalogue("en")
    rows = [(f"`{reason}`", words[f"reason.{reason}"].replace("{", "`").replace("}", "`")) for reason in Reason]
    intro = "Stable codes for what was refused or gave nothing, with the English sentence. `explain` says them; `replay` counts them."
    return f"{intro}\n\n" + _table(("code", "sentence"), rows)


# --- the commands ---------------------------------------------------------------------------------------------------------------


def commands_page() -> str:
    """What each command says of itself."""
    parts = [
        "# Commands",
        "The `--help` of each command. `docs/generate.py` writes this page; do not edit it.",
        "Exit codes: `0` done; `1` checked, and problems were found; `2` what was given cannot be used.",
    ]
    for name, command in _leaves("regulars", typer.main.get_command(app)):
        context = command.context_class(command, info_name=name, terminal_width=100, max_content_width=100)
        parts += [f"## {name}", f"```text\n{command.get_help(context).rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for child in inner.values():
        yield from _leaves(f"{name} {child.name}", child)


# --- the marked tables of replay.md ---------------------------------------------------------------------------------------------


def filled(page: str) -> str:
    """``page`` with the text between each pair of `<!-- generated: name -->` and `<!-- end -->` written anew."""
    tables = {"roles": _roles(), "kinds": _found(orderfiles._KINDS), "remarks": _found(orderfiles._REMARKS)}
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{tables[found[2]]}\n\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def _roles() -> str:
    rows = []
    for role, (sentence, names) in columnroles.ROLES.items():
        different: dict[str, str] = {}
        for name in names.split():
            different.setdefault(columnroles.folded(name), f"`{name}`")
        rows.append((f"`{role}`", sentence, " ".join(different.values())))
    return _table(("role", "what it holds", "names, first wins"), rows)


def _found(kinds: dict[str, str]) -> str:
    return _table(("kind of row", "what becomes of it"), [(f"`{kind}`", meaning) for kind, meaning in kinds.items()])


# --- Markdown -------------------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
