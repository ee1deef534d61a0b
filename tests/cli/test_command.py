"""The command as people use it, with bad input too: an answer or a sentence, never a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from builders import DEMO_ORDERS, ROOT

E = str(ROOT / "tests/programmes/e.yaml")
ORDERS = str(DEMO_ORDERS)


def regulars(*words: str, **keys: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regulars.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **keys)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    "words", [["--help"], ["replay", "--help"], ["explain", "--help"], ["orders", "--help"], ["programme", "new", "--help"]]
)
def test_help_is_given(words: list[str]) -> None:
    done = regulars(*words)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_version_is_said() -> None:
    assert regulars("--version").stdout.startswith("regulars ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["replay", "-p", "absent.yaml", "-o", ORDERS], 2),
        (["replay", "-p", E, "-o", "absent.csv"], 2),
        (["replay", "-p", ORDERS, "-o", ORDERS], 2),
        (["replay", "-p", E, "-o", E], 2),
        (["replay", "-p", E, "-o", ORDERS, "--time-zone", "Mars/Olympus"], 2),
        (["replay", "-p", E, "-o", ORDERS, "--column", "member"], 2),
        (["replay", "-p", E, "-o", ORDERS, "--column", "planet=x"], 2),
        (["replay", "-p", E, "-o", ORDERS, "--column", "member=x"], 2),
        (["explain", "-p", E, "-o", ORDERS], 2),
        (["explain", "-p", E, "-o", ORDERS, "--order", "1", "--member", "2"], 2),
        (["explain", "-p", E, "-o", ORDERS, "--order", "no such order"], 2),
        (["explain", "-p", E, "-o", ORDERS, "--member", "nobody"], 2),
        (["explain", "-p", E, "-o", ORDERS, "--order", "501303", "--as-of", "2010-01-01"], 2),
        (["programme", "new", "no such template"], 2),
        (["programme", "check", "absent.yaml"], 2),
        (["orders", "check", "."], 2),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence_with_a_hint(words: list[str], code: int) -> None:
    done = regulars(*words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "hint:" in done.stderr
    as_json = regulars(*words, "--json") if words[:2] != ["programme", "new"] else None
    if as_json is not None:
        problems = json.loads(as_json.stdout)["problems"]
        assert as_json.returncode == code
        assert all(problem["what"] and problem["hint"] for problem in problems)


def test_a_programme_that_is_wrong_is_told_with_its_line_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("programme: Mine\ncurrency: PLN\nrules:\n  - id: a\n    awrd: {unit: points, amount: 1}\n")
    done = regulars("programme", "check", str(file))
    assert done.returncode == 1
    assert f"{file}:5" in done.stderr
    assert "did you mean `award`?" in done.stderr
    assert json.loads(regulars("programme", "check", str(file), "--json").stdout)["valid"] is False


def test_each_template_is_written_once_checked_and_replayed(tmp_path: Path) -> None:
    names = [line.split()[0] for line in regulars("programme", "new", "list").stdout.splitlines()]
    assert len(names) >= 6
    for name in names:
        file = tmp_path / f"{name}.yaml"
        assert regulars("programme", "new", name, "--to", str(file)).returncode == 0
        assert regulars("programme", "new", name, "--to", str(file)).returncode == 2
        assert regulars("programme", "check", str(file)).returncode == 0
        done = regulars("replay", "-p", str(file), "-o", ORDERS, "--redeem", "greedy", "--returns", "last-purchase-first", "--json")
        report = json.loads(done.stdout)
        assert report["orders"] + sum(report["refused"].values()) == 893
        assert all(sum(unit["reconciliation"].values()) == 0 for unit in report["units"].values())


def test_the_demo_prints_a_table_a_story_and_an_order_explained() -> None:
    done = regulars("demo", "--once")
    assert done.returncode == 0, done.stderr
    for part in ("month by month", "The story of member", "line by line", "outstanding", "sum"):
        assert part in done.stdout


def test_an_order_is_explained_line_by_line() -> None:
    done = regulars("explain", "-p", E, "-o", ORDERS, "--order", "501303")
    assert done.returncode == 0
    for part in ("version 1", "Rule purchase", "22311: paid", "Rounded down", "usable from", "gone at", "paid for file:507272"):
        assert part in done.stdout
    tree = json.loads(regulars("explain", "-p", E, "-o", ORDERS, "--order", "501303", "--json").stdout)
    assert tree[0]["key"] == "order.placed"


def test_the_schema_is_json() -> None:
    assert json.loads(regulars("programme", "schema").stdout)["$schema"].startswith("https://json-schema.org/")


def test_a_reader_that_stops_reading_is_no_error() -> None:
    command = f"{sys.executable} -m regulars.cli orders check {ORDERS} --json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{"
    assert "Traceback" not in done.stderr
