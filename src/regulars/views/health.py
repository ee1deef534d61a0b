"""Health: whether the database is as this release needs it, and what lags behind.

Invariant: every question has an answer in words and, where it is not well, what to do.
"""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from regulars.kernel.time import HOUR, Instant, moment
from regulars.store.database import see_all
from regulars.store.schema import APP_ROLE, MONTHS_AHEAD, months_from, newest_revision
from regulars.store.tables import BY_MONTH

_UTC = ZoneInfo("UTC")


class Finding(msgspec.Struct, frozen=True):
    """One question: how it stands, and what to do when it is not well."""

    name: str
    is_well: bool
    what: str
    hint: str = ""


async def examine(owner: asyncpg.Connection, now: Instant) -> AsyncIterator[Finding]:
    """Ask everything, one after the other, as the owner of the database."""
    server = owner.get_server_version()
    said = str(await owner.fetchval("show server_version")).split()[0]
    yield Finding("server", server.major >= 15, f"PostgreSQL {said}", "use PostgreSQL 15 or newer")
    revision = None
    if await owner.fetchval("select to_regclass('alembic_version') is not null"):
        revision = await owner.fetchval("select version_num from alembic_version")
    needed = newest_revision()
    hint = "`regulars worker --once` brings it to the present" if revision is None or revision < needed else "install the newer release"
    yield Finding("schema", revision == needed, f"revision {revision or 'none'}, this release needs {needed}", hint)
    if revision != needed:
        return
    yield await _role(owner)
    await see_all(owner)
    yield await _durability(owner)
    yield await _clock(owner, now)
    yield await _partitions(owner, now)
    yield await _due(owner, now)
    yield await _outbox(owner)
    yield await _imports(owner)
    yield await _leases(owner)


async def _role(owner: asyncpg.Connection) -> Finding:
    row = await owner.fetchrow("select rolsuper, rolbypassrls, rolcanlogin from pg_roles where rolname = $1", APP_ROLE)
    is_well = row is not None and not any(row)
    what = "may change no entry and sees only its merchants" if is_well else "is missing or has too many rights"
    return Finding("role of the service", is_well, f"{APP_ROLE} {what}", f"alter role {APP_ROLE} nosuperuser nobypassrls nologin")


async def _durability(owner: asyncpg.Connection) -> Finding:
    off = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if await owner.fetchval(f"show {name}") == "off"]
    what = "what is acknowledged survives a crash" if not off else f"switched off: {', '.join(off)}"
    return Finding("durability", not off, what, "switch them on in postgresql.conf: without them a crash loses what was acknowledged")


async def _clock(owner: asyncpg.Connection, now: Instant) -> Finding:
    theirs = await owner.fetchval("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
    apart = abs(theirs - now) / 1_000_000
    return Finding("clock", apart < 5, f"{apart:.1f} s from the database's", "let both machines keep time by NTP")


async def _partitions(owner: asyncpg.Connection, now: Instant) -> Finding:
    months = months_from(now, MONTHS_AHEAD + 1)
    names = [f"{table.name}_{month.replace('-', '_')}" for month in months for table in BY_MONTH]
    missing = [name for name in names if await owner.fetchval("select to_regclass($1) is null", name)]
    what = f"ready to the end of {months[-1]}" if not missing else f"missing: {', '.join(missing)}"
    return Finding("months", not missing, what, "`regulars worker --once` makes them")


async def _due(owner: asyncpg.Connection, now: Instant) -> Finding:
    row = await owner.fetchrow(
        "select count(*), min(due_at) from member where due_at <= $1 and status not in ('merged', 'erased') and seq > 0", now - HOUR
    )
    count, since = row if row is not None and row[0] else (0, now)
    what = "nobody waits for what is due" if not count else f"{count:,} members wait, the first since {moment(since, _UTC):%Y-%m-%d}"
    return Finding("night walk", not count, what, "run `regulars worker`; it may run late without harm")


async def _outbox(owner: asyncpg.Connection) -> Finding:
    count = await owner.fetchval("select count(*) from outbox")
    return Finding("outbox", True, f"{count:,} messages wait for whoever is to be told")


async def _imports(owner: asyncpg.Connection) -> Finding:
    rows = await owner.fetch(
        """select merchant_id, file, sum(orders_done)::bigint as orders, min(recorded_at) as since from import_run
            where run in (select run from import_run where not is_done) group by merchant_id, run, file order by since"""
    )
    parts = [
        f"{row['file']} of merchant {row['merchant_id']} ({row['orders']:,} orders taken, begun {moment(row['since'], _UTC):%Y-%m-%d})"
        for row in rows
    ]
    hint = "import the same file again: it goes on where it stopped; or `regulars import dismiss FILE` leaves it at that"
    return Finding("imports", not rows, "unfinished: " + ", ".join(parts) if rows else "none is unfinished", hint)


async def _leases(owner: asyncpg.Connection) -> Finding:
    count = await owner.fetchval("select count(*) from capacity_lease")
    return Finding("leases of capacities", True, f"{count:,} held by lanes; whoever lacks anything gathers them")
