"""Imports: a shop's history through the same decisions, as often as anybody likes, and whatever happens on the way."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from builders import DEMO_ORDERS, ROOT, a_programme, a_unit, purchase_rule
from equality import differing_members, remembered
from servers import rows
from world import MERCHANT, World, in_world

from regulars.flows import imports
from regulars.flows.importer import Import, Imported
from regulars.flows.imports import run
from regulars.flows.people import Identity
from regulars.flows.replays import Prepared, Replay, prepare
from regulars.gateways.clock import SystemClock
from regulars.gateways.keys import Keyring
from regulars.store.schema import migrate

KEYRING = Keyring(b"a master secret for tests alone!")
HISTORY = """customer,order,date,sku,quantity,price
7,1001,2025-01-10 09:15,KETTLE,1,49.90
7,1004,2025-03-05 18:00,TEA,3,12.40
8,1005,2025-03-06 10:30,CUP,2,3.50
7,1009,2025-04-01 12:00,TEA,-1,12.40
"""


def as_if(file: Path, prepared: Prepared) -> Import:
    """An import that assumes what the replay assumes."""
    assumed = prepared.assumptions
    is_local = prepared.programme.latest.document.replay.times == "local"
    return Import(
        MERCHANT,
        file,
        times_local=is_local,
        as_of=assumed.as_of,
        redeem=assumed.redeem,
        returns=assumed.returns,
        discounts="give",
        processes=1,
    )


async def settled(world: World) -> None:
    """The world as it is, with the months of today: an import records by the machine's own clock."""
    await migrate(world.url, SystemClock().now())


def contents(url: str) -> list[tuple[object, ...]]:
    """A hash of every table that holds what happened."""
    tables = ("member", "fact", "fact_key", "order_book", "order_line", "account", "transfer", "allocation", "lot", "draw", "identity")
    return [rows(url, f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from {table} t")[0] for table in tables]


@pytest.mark.parametrize("name", "abcdef")
def test_the_memory_holds_of_every_member_what_the_replay_says(name: str, memory: str) -> None:
    prepared = prepare(Replay(ROOT / f"tests/programmes/{name}.yaml", DEMO_ORDERS))
    in_world(memory, prepared.programme, settled)
    request = as_if(DEMO_ORDERS, prepared)
    done = run(request, memory, KEYRING)
    assert done.orders > 800
    members, differing = asyncio.run(differing_members(memory, KEYRING, request, prepared))
    assert (members, differing) == (200, 0)


def test_the_same_file_again_changes_nothing(memory: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HISTORY)
    in_world(memory, a_programme(), settled)
    first = run(Import(MERCHANT, file), memory, KEYRING)
    before = contents(memory)
    second = run(Import(MERCHANT, file), memory, KEYRING)
    assert (first.orders, second.orders, second.known) == (3, 0, 3)
    assert contents(memory) == before


def test_two_files_that_overlap_come_to_what_one_file_would(memory: str, tmp_path: Path) -> None:
    lines = HISTORY.splitlines(keepends=True)
    early, late, whole = tmp_path / "early.csv", tmp_path / "late.csv", tmp_path / "whole.csv"
    early.write_text("".join(lines[:3]))
    late.write_text("".join([lines[0], *lines[2:]]))
    whole.write_text(HISTORY)
    in_world(memory, a_programme(), settled)
    run(Import(MERCHANT, early, as_of=None), memory, KEYRING)
    run(Import(MERCHANT, late), memory, KEYRING)
    before = contents(memory)
    assert run(Import(MERCHANT, whole), memory, KEYRING).orders == 0
    assert contents(memory) == before
    states = asyncio.run(remembered(memory, KEYRING, Import(MERCHANT, whole), ["7", "8"]))
    assert {member: sum(lot.remaining for lot in state.lots) for member, state in states.items()} == {"7": 49 + 24, "8": 7}


def test_the_later_file_first_comes_to_the_same(memory: str, tmp_path: Path) -> None:
    lines = HISTORY.splitlines(keepends=True)
    early, late = tmp_path / "early.csv", tmp_path / "late.csv"
    early.write_text("".join(lines[:3]))
    late.write_text("".join([lines[0], *lines[2:]]))
    in_world(memory, a_programme(), settled)
    run(Import(MERCHANT, late), memory, KEYRING)
    run(Import(MERCHANT, early), memory, KEYRING)
    states = asyncio.run(remembered(memory, KEYRING, Import(MERCHANT, early), ["7", "8"]))
    assert {member: sum(lot.remaining for lot in state.lots) for member, state in states.items()} == {"7": 49 + 24, "8": 7}


def test_an_order_with_another_content_is_named_and_left(memory: str, tmp_path: Path) -> None:
    file, other = tmp_path / "orders.csv", tmp_path / "other.csv"
    file.write_text(HISTORY)
    other.write_text(HISTORY.replace("49.90", "59.90"))
    in_world(memory, a_programme(), settled)
    run(Import(MERCHANT, file), memory, KEYRING)
    before = contents(memory)
    done = run(Import(MERCHANT, other), memory, KEYRING)
    assert (done.orders, done.differing, done.examples) == (0, 1, ["1001"])
    assert contents(memory) == before


def test_people_who_were_erased_do_not_come_back(memory: str, tmp_path: Path) -> None:
    file, more = tmp_path / "orders.csv", tmp_path / "more.csv"
    file.write_text(HISTORY)
    more.write_text(HISTORY + "7,2000,2025-05-05 10:00,TEA,1,12.40\n")
    in_world(memory, a_programme(), settled)
    run(Import(MERCHANT, file), memory, KEYRING)

    async def erase(world: World) -> None:
        member = await world.people.find(Identity("customer", "7", "file"))
        assert member is not None
        await world.people.erase(member, "asked", "staff")

    in_world(memory, a_programme(), erase)
    before = contents(memory)
    assert run(Import(MERCHANT, more), memory, KEYRING).erased_members == 1
    assert contents(memory) == before


def test_a_limit_holds_for_a_history_too(memory: str) -> None:
    programme = a_programme(
        currency="GBP",
        units={"points": a_unit()},
        rules=[purchase_rule(), {"id": "gift", "perk": {"name": "a gift"}, "limit": {"uses": 100}}],
    )
    in_world(memory, programme, settled)
    run(Import(MERCHANT, DEMO_ORDERS, returns="ignore", processes=1), memory, KEYRING)
    assert rows(memory, "select free from capacity") == [(0,)]
    assert rows(memory, "select sum(amount)::int from draw") == [(100,)]


def test_an_import_that_was_killed_goes_on_where_it_was(memory: str, tmp_path: Path) -> None:
    file, orders = tmp_path / "orders.parquet", 12_000
    duckdb.sql(
        f"""copy (select hash(i // 3) % {orders // 8} as customer_id, i // 3 as order_id, 'sku' || i % 100 as sku, 1 as quantity,
                to_timestamp(1600000000 + hash(i // 3 + 1) % 90000000) as ordered_at, (199 + hash(i) % 9800) / 100 as unit_price
            from range({3 * orders}) t(i)) to '{file}' (format parquet)"""
    )
    in_world(memory, a_programme(), settled)
    for kills in range(3):
        child = importing(memory, file)
        before = members_done(memory)
        while members_done(memory) == before:
            assert child.poll() is None, f"it ended by itself after {kills} kills"
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert importing(memory, file).wait() == 0
    assert rows(memory, "select count(*)::int from order_book") == [(orders,)]
    assert rows(memory, "select count(*)::int from fact where kind = 'order_stated'") == [(orders,)]
    assert rows(memory, "select bool_and(is_done) from import_run") == [(True,)]


def test_a_portion_whose_commit_was_not_heard_of_counts_once(memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "orders.csv"
    lines = [f"{n},{n},2025-01-10 09:15,TEA,1,10.00" for n in range(20)]
    file.write_text("\n".join(["customer,order,date,sku,quantity,price", *lines]))
    in_world(memory, a_programme(), settled)
    monkeypatch.setattr(imports, "ORDERS", 10)
    taken, fails = imports._take, iter([True, False, False, False, False, True])

    async def unheard(*args: Any) -> None:
        await taken(*args)
        if next(fails, False):
            raise ConnectionResetError("the answer to the commit is lost")

    monkeypatch.setattr(imports, "_take", unheard)
    done = run(Import(MERCHANT, file, processes=1), memory, KEYRING)
    assert done.new_members == 20
    assert rows(memory, "select members_done, orders_done, is_done from import_run") == [(20, 20, True)]


def importing(url: str, file: Path) -> "subprocess.Popen[bytes]":
    """A process of its own that imports the file."""
    return subprocess.Popen([sys.executable, __file__, url, str(file)], env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})


def members_done(url: str) -> int:
    """How far the run has come."""
    found: int = rows(url, "select coalesce(sum(members_done), 0)::int from import_run")[0][0]
    return found


def main() -> None:
    """The import of a process that will be killed."""
    done: Imported = run(Import(MERCHANT, Path(sys.argv[2]), processes=1), sys.argv[1], KEYRING)
    assert done.orders >= 0


if __name__ == "__main__":
    main()
