"""What it costs to find the rules that hold for a cart: the interpreter over 50 campaigns, beside decoding the cart from JSON."""

import random
import time
from typing import Any

import msgspec
from report import report
from shop import CATEGORIES, an_order

from regulars.programme.basis import Basis
from regulars.programme.definition import Programme, programme
from regulars.programme.entitlement import standing_of, view_of
from regulars.programme.facts import Order
from regulars.programme.member import Situation

CARTS = 400
ROUNDS = 5


def campaigns(count: int) -> Programme:
    """Random campaigns: goods, totals, weekdays, channels, numbers of order, and some of their combinations."""
    dice = random.Random(1)
    rules = []
    for i in range(count):
        conditions: list[dict[str, Any]] = [
            {"op": "has", "fact": "order.categories", "values": dice.sample(CATEGORIES, dice.randint(1, 4))},
            {"op": "at_least", "fact": "order.total", "value": dice.choice((50, 100, 200))},
        ]
        if dice.random() < 0.3:
            conditions.append({"op": "in", "fact": "order.weekday", "values": ["saturday", "sunday"]})
        if dice.random() < 0.2:
            conditions.append({"op": "not", "of": {"op": "first"}})
        if dice.random() < 0.2:
            conditions.append({"op": "any", "of": [{"op": "every_nth", "n": 5}, {"op": "at_least", "fact": "order.units", "value": 6}]})
        rules.append({"id": f"c{i}", "if": {"op": "all", "of": conditions}, "award": {"unit": "points", "amount": 1}})
    return programme([{"programme": "campaigns", "currency": "GBP", "units": {"points": {}}, "rules": rules}])


def matched(of: Programme, cart: Order, situation: Situation) -> int:
    """How many campaigns hold for ``cart``: facts and match, as `decide` does it."""
    version = of.latest
    view = view_of(version, cart, situation, Basis(cart, version.policies))
    return sum(standing_of(rule, view) is None for rule in version.awards)


def main() -> None:
    """Print the figure for 50 campaigns."""
    dice = random.Random(2)
    carts = [an_order(dice, str(i), dice.randrange(365), 10) for i in range(CARTS)]
    situations = [Situation(dice.randint(1, 9), 0, {}, None, None) for _ in carts]
    encoded = [msgspec.json.encode(cart) for cart in carts]
    of = campaigns(50)
    best = decoding = float("inf")
    matches = 0
    for _ in range(ROUNDS):
        begun = time.process_time()
        matches = sum(matched(of, cart, situation) for cart, situation in zip(carts, situations, strict=True))
        best = min(best, time.process_time() - begun)
        begun = time.process_time()
        for body in encoded:
            msgspec.json.decode(body, type=Order)
        decoding = min(decoding, time.process_time() - begun)
    per_cart = best / CARTS * 1e6
    report(
        "rules",
        per_cart,
        "us per cart",
        "decoding the cart from JSON",
        best / decoding,
        "reported (the target binds for the compiled rules)",
        True,
        campaigns=50,
        matches_per_cart=matches / CARTS,
    )


if __name__ == "__main__":
    main()
