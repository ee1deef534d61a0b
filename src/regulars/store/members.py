"""Members: who there is, and by what they are known.

Invariant: outside the vault nothing here names a person; identities are keyed hashes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.time import Instant
from regulars.store.database import Connection
from regulars.store.records import Snapshot, new_snapshot, read_snapshot, written

Digest = tuple[str, bytes]
"""The kind of an identity and its keyed hash."""


class StoredMember(msgspec.Struct, frozen=True):
    """A member as stored."""

    merchant_id: int
    member_id: int
    status: str
    merged_into: int | None
    seq: int
    enrolled_at: Instant
    snapshot: Snapshot


async def insert_members(connection: Connection, merchant_id: int, member_ids: Sequence[int], now: Instant) -> None:
    """New members without a past."""
    fresh = [new_snapshot(id) for id in member_ids]
    await connection.execute(
        """insert into member (merchant_id, member_id, status, seq, due_at, planned_version, engine_epoch, state_schema, snapshot,
                enrolled_at)
            select $1, u.id, 'active', 0, u.due_at, 0, u.epoch, u.schema, u.snapshot, $2
            from unnest($3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::json[]) as u (id, due_at, epoch, schema, snapshot)""",
        merchant_id,
        now,
        list(member_ids),
        [one.member.due_at for one in fresh],
        [one.member.engine_epoch for one in fresh],
        [one.member.state_schema for one in fresh],
        [written(one) for one in fresh],
    )


async def find_members(connection: Connection, merchant_id: int, digests: Iterable[Digest]) -> dict[Digest, int]:
    """Who is known by these identities."""
    wanted = list(digests)
    rows = await connection.fetch(
        """select i.kind, i.digest, i.member_id from unnest($2::text[], $3::bytea[]) as u (kind, digest) cross join lateral (
            select * from identity x where x.merchant_id = $1 and x.kind = u.kind and x.digest = u.digest limit 1) i""",
        merchant_id,
        [kind for kind, _ in wanted],
        [digest for _, digest in wanted],
    )
    return {(row["kind"], row["digest"]): row["member_id"] for row in rows}


async def insert_identities(
    connection: Connection, merchant_id: int, identities: Iterable[tuple[Digest, int]], now: Instant
) -> dict[Digest, int]:
    """Let members be known by identities; returns those that were somebody's already, with whose they are."""
    given = list(identities)
    await connection.execute(
        """insert into identity (merchant_id, kind, digest, member_id, origin_member_id, recorded_at)
            select $1, u.kind, u.digest, u.member_id, u.member_id, $2
            from unnest($3::text[], $4::bytea[], $5::bigint[]) as u (kind, digest, member_id)
            order by 2, 3
            on conflict (merchant_id, kind, digest) do nothing""",
        merchant_id,
        now,
        [digest[0] for digest, _ in given],
        [digest[1] for digest, _ in given],
        [member_id for _, member_id in given],
    )
    owners = await find_members(connection, merchant_id, [digest for digest, _ in given])
    return {digest: owners[digest] for digest, member_id in given if owners[digest] != member_id}


async def find_member(connection: Connection, merchant_id: int, member_id: int) -> StoredMember | None:
    """One member as they stand."""
    row = await connection.fetchrow(
        """select merchant_id, member_id, status, merged_into, seq, enrolled_at, snapshot from member
            where merchant_id = $1 and member_id = $2""",
        merchant_id,
        member_id,
    )
    if row is None:
        return None
    return _member(row)


class StandingNow(msgspec.Struct, frozen=True):
    """How somebody stands, without a lock; one who was merged into another is that other. No snapshot: nobody."""

    revision: int
    member_id: int | None
    snapshot: Snapshot | None


async def read_standing(connection: Connection, merchant_id: int, member_id: int | None) -> StandingNow:
    """A member (None: only the merchant's revision) in one statement. Raises ``NotFound`` for a merchant who is unknown."""
    row = await connection.fetchrow(
        """select a.revision, m.member_id, m.snapshot from merchant a
            left join lateral (
                select coalesce(x.merged_into, x.member_id) as id from member x where x.merchant_id = $1 and x.member_id = $2
            ) w on true
            left join lateral (select x.* from member x where x.merchant_id = $1 and x.member_id = w.id limit 1) m on true
            where a.merchant_id = $1""",
        merchant_id,
        member_id,
    )
    if row is None:
        raise NotFound(Problem(f"merchant {merchant_id}", "there is no such merchant", "`regulars programme publish FILE` sets one up"))
    return StandingNow(row[0], row[1], None if row[2] is None else read_snapshot(row[2]))


async def lock_member(connection: Connection, merchant_id: int, member_id: int) -> str | None:
    """Nobody changes the member until this transaction ends; returns their status, None for nobody."""
    status: str | None = await connection.fetchval(
        "select status from member where merchant_id = $1 and member_id = $2 for no key update", merchant_id, member_id
    )
    return status


async def list_due(connection: Connection, merchant_id: int, now: Instant, after: int, limit: int) -> list[int]:
    """The next ``limit`` members, by id, for whom time has something to do."""
    rows = await connection.fetch(
        """select member_id from member
            where merchant_id = $1 and due_at <= $2 and status not in ('merged', 'erased') and seq > 0 and member_id > $3
            order by member_id limit $4""",
        merchant_id,
        now,
        after,
        limit,
    )
    return [row[0] for row in rows]


async def list_stale(connection: Connection, merchant_id: int, version: int, after: int, limit: int) -> list[int]:
    """The next ``limit`` members, by id, who stand under another version than the live one. No index is kept for what is asked but once
    after a publication."""
    rows = await connection.fetch(
        """select member_id from member
            where merchant_id = $1 and planned_version <> $2 and status not in ('merged', 'erased') and seq > 0 and member_id > $3
            order by member_id limit $4""",
        merchant_id,
        version,
        after,
        limit,
    )
    return [row[0] for row in rows]


async def absorbed_members(connection: Connection, merchant_id: int, member_id: int) -> list[int]:
    """Who was merged into the member, and who into those."""
    rows = await connection.fetch(
        """with recursive own as (
                select member_id from member where merchant_id = $1 and merged_into = $2
                union select m.member_id from member m join own on m.merchant_id = $1 and m.merged_into = own.member_id)
            select member_id from own order by 1""",
        merchant_id,
        member_id,
    )
    return [row[0] for row in rows]


async def forget_identities(connection: Connection, merchant_id: int, member_ids: Sequence[int], until: Instant) -> None:
    """Nobody is known by these members' identities any more; keyed hashes stay as traces ``until`` an instant."""
    await connection.execute(
        """with gone as (delete from identity where merchant_id = $1 and member_id = any ($2) returning kind, digest)
            insert into identity_trace as t (merchant_id, kind, digest, until) select $1, kind, digest, $3 from gone
            on conflict (merchant_id, kind, digest) do update set until = greatest(t.until, excluded.until)""",
        merchant_id,
        list(member_ids),
        until,
    )


async def forget_traces(connection: Connection, now: Instant) -> None:
    """Traces whose time is over go."""
    await connection.execute("delete from identity_trace where until <= $1", now)


async def list_members(connection: Connection, merchant_id: int, after: int, limit: int) -> list[StoredMember]:
    """The members of a merchant by id, those after one: a keyset page."""
    rows = await connection.fetch(
        """select merchant_id, member_id, status, merged_into, seq, enrolled_at, snapshot from member
            where merchant_id = $1 and member_id > $2 order by member_id limit $3""",
        merchant_id,
        after,
        limit,
    )
    return [_member(row) for row in rows]


def _member(row: Any) -> StoredMember:
    merchant_id, member_id, status, merged_into, seq, enrolled_at, snapshot = row
    return StoredMember(merchant_id, member_id, status, merged_into, seq, enrolled_at, read_snapshot(snapshot))
