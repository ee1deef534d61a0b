"""Access: keys of a merchant's systems, and what came to the doors.

Invariant: a key is found by its id alone, and whoever finds it learns of this one key only; of its secret a hash is kept.
"""

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
import msgspec

from regulars.kernel.time import Instant
from regulars.store.database import Connection

NOBODY = 0
"""The merchant of what named no key of ours."""


class StoredKey(msgspec.Struct, frozen=True):
    """A key as it is kept: whose, for which source, what it may do, and until when; ``digest`` is the hash of its secret."""

    merchant_id: int
    key_id: str
    name: str
    source: str
    scopes: tuple[str, ...]
    digest: bytes
    created_at: Instant
    ends_at: Instant | None
    used_at: Instant | None


class Attempt(msgspec.Struct, frozen=True):
    """What came to a ``door``: who it said it was, from where, and how it ended. ``NOBODY``'s when it named no key of ours."""

    merchant_id: int
    minute: Instant
    door: str
    subject: str
    address: str
    outcome: str


async def find_key(pool: asyncpg.Pool, key_id: str) -> StoredKey | None:
    """The key of this id, whosever it is."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('app.key', $1, true)", key_id)
        row = await connection.fetchrow(f"select {_KEY} from api_key where key_id = $1", key_id)
    return None if row is None else _key(row)


async def list_keys(connection: Connection, merchant_id: int) -> list[StoredKey]:
    """All keys of a merchant, those that ended too, oldest first."""
    rows = await connection.fetch(f"select {_KEY} from api_key where merchant_id = $1 order by created_at, key_id", merchant_id)
    return [_key(row) for row in rows]


async def insert_key(connection: Connection, key: StoredKey) -> None:
    """A new key."""
    await connection.execute(
        f"insert into api_key ({_KEY}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        key.merchant_id,
        key.key_id,
        key.name,
        key.source,
        " ".join(key.scopes),
        key.digest,
        key.created_at,
        key.ends_at,
        key.used_at,
    )


async def end_key(connection: Connection, merchant_id: int, key_id: str, at: Instant) -> bool:
    """It opens nothing any more from ``at`` on; whether there was one."""
    found = await connection.fetchval(
        """update api_key set ends_at = least(coalesce(ends_at, $3), $3) where merchant_id = $1 and key_id = $2 returning 1""",
        merchant_id,
        key_id,
        at,
    )
    return found is not None


async def mark_used(connection: Connection, merchant_id: int, used: Mapping[str, Instant]) -> None:
    """When keys were used last."""
    await connection.execute(
        """update api_key k set used_at = greatest(coalesce(k.used_at, u.at), u.at)
            from unnest($2::text[], $3::bigint[]) as u (key_id, at) where k.merchant_id = $1 and k.key_id = u.key_id""",
        merchant_id,
        list(used),
        list(used.values()),
    )


async def insert_attempts(connection: Connection, attempts: Mapping[Attempt, int], ids: Sequence[int]) -> None:
    """So many times each, under an id of its own."""
    numbered = zip(ids, attempts.items(), strict=True)
    rows = [(id, *msgspec.structs.astuple(one), times) for id, (one, times) in numbered]
    await connection.executemany(
        """insert into attempt (attempt_id, merchant_id, minute, door, subject, address, outcome, times)
            values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        rows,
    )


async def list_attempts(connection: Connection, merchant_id: int, before: int | None, limit: int) -> Sequence[tuple[int, Attempt, int]]:
    """What came to a merchant's doors, newest first by keyset: a position, what it was, how often."""
    rows = await connection.fetch(
        """select attempt_id, merchant_id, minute, door, subject, address, outcome, times from attempt
            where merchant_id = $1 and attempt_id < $2 order by attempt_id desc limit $3""",
        merchant_id,
        before if before is not None else 2**62,
        limit,
    )
    return [(row[0], Attempt(*row[1:7]), row[7]) for row in rows]


_KEY = "merchant_id, key_id, name, source, scopes, digest, created_at, ends_at, used_at"


def _key(row: Iterable[object]) -> StoredKey:
    merchant_id, key_id, name, source, scopes, *rest = row
    return StoredKey(merchant_id, key_id, name, source, tuple(str(scopes).split()), *rest)  # type: ignore[arg-type]
