"""Patience: what may be tried again is tried again, for as long as somebody would wait.

Invariant: only what changes nothing when it fails, or is recognised when it comes twice, is tried again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from regulars.kernel.errors import Problem, RegularsError
from regulars.store.sheet import Moved

_T = TypeVar("_T")

_AGAIN = (Moved, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    OSError,
)
"""The database is away, or takes nothing now."""

_TRIES = 20


class Unavailable(RegularsError):
    """The database cannot be reached now; whether what was asked is done is not known. Ask again: it will not be done twice."""


async def patiently(attempt: Callable[[], Awaitable[_T]], patience_seconds: float) -> _T:
    """Attempt until it succeeds: at once where somebody was faster, and while a lost database comes back, until patience ends."""
    loop = asyncio.get_running_loop()
    until, pause, tries, was_taken = loop.time() + patience_seconds, 0.02, 0, False
    while True:
        try:
            return await attempt()
        except _AGAIN:
            tries += 1
            if tries > _TRIES:
                raise
        except asyncpg.UniqueViolationError:  # somebody took the same key meanwhile: the next attempt sees it
            if was_taken:
                raise
            was_taken = True
        except _LOST as wrong:
            if loop.time() > until:
                raise Unavailable(Problem("database", f"it cannot be reached ({wrong})", "ask again; nothing is done twice")) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)
