"""Builders in the shop's words: programmes, orders, facts, and whole histories made by chance from a seed."""

import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from regulars.kernel.ids import FactId, MemberId, OrderId, UnitId
from regulars.kernel.time import DAY, HOUR, Instant
from regulars.programme.definition import Programme, programme
from regulars.programme.facts import Line, Order, OrderStated, Remembered, ValueRedeemed
from regulars.simulation.books import Books

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("REGULARS_SHARED", ROOT.parent / "shared"))
DEMO_ORDERS = ROOT / "src/regulars/cli/demo/online_retail_small.parquet"
POINTS = UnitId("points")

Data = dict[str, Any]


def a_programme(*versions: Data, **keys: Any) -> Programme:
    """A point for each whole 1.00, worth 0.01, unless ``keys`` say otherwise; or the given versions."""
    plain: Data = {"programme": "test", "currency": "PLN", "units": {"points": a_unit()}, "rules": [purchase_rule()]}
    return programme([{**plain, **version} for version in versions] or [{**plain, **keys}])


def a_unit(**keys: Any) -> Data:
    """Points that may pay a whole order, in any number."""
    return {"value": "0.01", "spending": {}, **keys}


def purchase_rule(**award: Any) -> Data:
    """A point for each whole 1.00, or another award."""
    return {"id": "purchase", "award": {"unit": "points", **(award or {"amount": 1, "per": "1.00"})}}


def a_line(sku: str = "tea", quantity: int = 1, price: int = 1000, **keys: Any) -> Line:
    """``quantity`` pieces at ``price`` minor units each."""
    return Line(keys.pop("id", sku), sku, quantity, quantity * price, **keys)


def an_order(id: str, placed_at: int, *lines: Line, **keys: Any) -> Order:
    """An order in PLN."""
    return Order(OrderId(id), Instant(placed_at), keys.pop("currency", "PLN"), lines, **keys)


def stated(order: Order, at: int | None = None, heard: int | None = None) -> OrderStated:
    """The store states ``order`` at ``at`` (at its purchase) and we hear of it at ``heard`` (at once)."""
    occurred = order.placed_at if at is None else Instant(at)
    return OrderStated(FactId(f"{order.key}#{order.sequence}"), order, occurred, occurred if heard is None else Instant(heard))


def changed(order: Order, *lines: Line, **keys: Any) -> Order:
    """The next state of ``order``, with these lines left."""
    return msgspec.structs.replace(order, lines=lines, sequence=order.sequence + 1, **keys)


def paying(order: Order, amount: int, payable: int, at: int | None = None, unit: UnitId = POINTS) -> ValueRedeemed:
    """The member asks to pay ``amount`` units towards ``order``."""
    when = order.placed_at if at is None else Instant(at)
    return ValueRedeemed(FactId(f"{order.key}#pay"), order.key, unit, amount, payable, when, when)


def books(of: Programme, member: str = "anna") -> Books:
    """Empty books."""
    return Books(of, MemberId(member))


def balance(of: Books, unit: UnitId = POINTS) -> int:
    """Active points, debt counted."""
    held = sum(lot.remaining for lot in of.member.lots if lot.unit == unit and not lot.is_pending)
    return held - of.member.debt.get(unit, 0)


def total(order: Order) -> int:
    """Minor units of the order's lines."""
    return sum(line.amount for line in order.lines) // order.scale


# --- histories by chance --------------------------------------------------------------------------------------------------------

PROGRAMMES: dict[str, Data] = {
    "plain": {},
    "short lives": {"units": {"points": a_unit(expiry={"after": "40 days"})}},
    "waiting": {"units": {"points": a_unit(activation={"after": "14 days"}, expiry={"after": "2 months"})}},
    "waiting from earning": {
        "units": {"points": a_unit(activation={"after": "20 days"}, expiry={"after": "30 days", "from": "earning", "at_least": "15 days"})},
        "policies": {"shortfall": "write_off"},
    },
    "multiples": {
        "units": {"points": a_unit(expiry={"after": "3 months"})},
        "rules": [
            purchase_rule(),
            {"id": "double", "if": {"op": "nth", "orders": [2]}, "multiply": {"unit": "points", "by": 2}},
            {"id": "triple", "if": {"op": "nth", "orders": [3]}, "multiply": {"unit": "points", "by": 3}},
            {"id": "gift", "if": {"op": "every_nth", "n": 2}, "perk": {"name": "gift"}},
        ],
    },
    "counted anew": {
        "rules": [
            purchase_rule(rate="0.7"),
            {"id": "double", "if": {"op": "nth", "orders": [2, 4]}, "multiply": {"unit": "points", "by": "2.5"}},
            {"id": "gift", "if": {"op": "every_nth", "n": 2}, "perk": {"name": "gift"}},
        ],
        "policies": {"multiples_on_return": "recompute"},
    },
    "levels": {
        "units": {"points": a_unit(spending={"step": 10, "share_percent": 50}), "stamps": {"expiry": {"after": "1 month"}}},
        "tiers": {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "gold", "from": "150.00"}, {"id": "vip", "from": "400.00"}]}},
        "rules": [
            purchase_rule(),
            {"id": "stamp", "award": {"unit": "stamps", "amount": 1}},
            {
                "id": "gold-more",
                "if": {"op": "in", "fact": "tier.status", "values": ["gold", "vip"]},
                "multiply": {"unit": "points", "by": "1.5"},
            },
        ],
        "policies": {"lot_order": "oldest_first", "lot_boundary": "instant", "reinstated_grace": "10 days"},
    },
}
"""Programmes by what is special about them; none of them crosses a bridge."""


def some_programme(name: str) -> Programme:
    """One of ``PROGRAMMES``."""
    return a_programme(**PROGRAMMES[name])


def some_lines(dice: random.Random) -> tuple[Line, ...]:
    """One to three goods."""
    return tuple(
        a_line(sku, dice.randint(1, 4), dice.choice((99, 250, 1000, 3333, 12000))) for sku in dice.sample("abcd", dice.randint(1, 3))
    )


def fewer(dice: random.Random, lines: Sequence[Line]) -> tuple[Line, ...]:
    """Some pieces of the lines, at the same price."""
    kept = ((line, dice.randint(0, line.quantity)) for line in lines)
    return tuple(msgspec.structs.replace(line, quantity=n, amount=line.amount // line.quantity * n) for line, n in kept if n)


def some_history(dice: random.Random, orders: int = 5) -> list[list[OrderStated | str]]:
    """Orders and their later states, in order of time; before each first state stands the order's key: a chance to pay with points."""
    events: list[tuple[int, int, list[OrderStated | str]]] = []
    for n in range(dice.randint(1, orders)):
        placed = dice.randrange(0, 120) * DAY + dice.choice((0, 0, 1, 7)) * HOUR
        order = an_order(f"o{n}", placed, *some_lines(dice))
        events.append((placed, 0, [order.key, stated(order)]))
        bought, at = order.lines, placed
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
            at += dice.randrange(1, 25) * DAY // 2
            lines = dice.choice((fewer(dice, bought), bought, (), fewer(dice, order.lines)))
            order = changed(order, *lines)
            events.append((at, 1, [stated(order, at)]))
    return [event for _, _, event in sorted(events, key=lambda e: (e[0], e[1]))]


def live(of: Programme, history: Iterable[list[OrderStated | str]], dice: random.Random) -> Books:
    """The history as it happens, with some nights between; at each purchase the member may pay with some of their points."""
    now = books(of)
    for event in history:
        night = next(fact.occurred_at for fact in event if isinstance(fact, OrderStated)) - dice.randrange(20 * DAY)
        if night > now.member.clock and dice.random() < 0.4:
            now.pass_time(Instant(night))
        for item in event:
            if isinstance(item, str):
                order = next(f.order for f in event if isinstance(f, OrderStated))
                now.pass_time(order.placed_at)
                ask = dice.choice((0, 0, balance(now), dice.randint(1, 300)))
                if ask > 0:
                    now.take(paying(order, ask, total(order)))
            else:
                now.take(item)
    return now


def recorded(of: Books) -> list[Remembered]:
    """The facts that the books remember, redemptions with their outcome."""
    return list(of.facts)
