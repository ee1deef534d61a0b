"""The embedded PostgreSQL: server programs of a wheel or of the system, run and watched by us, one folder of data for many processes.

Invariant: at most one server works on a folder and no commit is lost. Every process of a server holds ``alive.lock``, so only where nobody
holds it is one started; every user holds ``users.lock``, so only the last stops it; nothing here runs as root or deletes data.
"""

import fcntl
import hashlib
import logging
import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from regulars.gateways.binaries import WHEEL, Binaries, ServerFailed, ask, clean_environment
from regulars.gateways.locks import closed, grasp, lock, lock_at_once, released
from regulars.kernel.errors import Invalid, NotFound, Problem, RegularsError

USER = "regulars"
"""The role that owns everything, its database, and the OS user that runs the server where we are root."""

SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "wal_compression": "pglz",
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    # a refused statement would bring its values, and with them people, into a plain file
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
"""For a small box, everything durable."""

_GLANCE_SECONDS = 0.25
_STEP_SECONDS = 0.02
_PATIENCE_SECONDS = 60.0
"""How long a server may be silent; one that says that it recovers is waited for as long as it takes."""
_STOP_SECONDS = 300.0
_LOG_BYTES_MAX = 16 * 2**20
_SOCKET_PATH_MAX = 100
"""The kernel's limit of a socket's path is 107 bytes, 103 on macOS."""
_FIRST_PORT, _PORTS = 20_000, 12_000
"""Below the ports that systems give to outgoing connections, so that ours is still free tomorrow."""

_log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True):
    """What a folder remembers of its server: which version wrote last, and the port it was found at."""

    major: int
    version: str
    wheel: str
    port: int


class _Account(NamedTuple):
    """The OS user under whom the server runs."""

    uid: int
    gid: int

    def run_as(self) -> dict[str, Any]:
        """Arguments of ``subprocess``: only root needs to become somebody else."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}


class _Postmaster(NamedTuple):
    """What the running server says of itself in ``postmaster.pid``."""

    pid: int
    port: int
    socket: str
    status: str


class Server:
    """A PostgreSQL on ``folder``, shared by all processes that start it; a context manager.

    It listens on 127.0.0.1 and a socket only, with a password. Everything blocks: from asyncio use ``asyncio.to_thread(server.start)``.
    """

    def __init__(self, folder: Path, binaries: Binaries | None = None, settings: Mapping[str, str] | None = None) -> None:
        """``binaries`` are those of the wheel by default; ``settings`` go over ``SETTINGS`` when this process is the one that starts it."""
        self.folder = folder.expanduser().resolve()
        self.binaries = binaries or Binaries.of_wheel()
        self.settings = {**SETTINGS, **(settings or {})}
        self._data = self.folder / "data"
        self._password = ""
        self._port = 0
        self._pid = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._users: int | None = None
        self._left = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Stops it, if nobody else uses it."""
        self.stop()

    @property
    def url(self) -> str:
        """Address of the database ``regulars``, with the password; the same until the last user has left."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{USER}"

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return self._port

    @property
    def pid(self) -> int:
        """The server's present process; another after a restart."""
        return self._pid

    def start(self) -> None:
        """Attaches to the running server of the folder, or starts one; returns when it answers and the database is there.

        Waits for a recovery as long as it takes. Raises ``Invalid`` for a folder that cannot serve, ``ServerFailed`` with the last words
        of a server that dies.
        """
        if self._users is not None:
            return
        self._left.clear()
        try:
            account = self._prepare()
            with self._alone():
                self._enter(account)
        except OSError as wrong:
            hint = "choose a folder that you may write, or run as the user who made it"
            raise Invalid(Problem(str(wrong.filename or self.folder), wrong.strerror or str(wrong), hint)) from wrong
        self._watcher = threading.Thread(target=self._watch, args=[account], name="postgres watcher", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Leaves the server to its other users; without any, stops it: connections end, the data is written out."""
        if self._users is None:
            return
        self._left.set()
        with self._alone():
            stopped = self._leave()
        if stopped and self._watcher:
            self._watcher.join()

    def _enter(self, account: _Account) -> None:
        """One user more. A start that fails leaves things as they were: no server of ours, and another's untouched."""
        self._users = lock(self.folder / "users.lock", fcntl.LOCK_SH)
        try:
            self._create_data(account)
            self._password = self._secret().read_text().strip()
            self._refuse_other_major()
            self._run(account)
            self._create_database()
        except BaseException:
            self._leave(stop=self._child is not None)
            raise

    # Folder, user and data

    def _prepare(self) -> _Account:
        """The folder is there, and the server's OS user may enter it."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        account = self._account()
        self._refuse_unreachable(account)
        return account

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Starting, restarting and stopping happen one after the other, over all processes."""
        with released(lock(self.folder / "start.lock", fcntl.LOCK_EX)):
            yield

    def _account(self) -> _Account:
        """The owner of the data, or whoever shall own it."""
        owner = self._data.stat() if self._data.exists() else None
        if os.geteuid() == 0:
            if owner and owner.st_uid:
                return _Account(owner.st_uid, owner.st_gid)
            return _system_user()
        if owner and owner.st_uid != os.geteuid():
            what = f"the data belongs to the OS user {_name(owner.st_uid)}, you are {_name(os.geteuid())}"
            raise Invalid(Problem(str(self._data), what, "run as that user, or choose another folder"))
        return _Account(os.geteuid(), os.getegid())

    def _refuse_unreachable(self, account: _Account) -> None:
        """PostgreSQL refuses to run as root, and its own user may not see what root sees."""
        for path in (self.folder, self.binaries.bin / "postgres"):
            if _may_enter(path, account):
                continue
            barred = next(place for place in (*reversed(path.parents), path) if not _may_enter(place, account))
            what = f"the OS user {_name(account.uid)}, who runs the server, cannot reach {path}: {barred} is closed to others"
            hint = f"chmod o+x {barred}; or use a folder such as /var/lib/regulars; or run regulars as an ordinary user"
            raise Invalid(Problem(str(path), what, hint))

    def _secret(self) -> Path:
        return self.folder / "password"

    def _create_data(self, account: _Account) -> None:
        """Made beside its place and then moved there, so that data that exists is whole."""
        if self._data.exists():
            if not self._secret().exists():
                hint = "put the file back from a copy of the folder; the data is as it was"
                raise NotFound(Problem(str(self._secret()), "the password of the database is missing", hint))
            return
        _write(self._secret(), secrets.token_hex(24), account)
        new = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.folder))
        os.chown(new, account.uid, account.gid)
        words = ["-D", str(new), "-U", USER, "-E", "UTF8", "-k", "--auth=scram-sha-256", f"--pwfile={self._secret()}", *self._locale()]
        done = subprocess.run(
            [self.binaries.bin / "initdb", *words],
            cwd=self.folder, env=clean_environment(), capture_output=True, text=True, check=False, **account.run_as(),
        )  # fmt: skip
        if done.returncode:
            with suppress(OSError):
                new.rmdir()  # initdb empties it
            hint = "a full disk and a folder of too few rights are the usual causes"
            raise ServerFailed(Problem(str(self.folder), f"initdb failed: {(done.stderr or done.stdout).strip()}", hint))
        new.rename(self._data)
        _sync(self.folder)

    def _locale(self) -> list[str]:
        """Text in the order of its bytes, letters after Unicode: the same on every machine."""
        if self.binaries.major >= 17:
            return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--locale=C.UTF-8"] if os.uname().sysname == "Linux" else ["--no-locale"]

    def _refuse_other_major(self) -> None:
        """Another minor version, or another wheel of the same major, reads the data as it is."""
        written = int((self._data / "PG_VERSION").read_text())
        if written == self.binaries.major:
            return
        record = self._record()
        by = f"PostgreSQL {record.version}" + (f" ({WHEEL} {record.wheel})" if record.wheel else "") if record else f"PostgreSQL {written}"
        what = f"the data was written by {by}; this installation has PostgreSQL {self.binaries.version}"
        hint = (
            f"with the installation that has PostgreSQL {written}: `regulars backup FILE`; move the folder aside;"
            " then with this one: `regulars restore FILE`"
        )
        raise Invalid(Problem(str(self.folder), what, hint))

    def _record(self) -> Record | None:
        """None where it is absent or of another hand."""
        try:
            return msgspec.json.decode((self.folder / "server.json").read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError):
            return None

    def _create_database(self) -> None:
        maintenance = urlunsplit(urlsplit(self.url)._replace(path="/postgres"))
        if not ask(self.binaries, maintenance, f"SELECT 1 FROM pg_database WHERE datname = '{USER}'"):
            ask(self.binaries, maintenance, f"CREATE DATABASE {USER}")

    # Running

    def _run(self, account: _Account) -> None:
        """Attaches or starts. Where a server died, its last backends may live on for a moment: nothing starts before they are gone."""
        patience = time.monotonic() + _PATIENCE_SECONDS
        while not self._left.is_set():
            running = self._running()
            if running is None:
                alive = lock_at_once(self.folder / "alive.lock")
                if alive is not None:
                    with closed(alive):
                        return self._launch(account, alive)
            elif (answer := self._answer(running)) == 0:
                return self._attach(running)
            elif answer == 1:  # it recovers, or another user is just stopping it
                patience = time.monotonic() + _PATIENCE_SECONDS
            if time.monotonic() > patience:
                raise self._silent(running)
            time.sleep(_STEP_SECONDS)
        return None

    def _running(self) -> _Postmaster | None:
        """The server of this folder if its process lives; a number left by a dead one may be somebody else's by now, or a zombie's."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            found = _Postmaster(int(lines[0]), int(lines[3]), lines[4], lines[7].strip() if len(lines) > 7 else "starting")
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return found if self._is_ours(found.pid) else None

    def _is_ours(self, pid: int) -> bool:
        """Whether the process ``pid`` lives and is a server of this folder (elsewhere than on Linux: whether it lives)."""
        if Path("/proc/self/cmdline").exists():
            with suppress(OSError):
                return os.fsencode(self._data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return False
        with suppress(OSError):
            os.kill(pid, 0)
            return True
        return False

    def _answer(self, running: _Postmaster) -> int:
        """0 accepts connections, 1 not yet or no longer, 2 silence. Asked at the socket, for a port may have gone to another server."""
        if running.status != "ready":
            return 1
        words = ["-q", "-h", running.socket, "-p", str(running.port), "-U", USER, "-d", USER]
        return subprocess.run([self.binaries.bin / "pg_isready", *words], env=clean_environment(), check=False).returncode

    def _attach(self, running: _Postmaster) -> None:
        if self._child and self._child.pid != running.pid:
            self._child.wait()
            self._child = None
        self._pid, self._port = running.pid, running.port

    def _silent(self, running: _Postmaster | None) -> ServerFailed:
        if running:
            what, hint = f"the server (process {running.pid}) does not answer", f"see {self.folder / 'log'}; kill -9 of it loses no commit"
        else:
            what = "processes of an earlier server hold the data and do not end"
            hint = f"see `fuser {self.folder / 'alive.lock'}`; in another container, stop it there"
        return ServerFailed(Problem(str(self.folder), what, hint))

    def _launch(self, account: _Account, alive: int) -> None:
        """Nobody works on the data. ``alive`` is the lock that the new server inherits and that its processes hold to the last."""
        record, given = self._record(), self._port
        self._port = given or (record.port if record and _is_free(record.port) else _free_port())
        sockets = self._socket_folder(account)
        for file in (self._data / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")):
            self._disown(file)
        patience = time.monotonic() + _PATIENCE_SECONDS
        while not self._left.is_set():
            begun = self._turn_log()
            self._child = self._spawn(account, alive, sockets)
            if self._becomes_ready(self._child):
                break
            said = self._said_since(begun)
            if "could not create any TCP/IP sockets" in said and not given:
                self._port = _free_port()
            elif "pre-existing shared memory block" not in said or time.monotonic() > patience:
                raise self._died(said)  # that block goes with the last backend of a dead server
            time.sleep(_STEP_SECONDS)
        self._pid = self._child.pid if self._child else 0
        new = Record(self.binaries.major, self.binaries.version, self.binaries.wheel, self._port)
        if new != record:
            _write(self.folder / "server.json", msgspec.json.encode(new).decode())

    def _disown(self, file: Path) -> None:
        """A lock file that outlived its server may name a zombie or a program of today, and PostgreSQL would refuse to start for ever.

        We hold the lock that each process of a server of ours holds, so none lives. We name ourselves, the new server's parent, whom it
        knows to be no server; what else the file says still keeps it from a shared memory that is in use.
        """
        with suppress(OSError, ValueError):
            pid, _, rest = file.read_text().partition("\n")
            program = Path(f"/proc/{int(pid)}/cmdline").read_bytes().split(b"\0")[0]
            if not program.endswith((b"postgres", b"postmaster")):  # a server that somebody started by hand keeps its file
                file.write_text(f"{os.getpid()}\n{rest}")

    def _spawn(self, account: _Account, alive: int, sockets: Path) -> "subprocess.Popen[bytes]":
        """A direct child in a session of its own: Ctrl-C in our terminal is meant for us."""
        own = {"port": str(self._port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(sockets)}
        words = [word for name, value in {**self.settings, **own}.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
            return subprocess.Popen(
                [self.binaries.bin / "postgres", "-D", self._data, *words],
                cwd=self._data, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, pass_fds=[alive], **account.run_as(),
            )  # fmt: skip

    def _socket_folder(self, account: _Account) -> Path:
        """In the folder, or where its path is too long for a socket, in one of the system's for short-lived files."""
        folder = self.folder / "socket"
        if len(os.fsencode(folder / ".s.PGSQL.00000")) > _SOCKET_PATH_MAX or set(str(folder)) & set('",'):
            folder = Path("/tmp", f"regulars-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}")
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, account.uid, account.gid)
        if folder.is_symlink() or folder.stat().st_uid != account.uid:
            what = f"belongs to the OS user {_name(folder.stat().st_uid)}: no place for the database's socket"
            raise Invalid(Problem(str(folder), what, "remove it"))
        return folder

    def _becomes_ready(self, child: "subprocess.Popen[bytes]") -> bool:
        """False when it died. A recovery takes its time, and the server tells in ``postmaster.pid`` when it is over; unless we leave."""
        while child.poll() is None and not self._left.is_set():
            running = self._running()
            if running and running.pid == child.pid and running.status == "ready":
                return True
            time.sleep(_STEP_SECONDS)
        return self._left.is_set()

    def _turn_log(self) -> int:
        """Length of the log before a start; a long one is put aside, over the one before."""
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
            log.replace(self.folder / "log.1")
        return log.stat().st_size if log.exists() else 0

    def _said_since(self, begun: int) -> str:
        with (self.folder / "log").open("rb") as log:
            log.seek(begun)
            return log.read(2**20).decode(errors="replace")

    def _died(self, said: str) -> ServerFailed:
        last = "\n".join(f"    {line}" for line in said.strip().splitlines()[-8:])
        hint = f"mend what it names (disk, rights, memory) and start again: what was committed is kept; the log is {self.folder / 'log'}"
        return ServerFailed(Problem(str(self.folder), f"the database server ended at its start; its last words:\n{last}", hint))

    # Watching and leaving

    def _watch(self, account: _Account) -> None:
        """Starts the server again when it ends on its own, whoever of the users sees it first; its address stays."""
        rest = _GLANCE_SECONDS
        while not self._left.wait(rest):
            if self._lives():
                continue
            _log.warning("the database server %d ended unexpectedly; starting it again", self._pid)
            try:
                with self._alone():
                    self._run(account)
                rest = _GLANCE_SECONDS
            except (RegularsError, OSError) as trouble:
                _log.error("%s", trouble)
                rest = min(2 * rest, 5.0)
        if child := self._child:  # others may use it still; once it ends it shall not stay a zombie
            child.wait()

    def _lives(self) -> bool:
        if self._child:
            return self._child.poll() is None
        return self._is_ours(self._pid)

    def _leave(self, stop: bool = True) -> bool:
        """Whether we were the last and the server is stopped. Nobody else enters or leaves meanwhile: we are alone."""
        users, self._users = self._users, None
        if users is None:
            return False
        with released(users):
            if not stop or not grasp(users):
                return False
            self._shut_down()
            return True

    def _shut_down(self) -> None:
        """Connections end and the data is written out; a server that hangs is stopped without, and recovers at its next start."""
        running = self._running()
        pid = running.pid if running else self._child.pid if self._child and self._child.poll() is None else 0
        for kind in (signal.SIGINT, signal.SIGQUIT):
            until = time.monotonic() + _STOP_SECONDS
            with suppress(ProcessLookupError):
                if pid:
                    os.kill(pid, kind)
            while self._still(pid) and time.monotonic() < until:
                time.sleep(_STEP_SECONDS)
        if running and Path(running.socket).parent != self.folder:
            with suppress(OSError):
                Path(running.socket).rmdir()
        self._child = None
        self._pid = self._port = 0

    def _still(self, pid: int) -> bool:
        if self._child and self._child.pid == pid:
            return self._child.poll() is None
        return bool(pid) and self._is_ours(pid)


def _system_user() -> _Account:
    """The OS user ``regulars``, made where it is missing."""
    for _ in range(2):
        with suppress(KeyError):
            found = pwd.getpwnam(USER)
            return _Account(found.pw_uid, found.pw_gid)
        with suppress(FileNotFoundError):
            words = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER]
            subprocess.run(["useradd", *words], capture_output=True, check=False)
    hint = f"create it (`adduser -S {USER}` on Alpine), or run regulars as an ordinary user"
    raise Invalid(Problem("OS user", f"PostgreSQL does not run as root, and there is no user {USER} to run it", hint))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _may_enter(path: Path, account: _Account) -> bool:
    """Asked of the kernel in that user's name, for group rights, ACLs and mounts all count."""
    done = subprocess.run(["/bin/sh", "-c", 'test -x "$1"', "sh", path], cwd="/", check=False, **account.run_as())
    return done.returncode == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def _free_port() -> int:
    return next(port for port in iter(lambda: _FIRST_PORT + secrets.randbelow(_PORTS), None) if _is_free(port))


def _write(file: Path, text: str, account: _Account | None = None) -> None:
    """Whole or not at all, readable by its owner only."""
    descriptor, part = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}-")
    with open(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    if account:
        os.chown(part, account.uid, account.gid)
    os.replace(part, file)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    with closed(descriptor):
        os.fsync(descriptor)
