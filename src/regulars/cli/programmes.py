"""Programmes as people see them: checked, and begun from a template."""

import json
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from regulars.gateways.programmefiles import read_programme
from regulars.kernel.errors import Invalid, NotFound, Problem, RegularsError


def check(file: Path, as_json: bool) -> None:
    """Read the programme; problems end with exit code 1."""
    try:
        programme = read_programme(file)
    except NotFound:
        raise
    except RegularsError as wrong:
        if as_json:
            print(
                json.dumps(
                    {"valid": False, "problems": [{"where": p.where, "what": p.what, "hint": p.hint} for p in wrong.problems]}, indent=2
                )
            )
        else:
            console = Console(stderr=True)
            for problem in wrong.problems:
                console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
    versions = [
        {"version": v.number, "applies_from": str(v.document.applies_from or "always"), "rules": len(v.ready), "units": list(v.units)}
        for v in programme.versions
    ]
    name = programme.latest.document.programme
    if as_json:
        print(json.dumps({"valid": True, "programme": name, "versions": versions}, indent=2, ensure_ascii=False))
        return
    print(f"{name}: valid")
    for version in versions:
        print(
            f"  version {version['version']}, from {version['applies_from']}: {version['rules']} rule{'' if version['rules'] == 1 else 's'}"
        )


def new(template: str, to: Path | None) -> None:
    """Write a template to the screen or a file."""
    if template == "list":
        for name, sentence in templates().items():
            print(f"{name:22} {sentence}")
        return
    if template not in templates():
        raise NotFound(Problem(f"template {template}", "there is no such template", f"there are: {', '.join(templates())}"))
    text = (files("regulars.programme.templates") / f"{template}.yaml").read_text(encoding="utf-8")
    if to is None:
        print(text, end="")
        return
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Invalid(Problem(str(to), "there is a file of that name already", "choose another name, or remove it first")) from None
    except OSError as wrong:
        raise Invalid(Problem(str(to), f"it cannot be written: {wrong.strerror}", "choose another place")) from None
    print(f"{to}: written; `regulars programme check {to}` checks it")


def templates() -> dict[str, str]:
    """The templates by name, each with its first line."""
    found = {}
    for file in sorted(files("regulars.programme.templates").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            found[file.name.removesuffix(".yaml")] = file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    return found
