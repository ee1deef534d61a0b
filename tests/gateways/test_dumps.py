"""Copies of a database: whole or not there, and restored wholly or not at all, on both versions and from one to the other."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from servers import binaries_of, execute, fresh_database, rows, with_name

from regulars.gateways.binaries import ServerFailed
from regulars.gateways.dumps import backup, restore
from regulars.gateways.postgres import Server
from regulars.kernel.errors import Invalid, NotFound

SHOP = """
    CREATE TABLE members (merchant int, id int, name text NOT NULL, PRIMARY KEY (merchant, id)) PARTITION BY HASH (merchant);
    CREATE TABLE members_0 PARTITION OF members FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE members_1 PARTITION OF members FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''append only''; END';
    INSERT INTO members SELECT n % 7, n, E'Ž\\\\.\\n' || repeat(md5(n::text), 10) FROM generate_series(1, 5000) n;
    INSERT INTO members VALUES (0, 0, 'SET transaction_timeout = 0;');
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON members FOR EACH ROW EXECUTE FUNCTION refuse();
    ALTER TABLE members ENABLE ROW LEVEL SECURITY;
    ALTER TABLE members FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON members USING (merchant = current_setting('app.merchant')::int);
"""
CONTENT = "SELECT count(*), md5(string_agg(concat_ws('/', merchant, id, name), '' ORDER BY id)) FROM members"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
RIGHTS = """
    SELECT c.relforcerowsecurity, (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_trigger WHERE tgname = 'append_only'),
        has_table_privilege('shop_app', 'members', 'INSERT'), has_table_privilege('shop_app', 'members', 'UPDATE')
    FROM pg_class c WHERE relname = 'members'
"""


def make_role(url: str) -> None:
    """As a restore needs it: roles are of the server, and may be there already."""
    if not rows(url, "SELECT FROM pg_roles WHERE rolname = 'shop_app'"):
        execute(url, "CREATE ROLE shop_app LOGIN PASSWORD 'app'")


def as_app(url: str) -> str:
    """The same database for the shop's role."""
    return url.replace(url.split("@")[0], "postgresql://shop_app:app")


@pytest.fixture
def shop(database: str) -> str:
    make_role(database)
    execute(database, SHOP)
    execute(database, "GRANT SELECT, INSERT ON members TO shop_app")
    return database


def other(server: Server, request: pytest.FixtureRequest) -> Server:
    """The server of the other version."""
    return request.getfixturevalue("server15" if server.binaries.major == 18 else "server18")  # type: ignore[no-any-return]


@pytest.fixture
def roleless(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the other version, whose server does not know the shop's role before and after."""
    elsewhere = other(server, request)
    with fresh_database(elsewhere) as url:
        execute(url, "DROP ROLE IF EXISTS shop_app")
        yield url
        execute(url, "DROP TABLE IF EXISTS members")
        execute(url, "DROP ROLE IF EXISTS shop_app")


def test_a_copy_restored_beside_the_original_is_the_same(shop: str, server: Server, tmp_path: Path) -> None:
    backup(shop, tmp_path / "copy")
    with fresh_database(server) as url:
        restore(url, tmp_path / "copy", prepare=make_role)
        assert rows(url, CONTENT) == rows(shop, CONTENT)
        assert rows(url, RIGHTS) == rows(shop, RIGHTS) == [(True, 1, 3, True, False)]


def test_a_servers_own_programs_do_it_too(shop: str, server: Server, tmp_path: Path) -> None:
    backup(shop, tmp_path / "copy", server.binaries)
    with fresh_database(server) as url:
        restore(url, tmp_path / "copy", server.binaries, make_role)
        assert rows(url, CONTENT) == rows(shop, CONTENT)


def test_a_copy_moves_to_a_server_of_the_other_version(shop: str, roleless: str, tmp_path: Path) -> None:
    backup(shop, tmp_path / "copy")
    restore(roleless, tmp_path / "copy", prepare=make_role)
    assert rows(roleless, CONTENT) == rows(shop, CONTENT)
    assert rows(roleless, RIGHTS) == [(True, 1, 3, True, False)]


def test_a_restore_that_fails_at_its_end_leaves_nothing_behind(shop: str, roleless: str, tmp_path: Path) -> None:
    """The rights come last, and without ``prepare`` nobody has them."""
    backup(shop, tmp_path / "copy")
    with pytest.raises(ServerFailed, match='role "shop_app" does not exist') as failed:
        restore(roleless, tmp_path / "copy")
    assert "create it" in failed.value.problems[0].hint
    assert rows(roleless, TABLES) == [(0,)]
    restore(roleless, tmp_path / "copy", prepare=make_role)


def test_a_copy_cut_short_is_not_restored_in_part(shop: str, server: Server, roleless: str, tmp_path: Path) -> None:
    backup(shop, tmp_path / "copy")
    whole = (tmp_path / "copy").read_bytes()
    (tmp_path / "copy").write_bytes(whole[: len(whole) * 3 // 4])
    with fresh_database(server) as beside:
        for url in (roleless, beside):
            with pytest.raises(ServerFailed, match="pg_restore failed"):
                restore(url, tmp_path / "copy", prepare=make_role)
            assert rows(url, TABLES) == [(0,)]


def test_a_database_with_tables_is_not_touched(shop: str, tmp_path: Path) -> None:
    backup(shop, tmp_path / "copy")
    before = rows(shop, CONTENT)
    with pytest.raises(Invalid, match="has tables already"):
        restore(shop, tmp_path / "copy", prepare=pytest.fail)
    assert rows(shop, CONTENT) == before


def test_a_backup_that_fails_leaves_the_older_copy_and_no_part(server: Server, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("older")
    with pytest.raises(ServerFailed, match="no_such_shop"):
        backup(with_name(server.url, "no_such_shop"), tmp_path / "copy")
    with pytest.raises(ServerFailed, match="relation"):
        _backup_of_a_broken_database(server, tmp_path / "copy")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("copy", "older")]


def _backup_of_a_broken_database(server: Server, file: Path) -> None:
    """A sequence whose own relation is gone from the catalogue: ``pg_dump`` has begun its file before it finds out."""
    with fresh_database(server) as url:
        execute(url, "CREATE TABLE broken (id int); SET allow_system_table_mods = on; DELETE FROM pg_attribute WHERE attname = 'id'")
        backup(url, file)


def test_a_copy_is_for_our_own_eyes(shop: str, tmp_path: Path) -> None:
    backup(shop, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0


def test_a_role_that_sees_only_some_rows_makes_no_copy_of_them(database: str, tmp_path: Path) -> None:
    make_role(database)
    execute(database, "CREATE TABLE secrets (id int); ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; GRANT ALL ON secrets TO shop_app")
    with pytest.raises(ServerFailed, match="row-level security") as failed:
        backup(as_app(database), tmp_path / "copy")
    assert "BYPASSRLS" in failed.value.problems[0].hint
    assert not list(tmp_path.iterdir())


def test_an_older_pg_dump_is_refused_with_what_to_install(server18: Server, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"server is PostgreSQL 18, and the newest pg_dump here is 15") as refused:
        backup(server18.url, tmp_path / "copy", binaries_of("postgres-15"))
    assert "postgresql-client-18" in refused.value.problems[0].hint


def test_what_is_no_copy_is_told(database: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        restore(database, tmp_path / "nothing")
    (tmp_path / "poem").write_text("roses are red, and many other things that are not in a copy of a database")
    with pytest.raises(Invalid, match="not appear to be a valid archive"):
        restore(database, tmp_path / "poem")
    with pytest.raises(Invalid, match="cannot be written"):
        backup(database, tmp_path / "no folder" / "copy")


def test_the_password_stands_on_no_command_line(shop: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = (server.folder / "password").read_text()
    lines: list[str] = []
    begin: Callable[..., None] = subprocess.Popen.__init__

    def noting(process: Any, words: Any, *rest: Any, **keys: Any) -> None:
        lines.append(" ".join(map(str, words)))
        begin(process, words, *rest, **keys)

    monkeypatch.setattr(subprocess.Popen, "__init__", noting)
    backup(shop, tmp_path / "copy")
    with fresh_database(server) as url:
        restore(url, tmp_path / "copy", prepare=make_role)
    assert any("pg_dump" in line for line in lines)
    assert any("pg_restore" in line for line in lines)
    assert not [line for line in lines if password in line]


def test_the_driver_meets_the_forced_rows_of_a_restored_shop(shop: str, server: Server, tmp_path: Path) -> None:
    """The application's role sees one merchant's rows, in the copy as in the original."""
    backup(shop, tmp_path / "copy")
    with fresh_database(server) as url:
        restore(url, tmp_path / "copy", prepare=make_role)
        with pytest.raises(asyncpg.UndefinedObjectError, match=r"app\.merchant"):
            rows(as_app(url), "SELECT count(*) FROM members")
        [(seen,)] = rows(as_app(url) + "?options=-c%20app.merchant%3D3", "SELECT count(*) FROM members")
        assert seen == rows(url, "SELECT count(*) FROM members WHERE merchant = 3")[0][0] > 0
