"""Serving: a process of its own answers over a real socket, and ends in order when it is asked to."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from builders import ROOT

PROGRAMME = ROOT / "tests/programmes/e.yaml"
ORDER = {"member": "7", "currency": "GBP", "lines": [{"id": "1", "sku": "TEA-03", "quantity": 3, "amount": 3720}]}


def run(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "regulars.cli", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "regulars.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < until
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def test_three_calls_bring_a_member_their_points_and_the_service_ends_in_order(memory: str, tmp_path: Path) -> None:
    environment = {**os.environ, "REGULARS_DATABASE_URL": memory, "REGULARS_HOME": str(tmp_path)}
    run(environment, "programme", "publish", str(PROGRAMME))
    said = run(environment, "key", "issue", "web shop")
    secret = next(line for line in said.splitlines() if line.startswith("rk_"))
    with serving(environment) as (url, process):
        headers = {"Authorization": f"Bearer {secret}"}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        enrolled = httpx.put(f"{url}/v1/members/7", headers=headers, json={"identities": [{"kind": "email", "value": "a@x.org"}]})
        stated = httpx.put(f"{url}/v1/orders/shop/1004", headers=headers, json={**ORDER, "placed_at": now})
        quoted = httpx.post(f"{url}/v1/quotes", headers=headers, json={"member": "7", "cart": {k: ORDER[k] for k in ("currency", "lines")}})
        assert [answer.status_code for answer in (enrolled, stated, quoted)] == [200, 200, 200], stated.text
        assert stated.json()["accounts"]["points"]["active"] == 37
        assert quoted.json()["awards"] == [{"rule": "purchase", "unit": "points", "amount": 37}]
        assert httpx.get(f"{url}/v1/me").status_code == 401
        schema = httpx.get(f"{url}/openapi/openapi.json").json()
        assert schema["openapi"].startswith("3.1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    shown = run(environment, "key", "list")
    assert re.search(r"web shop\s+shop", shown)
    assert secret not in json.dumps(shown)


def test_a_database_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    url = "postgresql://nobody:nothing@127.0.0.1:1/none"
    environment = {**os.environ, "REGULARS_DATABASE_URL": url, "REGULARS_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "regulars.cli", "serve", "--port", "1"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "the database cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr
