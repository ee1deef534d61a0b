"""Every text that the engine may say has its sentence, with the same blanks; every sentence is said somewhere."""

import ast
import itertools
import re
from collections.abc import Iterator
from string import Formatter
from typing import get_args, get_type_hints

import pytest
from pages import ROOT

from regulars.kernel.amount import Rounding
from regulars.ledger.accounts import Movement
from regulars.locale import LANGUAGES, catalogue
from regulars.programme.conditions import All, AnyOf, Condition, Not
from regulars.programme.facts import StatusChanged
from regulars.programme.reasons import Reason

OPS = [node.__struct_config__.tag for node in get_args(Condition) if node not in (All, AnyOf, Not)]

FAMILIES = {
    "reason": [str(reason) for reason in Reason],
    "rounding": [f"{mode}.{level}" for mode, level in itertools.product(Rounding, ("order", "line"))],
    "condition.unmet": [f"{negation}{op}" for op in OPS for negation in ("", "not_")],
    "status": [*get_args(get_type_hints(StatusChanged)["status"])],
    "move": [
        *(str(movement) for movement in Movement),
        "accrual.pending",
        "redemption.debt",
        "redemption.written_off",
        "reversal.debt",
        "reversal.written_off",
        "reinstatement.pending",
        "reinstatement.debt",
        "reinstatement.written_off",
        "reinstatement.expired",
        "hold.debt",
        "hold.written_off",
        "release.debt",
        "release.written_off",
        "release.expired",
        "adjustment.debt",
        "adjustment.written_off",
    ],
}
"""Keys that the code puts together, by what they begin with."""

MAY_SAY = {f"{family}.{member}" for family, members in FAMILIES.items() for member in members}


def texts() -> Iterator[tuple[str, set[str] | None]]:
    """Each `text("key", name=...)` of the code: its key and the names of its blanks, None where `**` may add others."""
    for path in sorted((ROOT / "src/regulars").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text" and node.args:
                names = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                is_open = any(keyword.arg is None for keyword in node.keywords)
                for key in literals(node.args[0]):
                    yield key, None if is_open else names


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def written() -> set[str]:
    """Every word of the code that looks like a key of the catalogue."""
    found = set()
    for path in sorted((ROOT / "src/regulars").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", node.value):
                found.add(node.value)
    return found


def blanks(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_has_its_sentence(language: str) -> None:
    said = {key for key, _ in texts()} | MAY_SAY
    assert said - set(catalogue(language)) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_said(language: str) -> None:
    assert set(catalogue(language)) - MAY_SAY - written() == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_has_no_blank_that_its_text_does_not_fill(language: str) -> None:
    sentences = catalogue(language)
    for key, names in texts():
        if names is not None:
            assert blanks(sentences[key]) <= names, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_empty_or_badly_formed(language: str) -> None:
    for key, sentence in catalogue(language).items():
        assert sentence.strip(), key
        assert all(name.isidentifier() for name in blanks(sentence)), key


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_translation_has_the_blanks_of_the_english_sentence(language: str) -> None:
    english = catalogue("en")
    for key, sentence in catalogue(language).items():
        assert blanks(sentence) == blanks(english[key]), key
