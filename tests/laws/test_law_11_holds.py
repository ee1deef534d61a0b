"""Law 11: a hold ends in exactly one of captured, released, expired."""

import random

import pytest
from builders import (
    POINTS,
    a_line,
    a_programme,
    a_unit,
    an_order,
    balance,
    books,
    by_hand,
    capturing,
    holding,
    paying,
    releasing,
    stated,
    status,
    total,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, HOUR, Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.statement import reconcile
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books

CART = an_order("cart", 10 * DAY, a_line(price=50_000))
HOLD = "hold-cart"


def with_points(*points: int, **unit: object) -> Books:
    """One order a day, each worth so many points."""
    now = books(a_programme(units={"points": a_unit(**unit)}))
    for day, amount in enumerate(points):
        now.take(stated(an_order(f"o{day}", day * DAY, a_line(price=amount * 100))))
    return now


def held(amount: int = 150, until: int = 11 * DAY, **unit: object) -> Books:
    """A hold of so many of 300 points of three lots."""
    now = with_points(100, 100, 100, **unit)
    assert now.take(holding(CART, amount, total(CART), until)).granted == amount
    return now


def moved(now: Books, movement: Movement) -> int:
    return sum(t.amount for t in now.transfers if t.movement is movement)


def test_held_value_is_neither_spendable_nor_gone() -> None:
    now = held(150)
    assert (balance(now), now.member.held) == (150, {"points": 150})
    assert now.take(paying(an_order("other", 10 * DAY, a_line(price=50_000)), 151, 50_000)).granted == 0
    assert reconcile(now.transfers, now.member.lots, now.member.debt, now.member.held) == {}


ENDS = {"captured": Reason.HOLD_CAPTURED, "released": Reason.HOLD_RELEASED, "expired": Reason.HOLD_EXPIRED}


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ["captured", "released"])
def test_a_hold_that_has_ended_ends_no_second_time_and_says_how_it_ended(first: str, second: str) -> None:
    now = held(150)
    if first == "expired":
        now.pass_time(Instant(11 * DAY))
    else:
        now.take(capturing(HOLD, 10 * DAY) if first == "captured" else releasing(HOLD, 10 * DAY))
    assert now.now.ended == {HOLD: first}
    member, posted = now.member, len(now.transfers)
    answer = now.take(capturing(HOLD, 12 * DAY) if second == "captured" else releasing(HOLD, 12 * DAY))
    assert answer.refusal is not None
    assert (answer.granted, answer.refusal.reason) == (0, ENDS[first])
    assert (now.member.lots, now.member.holds, len(now.transfers)) == (member.lots, (), posted)


def test_what_was_never_held_cannot_be_captured() -> None:
    answer = with_points(100).take(capturing("nothing", DAY))
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.HOLD_UNKNOWN


@pytest.mark.parametrize(("at", "granted"), [(11 * DAY - 1, 150), (11 * DAY, 0)])
def test_a_hold_lives_up_to_its_last_instant(at: int, granted: int) -> None:
    now = held(150, 11 * DAY)
    assert now.take(capturing(HOLD, at)).granted == granted
    assert now.now.ended == {HOLD: "captured" if granted else "expired"}


@pytest.mark.parametrize("end", ["released", "expired"])
def test_what_comes_back_lies_in_the_lots_it_came_from_with_their_dates(end: str) -> None:
    now = with_points(100, 100, 100, expiry={"after": "1 year"})
    before = now.member.lots
    now.take(holding(CART, 250, total(CART), 11 * DAY))
    if end == "released":
        now.take(releasing(HOLD, 10 * DAY))
    else:
        now.pass_time(Instant(11 * DAY))
    assert now.member.lots == before


def test_value_of_a_lot_that_ended_while_it_was_held_ends_at_once() -> None:
    now = held(150, 60 * DAY, expiry={"after": "30 days"})
    now.pass_time(Instant(40 * DAY))
    assert (balance(now), now.member.held) == (0, {"points": 150})
    now.take(releasing(HOLD, 45 * DAY))
    assert (now.member.lots, now.member.held) == ((), {})
    assert {t.value_at for t in now.transfers if t.movement is Movement.EXPIRY and t.value_at >= 45 * DAY} == {45 * DAY}


def test_a_capture_of_a_part_releases_the_rest() -> None:
    now = held(150)
    assert now.take(capturing(HOLD, 10 * DAY, 120)).granted == 120
    redemption = now.now.orders[CART.key].redemption
    assert redemption is not None
    assert (redemption.amount, redemption.money, balance(now)) == (120, 120, 180)
    assert [(part.lot.id, part.amount) for part in redemption.allocations] == [("shop:o0:points", 100), ("shop:o1:points", 20)]
    assert (moved(now, Movement.CAPTURE), moved(now, Movement.RELEASE)) == (120, 30)


@pytest.mark.parametrize("amount", [0, -5, 151])
def test_no_more_can_be_captured_than_is_held_and_no_less_than_one(amount: int) -> None:
    now = held(150)
    answer = now.take(capturing(HOLD, 10 * DAY, amount))
    assert (answer.granted, now.member.held) == (0, {"points": 150})


def test_an_order_has_one_hold_or_one_payment() -> None:
    now = held(100)
    again = now.take(holding(CART, 50, total(CART), 11 * DAY, hold="second"))
    pays = now.take(paying(CART, 50, total(CART)))
    assert again.refusal is not None
    assert pays.refusal is not None
    assert (again.refusal.reason, pays.refusal.reason) == (Reason.ALREADY_HELD, Reason.ALREADY_HELD)
    now.take(capturing(HOLD, 10 * DAY))
    after = now.take(holding(CART, 50, total(CART), 12 * DAY, at=11 * DAY, hold="third"))
    assert after.refusal is not None
    assert after.refusal.reason is Reason.ALREADY_REDEEMED


def test_the_name_of_a_hold_is_used_once() -> None:
    now = held(100)
    now.take(releasing(HOLD, 10 * DAY))
    other = an_order("other", 10 * DAY, a_line(price=50_000))
    fact = holding(other, 50, 50_000, 12 * DAY, at=11 * DAY, hold=HOLD)
    assert now.take(type(fact)(**{**{f: getattr(fact, f) for f in fact.__struct_fields__}, "id": "x"})).granted == 0


def test_an_erased_members_holds_are_given_up_and_everything_ends() -> None:
    now = held(150)
    now.take(status("erased", 10 * DAY))
    assert (now.member.lots, now.member.holds, now.now.ended) == ((), (), {HOLD: "released"})


@given(seed=st.integers(0, 2**32))
def test_whatever_is_done_each_hold_ends_once_and_its_value_goes_one_way(seed: int) -> None:
    dice = random.Random(seed)
    now = with_points(*(dice.randint(20, 200) for _ in range(4)), expiry={"after": "25 days"})
    at, granted = 4 * DAY, {}
    for n in range(14):
        at += dice.randrange(30 * HOUR)
        name = f"hold-c{dice.randrange(n + 1)}"
        cart = an_order(f"c{n}", at, a_line(price=30_000))
        action = dice.randrange(6)
        if action <= 1:
            ask = dice.randint(1, 120)
            answer = now.take(holding(cart, ask, total(cart), at + dice.randrange(1, 9 * DAY)))
            granted[f"hold-c{n}"] = answer.granted
        elif action == 2:
            now.take(capturing(name, at, dice.choice((None, dice.randint(1, 50)))))
        elif action == 3:
            now.take(releasing(name, at))
        elif action == 4:
            now.take(by_hand(dice.choice((-60, 40)), at))
        else:
            now.pass_time(Instant(at))
        assert reconcile(now.transfers, now.member.lots, now.member.debt, now.member.held) == {}
    now.pass_time(Instant(60 * DAY))
    assert now.member.holds == ()
    assert set(now.now.ended) == {name for name, amount in granted.items() if amount}
    for name, end in now.now.ended.items():
        key = f"shop:{name.removeprefix('hold-')}"
        redemption = now.now.orders[key].redemption if key in now.now.orders else None
        assert (redemption is not None) is (end == "captured")
        paid = redemption.amount if redemption is not None else 0
        flows = [(t.source, t.amount) for t in now.transfers if t.cause == key and t.unit == POINTS]
        assert sum(amount for source, amount in flows if source is Account.HELD) == granted[name]
        assert sum(t.amount for t in now.transfers if t.cause == key and t.target is Account.REDEEMED) == paid
