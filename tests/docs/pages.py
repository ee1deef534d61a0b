"""The pages as the tests read them: their fenced blocks, and their commands run in a folder that holds the files they show."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""What people read first to last; the generated reference and the decisions show no commands."""

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(msgspec.Struct, frozen=True):
    """A fenced block: its language, the title (a file's name, or empty), the other words after it, and its text."""

    language: str
    title: str
    words: tuple[str, ...]
    body: str


class Run(msgspec.Struct, frozen=True):
    """A command of a page and the output that stands below it."""

    command: str
    shown: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of ``page``."""
    for found in _FENCE.finditer(page.read_text(encoding="utf-8")):
        title = re.search(r'title="([^"]*)"', found["info"])
        words = re.sub(r'title="[^"]*"', "", found["info"]).split()
        yield Block(found["language"], title[1] if title else "", tuple(words), found["body"])


def runs(block: Block) -> Iterator[Run]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield Run(command, shown)


_NOT_OURS = ("FORCE_COLOR", "CLICOLOR_FORCE", "REGULARS_DATABASE_URL", "REGULARS_VAULT_KEY")


def output(command: str, folder: Path) -> str:
    """What ``command`` prints when it is given in ``folder``, on a screen of 100 columns; its database lies in the folder too."""
    words = shlex.split(command)
    if words[:2] == ["make", "demo"]:
        words = ["regulars", "demo", "--once"]
    if words[0] == "cat":
        return "".join((folder / name).read_text(encoding="utf-8") for name in words[1:])
    assert words[0] in ("regulars", "python"), f"pages show `regulars`, `python`, `make demo` and `cat` only, not {command!r}"
    plain = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    shown = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, *(["-m", "regulars.cli"] if words[0] == "regulars" else []), *words[1:]],
        cwd=folder,
        env={**plain, **shown, "REGULARS_HOME": str(folder / "home")},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return tidy(done.stdout if done.returncode == 0 or not done.stderr.strip() else done.stdout + done.stderr)


def tidy(text: str) -> str:
    """``text`` without spaces at the ends of lines and empty lines at its ends."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def agrees(shown: str, printed: str) -> bool:
    """Whether ``printed`` is what the page shows; a line ``...`` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in tidy(shown).splitlines())
    return re.fullmatch(pattern, printed + "\n") is not None
