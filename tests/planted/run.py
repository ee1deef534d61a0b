"""Planted bugs: each patch of this folder breaks the shipped source in one place, and must turn the test that it names red.

    python tests/planted/run.py            all of them
    python tests/planted/run.py law_07     those whose name begins so

The first line of a patch names its test: `# red: tests/laws/test_law_07_order_of_delivery.py`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def is_red(patch: Path) -> tuple[bool, str]:
    """Whether the patched source fails the test that the patch names, and why not when it does not."""
    marker, _, diff = patch.read_text().partition("\n")
    tests = marker.removeprefix("# red: ").split()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
        shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        git = ["git", "apply", "--whitespace=nowarn", "-"]
        applied = subprocess.run(git, cwd=copy, input=diff, text=True, capture_output=True, check=False)
        if applied.returncode:
            return False, f"the patch does not apply: {applied.stderr.strip()}"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", "REGULARS_PROFILE": "planted"}
        outcome = subprocess.run(command, cwd=copy, env=environment, text=True, capture_output=True, check=False)
    if outcome.returncode == 1:
        return True, ""
    return False, "its test stays green" if outcome.returncode == 0 else outcome.stdout[-2000:] + outcome.stderr[-500:]


def main() -> int:
    """Try every patch; 1 when one of them is not noticed."""
    wanted = sys.argv[1:] or [""]
    patches = sorted(patch for patch in HERE.glob("*.patch") if patch.name.startswith(tuple(wanted)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(is_red, patches))
    for patch, (red, why) in zip(patches, outcomes, strict=True):
        print(f"{'red ' if red else 'GREEN'} {patch.stem}" + (f": {why}" if why else ""))
    missed = sum(not red for red, _ in outcomes)
    print(f"{len(patches) - missed} planted bugs noticed, {missed} missed")
    return 1 if missed or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
