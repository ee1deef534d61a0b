"""The documentation is executed: what it shows is what the command prints, and the reference is what the code says."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from pages import PAGES, ROOT, Block, Run, agrees, blocks, output, runs
from servers import open_folder

from regulars.gateways.programmefiles import read_programme
from regulars.kernel.errors import Invalid
from regulars.programme.conditions import CATALOGUE
from regulars.programme.policies import Policies
from regulars.programme.reasons import Reason


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return generator()


def commands() -> list[Any]:
    """The commands of each block of each page, with the files that the page shows."""
    found = []
    for page in PAGES:
        shown = list(blocks(page))
        files = [block for block in shown if block.title]
        for block in shown:
            if block.language == "console":
                session = list(runs(block))
                found.append(pytest.param(files, session, id=f"{name_of(page)}: {session[0].command}"))
    return found


@pytest.mark.parametrize(("files", "session"), commands())
def test_commands_print_what_the_page_shows(files: list[Block], session: list[Run]) -> None:
    """The commands of one block follow each other in one folder; what the first keeps the next finds."""
    with open_folder() as folder:
        for file in files:
            (folder / file.title).write_text(file.body, encoding="utf-8")
        for run in session:
            printed = output(run.command, folder)
            assert agrees(run.shown, printed), f"$ {run.command}\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_programme_on_a_page_is_accepted_or_announced_as_wrong(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language != "yaml":
            continue
        file = tmp_path / "programme.yaml"
        file.write_text(block.body, encoding="utf-8")
        if "wrong" in block.words:
            with pytest.raises(Invalid):
                read_programme(file)
        else:
            assert read_programme(file).versions, block.title


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#:\s]*)(#([^)\s]+))?\)", page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            wanted = anchor.removeprefix("#")
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert wanted in anchors, f"{name_of(page)} links to {target}#{wanted}"


def test_generated_pages_are_what_the_code_says(generate: ModuleType) -> None:
    for path, text in generate.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not current: `make docs` writes it"


def test_every_key_of_a_programme_has_a_sentence(generate: ModuleType) -> None:
    for kind in (*generate.SECTIONS, *generate.CONDITIONS):
        assert kind.__doc__, kind
        for field in msgspec.structs.fields(kind):
            assert generate.description(field), f"{kind.__name__}.{field.name}"


def test_every_struct_of_a_programme_has_a_section(generate: ModuleType) -> None:
    schema = json.loads((ROOT / "docs/reference/programme.schema.json").read_text(encoding="utf-8"))
    structs = {name for name, part in schema["$defs"].items() if part.get("type") == "object"}
    assert structs == {kind.__name__ for kind in (*generate.SECTIONS, *generate.CONDITIONS)}


def test_every_policy_fact_and_reason_is_documented() -> None:
    guide = (ROOT / "docs/programme.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs/reference/programme.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(Policies):
        assert f"`{field.encode_name}`" in guide, field.name
        assert f"`{field.encode_name}`" in reference, field.name
    for name in (*CATALOGUE, *Reason):
        assert f"`{name}`" in reference, name


def test_every_figure_of_a_replay_is_defined(tmp_path: Path) -> None:
    page = ROOT / "docs/replay.md"
    for file in blocks(page):
        if file.title:
            (tmp_path / file.title).write_text(file.body, encoding="utf-8")
    report = json.loads(output("regulars replay -p points.yaml -o history.csv --json", tmp_path))
    unit = report["units"]["points"]
    section = page.read_text(encoding="utf-8").partition("## Every figure")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == {*report, *unit, *unit["months"][0]}


@pytest.mark.parametrize(("how", "points"), [("highest", 87), ("multiply", 174), ("add", 116)])
def test_multiples_combine_as_the_guide_says(how: str, points: int, tmp_path: Path) -> None:
    page = ROOT / "docs/programme.md"
    assert re.search(rf"^\| `{how}` \| [^|]* \| {points} \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    for file in blocks(page):
        if file.title:
            body = file.body.replace("multiples_combine: highest", f"multiples_combine: {how}")
            (tmp_path / file.title).write_text(body, encoding="utf-8")
    printed = output("regulars explain -p multiples.yaml -o orders.csv --order 2", tmp_path)
    assert f"gives {points} points on €29.97" in printed


@pytest.mark.parametrize(("base", "points"), [("exact", 44), ("rounded", 42)])
def test_a_multiple_applies_to_the_base_that_the_guide_says(base: str, points: int, tmp_path: Path) -> None:
    page = ROOT / "docs/programme.md"
    for file in blocks(page):
        if file.title:
            body = file.body.replace("multiples_combine: highest", f"multiple_base: {base}").replace("amount: 1, per: 1.00", "rate: 0.5")
            (tmp_path / file.title).write_text(body, encoding="utf-8")
    printed = output("regulars explain -p multiples.yaml -o orders.csv --order 2", tmp_path)
    assert f"gives {points} points on €29.97" in printed
