"""Fixtures of both PostgreSQL versions: each is started once per test process, when the first test asks for it."""

import asyncio
from collections.abc import Iterator

import pytest
from servers import VERSIONS, fresh_database, small_server
from world import START

from regulars.gateways.postgres import Server
from regulars.store.schema import migrate


@pytest.fixture(scope="session")
def server18() -> Iterator[Server]:
    """The wheel's server."""
    with small_server("postgres-18") as server:
        yield server


@pytest.fixture(scope="session")
def server15() -> Iterator[Server]:
    """Debian's server, the oldest version that we promise to run on."""
    with small_server("postgres-15") as server:
        yield server


@pytest.fixture(scope="session", params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each version in turn."""
    return request.getfixturevalue(request.param.replace("postgres-", "server"))  # type: ignore[no-any-return]


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The address of an empty database of this test's own."""
    with fresh_database(server) as url:
        yield url


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """The address of a migrated database without a row, to be copied; nobody is connected to it."""
    with fresh_database(server) as url:
        asyncio.run(migrate(url, START))
        yield url


@pytest.fixture
def memory(server: Server, template: str) -> Iterator[str]:
    """The address of a migrated database without a row, of this test's own."""
    with fresh_database(server, template) as url:
        yield url
