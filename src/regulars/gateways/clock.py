"""The clock: what time it is now, as microseconds of UTC.

Invariant: each answer of a clock is later than the one before, so that two things that happened one after the other never bear the same
instant, not even when somebody sets the machine's clock back.
"""

import time
from threading import Lock
from typing import Protocol

from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.time import Instant


class Clock(Protocol):
    """Whoever needs the present is given one of these; nobody reads the machine's clock."""

    def now(self) -> Instant:
        """The present instant, later than every answer before."""


class SystemClock:
    """The machine's clock. Set back, it stands nearly still (a microsecond a call) until the time is made up."""

    _lock = Lock()
    _last = Instant(0)
    """Of the whole process: two of these clocks agree about what is later."""

    def now(self) -> Instant:
        """The present instant; safe to ask from several threads."""
        with SystemClock._lock:
            SystemClock._last = Instant(max(time.time_ns() // 1000, SystemClock._last + 1))
            return SystemClock._last


class SetClock:
    """A clock that goes only where it is told, for tests and for the sandbox of a merchant."""

    def __init__(self, start: Instant) -> None:
        """The first ``now()`` is ``start``; each further one is a microsecond later."""
        self._next = start

    def now(self) -> Instant:
        """The instant that was set, and a microsecond more for each time it was asked since."""
        at, self._next = self._next, Instant(self._next + 1)
        return at

    def advance(self, microseconds: int) -> None:
        """Lets time pass."""
        self.set(Instant(self._next + microseconds))

    def set(self, at: Instant) -> None:
        """The next ``now()`` is ``at``. Raises ``Invalid`` when that has passed: what is recorded cannot come to lie in the future."""
        if at < self._next:
            raise Invalid(Problem("clock", f"{at} has passed: the clock stands at {self._next}", "set it to a later instant"))
        self._next = at
