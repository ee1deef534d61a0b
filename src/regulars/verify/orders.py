"""Order books: the state that was told last, its lines, what its entries gave and took, and what the rules say it deserves.

Invariant: awards are derived from the programme's document by a reading that shares nothing with the engine; what that reading does not
understand is counted under the feature's name.
"""

from collections import Counter, defaultdict
from typing import Any

from regulars.verify.entries import flows
from regulars.verify.reading import Book, Fact, Member
from regulars.verify.report import Check
from regulars.verify.rules.awards import Deserved, dates, deserved, understood
from regulars.verify.rules.document import Data, NotUnderstood, Version

_HINT = "compare the order's facts with its book: the book is what the engine made of them"
_RULES = "work the order out by hand with the document of its version; if the audit is right, the engine or the book is wrong"


def check() -> Check:
    """The check of books against facts and entries, empty."""
    return Check("orders", "each order stands as it was told last; its lines, entries and holdings agree with its book")


def check_rules() -> Check:
    """The check of awards against the rules, empty."""
    return Check("deserved", "each order got what the rules of its version give for what was kept, worked out a second time")


def stated(member: Member) -> dict[str, list[Fact]]:
    """The accepted states of each order, by its key, in the order they were taken."""
    found: dict[str, list[Fact]] = defaultdict(list)
    for fact in member.facts:
        if fact.kind == "order_stated" and fact.is_accepted:
            found[key_of(fact.body.get("order", {}))].append(fact)
    return found


def key_of(order: Data) -> str:
    """Source, colon, id."""
    return f"{order.get('source', 'shop')}:{order.get('id')}"


def judge(check: Check, member: Member) -> None:
    """Books against facts, lines and entries; those of merged members against facts and entries only all together."""
    lines: dict[str, list[Any]] = defaultdict(list)
    for row in member.lines:
        lines[row["order_key"]].append(row)
    for book in member.books:
        where = f"{member.where}, order {book.key}"
        check.saw("orders")
        _judge_lines(check, where, book, lines.get(book.key, []))
        _judge_row(check, where, book)
    for key in sorted(lines.keys() - {book.key for book in member.books}):
        check.add("lines", f"{member.where}, order {key}", "the book of these lines", "a book", "none", _HINT)
    if not member.was_merged:
        judge_whole(check, member)


def judge_whole(check: Check, member: Member) -> None:
    """Books against facts and entries, where all of them are known: of one member, or of all that merges touched."""
    told = stated(member)
    net = _net(member)
    for book in member.books:
        where = f"merchant {member.merchant}, member {book.row['member_id']}, order {book.key}"
        _judge_state(check, where, book, told.get(book.key, []))
        _judge_net(check, where, book, net)
    for key in sorted(told.keys() - {book.key for book in member.books}):
        check.add("missing", f"{member.where}, order {key}", "its book", "a book", "none, though the order was accepted", _HINT)


def _judge_state(check: Check, where: str, book: Book, states: list[Fact]) -> None:
    """The book holds the newest accepted state, and the first one with goods as the purchase."""
    if not states:
        check.compare("state", where, "its state, where no order was accepted", None, book.state, _HINT)
        return
    by_sequence = sorted(states, key=lambda fact: fact.body["order"].get("sequence", 1))
    check.compare("state", where, "the order as it stands", by_sequence[-1].body["order"], book.state, _HINT)
    if book.purchase is not None and book.purchase not in (first := _first_states(states)):
        check.compare("purchase", where, "the order as it was when it first had goods", first[0] if first else None, book.purchase, _HINT)


def _first_states(states: list[Fact]) -> list[Any]:
    """What may be the purchase: the first state, in order of occurrence, with goods - or with anything, where a programme counts that."""
    in_time = sorted(states, key=lambda fact: (fact.row["occurred_at"], fact.body["order"].get("sequence", 1)))
    orders = [fact.body["order"] for fact in in_time]
    kept = [[line for line in order.get("lines", []) if line["quantity"]] for order in orders]
    goods = next((o for o, lines in zip(orders, kept, strict=True) if any(x.get("kind", "goods") == "goods" for x in lines)), None)
    anything = next((o for o, lines in zip(orders, kept, strict=True) if lines), None)
    return [order for order in (goods, anything) if order is not None]


def _judge_row(check: Check, where: str, book: Book) -> None:
    """The columns say what the JSON says."""
    state = book.state or {}
    rate = state.get("rate") or {}
    expected = (
        state.get("placed_at"),
        state.get("currency"),
        state.get("scale", 1) if state else None,
        rate.get("numerator"),
        rate.get("denominator"),
        book.body.get("is_counted", False),
    )
    names = ("placed_at", "currency", "scale", "rate_numerator", "rate_denominator", "is_counted")
    check.compare("row", where, f"its columns ({', '.join(names)})", expected, tuple(book.row[name] for name in names), _HINT)


def _judge_lines(check: Check, where: str, book: Book, rows: list[Any]) -> None:
    """The lines are those of the state, each with its price with and without tax."""
    check.saw("lines", len(rows))
    expected = {line["id"]: _line(line) for line in (book.state or {}).get("lines", [])}
    found = {
        row["line_id"]: tuple(row[name] for name in ("sku", "kind", "quantity", "gross", "net", "tax", "discount", "cost", "parent"))
        for row in rows
    }
    for id in sorted(expected.keys() | found.keys()):
        what = "the line (sku, kind, quantity, gross, net, tax, discount, cost, parent)"
        check.compare("lines", f"{where}, line {id}", what, expected.get(id), found.get(id), _HINT)


def _line(line: Data) -> tuple[Any, ...]:
    tax = line.get("tax", 0)
    net = line["amount"] - tax if line.get("tax_included", True) else line["amount"]
    whole = (line["sku"], line.get("kind", "goods"), line["quantity"], net + tax, net, tax)
    return (*whole, line.get("discount", 0), line.get("cost", 0), line.get("parent"))


def _net(member: Member) -> Counter[tuple[str, str]]:
    """What entries issued less what they clawed back, by cause and unit."""
    net: Counter[tuple[str, str]] = Counter()
    for account, unit, signed, entry in flows(member.transfers):
        if account in ("house.issued", "house.clawed_back"):
            net[entry["cause"], unit] -= signed
    return net


def _judge_net(check: Check, where: str, book: Book, net: Counter[tuple[str, str]]) -> None:
    """Awards are earned less clawed back, by the book's holdings and by the entries (law 15)."""
    awards: Counter[str] = Counter()
    for award in book.body.get("awards", []):
        awards[award["unit"]] += award["amount"]
    holdings = book.body.get("holdings", {})
    for unit in sorted(awards.keys() | holdings.keys() | {unit for cause, unit in net if cause == book.key}):
        held = holdings.get(unit, {})
        check.compare("holdings", where, f"{unit} earned less clawed back in its holdings", awards[unit], _kept(held), _HINT)
        check.compare("net", where, f"{unit} issued less clawed back by its entries", awards[unit], net[book.key, unit], _HINT)


def _kept(holding: Data) -> int:
    return int(holding.get("earned", 0)) - int(holding.get("clawed", 0))


def judge_rules(check: Check, member: Member, versions: dict[int, Version]) -> None:
    """Every placed order of the member against the rules."""
    told = stated(member)
    for book in member.books:
        if book.state is None or "situation" not in book.body:
            continue
        check.saw("orders")
        where = f"{member.where}, order {book.key}"
        try:
            _judge_version(check, where, book, versions)
            version = versions[book.body["version"]]
            understood(version)
            drawn = book.body.get("drawn", {})
            source = book.state.get("source", "shop")
            due = deserved(version, book.state, source, book.body["situation"], book.body.get("redemption"), book.purchase, drawn)
            _judge_due(check, where, book, due)
            _judge_limited(check, where, book, due, told.get(book.key, []))
            _judge_dates(check, where, book, version)
        except NotUnderstood as feature:
            check.leave(str(feature))
        except (KeyError, ValueError, TypeError, ArithmeticError) as broken:
            check.add("unreadable", where, "the order and its version", "what the documentation describes", repr(broken), _RULES)


def _judge_version(check: Check, where: str, book: Book, versions: dict[int, Version]) -> None:
    """The version is the one in force at the purchase, for ever."""
    assert book.state is not None
    in_force = [v for v in versions.values() if v.applies_from <= book.state["placed_at"]]
    expected = max(in_force, key=lambda version: (version.applies_from, version.number)).number if in_force else None
    check.compare("version", where, "the version that judges it", expected, book.body.get("version"), _RULES)


def _judge_due(check: Check, where: str, book: Book, due: Deserved) -> None:
    """Awards, perks and spend."""
    expected = sorted((award.rule, award.unit, award.basis, award.amount) for award in due.awards if award.amount)
    found = sorted((award["rule"], award["unit"], award["basis"], award["amount"]) for award in book.body.get("awards", []))
    check.saw("awards", len(found))
    check.compare("awards", where, "its awards (rule, unit, basis, amount)", expected, found, _RULES)
    check.compare("perks", where, "its perks", due.perks, book.body.get("perks", []), _RULES)
    check.compare("spend", where, "what it counts for the member's spend", due.spend, book.body.get("spend", 0), _RULES)
    check.compare("counted", where, "whether it counts as an order", due.is_counted, book.body.get("is_counted", False), _RULES)


def _judge_limited(check: Check, where: str, book: Book, due: Deserved, states: list[Fact]) -> None:
    """What a limit lowered was recorded so (law 6). Late news may raise what an order deserves, while what was granted stays granted."""
    if not states or any(fact.record.get("situation") != book.body["situation"] for fact in states):
        return
    limited = {each.get("subject") for fact in states for each in fact.record.get("limited", [])}
    for award in due.awards:
        if award.amount < award.wanted and award.rule not in limited:
            what = f"rule {award.rule} gave less than {award.wanted}"
            check.add("limited", where, what, "a record that its limit was reached", "none", "an award over a limit says so (law 6)")


def _judge_dates(check: Check, where: str, book: Book, version: Version) -> None:
    """What was earned is usable from and until the days that the version says (laws 1, 5)."""
    for unit, holding in book.body.get("holdings", {}).items():
        expected = dates(version, unit, holding["earned_at"])
        found = (holding["active_from"], holding["expires_at"])
        check.compare("dates", where, f"{unit} usable from and until", expected, found, _RULES)
