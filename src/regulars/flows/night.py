"""Night: whatever time does to members - activation, expiry, the end of holds, another version - is done by one walk over those for whom
something is due.

Invariant: the walk may run late, twice, or in several processes at once; each member stands where their dates put them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import asyncpg
import msgspec

from regulars.flows.commands import Command
from regulars.flows.lane import Lane
from regulars.flows.patience import patiently
from regulars.flows.seals import seal_months
from regulars.flows.settle import SYSTEM, Told
from regulars.gateways.clock import Clock
from regulars.kernel.errors import RegularsError
from regulars.kernel.time import Instant
from regulars.programme.facts import TimePassed
from regulars.store.database import Connection, working_for
from regulars.store.house import list_merchants
from regulars.store.members import forget_traces, list_due, list_stale
from regulars.store.programmes import live_versions, set_walked_version, settle_statuses, walked_version

PORTION = 1000
"""Members that are walked at once."""

_PATIENCE_SECONDS = 60
_T = TypeVar("_T")


class Walked(msgspec.Struct):
    """What a night did."""

    members: int = 0
    failed: list[str] = []
    sealed: dict[int, list[str]] = {}


async def walk(pool: asyncpg.Pool, lane: Lane, clock: Clock, progress: Callable[[int], None] = lambda _: None) -> Walked:
    """Walk every member for whom something is due by now, and do the chores of the house. One merchant's failure, or one member's,
    harms no other."""
    night = Walked(failed=[], sealed={})
    for merchant_id in await _asked(pool, [], list_merchants):
        try:
            await _serve(pool, lane, clock, merchant_id, night, progress)
        except (asyncpg.PostgresError, RegularsError) as wrong:
            night.failed.append(f"merchant {merchant_id}: {wrong}")
    return night


async def _asked(pool: asyncpg.Pool, merchants: list[int], work: Callable[[Connection], Awaitable[_T]]) -> _T:
    """One transaction of the night's own, tried again while the database comes back."""

    async def attempt() -> _T:
        async with working_for(pool, merchants) as connection:
            return await work(connection)

    return await patiently(attempt, _PATIENCE_SECONDS)


async def _serve(pool: asyncpg.Pool, lane: Lane, clock: Clock, merchant_id: int, night: Walked, progress: Callable[[int], None]) -> None:
    await _asked(pool, [merchant_id], lambda connection: settle_statuses(connection, merchant_id, clock.now()))
    await _asked(pool, [merchant_id], lambda connection: forget_traces(connection, clock.now()))
    await _walk_members(pool, lane, clock, merchant_id, night, progress)
    if sealed := await patiently(lambda: seal_months(pool, clock, merchant_id), _PATIENCE_SECONDS):
        night.sealed[merchant_id] = sealed


async def _walk_members(
    pool: asyncpg.Pool, lane: Lane, clock: Clock, merchant_id: int, night: Walked, progress: Callable[[int], None]
) -> None:
    """Whoever is due; and once after each publication, everybody who stands under another version."""
    now = clock.now()
    version = (await _asked(pool, [merchant_id], lambda connection: live_versions(connection, now))).get(merchant_id)
    walked = await _asked(pool, [merchant_id], lambda connection: walked_version(connection, merchant_id))
    if version is None:
        return

    def due(after: int, connection: Connection) -> Awaitable[list[int]]:
        return list_due(connection, merchant_id, now, after, PORTION)

    def stale(after: int, connection: Connection) -> Awaitable[list[int]]:
        return list_stale(connection, merchant_id, version, after, PORTION)

    await _walk_list(pool, lane, merchant_id, now, night, progress, due)
    if walked != version:
        failed = len(night.failed)
        await _walk_list(pool, lane, merchant_id, now, night, progress, stale)
        if len(night.failed) == failed:
            await _asked(pool, [merchant_id], lambda connection: set_walked_version(connection, merchant_id, version))


Listed = Callable[[int, Connection], Awaitable[list[int]]]
"""The next members to be walked, after one."""


async def _walk_list(
    pool: asyncpg.Pool, lane: Lane, merchant_id: int, now: Instant, night: Walked, progress: Callable[[int], None], listed: Listed
) -> None:
    after, told = -1, Told("", SYSTEM)
    while True:
        members = await _asked(pool, [merchant_id], partial(listed, after))
        if not members:
            return
        commands = [Command(merchant_id, member_id, TimePassed(now), told) for member_id in members]
        for command, answer in zip(commands, await asyncio.gather(*map(lane.take, commands), return_exceptions=True), strict=True):
            if isinstance(answer, BaseException):
                night.failed.append(f"member {command.member_id}: {answer}")
            else:
                night.members += 1
        after = members[-1]
        progress(night.members)
