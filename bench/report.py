"""One JSON line a figure: what was measured, against what, and whether it meets its target."""

import json


def report(bench: str, value: float, unit: str, yardstick: str, ratio: float, target: str, ok: bool, **more: object) -> None:
    """Print it."""
    line = {
        "bench": bench,
        "value": round(value, 3),
        "unit": unit,
        "yardstick": yardstick,
        "ratio": round(ratio, 3),
        "target": target,
        "ok": ok,
    }
    print(json.dumps({**line, **more}), flush=True)
