"""Commitments: units that were granted have moved, exactly; every hold has one end; what came back is what the goods gave back.

Invariant: what was answered stays answered, so a fact's recorded outcome and the entries must agree for ever.
"""

from collections import Counter, defaultdict
from typing import Any

from regulars.verify.entries import flows
from regulars.verify.reading import Book, Fact, Member
from regulars.verify.report import Check
from regulars.verify.rules.awards import money_of
from regulars.verify.rules.document import Version
from regulars.verify.rules.worth import back_of

_HINT = "compare the commitment's fact with the entries of its order: one of them was changed"
_ENDS = {"hold_captured": "captured", "hold_released": "released"}


def check() -> Check:
    """The check, empty."""
    return Check("commitments", "what was granted to pay was taken and no more; each hold ended at most once; what came back is right")


def judge(check: Check, member: Member, versions: dict[int, Version]) -> None:
    """All commitments of one member; those of merged members only all together."""
    for book in member.books:
        if book.body.get("redemption"):
            _judge_redemption(check, f"{member.where}, order {book.key}", book, versions)
    if not member.was_merged:
        _judge_holds(check, member)
        judge_whole(check, member)


def judge_whole(check: Check, member: Member) -> None:
    """Payments and adjustments against entries, where all of both are known: of one member, or of all that merges touched."""
    _judge_payments(check, member)
    _judge_adjustments(check, member)


def _granted(member: Member) -> Counter[tuple[str, str]]:
    """What payments and captures granted, by order and unit."""
    holds = {fact.body["hold"]: fact for fact in member.facts if fact.kind == "value_held"}
    granted: Counter[tuple[str, str]] = Counter()
    for fact in member.facts:
        if fact.kind == "value_redeemed":
            granted[fact.body["order_key"], fact.body["unit"]] += fact.granted
        elif fact.kind == "hold_captured" and fact.body["hold"] in holds:
            held = holds[fact.body["hold"]].body
            granted[held["order_key"], held["unit"]] += fact.granted
    return granted


def _judge_payments(check: Check, member: Member) -> None:
    """By order: granted, less what came back, is what lies with the house as redeemed; and the book says the same."""
    granted = _granted(member)
    redeemed: Counter[tuple[str, str]] = Counter()
    for account, unit, signed, entry in flows(member.transfers):
        if account == "house.redeemed":
            redeemed[entry["cause"], unit] += signed
    books = {book.key: book for book in member.books}
    for key, unit in sorted(granted.keys() | redeemed.keys()):
        where = f"{member.where}, order {key}, {unit}"
        check.saw("payments")
        book = books.get(key)
        paid = (book.body.get("redemption") or {}) if book else {}
        back = paid.get("back", 0) if paid.get("unit") == unit else 0
        check.compare("redeemed", where, "units redeemed by entries", granted[key, unit] - back, redeemed[key, unit], _HINT)
        if granted[key, unit]:
            check.compare("redemption", where, "units that paid, in the book", granted[key, unit], paid.get("amount", 0), _HINT)


def _judge_redemption(check: Check, where: str, book: Book, versions: dict[int, Version]) -> None:
    """Its money is the units' worth, its lots are what it still holds, and what came back is what the goods gave back."""
    paid: dict[str, Any] = book.body["redemption"]
    version = versions.get(paid.get("version", 0))
    if version is None or "value" not in version.units.get(paid["unit"], {}):
        check.add("redemption", where, "the version and unit of the payment", "published, with a value", paid.get("version"), _HINT)
        return
    check.compare("money", where, "what the units paid", money_of(version, paid["unit"], paid["amount"]), paid["money"], _HINT)
    lots = sum(part["amount"] for part in paid.get("allocations", [])) + paid.get("owed", 0) + paid.get("written_off", 0)
    check.compare("lots", where, "units of the payment that have not come back", paid["amount"] - paid.get("back", 0), lots, _HINT)
    if book.state is not None and book.purchase is not None and "situation" in book.body:
        judging = versions.get(book.body.get("version", 0), version)
        least = back_of(book.state, book.purchase, judging, paid)
        if not least <= paid.get("back", 0) <= paid["amount"]:
            found = paid.get("back", 0)
            check.add(
                "back",
                where,
                "units that came back",
                f"{least} or more, for what was kept",
                found,
                "returned goods give back what paid for them",
            )


def _judge_holds(check: Check, member: Member) -> None:
    """Hold rows against facts."""
    rows = {row["hold"]: row for row in member.holds}
    told = {fact.body["hold"]: fact for fact in member.facts if fact.kind == "value_held"}
    ends: dict[str, list[Fact]] = defaultdict(list)
    for fact in member.facts:
        if fact.kind in _ENDS and fact.is_accepted:
            ends[fact.body["hold"]].append(fact)
    open_holds = {hold["id"]: hold for hold in member.state.get("holds", [])}
    for hold in sorted(rows.keys() | told.keys() | open_holds.keys() | ends.keys()):
        _judge_hold(check, f"{member.where}, hold {hold}", rows.get(hold), told.get(hold), ends[hold], open_holds.get(hold), member)
    _judge_held(check, member, told, ends)


def _judge_hold(check: Check, where: str, row: Any, told: Fact | None, ends: list[Fact], is_open: Any, member: Member) -> None:
    """One hold: told by one fact, ended by at most one, and standing as its row and the snapshot say (law 11)."""
    check.saw("holds")
    if told is None or row is None:
        found = "no fact" if told is None else "no row"
        check.add("hold", where, "the fact that made it and its row", "both", found, _HINT)
        return
    if len(ends) > 1:
        check.add("ends", where, "how it ended", "at most once", [fact.kind for fact in ends], "a hold ends in exactly one way (law 11)")
    expected = _status(told, ends, member)
    check.compare("status", where, "its status", expected, row["status"], "a hold ends in exactly one way (law 11)")
    check.compare("snapshot", where, "whether it is open in the snapshot", expected == "open", is_open is not None, _HINT)
    terms = (told.body["unit"], told.granted, told.body["order_key"])
    check.compare("hold", where, "its unit, amount and order", terms, (row["unit"], row["amount"], row["order_key"]), _HINT)


def _status(told: Fact, ends: list[Fact], member: Member) -> str:
    if not told.is_accepted:
        return "refused"
    if ends:
        return _ENDS[ends[0].kind]
    ends_at = told.body["expires_at"]
    if any(fact.row["occurred_at"] < ends_at for fact in member.facts if fact.body.get("status") == "erased" and fact.seq > told.seq):
        return "released"
    return "expired" if ends_at <= member.state.get("clock", 0) else "open"


def _judge_held(check: Check, member: Member, told: dict[str, Fact], ends: dict[str, list[Fact]]) -> None:
    """What entries set aside for an order less what they took away again is what is still held for it; captures paid exactly."""
    held: Counter[tuple[str, str]] = Counter()
    for account, unit, signed, entry in flows(member.transfers):
        if account == "member.held":
            held[entry["cause"], unit] += signed
    expected: Counter[tuple[str, str]] = Counter()
    for hold, fact in told.items():
        if _status(fact, ends[hold], member) == "open":
            expected[fact.body["order_key"], fact.body["unit"]] += fact.granted
    for key, unit in sorted(held.keys() | expected.keys()):
        where = f"{member.where}, order {key}, {unit}"
        check.compare("held", where, "units still held for it by entries", expected[key, unit], held[key, unit], _HINT)


def _judge_adjustments(check: Check, member: Member) -> None:
    """What staff gave or took by hand moved exactly so."""
    moved: Counter[str] = Counter()
    for account, unit, signed, _ in flows(member.transfers):
        if account == "house.adjusted":
            moved[unit] -= signed
    granted: Counter[str] = Counter()
    for fact in member.facts:
        if fact.kind == "value_adjusted":
            check.saw("adjustments")
            granted[fact.body["unit"]] += fact.granted
    for unit in sorted(moved.keys() | granted.keys()):
        check.compare("adjusted", f"{member.where}, {unit}", "units adjusted by entries", granted[unit], moved[unit], _HINT)
