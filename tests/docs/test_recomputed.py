"""`docs/replay.md` is enough: the demo's figures, computed again from that page alone.

Nothing here knows the engine. Each function follows the section of the page that it names; the programme is that of the demo, written
out as numbers.
"""

import json
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
from pages import ROOT, output

DEMO = ROOT / "src/regulars/cli/demo"
ZONE = ZoneInfo("Europe/London")
AS_OF = datetime(2010, 12, 10, tzinfo=ZONE).astimezone(UTC)
MEMBER, ORDER, TIME, SKU, QUANTITY, PRICE = range(6)


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def spread(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Largest remainder, the earlier part first on a draw."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [floor(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def end_of_six_months(at: datetime) -> datetime:
    """Time: usable through the whole last local day."""
    day = at.astimezone(ZONE).date()
    year, month = day.year + (day.month + 5) // 12, (day.month + 5) % 12 + 1
    last = date(year, month, min(day.day, monthrange(year, month)[1])) + timedelta(days=1)
    return datetime(last.year, last.month, last.day, tzinfo=ZONE).astimezone(UTC)


class Lot:
    def __init__(self, order: str, earned: datetime, left: int) -> None:
        self.order, self.earned, self.ends, self.left = order, earned, end_of_six_months(earned), left


class Purchase:
    """An order as it was bought: lines of code, price, pieces; what is kept of each; how it was paid and judged."""

    def __init__(self, number: int, level: str, order: str, lines: list[tuple[str, Fraction, int]]) -> None:
        self.number, self.level, self.order, self.lines = number, level, order, lines
        self.kept = [pieces for _, _, pieces in lines]
        self.total = half_up(sum((price * pieces for _, price, pieces in lines), Fraction(0)) * 100)
        self.money = self.back = self.award = self.spend = 0
        self.shares = [0] * len(lines)
        self.taken: list[tuple[Lot, int]] = []

    def kept_money(self) -> int:
        return sum(
            ceil(Fraction(share * kept, line[2])) for share, kept, line in zip(self.shares, self.kept, self.lines, strict=True) if share
        )

    def paid(self) -> int:
        worth = sum((line[1] * kept for line, kept in zip(self.lines, self.kept, strict=True)), Fraction(0))
        return max(0, half_up(worth * 100) - self.kept_money())

    def deserved(self) -> int:
        """A point for each whole pound; double on the second order, half more for gold; the highest multiple alone."""
        if not any(self.kept):
            return 0
        multiples = [Fraction(1)] + [Fraction(2)] * (self.number == 2) + [Fraction(3, 2)] * (self.level == "gold")
        return floor(floor(Fraction(self.paid(), 100)) * max(multiples))


class Member:
    def __init__(self, figures: Counter[str], months: dict[str, Counter[str]]) -> None:
        self.figures, self.months = figures, months
        self.lots: list[Lot] = []
        self.purchases: list[Purchase] = []
        self.debt = self.orders = self.spend = 0
        self.clock = datetime.min.replace(tzinfo=UTC)

    def moved(self, name: str, amount: int, at: datetime) -> None:
        self.figures[name] += amount
        self.months[at.astimezone(ZONE).strftime("%Y-%m")][name] += amount

    def pass_time(self, at: datetime) -> None:
        for lot in self.lots:
            if lot.ends <= at:
                self.moved("expired", lot.left, max(lot.ends, self.clock))
                lot.left = 0
        self.lots = [lot for lot in self.lots if lot.left]
        self.clock = at

    def credit(self, lot: Lot, amount: int) -> None:
        repaid = min(self.debt, amount)
        self.debt -= repaid
        lot.left += amount - repaid
        if lot.left and lot not in self.lots:
            self.lots.append(lot)

    def take(self, amount: int, order: str | None = None) -> list[tuple[Lot, int]]:
        """Spending order: the earliest end, the earliest earned, the name."""
        found = []
        for lot in sorted(self.lots, key=lambda lot: (lot.ends, lot.earned, lot.order)):
            if order in (None, lot.order) and (part := min(amount, lot.left)):
                lot.left -= part
                amount -= part
                found.append((lot, part))
        self.lots = [lot for lot in self.lots if lot.left]
        return found

    def level(self) -> str:
        return "gold" if self.spend >= 200_000 else "silver" if self.spend >= 50_000 else "basic"

    def buy(self, at: datetime, order: str, lines: list[tuple[str, Fraction, int]]) -> None:
        """What the shop does with an order."""
        self.pass_time(at)
        self.orders += 1
        bought = Purchase(self.orders, self.level(), order, lines)
        self.figures["orders"] += 1
        self.figures["revenue_minor"] += bought.total
        balance = sum(lot.left for lot in self.lots)
        most = min(balance, floor(Fraction(bought.total * 10, 100))) // 500 * 500
        if most:
            bought.money = most
            bought.shares = spread(most, [price * pieces for _, price, pieces in lines])
            bought.taken = self.take(most)
            self.moved("redeemed", most, at)
            self.figures["redemptions"] += 1
            self.figures["redeemed_minor"] += most
        bought.award, bought.spend = bought.deserved(), bought.paid()
        if bought.award:
            self.moved("issued", bought.award, at)
            self.credit(Lot(order, at, 0), bought.award)
        else:
            self.figures["orders_without_points"] += 1
        self.spend += bought.spend
        self.purchases.append(bought)

    def bring_back(self, at: datetime, pieces: Counter[str]) -> None:
        """What happens when goods come back."""
        self.pass_time(at)
        mentioned: list[Purchase] = []
        touched = set()
        for sku in sorted(pieces):
            left = pieces[sku]
            for bought in reversed(self.purchases):
                lines = [i for i, line in enumerate(bought.lines) if line[0] == sku and bought.kept[i]]
                if lines and bought not in mentioned:
                    mentioned.append(bought)
                for i in sorted(lines, key=lambda i: -bought.lines[i][1]):
                    part = min(left, bought.kept[i])
                    bought.kept[i] -= part
                    left -= part
                    if part:
                        touched.add(bought)
            self.figures["returned_units_matched"] += pieces[sku] - left
            self.figures["returned_units_unmatched"] += left
        for bought in mentioned:
            if bought in touched:
                self.state_anew(bought, at)

    def state_anew(self, bought: Purchase, at: datetime) -> None:
        if bought.money:
            due = floor(Fraction(bought.money * (bought.money - bought.kept_money()), bought.money)) - bought.back
            bought.back += due
            self.moved("given_back", due, at)
            while due:
                lot, amount = bought.taken.pop()
                part = min(amount, due)
                due -= part
                if part < amount:
                    bought.taken.append((lot, amount - part))
                self.credit(lot, part)
        if change := bought.award - bought.deserved():
            self.moved("clawed_back", change, at)
            bought.award -= change
            change -= sum(part for _, part in self.take(change, bought.order))
            change -= sum(part for _, part in self.take(change))
            self.debt += change
        self.pass_time(at)
        self.spend += bought.paid() - bought.spend
        bought.spend = bought.paid()
        if not any(bought.kept):
            self.orders -= 1
            self.figures["orders_fully_returned"] += 1


def rows() -> list[tuple[str, str, datetime, str, int, Fraction]]:
    """The file: rows of known customers, prices to the millionth, times local."""
    found = duckdb.execute(
        "select cast(customer_id as varchar), invoice, invoice_date, trim(stock_code), quantity,"
        f" cast(round(cast(cast(unit_price as varchar) as decimal(30, 12)) * 1000000) as bigint) from '{DEMO}/online_retail_small.parquet'"
        " where customer_id is not null"
    ).fetchall()
    return [(m, o, t.replace(tzinfo=ZONE).astimezone(UTC), s, q, Fraction(p, 10**6)) for m, o, t, s, q, p in found]


def computed() -> tuple[Counter[str], dict[str, Counter[str]], Counter[str]]:
    """Figures, months and levels."""
    bought: dict[tuple[str, str], list[tuple[datetime, str, int, Fraction]]] = defaultdict(list)
    returned: dict[tuple[str, str], list[tuple[datetime, str, int]]] = defaultdict(list)
    for row in rows():
        if row[QUANTITY] < 0:
            returned[row[MEMBER], row[ORDER]].append((row[TIME], row[SKU], -row[QUANTITY]))
        elif not row[ORDER].startswith("C") and row[QUANTITY] and row[PRICE] > 0:
            bought[row[MEMBER], row[ORDER]].append((row[TIME], row[SKU], row[QUANTITY], row[PRICE]))
    figures: Counter[str] = Counter()
    months: dict[str, Counter[str]] = defaultdict(Counter)
    events: dict[str, list[tuple[datetime, int, str]]] = defaultdict(list)
    for is_return, documents in enumerate((bought, returned)):
        for (member, number), lines in documents.items():
            events[member].append((min(line[0] for line in lines), is_return, number))
    levels: Counter[str] = Counter()
    for name, what in events.items():
        member = Member(figures, months)
        for at, is_return, number in sorted(what):
            if at >= AS_OF:
                figures["orders_after_as_of"] += not is_return
            elif is_return:
                pieces: Counter[str] = Counter()
                for _, sku, quantity in returned[name, number]:
                    pieces[sku] += quantity
                member.bring_back(at, pieces)
            else:
                equal: Counter[tuple[str, Fraction]] = Counter()
                for _, sku, quantity, price in bought[name, number]:
                    equal[sku, price] += quantity
                lines = sorted(((sku, price, pieces) for (sku, price), pieces in equal.items()), key=lambda line: (line[0], -line[1]))
                member.buy(at, number, lines)
        member.pass_time(AS_OF)
        figures["outstanding"] += sum(lot.left for lot in member.lots)
        figures["owed"] += member.debt
        figures["members_with_points"] += bool(member.lots)
        if member.purchases:
            figures["members"] += 1
            levels[member.level()] += 1
    return figures, months, levels


def test_the_demo_computed_again_from_the_page_has_the_same_figures(tmp_path: Path) -> None:
    report = json.loads(output(f"regulars replay -p {DEMO}/programme.yaml -o {DEMO}/online_retail_small.parquet --json", tmp_path))
    figures, months, levels = computed()
    names = [name for name in report if isinstance(report[name], int) and name != "version"]
    assert {name: figures[name] for name in names} == {name: report[name] for name in names}
    assert dict(levels) == report["tiers"]
    for month in report["units"]["points"]["months"]:
        flows = {name: amount for name, amount in month.items() if name not in ("month", "standing")}
        assert {name: months[month["month"]][name] for name in flows} == flows, month["month"]
