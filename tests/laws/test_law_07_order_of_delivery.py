"""Law 7: any order of delivery, with any duplicates, within the window, gives the same entitlement around the same commitments."""

import random

import msgspec
import pytest
from builders import (
    PROGRAMMES,
    a_line,
    a_programme,
    an_order,
    balance,
    books,
    changed,
    live,
    paying,
    recorded,
    some_history,
    some_programme,
    stated,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, HOUR, Instant
from regulars.ledger.statement import reconcile
from regulars.ledger.transfers import balances, lot_balances
from regulars.programme.facts import Remembered
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books

END = Instant(400 * DAY)


def delivered_badly(dice: random.Random, of: Books) -> Books:
    """The same facts again: shuffled by delays of up to 30 days, some of them several times."""
    arrivals: list[tuple[int, float, Remembered]] = []
    for fact in recorded(of):
        for _ in range(dice.choice((1, 1, 2, 3))):
            late = dice.choice((0, HOUR, dice.randrange(0, 30 * DAY), dice.randrange(0, 30 * DAY)))
            heard = fact.occurred_at + late
            arrivals.append((heard, dice.random(), msgspec.structs.replace(fact, recorded_at=Instant(heard))))
    again = books(of.programme)
    for _, _, fact in sorted(arrivals, key=lambda a: a[:2]):
        answer = again.take(fact)
        assert answer.refusal is None or answer.refusal.reason in (Reason.STALE, Reason.DUPLICATE, *_OF_PAYMENT), answer
        if dice.random() < 0.2:
            again.pass_time(max(again.member.clock, fact.recorded_at))
    return again


_OF_PAYMENT = (
    Reason.NO_BALANCE,
    Reason.ABOVE_BALANCE,
    Reason.ABOVE_SHARE,
    Reason.NOT_A_STEP,
    Reason.BELOW_MINIMUM,
    Reason.ALREADY_HELD,
    Reason.ALREADY_REDEEMED,
    Reason.ORDER_PLACED,
    Reason.HOLD_CAPTURED,
    Reason.HOLD_RELEASED,
    Reason.HOLD_EXPIRED,
    Reason.HOLD_UNKNOWN,
)


def assert_same(one: Books, other: Books) -> None:
    one.pass_time(END)
    other.pass_time(END)
    assert other.member == one.member
    assert other.now.orders == one.now.orders
    assert {k: v for k, v in balances(other.transfers).items() if v} == {k: v for k, v in balances(one.transfers).items() if v}
    assert other.now.ended == one.now.ended
    assert reconcile(other.transfers, other.member.lots, other.member.debt, other.member.held) == {}
    assert lot_balances(other.transfers) == lot_balances(one.transfers)


def check(seed: int, name: str) -> None:
    dice = random.Random(seed)
    in_order = live(some_programme(name), some_history(dice), dice)
    assert_same(in_order, delivered_badly(dice, in_order))


@pytest.mark.parametrize("name", PROGRAMMES)
@given(seed=st.integers(0, 2**32))
def test_shuffled_and_doubled_evidence_gives_the_same_entitlement(name: str, seed: int) -> None:
    check(seed, name)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(0, 200, 10))
def test_twenty_thousand_histories_delivered_badly_end_as_in_order(hundred: int) -> None:
    names = list(PROGRAMMES)
    for seed in range(hundred * 100, hundred * 100 + 1000):
        check(seed, names[seed % len(names)])


def test_the_same_state_sent_twice_is_answered_as_the_first_time_and_changes_nothing() -> None:
    now = books(a_programme())
    order = an_order("1", 0, a_line(price=5000))
    first = now.take(stated(order))
    posted = list(now.transfers)
    assert now.take(stated(order, heard=5 * DAY)) == first
    assert now.transfers == posted


def test_the_same_key_with_other_content_is_refused() -> None:
    now = books(a_programme())
    now.take(stated(an_order("1", 0, a_line(price=5000))))
    answer = now.take(stated(an_order("1", 0, a_line(price=500_000))))
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.CONTENT_DIFFERS
    assert balance(now) == 50


def test_an_older_state_that_arrives_after_a_newer_one_changes_nothing() -> None:
    now = books(a_programme())
    order = an_order("1", 0, a_line(quantity=2, price=5000))
    less = changed(order, a_line(quantity=1, price=5000))
    now.take(stated(less, DAY))
    now.take(stated(order, 0, heard=2 * DAY))
    assert balance(now) == 50


def test_evidence_older_than_the_window_is_refused_with_a_reason_and_changes_nothing() -> None:
    now = books(a_programme())
    answer = now.take(stated(an_order("1", 0, a_line()), heard=30 * DAY + 1))
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.TOO_LATE
    assert now.transfers == []


def test_evidence_at_the_edge_of_the_window_is_taken() -> None:
    now = books(a_programme())
    assert now.take(stated(an_order("1", 0, a_line()), heard=30 * DAY)).refusal is None
    assert balance(now) == 10


def test_the_return_of_a_year_old_order_is_accepted_because_the_window_counts_from_the_change() -> None:
    now = books(a_programme())
    order = an_order("1", 0, a_line())
    now.take(stated(order))
    assert now.take(stated(changed(order), 365 * DAY, heard=366 * DAY)).refusal is None
    assert balance(now) == 0


@pytest.mark.parametrize(("policy", "taken"), [("refuse", False), ("clamp", True)])
def test_a_fact_from_the_future_is_refused_or_dated_at_its_arrival(policy: str, taken: bool) -> None:
    now = books(a_programme(policies={"future_facts": policy}))
    answer = now.take(stated(an_order("1", 9 * DAY, a_line()), at=9 * DAY, heard=2 * DAY))
    assert (answer.refusal is None) is taken
    assert balance(now) == (10 if taken else 0)
    assert now.member.clock <= 2 * DAY


def test_a_payment_that_was_granted_stands_when_late_evidence_takes_away_what_paid_it() -> None:
    now = books(a_programme())
    first = an_order("1", 0, a_line(price=10_000))
    second = an_order("2", 10 * DAY, a_line(price=10_000))
    now.take(stated(first))
    assert now.take(paying(second, 100, 10_000)).granted == 100
    now.take(stated(second))
    now.take(stated(changed(first), 5 * DAY, heard=20 * DAY))
    assert now.now.orders[second.key].redemption is not None
    assert now.now.orders[second.key].redemption.amount == 100
    assert balance(now) == 99 - 100


def test_a_payment_that_was_refused_stays_refused_when_late_evidence_would_have_allowed_it() -> None:
    now = books(a_programme())
    second = an_order("2", 10 * DAY, a_line(price=10_000))
    assert now.take(paying(second, 100, 10_000)).granted == 0
    now.take(stated(an_order("1", 0, a_line(price=10_000)), heard=11 * DAY))
    assert now.take(paying(second, 100, 10_000)).granted == 0
    assert balance(now) == 100


@pytest.mark.parametrize(("entry", "taken"), [("live", False), ("history", True), ("attached", True)])
def test_history_from_before_and_attached_orders_are_never_too_late(entry: str, taken: bool) -> None:
    now = books(a_programme())
    now.take(stated(an_order("new", 190 * DAY, a_line())))
    old = msgspec.structs.replace(stated(an_order("old", 0, a_line()), heard=200 * DAY), entry=entry)
    assert (now.take(old).refusal is None) is taken
    assert balance(now) == (20 if taken else 10)
    if taken:
        assert now.now.orders["shop:new"].situation is not None
        assert now.now.orders["shop:new"].situation.number == 2


def test_what_could_not_be_taken_is_looked_at_anew_when_it_comes_again() -> None:
    now = books(a_programme())
    early = stated(an_order("1", 5 * DAY, a_line()), heard=4 * DAY)
    assert now.take(early).refusal is not None
    assert now.take(msgspec.structs.replace(early, recorded_at=Instant(6 * DAY))).refusal is None


def test_what_was_granted_to_a_limited_rule_stands_when_late_evidence_would_have_it_otherwise() -> None:
    from regulars.simulation.capacities import Capacities

    of = a_programme(rules=[{"id": "first", "if": {"op": "first"}, "award": {"unit": "points", "amount": 9}, "limit": {"uses": 1}}])
    capacities = Capacities(of.capacities)
    now = books(of, capacities=capacities)
    now.take(stated(an_order("2", 9 * DAY, a_line())))
    late = now.take(stated(an_order("1", 0, a_line()), heard=10 * DAY))
    assert late.limited == ()
    assert {key: book.drawn for key, book in now.now.orders.items()} == {"shop:1": {"rule:first": 1}, "shop:2": {}}
    assert (balance(now), capacities.left("rule:first")) == (9, 0)
