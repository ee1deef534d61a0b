"""Errors: everything wrong is told at once, each with its place and the next step."""

from regulars.kernel.errors import Invalid, Problem


def test_a_problem_reads_as_place_reason_and_hint() -> None:
    assert str(Problem("rules[0]", "a rule has one effect", "split it")) == "rules[0]: a rule has one effect\n  hint: split it"
    assert str(Problem("", "the programme is empty")) == "the programme is empty"


def test_an_error_carries_every_problem_in_its_text() -> None:
    wrong = Invalid(Problem("a", "first"), Problem("b", "second", "do this"))
    assert [problem.where for problem in wrong.problems] == ["a", "b"]
    assert str(wrong) == "a: first\nb: second\n  hint: do this"
