"""Audit: one record of every change that somebody made by hand - who, why, before, after.

Invariant: records are only added, in the transaction of the change they tell of.
"""

import secrets
from typing import Any

import msgspec

from regulars.kernel.time import Instant
from regulars.store.database import Connection


async def insert_audit(
    connection: Connection,
    merchant_id: int,
    now: Instant,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Add a record; ``action`` is room and verb, as ``programme.publish``."""
    await connection.execute(
        """insert into audit (merchant_id, recorded_at, audit_id, actor, action, subject, reason, before, after)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        merchant_id,
        now,
        secrets.randbits(62),
        actor,
        action,
        subject,
        reason,
        None if before is None else msgspec.json.encode(before),
        None if after is None else msgspec.json.encode(after),
    )
