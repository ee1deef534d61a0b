"""Programme files: every complaint names its line, and what is written stays what was written."""

import contextlib
import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.gateways.programmefiles import read_programme
from regulars.kernel.errors import Invalid, NotFound, Problem, RegularsError

PLAIN = """programme: tea shop
currency: PLN
units:
  points:
    value: 0.01
rules:
  - id: purchase
    award: {unit: points, amount: 1, per: 12.50}
"""


def written(folder: Path, text: str | bytes, name: str = "programme.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path) -> list[Problem]:
    with pytest.raises(Invalid) as refused:
        read_programme(path)
    return list(refused.value.problems)


def problem(folder: Path, text: str | bytes, name: str = "programme.yaml") -> tuple[str, str, str]:
    """Where, without the folder; what; and the hint."""
    (found,) = problems(written(folder, text, name))
    return found.where.removeprefix(f"{folder}/"), found.what, found.hint


def test_a_programme_is_read(tmp_path: Path) -> None:
    version = read_programme(written(tmp_path, PLAIN)).latest
    assert version.document.programme == "tea shop"
    assert version.document.rules[0].award is not None
    assert version.document.rules[0].award.per == Fraction(25, 2)


@pytest.mark.parametrize(
    ("line", "broken", "where", "hint"),
    [
        (2, PLAIN.replace("currency", "curency"), "curency", "did you mean `currency`?"),
        (5, PLAIN.replace("value", "valeu"), "units.points.valeu", "did you mean `value`?"),
        (8, PLAIN.replace("per:", "pre:"), "rules[0].award.pre", "did you mean `per`?"),
        (8, PLAIN.replace("award", "awrad"), "rules[0].awrad", "did you mean `award`?"),
        (9, PLAIN + "    if: {op: nth, ordres: [2]}\n", "rules[0].if.ordres", "did you mean `orders`?"),
        (9, PLAIN + "    if: {op: nht, orders: [2]}\n", "rules[0].if.op", "did you mean `nth`?"),
        (10, PLAIN + "policies:\n  lot_ordre: oldest_first\n", "policies.lot_ordre", "did you mean `lot_order`?"),
        (9, PLAIN + "tiers: {status: {levels: [{id: basic, form: 0}]}}\n", "tiers.status.levels[0].form", "did you mean `from`?"),
    ],
)
def test_an_unknown_key_gets_its_line_and_the_one_that_was_meant(tmp_path: Path, line: int, broken: str, where: str, hint: str) -> None:
    at, what, meant = problem(tmp_path, broken)
    assert at == f"programme.yaml:{line}: {where}"
    assert what.startswith(("there is no key", "there is no comparison"))
    assert meant == hint


@pytest.mark.parametrize(
    ("line", "broken", "where", "says"),
    [
        (1, PLAIN.replace("currency: PLN\n", ""), "", "the key `currency` is missing"),
        (2, PLAIN.replace("PLN", "ZŁ"), "currency", "'ZŁ' is not an ISO 4217 currency code"),
        (8, PLAIN.replace("unit: points", "unit: stamps"), "rules[0].award.unit", "there is no unit 'stamps'"),
        (8, PLAIN.replace("12.50", "0"), "rules[0].award.per", "0 is not above zero"),
        (9, PLAIN + "applies_from: 2025-02-30\n", "applies_from", "'2025-02-30' is no day of the calendar"),
        (9, PLAIN + "time_zone: Europe/Krakow\n", "time_zone", "'Europe/Krakow' is not a time zone"),
    ],
)
def test_a_wrong_value_gets_its_line_and_path(tmp_path: Path, line: int, broken: str, where: str, says: str) -> None:
    at, what, hint = problem(tmp_path, broken)
    assert (at, what) == (f"programme.yaml:{line}: {where}".removesuffix(": "), says)
    assert hint


@pytest.mark.parametrize("key", ["a[", "]", "a.b", "a[0]", ".", "[", "`", "a b"])
def test_a_key_of_any_signs_finds_its_line(tmp_path: Path, key: str) -> None:
    assert problem(tmp_path, f"{PLAIN}'{key}': 1\n")[0].startswith(("programme.yaml:9", "programme.yaml:1"))
    assert problem(tmp_path, PLAIN.replace("points:\n", f"'{key}': {{valeu: 1}}\n  points:\n"))[0].startswith("programme.yaml:")
    assert problem(tmp_path, json.dumps({key: 1, "programme": "t", "currency": "PLN"}), "p.json")[0].startswith("p.json")


def test_several_problems_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN.replace("12.50", "-1") + "    from: 2025-02-01\n    until: 2025-01-01\n")
    assert [found.where.removeprefix(f"{path}:") for found in problems(path)] == ["10: rules[0].until", "8: rules[0].award.per"]


@pytest.mark.parametrize("text", ["12,50", "1e3", ".inf", ".nan", "0x10", "1_000", "twelve", "1/0", "12.50 zł", "1e999999999"])
def test_what_is_no_plain_number_is_refused_politely(tmp_path: Path, text: str) -> None:
    at, what, _ = problem(tmp_path, PLAIN.replace("12.50", f"'{text}'" if "," in text else text))
    assert at == "programme.yaml:8: rules[0].award.per"
    assert what == f"{text!r} is not a number; write one as 10, 12.50 or 1/3"


@pytest.mark.parametrize("name", ["programme.yaml", "programme.json"])
@pytest.mark.parametrize(
    ("text", "value"), [("12.50", "25/2"), ("0.1", "1/10"), ("3", "3"), ("0.30000000000000004", "0.30000000000000004")]
)
def test_a_number_never_becomes_a_float(tmp_path: Path, name: str, text: str, value: str) -> None:
    data = f'{{"programme": "t", "currency": "PLN", "units": {{"points": {{"value": {text}}}}}}}'
    assert next(iter(read_programme(written(tmp_path, data, name)).latest.units.values())).value == Fraction(value)


@pytest.mark.parametrize("word", ["no", "on", "yes", "off", "2025-01-31", "12:30", "1.0", "010", "+1", "9" * 20, "NULL", "True"])
def test_a_word_stays_the_word_that_was_written(tmp_path: Path, word: str) -> None:
    assert read_programme(written(tmp_path, PLAIN.replace("tea shop", word))).latest.document.programme == word


@pytest.mark.parametrize("word", ["true", "null", "~", "5"])
def test_a_quoted_word_is_text_and_a_bare_one_is_not(tmp_path: Path, word: str) -> None:
    assert read_programme(written(tmp_path, PLAIN.replace("tea shop", f"'{word}'"))).latest.document.programme == word
    assert problem(tmp_path, PLAIN.replace("tea shop", word))[0] == "programme.yaml:1: programme"


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path, PLAIN + "currency: EUR\n")[:2] == ("programme.yaml:9", "the key `currency` stands here twice")
    assert problem(tmp_path, '{"programme": "a", "units": {"p": {}, "p": {}}}', "p.json")[1] == "the key `p` stands twice in one object"


def test_a_file_may_hold_several_versions(tmp_path: Path) -> None:
    second = PLAIN + "version: 2\napplies_from: 2025-01-01\n"
    assert [version.number for version in read_programme(written(tmp_path, f"{PLAIN}---\n{second}")).versions] == [1, 2]
    data = {"programme": "t", "currency": "PLN"}
    listed = json.dumps([data, {**data, "version": 2, "applies_from": "2025-01-01"}])
    assert [version.number for version in read_programme(written(tmp_path, listed, "p.json")).versions] == [1, 2]


def test_the_line_of_a_problem_is_found_in_its_own_version(tmp_path: Path) -> None:
    second = PLAIN.replace("12.50", "0") + "version: 2\napplies_from: 2025-01-01\n"
    assert problem(tmp_path, f"{PLAIN}---\n{second}")[0] == "programme.yaml:17: versions[1].rules[0].award.per"
    assert problem(tmp_path, f"{PLAIN}---\n- a list\n")[0] == "programme.yaml:10: versions[1]"
    assert problem(tmp_path, '[{"programme": "t", "currency": "PLN"}, 5]', "p.json")[0] == "p.json: versions[1]"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\n\n"])
def test_an_empty_file_says_how_to_begin(tmp_path: Path, text: str) -> None:
    assert problem(tmp_path, text) == ("programme.yaml", "the programme is empty", "`regulars programme new` writes one to begin with")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1\n", 2),
        ("a:\n\tb: c\n", 2),
        ("a: *b\n", 1),
        ("a: b: c\n", 1),
        ("'\n", 2),
        ("? [a]\n: c\n", 1),
        ("%YAML 7.0\n---\na: b\n", 1),
    ],
)
def test_what_is_no_yaml_gets_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert problem(tmp_path, text)[0] == f"programme.yaml:{line}"


@pytest.mark.parametrize("text", ["a: &a [*a]", "[" * 5000, "a: \x00", "!!int x", "!!python/object:os.system {}", "&a {<<: *a}"])
def test_yaml_that_means_mischief_is_refused(tmp_path: Path, text: str) -> None:
    assert problems(written(tmp_path, text))


def test_a_small_file_that_unfolds_into_a_huge_one_is_refused(tmp_path: Path) -> None:
    bomb = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(12))
    assert problem(tmp_path, bomb)[1] == "this is larger than any programme"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "p.json:1"),
        ("", "p.json:1"),
        ('{"a": 1}\n}', "p.json:2"),
        ("[" * 100_000, "p.json"),
        (f'{{"version": {"9" * 5000}}}', "p.json"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: str, where: str) -> None:
    assert problem(tmp_path, text, "p.json")[:2] == (where, "this is not JSON")


@pytest.mark.parametrize("content", ["żółć".encode("latin2"), b"\x89PNG\xff", b"\xff\xfea\x00"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    assert problem(tmp_path, content)[1] == "this is not text in UTF-8"


def test_a_file_larger_than_any_programme_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path, b"a" * 5_000_001)[2] == "is it the file of orders? that goes to --orders"


def test_a_file_that_is_not_there_and_a_folder_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such file"):
        read_programme(tmp_path / "programme.yaml")
    with pytest.raises(NotFound, match="cannot be read"):
        read_programme(tmp_path)


def test_a_byte_order_mark_of_an_editor_does_no_harm(tmp_path: Path) -> None:
    assert read_programme(written(tmp_path, b"\xef\xbb\xbf" + PLAIN.encode())).latest.document.programme == "tea shop"


JUNK = ["", ":", "[", "}", "- ", "&a ", "*a", "!!int ", "\n", "\t", "'", "1e9", "---\n", "\x85"]


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 12), st.sampled_from(JUNK)), max_size=4),
    st.sampled_from(["programme.yaml", "programme.json"]),
)
def test_a_damaged_file_is_read_or_refused_never_fatal(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int, str]], name: str
) -> None:
    text = PLAIN if name.endswith("yaml") else json.dumps({"programme": "t", "currency": "PLN", "units": {"points": {"value": 0.01}}})
    for start, length, junk in cuts:
        text = text[:start] + junk + text[start + length :]
    with contextlib.suppress(RegularsError):
        read_programme(written(tmp_path_factory.getbasetemp(), text, name))
