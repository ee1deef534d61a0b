"""Fixtures of the races: one herd for all of them, and databases on the newest server."""

import asyncio
from collections.abc import Iterator

import pytest
from herd import Herd, open_herd
from servers import fresh_database
from world import START

from regulars.gateways.postgres import Server
from regulars.store.schema import migrate

pytest.register_assert_rewrite("reconciler")


@pytest.fixture(scope="session")
def herd() -> Iterator[Herd]:
    """Four processes, this one among them."""
    with open_herd(3) as herd:
        yield herd


@pytest.fixture(scope="session")
def course(server18: Server) -> Iterator[str]:
    """The address of a migrated database without a row, to be copied."""
    with fresh_database(server18) as url:
        asyncio.run(migrate(url, START))
        yield url


@pytest.fixture
def track(server18: Server, course: str) -> Iterator[str]:
    """The address of a migrated database without a row, of this race's own."""
    with fresh_database(server18, course) as url:
        yield url
