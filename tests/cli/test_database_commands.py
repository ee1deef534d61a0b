"""Commands on the database, as whoever runs it uses them; with what goes wrong."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import DEMO_ORDERS, ROOT
from servers import execute, fresh_database, rows
from test_command import regulars

from regulars.gateways.postgres import Server
from regulars.kernel.time import instant

PROGRAMME = ROOT / "tests/programmes/e.yaml"
BEGUN = instant(datetime(2026, 11, 1, tzinfo=UTC))


def on(url: str, folder: Path, *words: str) -> tuple[int, str]:
    """How a command on the database at ``url`` ends, and all that it said."""
    done = regulars(*words, env={**os.environ, "REGULARS_DATABASE_URL": url, "REGULARS_HOME": str(folder)})
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_an_unfinished_import_is_named_and_can_be_dismissed(memory: str, tmp_path: Path) -> None:
    execute(memory, "insert into merchant (merchant_id, name, revision, walked_version, recorded_at) values (1, 'Shop', 0, 0, 0)")
    row = f"1, 'a run', 'history.csv', 0, 1, 40, 120, false, {BEGUN}"
    names = "merchant_id, run, file, part, parts, members_done, orders_done, is_done, recorded_at"
    execute(memory, f"insert into import_run ({names}) values ({row})")
    code, said = on(memory, tmp_path, "doctor")
    assert code == 1
    assert "unfinished: history.csv of merchant 1 (120 orders taken, begun 2026-11-01)" in " ".join(said.split())
    code, said = on(memory, tmp_path, "import", "dismiss", "other.csv")
    assert (code, "no import of a file of this name is unfinished" in said) == (2, True)
    assert on(memory, tmp_path, "import", "dismiss", "history.csv")[0] == 0
    assert rows(memory, "select is_done, orders_done from import_run") == [(True, 120)]
    assert on(memory, tmp_path, "doctor")[0] == 0


def test_a_copy_takes_nobodys_place_unless_it_is_told_to(memory: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.dump"
    file.write_text("something dear")
    for words, sentence in (([str(tmp_path)], "this is a folder"), ([str(file)], "there is a file of this name")):
        code, said = on(memory, tmp_path, "backup", *words)
        assert (code, sentence in said) == (2, True), said
    assert file.read_text() == "something dear"
    assert on(memory, tmp_path, "backup", str(file), "--replace")[0] == 0
    assert file.read_bytes()[:5] == b"PGDMP"


@pytest.mark.parametrize("content", [b"not a copy", b"", b"PGDMP\x01\x0e\x00\x04\x08"])
def test_a_file_that_is_no_copy_is_named_as_such(server: Server, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "copy.dump").write_bytes(content)
    with fresh_database(server) as url:
        code, said = on(url, tmp_path, "restore", str(tmp_path / "copy.dump"))
        assert (code, "this is no copy of a database" in said, "copy.dump" in said) == (2, True, True), said
        assert rows(url, "select count(*)::int from pg_tables where schemaname = 'public'") == [(0,)]


def test_who_publishes_what_was_replaced_hears_what_is_in_force(memory: str, tmp_path: Path) -> None:
    first, second = tmp_path / "one.yaml", tmp_path / "two.yaml"
    first.write_text(PROGRAMME.read_text())
    assert on(memory, tmp_path, "programme", "publish", str(first))[0] == 0
    assert on(memory, tmp_path, "import", "orders", str(DEMO_ORDERS))[0] == 0
    second.write_text(PROGRAMME.read_text().replace("step: 500", "step: 600"))
    code, said = on(memory, tmp_path, "programme", "publish", str(second))
    assert code == 0, said
    execute(memory, "update programme set applies_from = 1 where version = 2")  # its time has come
    code, said = on(memory, tmp_path, "programme", "publish", str(first))
    assert code == 0
    assert "version 1: published already, as it is here; nothing was changed; version 2 is in force" in " ".join(said.split())
