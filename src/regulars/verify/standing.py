"""Standing: a member's orders, spend and levels are what their order books sum to, and columns say what the snapshot says.

Invariant: counters are recomputed from the books; levels from the spend and the ladders.
"""

from regulars.verify.reading import NEVER, Book, Member
from regulars.verify.report import Check
from regulars.verify.rules.document import Version, level_of, rank

_HINT = "fold the member's facts again: the counters were changed without them"


def check() -> Check:
    """The check, empty."""
    return Check("standing", "orders, spend and levels of a member follow from their order books")


def judge(check: Check, member: Member, versions: dict[int, Version]) -> None:
    """One member's counters and levels."""
    check.saw("members")
    state = member.state
    if not state:
        check.compare("snapshot", member.where, "facts of a member without a state", 0, len(member.facts), _HINT)
        return
    placed = [book for book in member.books if book.state is not None and "situation" in book.body]
    check.compare(
        "spend", member.where, "what the member spent", sum(book.body.get("spend", 0) for book in placed), state.get("spend", 0), _HINT
    )
    check.compare("orders", member.where, "how many orders count", _orders(placed, versions), state.get("orders", 0), _HINT)
    check.compare("due", member.where, "when something is due next, in the row", state.get("due_at", NEVER), member.row["due_at"], _HINT)
    status = member.row["status"]
    if status not in ("merged", "erased"):
        check.compare("status", member.where, "the status in the row", state.get("status", "active"), status, _HINT)
    _judge_due(check, member)
    _judge_tiers(check, member, versions)


def _orders(placed: list[Book], versions: dict[int, Version]) -> int:
    """Those that count; one that came back whole counts on only where the policy says so."""
    return sum(1 for book in placed if book.body.get("is_counted", False) or _still_counts(book, versions))


def _still_counts(book: Book, versions: dict[int, Version]) -> bool:
    version = versions.get(book.body.get("version", 0))
    if version is None or not version.policy("returned_orders_count", False):
        return False
    counted = version.policy("basis_includes", ["goods"])
    return any(line["quantity"] and line.get("kind", "goods") in counted for line in (book.purchase or {}).get("lines", []))


def _judge_due(check: Check, member: Member) -> None:
    """Nothing that was due by the member's clock is still open, and the next thing due is the earliest one."""
    state = member.state
    dues = [lot["active_from"] if lot.get("is_pending", False) else lot.get("expires_at", NEVER) for lot in state.get("lots", [])]
    dues += [hold["expires_at"] for hold in state.get("holds", [])]
    earliest = min(dues, default=NEVER)
    check.compare("due", member.where, "when something is due next, in the state", earliest, state.get("due_at", NEVER), _HINT)
    if earliest <= state.get("clock", -NEVER):
        check.add(
            "overdue",
            member.where,
            "the next thing due",
            f"after {state.get('clock')}",
            earliest,
            "time has passed over it; let it pass again",
        )


def _judge_tiers(check: Check, member: Member, versions: dict[int, Version]) -> None:
    """A level belongs to a ladder that was ever published, and is not below what the spend reaches where the ladder never changed."""
    for ladder, level in member.state.get("tiers", {}).items():
        known = [version for version in versions.values() if ladder in version.ladders]
        where = f"{member.where}, level in {ladder}"
        check.saw("levels")
        if not any(rank(version.ladders[ladder], level) >= 0 for version in known):
            check.add("level", where, "the level", f"one of the ladder {ladder}", level, _HINT)
        elif any(version.ladders[ladder] != known[0].ladders[ladder] for version in known):
            check.leave("levels of ladders that changed between versions")
        else:
            _judge_level(check, where, level, member, known[0], ladder)


def _judge_level(check: Check, where: str, level: str, member: Member, version: Version, name: str) -> None:
    """With ``review: never`` a level may stand above what the spend reaches now."""
    ladder = version.ladders[name]
    reached = level_of(ladder, member.state.get("spend", 0), version.minor)
    if ladder.get("review", "at_return") == "never":
        if rank(ladder, level) < rank(ladder, reached):
            check.add("level", where, "the level", f"{reached} or higher", level, _HINT)
    else:
        check.compare("level", where, "the level", reached, level, _HINT)
