"""Law 14: an order that follows a held quote is charged exactly as quoted while the hold lives."""

import pytest
from builders import (
    Data,
    a_line,
    a_programme,
    a_unit,
    an_order,
    balance,
    books,
    by_hand,
    capturing,
    changed,
    holding,
    releasing,
    stated,
    status,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, HOUR
from regulars.programme.definition import Programme
from regulars.programme.quote import Quote, quote
from regulars.simulation.books import Books

CART = an_order("cart", 10 * DAY, a_line(price=40_000))
HOLD = "hold-cart"


def dearer_later(**keys: object) -> Programme:
    """From the twelfth day (1970-01-12) on a point is worth a fifth, comes in hundreds and pays a tenth at most."""
    dearer = a_unit(value="0.002", spending={"step": 100, "share_percent": 10})
    first: Data = {"units": {"points": a_unit(value="0.02", expiry={"after": "20 days"})}}
    return a_programme({**first, **keys}, {"version": 2, "applies_from": "1970-01-12", "units": {"points": dearer}, **keys})


def seen_and_held(of: Programme, earned: int = 300) -> tuple[Books, int, int]:
    """A member who saw a quote and held all that it offered; with the units and the money that they saw."""
    now = books(of)
    now.take(stated(an_order("first", 5 * DAY, a_line(price=earned * 100))))
    now.pass_time(CART.placed_at)
    seen = quote(of, now.member, CART)
    assert isinstance(seen, Quote)
    offer = seen.spendable[0]
    assert now.take(holding(CART, offer.amount, seen.payable, 40 * DAY)).granted == offer.amount
    return now, offer.amount, offer.money


@given(earned=st.integers(1, 3000), at=st.integers(10 * DAY, 39 * DAY), is_stated_first=st.booleans())
def test_the_order_is_charged_what_the_quote_said_whatever_version_is_in_force_by_then(earned: int, at: int, is_stated_first: bool) -> None:
    now, units, money = seen_and_held(dearer_later(), earned)
    facts = [capturing(HOLD, at), stated(CART, at)]
    for fact in reversed(facts) if is_stated_first else facts:
        now.take(fact)
    book = now.now.orders[CART.key]
    assert book.redemption is not None
    assert (book.redemption.amount, book.redemption.money, book.redemption.version) == (units, money, 1)
    assert book.spend == 40_000 - money


@pytest.mark.parametrize("shortfall", ["debt", "write_off"])
def test_what_paid_may_be_gone_by_late_evidence_and_the_charge_stands(shortfall: str) -> None:
    now, units, money = seen_and_held(dearer_later(policies={"shortfall": shortfall}))
    now.take(stated(changed(an_order("first", 5 * DAY, a_line(price=30_000))), 6 * DAY, heard=11 * DAY))
    assert now.member.held == {"points": units}
    assert now.member.debt == ({"points": 300} if shortfall == "debt" else {})
    now.take(capturing(HOLD, 11 * DAY + HOUR))
    now.take(stated(CART, 11 * DAY + HOUR))
    redemption = now.now.orders[CART.key].redemption
    assert redemption is not None
    assert (redemption.amount, redemption.money) == (units, money)


@pytest.mark.parametrize("is_stated_first", [False, True])
@pytest.mark.parametrize("name", ["suspended", "closed"])
def test_a_member_who_may_hold_no_more_still_gets_what_was_held(name: str, is_stated_first: bool) -> None:
    now, units, money = seen_and_held(dearer_later())
    now.take(status(name, 11 * DAY))
    assert now.take(holding(an_order("other", 12 * DAY, a_line()), 1, 1000, 13 * DAY)).granted == 0
    stated_at, captured_at = (13 * DAY, 14 * DAY) if is_stated_first else (14 * DAY, 13 * DAY)
    facts = sorted((stated(CART, stated_at), capturing(HOLD, captured_at)), key=lambda fact: fact.occurred_at)
    answers = [now.take(fact) for fact in facts]
    assert [answer.refusal for answer in answers] == [None, None]
    assert {answer.granted for answer in answers} == {None, units}
    assert now.now.orders[CART.key].spend == 40_000 - money


def test_what_ends_while_it_is_held_still_pays() -> None:
    now, units, money = seen_and_held(dearer_later())
    assert now.take(capturing(HOLD, 39 * DAY)).granted == units
    now.take(stated(CART, 39 * DAY))
    assert now.now.orders[CART.key].spend == 40_000 - money


def test_value_taken_by_hand_meanwhile_is_not_what_is_held() -> None:
    now, units, _ = seen_and_held(dearer_later(), 30_000)
    left = balance(now)
    assert now.take(by_hand(-left - 1, 11 * DAY)).granted == 0
    assert now.take(by_hand(-left, 11 * DAY)).granted == -left
    assert now.take(capturing(HOLD, 11 * DAY + HOUR)).granted == units


def test_after_the_hold_has_ended_the_order_is_charged_in_full() -> None:
    now, _, _ = seen_and_held(dearer_later())
    now.take(releasing(HOLD, 11 * DAY))
    now.take(stated(CART, 11 * DAY))
    assert now.now.orders[CART.key].spend == 40_000


def test_goods_that_come_back_bring_their_share_of_what_was_held() -> None:
    now = books(a_programme())
    now.take(stated(an_order("first", 0, a_line(price=30_000))))
    order = an_order("cart", DAY, a_line(quantity=3, price=10_000))
    now.take(holding(order, 300, 30_000, 2 * DAY))
    now.take(capturing(HOLD, DAY))
    now.take(stated(order))
    now.take(stated(changed(order, a_line(quantity=2, price=10_000)), 3 * DAY))
    redemption = now.now.orders[order.key].redemption
    assert redemption is not None
    assert redemption.back == 100
