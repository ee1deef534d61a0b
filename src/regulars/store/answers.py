"""Answers: what was answered under an Idempotency-Key is given again, to the byte, for thirty days."""

import msgspec

from regulars.kernel.time import DAY, Instant
from regulars.store.database import Connection

KEPT = 30 * DAY
"""How long an answer is given again; what was done is known for ever by its own key."""


class Answer(msgspec.Struct, frozen=True):
    """Status and body of an answer; ``digest`` is the hash of what was asked."""

    digest: bytes
    status: int
    body: bytes


async def find_answer(connection: Connection, merchant_id: int, source: str, key: str, now: Instant) -> Answer | None:
    """What was answered under a key, unless that is too long ago."""
    row = await connection.fetchrow(
        "select digest, status, body from answer where merchant_id = $1 and source = $2 and key = $3 and recorded_at > $4",
        merchant_id,
        source,
        key,
        now - KEPT,
    )
    return None if row is None else Answer(*row)


async def keep_answer(connection: Connection, merchant_id: int, source: str, key: str, answer: Answer, now: Instant) -> None:
    """The first answer stays."""
    await connection.execute(
        """insert into answer (merchant_id, source, key, digest, status, body, recorded_at) values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (merchant_id, source, key) do nothing""",
        merchant_id,
        source,
        key,
        answer.digest,
        answer.status,
        answer.body,
        now,
    )


async def forget_answers(connection: Connection, merchant_id: int, now: Instant) -> None:
    """Those that are not given any more."""
    await connection.execute("delete from answer where merchant_id = $1 and recorded_at <= $2", merchant_id, now - KEPT)
