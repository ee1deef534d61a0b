"""Errors that people read: each says what is wrong, where, and what to do next."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with what somebody gave us.

    ``where`` is a path or place, ``what`` the reason, ``hint`` the next step.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """One line, and the hint below it."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"\n  hint: {self.hint}" if self.hint else "")


class RegularsError(Exception):
    """Whatever a caller can mend. Carries the ``problems`` found, all of them, never only the first that hurt."""

    def __init__(self, *problems: Problem) -> None:
        """At least one problem."""
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class Invalid(RegularsError):
    """What was given cannot be understood or contradicts itself."""


class NotFound(RegularsError):
    """What was asked for is not there."""
