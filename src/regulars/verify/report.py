"""What an audit says: checks with what they looked at, and findings in words.

Invariant: every finding is counted; only the first of each kind are kept in words, so that a broken database does not fill the memory.
"""

from collections import Counter

import msgspec

KEPT = 20
"""How many findings of one kind are told in words."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it must be. ``kind`` is a stable name, such as ``entries.gap``."""

    kind: str
    where: str
    what: str
    expected: str
    found: str
    hint: str


class Check(msgspec.Struct):
    """One check: what it holds true, how much it looked at, what it could not judge, and what it found."""

    name: str
    what: str
    looked_at: Counter[str] = msgspec.field(default_factory=Counter)
    not_judged: Counter[str] = msgspec.field(default_factory=Counter)
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    findings: list[Finding] = msgspec.field(default_factory=list)

    @property
    def found(self) -> int:
        """All findings, those without words too."""
        return sum(self.kinds.values())

    def saw(self, noun: str, count: int = 1) -> None:
        """So many more of them were looked at."""
        self.looked_at[noun] += count

    def leave(self, feature: str) -> None:
        """Something was not judged, because of ``feature``; it is told, never silently passed."""
        self.not_judged[feature] += 1

    def add(self, kind: str, where: str, what: str, expected: object, found: object, hint: str) -> None:
        """A finding."""
        name = f"{self.name}.{kind}"
        self.kinds[name] += 1
        if self.kinds[name] <= KEPT:
            self.findings.append(Finding(name, where, what, str(expected), str(found), hint))

    def compare(self, kind: str, where: str, what: str, expected: object, found: object, hint: str) -> None:
        """A finding where the two differ."""
        if expected != found:
            self.add(kind, where, what, expected, found, hint)


class Report(msgspec.Struct):
    """The outcome of one audit. ``notes`` say how the reading itself was limited."""

    checks: list[Check]
    notes: list[str]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not any(check.found for check in self.checks)
