"""Imports: what is known of a file's orders already, and how far each run has come.

Invariant: how far a run has come is written in the transaction of what it did, so that it goes on exactly there.
"""

from collections.abc import Iterable

from regulars.kernel.time import Instant
from regulars.store.database import Connection
from regulars.store.members import Digest


async def begin_run(connection: Connection, merchant_id: int, run: str, file: str, part: int, parts: int, now: Instant) -> int:
    """How many members an unfinished run of this file has behind it; one that was finished begins anew."""
    done: int = await connection.fetchval(
        """insert into import_run (merchant_id, run, part, parts, recorded_at, file) values ($1, $2, $3, $4, $5, $6)
            on conflict (merchant_id, run, parts, part) do update set
                members_done = case when import_run.is_done then 0 else import_run.members_done end,
                orders_done = case when import_run.is_done then 0 else import_run.orders_done end, is_done = false, recorded_at = $5,
                file = $6
            returning members_done""",
        merchant_id,
        run,
        part,
        parts,
        now,
        file,
    )
    return done


async def advance_run(connection: Connection, merchant_id: int, run: str, part: int, parts: int, members: int, orders: int) -> None:
    """So many members and orders of the file are done, counted from its beginning: told twice, it is so once."""
    await connection.execute(
        """update import_run set members_done = $5, orders_done = $6
            where merchant_id = $1 and run = $2 and parts = $4 and part = $3""",
        merchant_id,
        run,
        part,
        parts,
        members,
        orders,
    )


async def end_run(connection: Connection, merchant_id: int, run: str, part: int, parts: int) -> None:
    """It is done; what another number of parts left unfinished is done with it."""
    await connection.execute(
        """update import_run set is_done = true
            where merchant_id = $1 and run = $2 and ((parts = $4 and part = $3) or parts <> $4)""",
        merchant_id,
        run,
        part,
        parts,
    )


async def give_up(connection: Connection, merchant_id: int, file: str) -> int:
    """Unfinished runs of files of that name are done with as they are; what they took stays. Returns how many there were."""
    rows = await connection.fetch(
        "update import_run set is_done = true where merchant_id = $1 and file = $2 and not is_done returning run", merchant_id, file
    )
    return len({row[0] for row in rows})


async def known_keys(connection: Connection, merchant_id: int, source: str, keys: Iterable[str]) -> dict[str, bytes]:
    """Which of the business keys are taken, with the hash of what was told under them."""
    rows = await connection.fetch(
        """select k.key, k.digest from unnest($3::text[]) as u (key) cross join lateral (
            select * from fact_key x where x.merchant_id = $1 and x.source = $2 and x.key = u.key limit 1) k""",
        merchant_id,
        source,
        list(keys),
    )
    return {row[0]: row[1] for row in rows}


async def erased(connection: Connection, merchant_id: int, digests: Iterable[Digest]) -> set[Digest]:
    """Which of the identities are those of people who were erased."""
    wanted = list(digests)
    rows = await connection.fetch(
        """select t.kind, t.digest from unnest($2::text[], $3::bytea[]) as u (kind, digest) cross join lateral (
            select * from identity_trace x where x.merchant_id = $1 and x.kind = u.kind and x.digest = u.digest limit 1) t""",
        merchant_id,
        [kind for kind, _ in wanted],
        [digest for _, digest in wanted],
    )
    return {(row[0], row[1]) for row in rows}
