"""`make bench`: every benchmark, or the one named; each prints JSON lines with its ratio to its yardstick."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHES = ("start", "rules", "replay", "lane", "import", "growth")


def main() -> int:
    """Run them one after the other, so that none disturbs another."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    return max(subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode for name in names)


if __name__ == "__main__":
    sys.exit(main())
