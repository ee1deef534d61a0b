"""Law 5: an award is pending until it activates; pending value is shown, never spendable, never expires; no order pays for itself."""

import pytest
from builders import Data, a_line, a_programme, a_unit, an_order, balance, books, changed, paying, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, Instant
from regulars.ledger.accounts import Account
from regulars.ledger.lots import pending_balance
from regulars.programme.quote import Quote, quote

WAITING: Data = {"units": {"points": a_unit(activation={"after": "14 days"}, expiry={"after": "30 days"})}}
EXACT: Data = {**WAITING, "policies": {"lot_boundary": "instant"}}


def test_a_pending_award_is_shown_and_cannot_pay() -> None:
    of = a_programme(**WAITING)
    now = books(of)
    now.take(stated(an_order("1", 0, a_line(price=10_000))))
    assert pending_balance(now.member.lots, "points") == 100  # type: ignore[arg-type]
    second = an_order("2", DAY, a_line(price=10_000))
    answer = quote(of, now.member, second)
    assert isinstance(answer, Quote)
    assert answer.spendable[0].amount == 0
    assert now.take(paying(second, 100, 10_000)).granted == 0


@given(usable=st.integers(1, 500), waiting=st.integers(1, 500), share=st.integers(1, 100))
def test_a_payment_takes_nothing_from_what_is_still_waiting(usable: int, waiting: int, share: int) -> None:
    at_once, later = (
        {"units": {"points": a_unit()}},
        {"units": {"points": a_unit(activation={"after": "14 days"}, expiry={"after": "1 day"})}},
    )
    now = books(a_programme({"version": 1, **at_once}, {"version": 2, "applies_from": "1970-01-05", **later}))
    now.take(stated(an_order("1", 0, a_line(price=usable * 100))))
    now.take(stated(an_order("2", 6 * DAY, a_line(price=waiting * 100))))
    ask = max(1, usable * share // 100)
    assert now.take(paying(an_order("3", 7 * DAY, a_line(price=10**6)), ask, 10**6)).granted == ask
    assert pending_balance(now.member.lots, "points") == waiting  # type: ignore[arg-type]
    assert balance(now) == usable - ask


@given(at=st.integers(0, 400 * DAY))
def test_it_becomes_usable_after_the_waiting_time_and_its_life_runs_from_then(at: int) -> None:
    now = books(a_programme(**EXACT))
    now.take(stated(an_order("1", at, a_line(price=10_000))))
    for when, usable in ((14 * DAY - 1, 0), (14 * DAY, 100), (44 * DAY - 1, 100), (44 * DAY, 0)):
        now.pass_time(Instant(at + when))
        assert balance(now) == usable
    expired = [t for t in now.transfers if t.target is Account.EXPIRED]
    assert [t.source for t in expired] == [Account.ACTIVE]


@given(wait=st.integers(1, 90), life=st.integers(1, 60), least=st.integers(1, 40))
def test_a_life_counted_from_earning_still_lasts_the_stated_minimum_after_activation(wait: int, life: int, least: int) -> None:
    expiry = {"after": f"{life} days", "from": "earning", "at_least": f"{least} days"}
    unit = a_unit(activation={"after": f"{wait} days"}, expiry=expiry)
    now = books(a_programme(units={"points": unit}, policies={"lot_boundary": "instant"}))
    now.take(stated(an_order("1", 0, a_line(price=700))))
    assert now.member.lots[0].expires_at == max(life * DAY, (wait + least) * DAY)
    now.pass_time(Instant(wait * DAY))
    assert balance(now) == 7


def test_pending_value_never_expires_even_when_its_life_is_shorter_than_its_wait() -> None:
    unit = a_unit(activation={"after": "30 days"}, expiry={"after": "5 days", "from": "earning"})
    now = books(a_programme(units={"points": unit}, policies={"lot_boundary": "instant"}))
    now.take(stated(an_order("1", 0, a_line(price=700))))
    now.pass_time(Instant(90 * DAY))
    assert all(t.source is not Account.PENDING for t in now.transfers if t.target is Account.EXPIRED)


def test_a_return_before_activation_takes_the_pending_award() -> None:
    now = books(a_programme(**WAITING))
    order = an_order("1", 0, a_line(price=10_000))
    now.take(stated(order))
    now.take(stated(changed(order), DAY))
    assert now.member.lots == ()
    assert [t.source for t in now.transfers if t.target is Account.CLAWED_BACK] == [Account.PENDING]


@pytest.mark.parametrize("price", [100, 10_000, 1_000_000])
def test_nothing_earned_by_an_order_is_usable_on_that_same_order(price: int) -> None:
    of = a_programme()
    order = an_order("1", 0, a_line(price=price))
    answer = quote(of, None, order)
    assert isinstance(answer, Quote)
    assert answer.spendable[0].amount == 0
    now = books(of)
    now.take(stated(order))
    assert now.take(paying(order, 1, price)).granted == 0
