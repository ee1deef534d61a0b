"""One audit of a whole database: merchant by merchant, member by member, everything recomputed.

Invariant: every check is in the report, with what it looked at, whether it found something or not.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import msgspec

from regulars.kernel.errors import NotFound, Problem
from regulars.verify import capacities, commitments, entries, facts, lots, orders, people, seals, standing, tenancy
from regulars.verify.reading import MEMBERS_AT_ONCE, Connection, Member, members, opened, together
from regulars.verify.report import Check, Report
from regulars.verify.rules.document import Version

Progress = Callable[[str, int], None]
"""Told what is being looked at and how many members or merchants are done."""


class Checks(msgspec.Struct):
    """All checks of one audit."""

    entries: Check
    lots: Check
    facts: Check
    orders: Check
    deserved: Check
    standing: Check
    commitments: Check
    capacities: Check
    seals: Check
    people: Check
    tenancy: Check


def _all_checks() -> Checks:
    return Checks(
        entries=entries.check(),
        lots=lots.check(),
        facts=facts.check(),
        orders=orders.check(),
        deserved=orders.check_rules(),
        standing=standing.check(),
        commitments=commitments.check(),
        capacities=capacities.check(),
        seals=seals.check(),
        people=people.check(),
        tenancy=tenancy.check(),
    )


async def run(url: str, merchant: int | None, progress: Progress) -> Report:
    """Audit the database at ``url`` as its owner: all merchants, or one. Raises ``Invalid`` and ``NotFound``; findings are no errors."""
    checks = _all_checks()
    async with opened(url) as (connection, notes):
        known = [row["merchant_id"] for row in await connection.fetch("select merchant_id from merchant order by 1")]
        if merchant is not None and merchant not in known:
            raise NotFound(
                Problem(f"merchant {merchant}", "there is no such merchant", f"there are: {', '.join(map(str, known)) or 'none'}")
            )
        done = 0
        for each in known if merchant is None else [merchant]:
            done = await _audit(checks, connection, each, progress, done)
        progress("tenancy", done)
        await tenancy.judge(checks.tenancy, connection, merchant)
    return Report([getattr(checks, name) for name in checks.__struct_fields__], notes)


async def _audit(checks: Checks, connection: Connection, merchant: int, progress: Progress, done: int) -> int:
    """One merchant; returns how many members are done by then."""
    versions = await _versions(connection, merchant)
    sums, drawn = entries.Sums(), Counter[str]()
    batch: list[Member] = []
    joined: list[Member] = []
    async for member in members(connection, merchant):
        _judge(checks, member, versions, sums, drawn)
        batch.append(member)
        if member.was_merged:
            joined.append(member)
        if len(batch) == MEMBERS_AT_ONCE:
            await facts.judge_keys(checks.facts, connection, batch)
            batch = []
        done += 1
        progress("members", done)
    if batch:
        await facts.judge_keys(checks.facts, connection, batch)
    if joined:
        _judge_joined(checks, joined)
    sums.conclude(checks.entries, merchant)
    await facts.judge_all_keys(checks.facts, connection, merchant)
    await capacities.conclude(checks.capacities, connection, merchant, drawn)
    progress("seals", done)
    await seals.judge(checks.seals, connection, merchant)
    await people.judge_identities(checks.people, connection, merchant)
    await people.judge_merges(checks.people, connection, merchant)
    return done


def _judge(checks: Checks, member: Member, versions: dict[int, Version], sums: entries.Sums, drawn: Counter[str]) -> None:
    """Everything that one member's rows tell by themselves."""
    with _readable(checks.entries, member):
        entries.judge(checks.entries, member, sums)
    with _readable(checks.lots, member):
        lots.judge(checks.lots, member)
    with _readable(checks.facts, member):
        facts.judge(checks.facts, member)
    with _readable(checks.orders, member):
        orders.judge(checks.orders, member)
    with _readable(checks.deserved, member):
        orders.judge_rules(checks.deserved, member, versions)
    with _readable(checks.standing, member):
        standing.judge(checks.standing, member, versions)
    with _readable(checks.commitments, member):
        commitments.judge(checks.commitments, member, versions)
    with _readable(checks.capacities, member):
        capacities.judge(checks.capacities, member, drawn)
    with _readable(checks.people, member):
        people.judge(checks.people, member)


def _judge_joined(checks: Checks, joined: list[Member]) -> None:
    """Members that merges touched, all together."""
    whole = together(joined)
    with _readable(checks.orders, whole):
        orders.judge_whole(checks.orders, whole)
    with _readable(checks.commitments, whole):
        commitments.judge_whole(checks.commitments, whole)
    with _readable(checks.capacities, whole):
        capacities.judge_whole(checks.capacities, whole)


@contextmanager
def _readable(check: Check, member: Member) -> Iterator[None]:
    """JSON of another shape than it must have is a finding, and the audit goes on."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as broken:
        hint = "its JSON has lost a key or has another type in it: restore the row from a backup"
        check.add("unreadable", member.where, "the shape of its facts, books and snapshot", "as the engine writes them", repr(broken), hint)


async def _versions(connection: Connection, merchant: int) -> dict[int, Version]:
    """The published versions of the merchant's programme, by number."""
    sql = "select version, applies_from, document from programme where merchant_id = $1 and status <> 'draft' order by version"
    rows = await connection.fetch(sql, merchant)
    return {row["version"]: Version(row["version"], row["applies_from"], msgspec.json.decode(row["document"])) for row in rows}


def findings(report: Report) -> Counter[str]:
    """How many findings of each kind."""
    return Counter(dict(chain.from_iterable(check.kinds.items() for check in report.checks)))
