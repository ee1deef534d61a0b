"""A server for benchmarks and the yardstick upon it: `pgbench -M prepared -c 32 -j 2 -s 50`, TPC-B, everything durable."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regulars.gateways.binaries import Binaries, connection
from regulars.gateways.postgres import Server

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
SECONDS = int(os.environ.get("REGULARS_BENCH_SECONDS", "10"))
SCALE = 50


@contextmanager
def bench_server() -> Iterator[Server]:
    """The embedded server in a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="regulars-bench-"))
    folder.chmod(0o711)
    try:
        with Server(folder / "server", settings=SETTINGS) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def database_us(server: Server) -> int:
    """Microseconds of processor time that the server and its children have spent so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        fields = text.rsplit(")", 1)[1].split()
        is_server, is_child = int(text.split()[0]) == server.pid, int(fields[1]) == server.pid
        if is_server:  # those of its children that have ended are counted with it
            ticks += sum(map(int, fields[11:15]))
        elif is_child:
            ticks += sum(map(int, fields[11:13]))
    return ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")


class Yardstick:
    """TPC-B on one server: made once, run before and after what is measured, so that neighbours disturb both."""

    def __init__(self, server: Server) -> None:
        """Fill its tables."""
        self._server = server
        self._binaries = Binaries.of_wheel()
        self._pgbench("-i", "-s", str(SCALE), "-q")
        self.runs: list[float] = []

    def run(self) -> float:
        """Transactions per second of one more run."""
        said = self._pgbench("-M", "prepared", "-c", "32", "-j", "2", "-T", str(SECONDS), "-n")
        found = re.search(r"tps = ([0-9.]+)", said)
        assert found is not None, said
        self.runs.append(float(found[1]))
        return self.runs[-1]

    @property
    def tps(self) -> float:
        """The mean of its runs."""
        return sum(self.runs) / len(self.runs)

    def _pgbench(self, *words: str) -> str:
        address, environment = connection(self._server.url)
        command = [str(self._binaries.bin / "pgbench"), *words, address]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


YARDSTICK = f"pgbench TPC-B -M prepared -c 32 -j 2 -s {SCALE}, same server, before and after"
