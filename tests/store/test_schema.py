"""The schema: what the migrations make is what `tables` says, and the service's role may do no more than its work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from tales import as_owner
from world import MERCHANT, START

from regulars.kernel.errors import Invalid
from regulars.kernel.time import DAY, Instant
from regulars.store import schema
from regulars.store.database import open_pool
from regulars.store.schema import APP_ROLE, bounds_of, make_partitions, migrate, month_of, months_from, newest_revision
from regulars.store.tables import BY_MONTH, OF_A_MEMBER, metadata

ENTRIES = ["fact", "transfer", "allocation", "draw", "fact_key", "audit", "seal"]
"""What is never changed or removed."""

TYPES = {"BIGINT": "bigint", "INTEGER": "integer", "TEXT": "text", "BOOLEAN": "boolean", "JSON": "json", "BLOB": "bytea"}

PARTITIONS = "select inhrelid::regclass::text as name, inhparent::regclass::text as parent from pg_inherits"


def asked(url: str, question: Callable[["asyncpg.Connection[Any]"], Awaitable[Any]]) -> Any:
    """What ``question`` learns from the owner of the database."""

    async def ask() -> Any:
        async with as_owner(url) as owner:
            return await question(owner)

    return asyncio.run(ask())


def rows(url: str, sql: str, *args: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in asked(url, lambda owner: owner.fetch(sql, *args))]


# --- tables ---------------------------------------------------------------------------------------------------------------------


def test_alembic_finds_no_difference_between_the_tables_and_the_database(memory: str) -> None:
    partitions = {name for name, _ in rows(memory, PARTITIONS)}

    def compared(connection: Connection) -> list[Any]:
        def counts(thing: Any, name: str | None, kind: str, *_: Any) -> bool:
            return kind in ("table", "column") and name not in partitions

        opts = {"compare_type": True, "include_object": counts}
        return list(compare_metadata(MigrationContext.configure(connection, opts=opts), metadata))

    async def story() -> list[Any]:
        engine = create_async_engine(memory.replace("postgresql://", "postgresql+asyncpg://", 1))
        async with engine.connect() as connection:
            found = await connection.run_sync(compared)
        await engine.dispose()
        return found

    assert [one for one in asyncio.run(story()) if "comment" not in str(one[0])] == []


def test_columns_types_and_nullability_are_those_of_the_database_in_its_order(memory: str) -> None:
    columns: dict[str, list[tuple[str, str, bool]]] = {}
    for table, name, kind, nullable in rows(
        memory,
        f"""select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull
            from pg_attribute a join pg_class c on c.oid = a.attrelid
            where a.attnum > 0 and not a.attisdropped and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                and c.oid::regclass::text not in (select name from ({PARTITIONS}) p) and c.relname <> 'alembic_version'
            order by 1, a.attnum""",
    ):
        columns.setdefault(table, []).append((name, kind, nullable))
    assert columns == {
        name: [(column.name, TYPES[str(column.type)], bool(column.nullable)) for column in table.columns]
        for name, table in metadata.tables.items()
    }


def test_primary_keys_are_those_of_the_database(memory: str) -> None:
    keys = dict(
        rows(
            memory,
            """select conrelid::regclass::text, array_agg(a.attname::text order by k.n) from pg_constraint
                cross join unnest(conkey) with ordinality as k (number, n)
                join pg_attribute a on a.attrelid = conrelid and a.attnum = k.number
                where contype = 'p' and conparentid = 0 and connamespace = 'public'::regnamespace group by 1""",
        )
    )
    del keys["alembic_version"]
    assert keys == {name: [column.name for column in table.primary_key.columns] for name, table in metadata.tables.items()}


@pytest.mark.parametrize("table", OF_A_MEMBER, ids=str)
def test_every_key_of_a_members_table_begins_with_merchant_and_member(table: Any) -> None:
    assert [column.name for column in table.primary_key.columns][:2] == ["merchant_id", "member_id"]


def test_every_table_with_a_member_in_it_is_a_members_table_or_a_directory() -> None:
    with_member = {name for name, table in metadata.tables.items() if "member_id" in table.columns}
    assert with_member == {table.name for table in OF_A_MEMBER} | {"identity", "fact_key"}


# --- rights ---------------------------------------------------------------------------------------------------------------------


def test_row_level_security_is_forced_upon_every_table_by_a_policy_of_its_merchant(memory: str) -> None:
    found = rows(
        memory,
        """select c.relname::text, relrowsecurity and relforcerowsecurity, pg_get_expr(polqual, polrelid) ~ 'merchant_id.*app_merchants',
                polwithcheck is null, polcmd::text, polpermissive
            from pg_class c left join pg_policy p on p.polrelid = c.oid and p.polname = 'own_merchant'
            where c.relname = any ($1) order by 1""",
        list(metadata.tables),
    )
    assert found == [(name, True, True, True, "*", True) for name in sorted(metadata.tables)]


def test_other_policies_open_the_list_of_merchants_to_workers_and_to_the_doors_the_key_that_is_shown(memory: str) -> None:
    others = rows(memory, "select tablename::text, policyname::text, cmd from pg_policies where policyname <> 'own_merchant' order by 1")
    assert others == [("api_key", "named", "SELECT"), ("attempt", "of_nobody", "INSERT"), ("merchant", "merchants_for_workers", "SELECT")]


def test_the_services_role_owns_nothing_and_is_nobody_of_its_own(memory: str) -> None:
    assert rows(
        memory,
        """select rolsuper, rolcanlogin, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication,
            (select count(*) from pg_shdepend where refobjid = r.oid and deptype = 'o'),
            (select count(*) from pg_auth_members where member = r.oid)
            from pg_roles r where rolname = $1""",
        APP_ROLE,
    ) == [(False, False, False, False, False, False, 0, 0)]


@pytest.mark.parametrize("table", ENTRIES)
def test_the_services_role_adds_entries_and_never_changes_one(memory: str, table: str) -> None:
    rights = {right: rows(memory, f"select has_table_privilege('{APP_ROLE}', '{table}', '{right}')")[0][0] for right in RIGHTS}
    assert {right for right, is_given in rights.items() if is_given} == {"SELECT", "INSERT"}
    assert rows(memory, f"select has_any_column_privilege('{APP_ROLE}', '{table}', 'UPDATE')") == [(False,)]


RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]


def test_accounts_lots_holds_and_members_are_never_deleted_by_the_services_role(memory: str) -> None:
    kept = ["merchant", "store", "source", "programme", "capacity", "import_run", "member", "account", "lot", "hold", *ENTRIES]
    for table in kept:
        assert rows(memory, f"select has_table_privilege('{APP_ROLE}', '{table}', 'DELETE')") == [(False,)], table


def test_the_services_role_has_no_right_on_any_partition(memory: str) -> None:
    partitions = rows(memory, PARTITIONS + " order by 1")
    assert {parent for _, parent in partitions if not parent.endswith("_pkey")} == {"fact_key", *(table.name for table in BY_MONTH)}
    rights = ", ".join(RIGHTS)
    open_to_it = f"""select p.name from ({PARTITIONS}) p join pg_class c on c.oid = p.name::regclass
        where c.relkind = 'r' and has_table_privilege('{APP_ROLE}', c.oid, '{rights}')"""
    assert rows(memory, open_to_it) == []


def test_the_services_role_makes_nothing_in_the_schema(memory: str) -> None:
    rights = "has_schema_privilege($1, 'public', 'USAGE'), has_schema_privilege($1, 'public', 'CREATE')"
    assert rows(memory, f"select {rights}", APP_ROLE) == [(True, False)]


def test_no_function_works_with_the_rights_of_its_owner(memory: str) -> None:
    own = "from pg_proc where pronamespace = 'public'::regnamespace"
    assert rows(memory, f"select proname::text {own} and prosecdef") == []
    assert rows(memory, f"select count(*) > 4 {own}") == [(True,)]


def test_every_table_of_entries_and_each_of_its_partitions_is_guarded(memory: str) -> None:
    guarded = f"""select c.oid::regclass::text, array_agg(distinct t.tgname::text order by t.tgname::text)
        from pg_class c join pg_trigger t on t.tgrelid = c.oid and t.tgenabled in ('O', 'A')
        where c.relname = any ($1) or c.oid::regclass::text in (select name from ({PARTITIONS}) p where parent = any ($1)) group by 1"""
    found = dict(rows(memory, guarded, ENTRIES))
    expected = {name for name, parent in rows(memory, PARTITIONS) if parent in ENTRIES} | set(ENTRIES)
    assert set(found) == expected
    for name, triggers in found.items():
        assert {"append_only", "never_emptied"} <= set(triggers), name
        assert ("entries_continue" in triggers) is name.startswith("transfer"), name
        is_sealed = name.startswith(("fact", "transfer", "allocation", "draw")) and not name.startswith("fact_key")
        assert ("months_stay_sealed" in triggers) is is_sealed, name


# --- migrations -----------------------------------------------------------------------------------------------------------------

SHAPE = """
    select 'column', c.oid::regclass::text, a.attname::text, format_type(a.atttypid, a.atttypmod) || a.attnotnull, c.relacl::text
        from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace and a.attnum > 0
    union all select 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), null from pg_constraint
        where connamespace = 'public'::regnamespace
    union all select 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid), null from pg_trigger
    union all select 'function', proname::text, '', prosrc, proacl::text from pg_proc where pronamespace = 'public'::regnamespace
    order by 1, 2, 3, 4
"""


def test_migrating_again_changes_nothing(memory: str) -> None:
    before = rows(memory, SHAPE)
    asyncio.run(migrate(memory, START))
    assert rows(memory, SHAPE) == before
    assert rows(memory, "select version_num from alembic_version") == [(newest_revision(),)]


def test_two_processes_that_migrate_at_once_migrate_once(database: str) -> None:
    async def both() -> None:
        await asyncio.gather(*(migrate(database, START) for _ in range(3)))

    asyncio.run(both())
    assert rows(database, "select version_num from alembic_version") == [(newest_revision(),)]


def test_a_database_of_a_newer_release_is_refused_and_left_alone(memory: str) -> None:
    asked(memory, lambda owner: owner.execute("update alembic_version set version_num = '9999'"))
    before = rows(memory, SHAPE)
    with pytest.raises(Invalid, match="9999, which this release does not know"):
        asyncio.run(migrate(memory, Instant(START + 400 * DAY)))
    assert rows(memory, SHAPE) == before


def test_a_server_that_is_too_old_is_refused(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_OLDEST", 99)
    with pytest.raises(Invalid, match="use PostgreSQL 99 or newer"):
        asyncio.run(migrate(memory, START))


# --- months ---------------------------------------------------------------------------------------------------------------------


def test_three_months_stand_ready_ahead(memory: str) -> None:
    for table in BY_MONTH:
        made = rows(memory, f"select name from ({PARTITIONS}) p where parent = $1 order by 1", table.name)
        assert made == [(f"{table.name}_2026_{month:02d}",) for month in (5, 6, 7, 8)]


def test_making_months_again_is_harmless_and_a_month_later_makes_one_more(memory: str) -> None:
    assert asked(memory, lambda owner: make_partitions(owner, START)) == 0
    assert asked(memory, lambda owner: make_partitions(owner, Instant(START + 31 * DAY))) == len(BY_MONTH)
    assert asked(memory, lambda owner: make_partitions(owner, Instant(START + 31 * DAY))) == 0


def test_months_are_made_while_somebody_writes_and_somebody_reads_a_copy(memory: str) -> None:
    async def story() -> int:
        async with as_owner(memory) as writer, as_owner(memory) as owner, writer.transaction():
            for table in BY_MONTH:
                await writer.execute(f"lock table {table.name} in row exclusive mode")
                await writer.execute(f"lock table {table.name} in access share mode")
            await owner.execute("set lock_timeout = '5s'")
            return await make_partitions(owner, Instant(START + 150 * DAY))

    assert asyncio.run(story()) == 4 * len(BY_MONTH)


def test_months_follow_each_other_without_a_gap_over_the_turn_of_the_year() -> None:
    november = bounds_of("2026-11")[0]
    months = months_from(november, 4)
    assert months == ["2026-11", "2026-12", "2027-01", "2027-02"]
    assert [bounds_of(one)[1] for one in months[:-1]] == [bounds_of(one)[0] for one in months[1:]]
    assert [month_of(Instant(at)) for month in months for at in (bounds_of(month)[0], bounds_of(month)[1] - 1)] == [
        month for month in months for _ in range(2)
    ]


@pytest.mark.parametrize(("month", "is_ready"), [("2026-04", False), ("2026-05", True), ("2026-08", True), ("2026-09", False)])
def test_an_entry_beyond_the_months_that_are_ready_is_refused(memory: str, month: str, is_ready: bool) -> None:
    async def story() -> None:
        pool = await open_pool(memory, 1)
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local app.merchants = '{{{MERCHANT}}}'")
                await connection.execute("insert into outbox values ($1, 1, 1, $2, 'x')", MERCHANT, bounds_of(month)[1] - 1)
        finally:
            await pool.close()

    if is_ready:
        asyncio.run(story())
    else:
        with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
            asyncio.run(story())
