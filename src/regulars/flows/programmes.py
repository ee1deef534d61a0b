"""Programmes of merchants: drafts become versions that apply from an instant, and everybody decides by the same ones.

Invariant: a version begins only after every process had time to learn of it, and what was once published stays.
"""

from typing import Any

import asyncpg
import msgspec

from regulars.gateways.clock import Clock
from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.kernel.time import BEGINNING, SECOND, Instant
from regulars.programme.definition import Programme, Version, document, plain
from regulars.store.audits import insert_audit
from regulars.store.capacities import Counters
from regulars.store.database import Connection, working_for
from regulars.store.programmes import (
    Stored,
    insert_draft,
    list_versions,
    publish_draft,
    set_capacity,
    settle_statuses,
)

NOTICE = 10 * SECOND
"""A version begins at the earliest so long after it is published: longer than any transaction that does not know of it may last."""


class Programmes:
    """The programmes of all merchants of this process, each read again when its revision was raised."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._known: dict[int, tuple[int, Programme]] = {}

    async def of(self, connection: Connection, merchant_id: int, revision: int) -> Programme:
        """The programme of a merchant at ``revision``. Raises ``NotFound`` when nothing was ever published."""
        known = self._known.get(merchant_id)
        if known is not None and known[0] == revision:
            return known[1]
        found = ready([one for one in await list_versions(connection, merchant_id) if one.status != "draft"])
        if found is None:
            hint = "`regulars programme publish FILE` publishes the first version"
            raise NotFound(Problem(f"merchant {merchant_id}", "it has no programme yet", hint))
        self._known[merchant_id] = (revision, found)
        return found


def ready(stored: list[Stored]) -> Programme | None:
    """Published versions made ready; None when there are none."""
    versions = [Version(document(one.document), one.applies_from) for one in stored]
    return Programme(versions) if versions else None


async def draft(pool: asyncpg.Pool, clock: Clock, merchant_id: int, data: Any, actor: str) -> int:
    """Keep a draft; returns its number: the one that the document says, or the next. Raises ``Invalid`` for a bad document."""
    read = document(data)
    Version(read)
    async with working_for(pool, [merchant_id]) as connection:
        await _alone(connection, merchant_id)
        known = await list_versions(connection, merchant_id)
        published = [one.version for one in known if one.status != "draft"]
        number = read.version if read.version > max(published, default=0) else max(published) + 1
        await insert_draft(connection, merchant_id, number, plain(msgspec.structs.replace(read, version=number)), actor, clock.now())
        await insert_audit(connection, merchant_id, clock.now(), actor, "programme.draft", f"version {number}", "")
    return number


async def publish(pool: asyncpg.Pool, clock: Clock, merchant_id: int, version: int, actor: str, reason: str = "") -> Instant:
    """A draft goes live at the day its document names, or as soon as everybody knows; the first version always was.

    Returns the instant from which it applies. Members who stand under another version are walked by the worker. Raises ``NotFound``
    for a version that is no draft, ``Invalid`` for one that contradicts those before it.
    """
    async with working_for(pool, [merchant_id]) as connection:
        await _alone(connection, merchant_id)
        now = clock.now()
        known = await list_versions(connection, merchant_id)
        chosen = next((one for one in known if one.version == version and one.status == "draft"), None)
        if chosen is None:
            hint = "drafts: " + (", ".join(str(one.version) for one in known if one.status == "draft") or "none")
            raise NotFound(Problem(f"version {version}", "there is no such draft", hint))
        published = [one for one in known if one.status != "draft"]
        applies_from = _begins(chosen, published, now)
        programme = ready([*published, msgspec.structs.replace(chosen, applies_from=applies_from)])
        assert programme is not None
        await publish_draft(connection, merchant_id, version, applies_from, actor)
        await settle_statuses(connection, merchant_id, now)
        limits = programme.latest.capacities
        await Counters(connection, "publish").gather((merchant_id, capacity) for capacity in limits)  # what lanes leased comes back first
        for capacity, most in limits.items():
            await set_capacity(connection, merchant_id, capacity, most)
        after = {"version": version, "applies_from": applies_from}
        await insert_audit(connection, merchant_id, now, actor, "programme.publish", f"version {version}", reason, None, after)
    return applies_from


async def _alone(connection: Connection, merchant_id: int) -> None:
    """One at a time changes a merchant's versions; whoever adds other rows of the merchant does not wait."""
    await connection.execute("select from merchant where merchant_id = $1 for no key update", merchant_id)


def _begins(chosen: Stored, published: list[Stored], now: Instant) -> Instant:
    """From when it applies: never before a decision that was made without it."""
    own = Version(document(chosen.document)).applies_from
    if not published:
        return own
    latest = max(one.applies_from or BEGINNING for one in published)
    begins = max(own, Instant(now + NOTICE))
    if begins <= latest:
        what = f"version {published[-1].version} begins later than this one would"
        raise Invalid(Problem("applies_from", what, "name a later day in `applies_from`"))
    return begins
