"""Access: who may ask what - keys of a merchant's systems are issued, known again, replaced and ended.

Invariant: the secret of a key is said once, when it is issued; whoever reads the database cannot make it again. What came to the door is
counted, also when it was refused.
"""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable

import asyncpg
import msgspec

from regulars.gateways.clock import Clock
from regulars.gateways.dice import new_ids
from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.kernel.time import DAY, MINUTE, SECOND, Instant
from regulars.store.access import NOBODY, Attempt, StoredKey, end_key, find_key, insert_attempts, insert_key, list_keys, mark_used
from regulars.store.audits import insert_audit
from regulars.store.database import Connection, working_for

SCOPES = {
    "read": "see members, orders, programmes and what is explained",
    "quotes": "ask what a cart would get",
    "orders": "tell of orders and other facts",
    "members": "enrol members, change how they are known, close and erase them",
    "wallet": "hold, capture, release and redeem value",
    "adjust": "give and take value by hand",
    "programmes": "draft and publish programmes",
    "keys": "issue and end keys, see who came to the door",
}
"""What a key may be allowed."""

_OVERLAP = DAY
"""How long a key that was replaced still opens, so that nobody is locked out meanwhile."""

_FRESH = 5 * SECOND
"""For so long what is known of a key is not asked again: a key ended in another process may open a little longer."""

_KNOWN_MOST = 10_000
_log = logging.getLogger(__name__)


class Caller(msgspec.Struct, frozen=True):
    """Who asks: a merchant's system, what it is called, for which source it speaks, and what it may do."""

    merchant_id: int
    key_id: str
    name: str
    source: str
    scopes: frozenset[str]


class Refused(msgspec.Struct, frozen=True):
    """Why a key does not open."""

    outcome: str
    what: str
    hint: str


class Issued(msgspec.Struct, frozen=True):
    """A new key with its secret, which is never said again."""

    key: StoredKey
    secret: str


async def issue(pool: asyncpg.Pool, clock: Clock, merchant_id: int, name: str, source: str, scopes: Iterable[str], actor: str) -> Issued:
    """A key for one source of a merchant. Raises ``Invalid`` for scopes or sources that there are not."""
    wanted = tuple(sorted(set(scopes)))
    if unknown := [scope for scope in wanted if scope not in SCOPES]:
        raise Invalid(Problem("scopes", f"there is no scope {unknown[0]!r}", f"scopes: {', '.join(SCOPES)}"))
    if not wanted:
        raise Invalid(Problem("scopes", "a key without scopes opens nothing", f"scopes: {', '.join(SCOPES)}"))
    async with working_for(pool, [merchant_id]) as connection:
        sources = await connection.fetch("select source from source where merchant_id = $1", merchant_id)
        if source not in {row[0] for row in sources}:
            known = ", ".join(sorted(row[0] for row in sources)) or "none yet"
            raise Invalid(Problem("source", f"there is no source {source!r}", f"sources of this merchant: {known}"))
        return await _issued(connection, clock.now(), merchant_id, name, source, wanted, actor)


async def replace(pool: asyncpg.Pool, clock: Clock, merchant_id: int, key_id: str, actor: str) -> Issued:
    """A new key in the place of one, which opens for another day. Raises ``NotFound``."""
    async with working_for(pool, [merchant_id]) as connection:
        now = clock.now()
        old = next((key for key in await list_keys(connection, merchant_id) if key.key_id == key_id), None)
        if old is None or (old.ends_at is not None and old.ends_at <= now):
            raise _no_key(key_id)
        await end_key(connection, merchant_id, key_id, Instant(now + _OVERLAP))
        return await _issued(connection, now, merchant_id, old.name, old.source, old.scopes, actor)


async def end(pool: asyncpg.Pool, clock: Clock, merchant_id: int, key_id: str, actor: str) -> None:
    """A key opens nothing any more. Raises ``NotFound``."""
    async with working_for(pool, [merchant_id]) as connection:
        if not await end_key(connection, merchant_id, key_id, clock.now()):
            raise _no_key(key_id)
        await insert_audit(connection, merchant_id, clock.now(), actor, "key.end", f"key {key_id}", "")


async def _issued(
    connection: Connection, now: Instant, merchant_id: int, name: str, source: str, scopes: tuple[str, ...], actor: str
) -> Issued:
    key_id, secret = secrets.token_hex(10), secrets.token_hex(24)
    key = StoredKey(merchant_id, key_id, name, source, scopes, _digest(secret), now, None, None)
    await insert_key(connection, key)
    await insert_audit(connection, merchant_id, now, actor, "key.issue", f"key {key_id}", "", None, {"source": source, "scopes": scopes})
    return Issued(key, f"rk_{key_id}_{secret}")


def _no_key(key_id: str) -> NotFound:
    return NotFound(Problem(f"key {key_id}", "there is no such key", "list the keys that there are"))


def _digest(secret: str) -> bytes:
    """A secret of 192 bits of chance needs no slow hash: nobody can try them all."""
    return hashlib.sha256(secret.encode()).digest()


class Doorkeeper:
    """Knows keys again, and counts who came."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        """``clock`` says when a key has ended."""
        self._pool = pool
        self._clock = clock
        self._known: dict[str, tuple[Instant, StoredKey | None]] = {}
        self._attempts: dict[Attempt, int] = {}
        self._used: dict[int, dict[str, Instant]] = {}

    async def opens(self, shown: str, address: str) -> Caller | Refused:
        """Whose key was ``shown`` (an ``Authorization`` header), or why it does not open."""
        now = self._clock.now()
        scheme, _, text = shown.partition(" ")
        prefix, _, rest = text.strip().partition("_")
        key_id, _, secret = rest.partition("_")
        if scheme.lower() != "bearer" or prefix != "rk" or not key_id.isalnum() or not key_id.isascii() or len(key_id) > 40:
            outcome = "none" if not shown else "malformed"
            what = "no key was shown" if not shown else "this is no key of ours"
            return self._refuse(NOBODY, "", address, now, Refused(outcome, what, "send `Authorization: Bearer rk_...`"))
        key = await self._find(key_id, now)
        if key is None or not hmac.compare_digest(key.digest, _digest(secret)):
            merchant_id = NOBODY if key is None else key.merchant_id
            refused = Refused("unknown", "this key opens nothing", "see whether it was copied whole, or issue a new one")
            return self._refuse(merchant_id, key_id, address, now, refused)
        if key.ends_at is not None and key.ends_at <= now:
            refused = Refused("ended", "this key was ended or replaced", "use the key that took its place, or issue a new one")
            return self._refuse(key.merchant_id, key_id, address, now, refused)
        self._used.setdefault(key.merchant_id, {})[key_id] = now
        return Caller(key.merchant_id, key.key_id, key.name, key.source, frozenset(key.scopes))

    def forget(self, key_id: str) -> None:
        """Ask again what is known of a key: it has changed."""
        self._known.pop(key_id, None)

    async def _find(self, key_id: str, now: Instant) -> StoredKey | None:
        known = self._known.get(key_id)
        if known is not None and now < known[0] + _FRESH:
            return known[1]
        if len(self._known) >= _KNOWN_MOST:  # somebody guesses
            self._known.clear()
        key = await find_key(self._pool, key_id)
        self._known[key_id] = (now, key)
        return key

    def _refuse(self, merchant_id: int, key_id: str, address: str, now: Instant, refused: Refused) -> Refused:
        attempt = Attempt(merchant_id, Instant(now - now % MINUTE), "api", key_id, address, refused.outcome)
        self._attempts[attempt] = self._attempts.get(attempt, 0) + 1
        return refused

    async def write_down(self) -> None:
        """Who came, and which keys were used, since it was written down last; kept for the next time when it cannot be."""
        attempts, self._attempts = self._attempts, {}
        used, self._used = self._used, {}
        try:
            merchants = {one.merchant_id for one in attempts if one.merchant_id != NOBODY} | set(used)
            async with working_for(self._pool, merchants) as connection:
                if attempts:
                    await insert_attempts(connection, attempts, new_ids(self._clock.now(), len(attempts)))
                for merchant_id, keys in used.items():
                    await mark_used(connection, merchant_id, keys)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            for attempt, times in attempts.items():
                self._attempts[attempt] = self._attempts.get(attempt, 0) + times
            raise

    async def keep_writing(self, every_seconds: float = 1.0) -> None:
        """Again and again until it is cancelled; the last time after that."""
        try:
            while True:
                await asyncio.sleep(every_seconds)
                if self._attempts or self._used:
                    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                        await self.write_down()
        finally:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self.write_down()
