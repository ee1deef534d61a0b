"""How soon `regulars --help` answers, beside a bare interpreter."""

import subprocess
import sys
import time

from report import report

TIMES = 15


def fastest(*command: str) -> float:
    """Milliseconds of the fastest of several runs."""
    best = float("inf")
    for _ in range(TIMES):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.perf_counter() - begun)
    return best * 1000


def main() -> None:
    """Print the figure."""
    bare = fastest(sys.executable, "-c", "pass")
    ours = fastest(sys.executable, "-m", "regulars.cli", "--help")
    report("start", ours, "ms", "python -c pass", ours / bare, "<= 250 ms", ours <= 250, bare_ms=round(bare, 1))


if __name__ == "__main__":
    main()
