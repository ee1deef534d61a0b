"""`regulars verify`: the audit as people see it, a table of checks and what they found."""

import asyncio
import json
import sys
import time
from collections import Counter

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from regulars.cli.screen import Screen
from regulars.config import read_config
from regulars.verify import Finding, Report, run
from regulars.wiring import open_database

_PATIENCE_SECONDS = 1.0


def verify(merchant: int | None, as_json: bool) -> bool:
    """Audit the configured database and print what came of it; whether nothing was found."""
    report = asyncio.run(_audited(merchant))
    if as_json:
        print(json.dumps(plain(report), indent=2, ensure_ascii=False))
    else:
        print_report(Screen(), report)
    return report.ok


async def _audited(merchant: int | None) -> Report:
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} members"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    begun = time.monotonic()
    task = bar.add_task("verifying", total=None)

    def progress(what: str, done: int) -> None:
        bar.update(task, description=f"verifying {what}", completed=done)
        if time.monotonic() - begun > _PATIENCE_SECONDS:
            bar.start()

    try:
        async with open_database(read_config()) as url:
            return await run(url, merchant, progress)
    finally:
        bar.stop()


def plain(report: Report) -> dict[str, object]:
    """The report as data."""
    checks = [{**msgspec.to_builtins(check), "found": check.found} for check in report.checks]
    return {"ok": report.ok, "checks": checks, "notes": report.notes}


def print_report(screen: Screen, report: Report) -> None:
    """A line for each check, then what was not judged, then the findings in words."""
    rows = [["check", "looked at", "findings"]]
    for check in report.checks:
        looked_at = ", ".join(f"{count:,} {noun}" for noun, count in check.looked_at.items())
        rows.append([check.name, looked_at or "nothing", f"{check.found:,}" if check.found else "ok"])
    screen.columns(rows)
    for check in report.checks:
        for feature, count in check.not_judged.items():
            screen.say(f"  not judged by {check.name}: {count:,} for {feature}")
    for note in report.notes:
        screen.say(f"  note: {note}")
    for check in report.checks:
        _print_findings(screen, check.findings, check.kinds)
    screen.say("nothing was found" if report.ok else f"{sum(check.found for check in report.checks):,} findings", "bold")


def _print_findings(screen: Screen, findings: list[Finding], kinds: Counter[str]) -> None:
    for kind, count in kinds.items():
        told = [finding for finding in findings if finding.kind == kind]
        screen.say()
        screen.say(f"{kind}: {count:,}" + (f", the first {len(told)} of them" if count > len(told) else ""), "bold")
        for finding in told:
            screen.say(f"  {finding.where}: {finding.what}")
            screen.say(f"    expected: {finding.expected}")
            screen.say(f"    found:    {finding.found}")
        screen.say(f"  what to do: {told[0].hint}")
