"""Programmes: the versions of each merchant's programme, as documents with the instant from which they apply.

Invariant: what was once published is never changed or removed; orders live for ever under the version of their purchase.
"""

import json
from typing import Any

import msgspec

from regulars.kernel.time import Instant
from regulars.store.database import Connection


class Stored(msgspec.Struct, frozen=True):
    """One version as it is stored; a draft applies from nowhen."""

    version: int
    status: str
    applies_from: Instant | None
    document: dict[str, Any]
    actor: str


async def list_versions(connection: Connection, merchant_id: int) -> list[Stored]:
    """All versions, drafts included, by number."""
    rows = await connection.fetch(
        "select version, status, applies_from, document, actor from programme where merchant_id = $1 order by version", merchant_id
    )
    return [Stored(row["version"], row["status"], row["applies_from"], json.loads(row["document"]), row["actor"]) for row in rows]


async def insert_draft(connection: Connection, merchant_id: int, version: int, document: dict[str, Any], actor: str, now: Instant) -> None:
    """Keep a draft under a number of its own; a draft of that number is replaced."""
    await connection.execute(
        """insert into programme (merchant_id, version, status, applies_from, document, actor, recorded_at)
            values ($1, $2, 'draft', null, $3, $4, $5)
            on conflict (merchant_id, version) do update set document = excluded.document, actor = excluded.actor,
                recorded_at = excluded.recorded_at where programme.status = 'draft'""",
        merchant_id,
        version,
        msgspec.json.encode(document),
        actor,
        now,
    )


async def publish_draft(connection: Connection, merchant_id: int, version: int, applies_from: Instant, actor: str) -> None:
    """A draft becomes a version that applies from an instant, and every lane is told to read anew."""
    await connection.execute(
        """update programme set status = 'scheduled', applies_from = $3, actor = $4
            where merchant_id = $1 and version = $2 and status = 'draft'""",
        merchant_id,
        version,
        applies_from,
        actor,
    )
    await connection.execute("update merchant set revision = revision + 1 where merchant_id = $1", merchant_id)


async def settle_statuses(connection: Connection, merchant_id: int, now: Instant) -> None:
    """The last version whose time has come is live, those before it are retired."""
    await connection.execute(
        """update programme p set status = case when p.version = l.live then 'live' else 'retired' end
            from (select max(version) as live from programme where merchant_id = $1 and status <> 'draft' and applies_from <= $2) l
            where p.merchant_id = $1 and p.status <> 'draft' and p.version <= l.live
                and p.status <> case when p.version = l.live then 'live' else 'retired' end""",
        merchant_id,
        now,
    )


async def live_versions(connection: Connection, now: Instant) -> dict[int, int]:
    """The version in force at each merchant."""
    rows = await connection.fetch(
        """select distinct on (merchant_id) merchant_id, version from programme
            where status <> 'draft' and applies_from <= $1 order by merchant_id, applies_from desc""",
        now,
    )
    return {row[0]: row[1] for row in rows}


async def set_capacity(connection: Connection, merchant_id: int, capacity: str, most: int) -> None:
    """Set how much there is of a capacity; what is drawn already stays drawn, and never more than ``most`` and that is given."""
    await connection.execute(
        """insert into capacity (merchant_id, capacity, most, free) values ($1, $2, $3, $3)
            on conflict (merchant_id, capacity) do update set
                most = greatest(excluded.most, capacity.most - capacity.free),
                free = greatest(excluded.most - (capacity.most - capacity.free), 0)""",
        merchant_id,
        capacity,
        most,
    )


async def walked_version(connection: Connection, merchant_id: int) -> int:
    """The version under which every member was walked last."""
    found: int = await connection.fetchval("select walked_version from merchant where merchant_id = $1", merchant_id)
    return found


async def set_walked_version(connection: Connection, merchant_id: int, version: int) -> None:
    """Every member stands under it now."""
    await connection.execute("update merchant set walked_version = $2 where merchant_id = $1", merchant_id, version)
