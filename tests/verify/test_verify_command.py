"""`regulars verify` as people run it: a table and 0, findings and 1, a sentence and 2."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from handmade import ANNA, build
from servers import execute, fresh_database

from regulars.gateways.postgres import Server


@pytest.fixture(scope="module")
def world(server18: Server) -> Iterator[str]:
    """The database written by hand."""
    with fresh_database(server18) as url:
        asyncio.run(build(url))
        yield url


def verify(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command on the database at ``url``."""
    command = [sys.executable, "-m", "regulars.cli", "verify", *words]
    environment = {**os.environ, "REGULARS_DATABASE_URL": url}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_a_clean_database_ends_with_0(world: str) -> None:
    done = verify(world)
    assert (done.returncode, done.stderr) == (0, "")
    assert ["entries", "2", "accounts,", "11", "entries,", "1", "units", "ok"] in [line.split() for line in done.stdout.splitlines()]
    assert done.stdout.endswith("nothing was found\n")
    told = json.loads(verify(world, "--json").stdout)
    assert told["ok"]
    assert [check["found"] for check in told["checks"]] == [0] * 11


def test_findings_end_with_1_and_say_what_where_and_what_to_do(server18: Server, world: str) -> None:
    with fresh_database(server18, world) as url:
        execute(
            url, f"set session_replication_role = replica; update lot set active = 19 where member_id = {ANNA} and lot = 'shop:A2:points'"
        )
        done = verify(url)
        assert done.returncode == 1
        assert "merchant 1, member 10, lot shop:A2:points of points: what the row holds (pending, active)" in done.stdout
        assert "expected: [0, 20]\n    found:    [0, 19]\n" in done.stdout
        assert "what to do: " in done.stdout
        told = json.loads(verify(url, "--json", "--merchant", "1").stdout)
        assert not told["ok"]
        assert {kind for check in told["checks"] for kind in check["kinds"]} == {"lots.row", "lots.snapshot", "lots.sum"}


def test_what_cannot_be_read_ends_with_2_in_a_sentence(world: str) -> None:
    done = verify(world, "--merchant", "7")
    assert done.returncode == 2
    assert done.stderr == "merchant 7: there is no such merchant\n  hint: there are: 1, 2\n"
    assert verify("postgresql://nobody@127.0.0.1:1/nothing").returncode == 2
