"""Schema: the database brought to the present - roles, migrations, and the months that are to come.

Invariant: a partition stands ready for every month that an entry may be recorded in, long before that month begins.
"""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.time import Instant, instant, moment
from regulars.store.tables import BY_MONTH

APP_ROLE = "regulars_app"
"""The role under which the service works: it reads and writes rows of its merchants, and changes no entry."""

MONTHS_AHEAD = 3
_OLDEST = 15
_UTC = ZoneInfo("UTC")

_ONE_AT_A_TIME = "select pg_advisory_xact_lock(7236211)"
"""One migration at a time; the lock ends with the transaction."""

_MISSING = "select not exists (select from pg_class where relname = $1 and relnamespace = 'public'::regnamespace)"
"""Asked of the rows of the catalogue: its caches may not have heard yet what another process has made."""

_ROLE = f"""
do $$ begin
    if not exists (select from pg_roles where rolname = '{APP_ROLE}') then
        create role {APP_ROLE} nologin;
    end if;
    execute 'grant {APP_ROLE} to ' || quote_ident(current_user);
exception when duplicate_object or unique_violation then null;
end $$
"""


async def migrate(url: str, now: Instant) -> None:
    """Bring the database at ``url`` to the newest revision and make its partitions. Raises ``Invalid`` when it cannot be."""
    owner = await asyncpg.connect(url)
    try:
        await prepare(owner)
        async with owner.transaction():
            await owner.execute(_ONE_AT_A_TIME)
            engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(_upgrade)
            finally:
                await engine.dispose()
        await make_partitions(owner, now)
    finally:
        await owner.close()


async def prepare(owner: asyncpg.Connection) -> None:
    """The role of the service, before the schema that grants it rights. Raises ``Invalid`` for a server that is too old."""
    version = owner.get_server_version()
    if version.major < _OLDEST:
        raise Invalid(Problem("database", f"the server is PostgreSQL {version.major}", f"use PostgreSQL {_OLDEST} or newer"))
    try:
        await owner.execute(_ROLE)
    except asyncpg.InsufficientPrivilegeError:
        hint = f"as an administrator: create role {APP_ROLE} nologin; grant {APP_ROLE} to THE_USER_OF_THE_URL"
        raise Invalid(Problem("database", f"the role {APP_ROLE} is missing and may not be created", hint)) from None


async def prepare_url(url: str) -> None:
    """``prepare`` for the database at ``url``."""
    owner = await asyncpg.connect(url)
    try:
        await prepare(owner)
    finally:
        await owner.close()


async def make_partitions(owner: asyncpg.Connection, now: Instant, ahead: int = MONTHS_AHEAD) -> int:
    """Partitions for the month of ``now`` and ``ahead`` more; returns how many were missing."""
    made = 0
    for month in months_from(now, ahead + 1):
        first, end = bounds_of(month)
        for table in BY_MONTH:
            name = f"{table.name}_{month.replace('-', '_')}"
            if await owner.fetchval(_MISSING, name):
                made += await _make_partition(owner, table.name, name, f"from ({first}) to ({end})")
    return made


async def _make_partition(owner: asyncpg.Connection, table: str, name: str, bounds: str) -> bool:
    """One partition with its guards, whole or not at all; made beside its table, so that nobody who reads or writes has to wait."""
    async with owner.transaction():
        await owner.execute(_ONE_AT_A_TIME)
        if not await owner.fetchval(_MISSING, name):
            return False
        await owner.execute(f"create table {name} (like {table} including defaults including constraints)")
        await owner.execute(f"alter table {table} attach partition {name} for values {bounds}")
        entered = f"after insert on {name} referencing new table as entered for each statement execute function"
        if table != "outbox":
            await owner.execute(f"create trigger never_emptied before truncate on {name} execute function refuse_change()")
            await owner.execute(f"create trigger months_stay_sealed {entered} check_month()")
        if table == "transfer":
            await owner.execute(f"create trigger entries_continue {entered} check_entries()")
        return True


def month_of(at: Instant) -> str:
    """``YYYY-MM`` of ``at``, in UTC: seals and partitions know no other zone."""
    return moment(at, _UTC).strftime("%Y-%m")


def months_from(at: Instant, count: int) -> list[str]:
    """The month of ``at`` and those after it, ``count`` in all."""
    day = moment(at, _UTC)
    numbers = range(day.year * 12 + day.month - 1, day.year * 12 + day.month - 1 + count)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers]


def bounds_of(month: str) -> tuple[Instant, Instant]:
    """The first instant of ``month`` and the first after it."""
    number = int(month[:4]) * 12 + int(month[5:])
    return (
        instant(datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)),
        instant(datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)),
    )


def newest_revision() -> str:
    """The revision that this release needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _upgrade(connection: Connection) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise Invalid(Problem("database", f"its schema is {found}, which this release does not know", "install the newer release again"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
