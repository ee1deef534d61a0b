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
from regulars.programme.facts import (
    HoldCaptured,
    HoldReleased,
    Line,
    Order,
    OrderStated,
    Remembered,
    StatusChanged,
    ValueAdjusted,
    ValueHeld,
    ValueRedeemed,
)
from regulars.simulation.books import Books
from regulars.simulation.capacities import Capacities

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


def holding(order: Order, amount: int, payable: int, until: int, at: int | None = None, hold: str = "", unit: UnitId = POINTS) -> ValueHeld:
    """The member asks to hold ``amount`` units for ``order`` until then; the hold is called by the order unless said."""
    when, name = order.placed_at if at is None else Instant(at), hold or f"hold-{order.id}"
    return ValueHeld(FactId(name), name, order.key, unit, amount, payable, Instant(until), when, when)


def capturing(hold: str, at: int, amount: int | None = None) -> HoldCaptured:
    """The hold pays its order."""
    return HoldCaptured(FactId(f"capture-{hold}@{at}"), hold, amount, Instant(at), Instant(at))


def releasing(hold: str, at: int) -> HoldReleased:
    """The hold is given up."""
    return HoldReleased(FactId(f"release-{hold}@{at}"), hold, Instant(at), Instant(at))


def by_hand(amount: int, at: int, unit: UnitId = POINTS) -> ValueAdjusted:
    """Somebody gives or takes points."""
    return ValueAdjusted(FactId(f"hand-{amount}@{at}"), unit, amount, "goodwill", "eva", Instant(at), Instant(at))


def status(name: str, at: int) -> StatusChanged:
    """Somebody suspends, closes, opens or erases the account."""
    return StatusChanged(FactId(f"{name}@{at}"), name, "asked", "eva", Instant(at), Instant(at))  # type: ignore[arg-type]


def books(of: Programme, member: str = "anna", capacities: Capacities | None = None) -> Books:
    """Empty books."""
    return Books(of, MemberId(member), capacities)


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
    "limited": {
        "units": {"points": a_unit(expiry={"after": "4 months"})},
        "rules": [
            purchase_rule(),
            {"id": "bonus", "award": {"unit": "points", "rate": "0.3"}, "limit": {"units": 60, "over": "reduce"}},
            {"id": "start", "award": {"unit": "points", "amount": 50}, "limit": {"uses": 2, "returns": "keep"}},
            {"id": "extra", "if": {"op": "every_nth", "n": 2}, "award": {"unit": "points", "rate": "0.5"}, "limit": {"units": 90}},
            {"id": "gift", "perk": {"name": "gift"}, "limit": {"uses": 2}},
        ],
    },
}
"""Programmes by what is special about them."""


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


def live(of: Programme, history: Iterable[list[OrderStated | str]], dice: random.Random, by_hand_too: bool = True) -> Books:
    """The history as it happens, with some nights between; at each purchase the member may pay with some of their points, at once or by
    a hold that is captured, given up or left to end; now and then somebody gives or takes some by hand.
    """
    now = books(of)
    planned: list[Remembered] = []
    for event in history:
        at = next(fact.occurred_at for fact in event if isinstance(fact, OrderStated))
        for fact in sorted(planned, key=lambda fact: fact.occurred_at):
            if fact.occurred_at < at:
                planned.remove(fact)
                now.take(fact)
        night = at - dice.randrange(20 * DAY)
        if night > now.member.clock and dice.random() < 0.4:
            now.pass_time(Instant(night))
            if by_hand_too and dice.random() < 0.5:
                now.take(by_hand(dice.choice((30, 100, -20, -150)), night))
        for item in event:
            if isinstance(item, str):
                order = next(f.order for f in event if isinstance(f, OrderStated))
                now.pass_time(order.placed_at)
                _pay_somehow(now, order, dice, planned)
            else:
                now.take(item)
    for fact in planned:
        now.take(fact)
    return now


def _pay_somehow(now: Books, order: Order, dice: random.Random, planned: list[Remembered]) -> None:
    ask = dice.choice((0, 0, balance(now), dice.randint(1, 300)))
    if ask <= 0:
        return
    if dice.random() < 0.5:
        now.take(paying(order, ask, total(order)))
        return
    at = order.placed_at
    name = f"hold-{order.id}"
    granted = now.take(holding(order, ask, total(order), at + dice.choice((1, 24, 24 * 9)) * HOUR)).granted
    for _ in range(dice.choice((0, 1, 1, 2))):
        when = at + dice.choice((0, 0, HOUR // 2, dice.randrange(12 * DAY)))
        part = dice.choice((None, None, dice.randint(1, max(1, granted or 0))))
        planned.append(dice.choice((capturing(name, when, part), releasing(name, when))))
    for fact in [fact for fact in planned if fact.occurred_at == at and dice.random() < 0.5]:
        planned.remove(fact)
        now.take(fact)


def recorded(of: Books) -> list[Remembered]:
    """The facts that the books remember, redemptions with their outcome."""
    return list(of.facts)
