"""A generated shop for benchmarks: programmes and histories from a seed, no file needed."""

import random
from collections.abc import Iterator
from typing import Any

from regulars.kernel.ids import MemberId, OrderId
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import Programme, programme
from regulars.programme.facts import Line, Order
from regulars.programme.history import History

CATEGORIES = [f"cat{i}" for i in range(30)]
PROGRAMME_E: dict[str, Any] = {
    "programme": "E",
    "currency": "GBP",
    "units": {"points": {"value": "0.01", "expiry": {"after": "180 days"}, "spending": {"step": 500, "share_percent": 10}}},
    "rules": [{"id": "purchase", "award": {"unit": "points", "amount": 1, "per": "1.00"}}],
    "policies": {"lot_boundary": "instant", "lot_order": "oldest_first"},
}


def programme_e() -> Programme:
    """The reference programme E."""
    return programme([PROGRAMME_E])


def programme_of_twenty() -> Programme:
    """E with levels and twenty rules: awards on goods, channels and totals, multiples by number and level, a discount, a gift."""
    rules: list[dict[str, Any]] = [*PROGRAMME_E["rules"]]
    for i in range(6):
        goods = {"categories": CATEGORIES[5 * i : 5 * i + 3]}
        rules.append({"id": f"goods-{i}", "award": {"unit": "points", "rate": "0.5", "goods": goods}, "channels": ["web", "till"]})
    for total in (50, 100, 200, 500):
        rules.append({"id": f"total-{total}", "if": at_least("order.total", total), "award": {"unit": "points", "amount": 5}})
    for n in (2, 3, 5):
        rules.append({"id": f"nth-{n}", "if": {"op": "nth", "orders": [n]}, "multiply": {"unit": "points", "by": 2}})
    for level in ("silver", "gold"):
        rules.append({"id": level, "if": one_of("tier.status", level), "multiply": {"unit": "points", "by": "1.5"}})
    weekend = {"op": "all", "of": [one_of("order.weekday", "saturday", "sunday"), at_least("order.total", 80)]}
    some = {"op": "any", "of": [{"op": "has", "fact": "order.categories", "values": CATEGORIES[:2]}, at_least("order.units", 40)]}
    rules += [
        {"id": "weekend", "if": weekend, "award": {"unit": "points", "amount": 20}},
        {"id": "some", "if": some, "award": {"unit": "points", "amount": 10}},
        {"id": "gift", "if": {"op": "every_nth", "n": 5}, "perk": {"name": "gift"}},
        {"id": "gold-off", "if": one_of("tier.status", "gold"), "discount": {"percent": 3}},
    ]
    levels = [{"id": "basic", "from": 0}, {"id": "silver", "from": 500}, {"id": "gold", "from": 2000}]
    assert len(rules) == 20
    return programme([{**PROGRAMME_E, "rules": rules, "tiers": {"status": {"levels": levels}}}])


def at_least(fact: str, value: int) -> dict[str, Any]:
    """A condition on an amount or number."""
    return {"op": "at_least", "fact": fact, "value": value}


def one_of(fact: str, *values: str) -> dict[str, Any]:
    """A condition on a text."""
    return {"op": "in", "fact": fact, "values": values}


def histories(orders: int, seed: int = 7, lines: int = 3) -> Iterator[History]:
    """About ``orders`` orders of three lines, eight to a member, over three years."""
    dice = random.Random(seed)
    made = member = 0
    while made < orders:
        member += 1
        count = min(orders - made, max(1, int(dice.expovariate(1 / 8))))
        made += count
        days = sorted(dice.randrange(3 * 365) for _ in range(count))
        yield History(MemberId(f"m{member}"), tuple(an_order(dice, f"{member}-{n}", day, lines) for n, day in enumerate(days)))


def an_order(dice: random.Random, id: str, day: int, lines: int) -> Order:
    """An order of so many lines."""
    goods = []
    for n in range(lines):
        quantity, price = dice.randint(1, 3), dice.randint(199, 9999)
        goods.append(Line(str(n), f"sku{dice.randrange(10_000)}", quantity, quantity * price, categories=(dice.choice(CATEGORIES),)))
    at = Instant(1_600_000_000_000_000 + day * DAY + dice.randrange(DAY))
    return Order(OrderId(id), at, "GBP", tuple(goods), channel=dice.choice(("web", "till", "app")))
