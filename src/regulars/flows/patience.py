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
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError, OSError)
_TRIES = 20


class Unavailable(RegularsError):
    """The database cannot be reached now; whether what was asked is done is not known. Ask again: it will not be done twice."""


async def patiently(attempt: Callable[[], Awaitable[_T]], patience_seconds: float) -> _T:
    """Attempt until it succeeds: at once where a member moved meanwhile, and while a lost database comes back, until patience ends."""
    loop = asyncio.get_running_loop()
    until, pause, tries = loop.time() + patience_seconds, 0.02, 0
    while True:
        try:
            return await attempt()
        except _AGAIN:
            tries += 1
            if tries > _TRIES:
                raise
        except _LOST as wrong:
            if loop.time() > until:
                raise Unavailable(Problem("database", f"it cannot be reached ({wrong})", "ask again; nothing is done twice")) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)
