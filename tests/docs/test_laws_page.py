"""The page of the laws names each test that holds one, counts its planted bugs, and every one of those names a test that exists."""

import re

from pages import ROOT

LAWS = {path.name for path in (ROOT / "tests/laws").glob("test_law_*.py")}
PATCHES = sorted((ROOT / "tests/planted").glob("*.patch"))
ROWS = re.findall(r"^\| (\d+) \|[^|]*\|([^|]*)\| ?(\d*) ?\|", (ROOT / "docs/laws.md").read_text(), re.MULTILINE)


def test_every_law_in_force_stands_on_the_page_with_its_test_and_its_planted_bugs() -> None:
    assert {test for _, tests, _ in ROWS for test in re.findall("`([^`]*)`", tests)} == LAWS
    for number, tests, bugs in ROWS:
        planted = [patch for patch in PATCHES if patch.name.startswith(f"law_{int(number):02}_")]
        assert len(planted) == int(bugs or 0), number
        assert bool(tests.strip()) == bool(planted)


def test_every_planted_bug_names_a_test_that_exists() -> None:
    for patch in PATCHES:
        for test in patch.read_text().splitlines()[0].removeprefix("# red: ").split():
            assert (ROOT / test).exists(), patch.name
