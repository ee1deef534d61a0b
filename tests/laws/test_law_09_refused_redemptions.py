"""Law 9: a redemption below the minimum, above the balance or above the share is refused with a reason and changes nothing."""

from typing import Any

import msgspec
import pytest
from builders import a_line, a_programme, a_unit, an_order, balance, books, by_hand, changed, holding, paying, stated, status
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY
from regulars.programme.quote import Quote, quote
from regulars.programme.reasons import Reason, Refusal


def spending(**keys: Any) -> dict[str, Any]:
    return {"units": {"points": a_unit(spending=keys, expiry={"after": "50 days"})}}


@pytest.mark.parametrize(
    ("spend", "ask", "day", "reason"),
    [
        ({"minimum": 100}, 99, 1, Reason.BELOW_MINIMUM),
        ({"minimum_balance": 501}, 300, 1, Reason.BELOW_MINIMUM_BALANCE),
        ({}, 501, 1, Reason.ABOVE_BALANCE),
        ({"share_percent": 10}, 101, 1, Reason.ABOVE_SHARE),
        ({"step": 50}, 75, 1, Reason.NOT_A_STEP),
        ({}, 100, 60, Reason.ABOVE_BALANCE),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_reason_and_changes_nothing(
    spend: dict[str, Any], ask: int, day: int, reason: Reason
) -> None:
    now = books(a_programme(**spending(**spend)))
    now.take(stated(an_order("1", 0, a_line(price=50_000))))
    now.pass_time(day * DAY)
    before, posted = msgspec.json.encode(now.member), len(now.transfers)
    answer = now.take(paying(an_order("2", day * DAY, a_line(price=1000)), ask, 1000))
    assert answer.refusal is not None
    assert (answer.granted, answer.refusal.reason) == (0, reason)
    assert msgspec.json.encode(now.member) == before
    assert len(now.transfers) == posted


@given(
    earned=st.integers(0, 3000),
    payable=st.integers(0, 100_000),
    ask=st.integers(-5, 4000),
    minimum=st.integers(0, 300),
    step=st.sampled_from([None, 1, 7, 50]),
    share=st.integers(1, 100),
    policy=st.sampled_from(["refuse", "clamp"]),
)
def test_what_is_granted_is_never_more_than_the_quote_allowed(
    earned: int, payable: int, ask: int, minimum: int, step: int | None, share: int, policy: str
) -> None:
    keys = {"minimum": minimum, "share_percent": share, **({"step": step} if step else {})}
    of = a_programme(units={"points": a_unit(spending=keys)}, policies={"over_redeem": policy})
    now = books(of)
    if earned:
        now.take(stated(an_order("1", 0, a_line(price=earned * 100))))
    cart = an_order("2", DAY, a_line(price=payable))
    seen = quote(of, now.member, cart)
    assert isinstance(seen, Quote)
    most = seen.spendable[0].amount
    assert most <= min(earned, payable * share // 100)
    assert most % (step or 1) == 0
    assert most == 0 or most >= minimum
    granted = now.take(paying(cart, ask, payable)).granted
    allowed = 0 < ask <= most and ask >= minimum and ask % (step or 1) == 0
    assert granted == (ask if allowed else most if policy == "clamp" and ask > most else 0)
    assert balance(now) == earned - granted


def test_the_member_is_debited_exactly_what_they_saw() -> None:
    of = a_programme(units={"points": a_unit(value="0.02", spending={"share_percent": 25})})
    now = books(of)
    now.take(stated(an_order("1", 0, a_line(price=99_900))))
    cart = an_order("2", DAY, a_line(price=3333))
    seen = quote(of, now.member, cart)
    assert isinstance(seen, Quote)
    offer = seen.spendable[0]
    assert (offer.amount, offer.money) == (416, 832)
    assert now.take(paying(cart, offer.amount, 3333)).granted == 416
    assert now.now.orders[cart.key].redemption.money == 832  # type: ignore[union-attr]


def test_an_order_is_paid_with_points_once() -> None:
    now = books(a_programme())
    now.take(stated(an_order("1", 0, a_line(price=50_000))))
    cart = an_order("2", DAY, a_line(price=50_000))
    assert now.take(paying(cart, 100, 50_000)).granted == 100
    again = msgspec.structs.replace(paying(cart, 100, 50_000), id="other")
    assert now.take(again).granted == 0
    assert balance(now) == 400


@pytest.mark.parametrize("ask", [paying, lambda order, amount, payable: holding(order, amount, payable, 9 * DAY)], ids=["pay", "hold"])
@pytest.mark.parametrize("name", ["suspended", "closed", "erased"])
def test_a_member_who_is_not_active_neither_pays_nor_holds(name: str, ask: Any) -> None:
    now = books(a_programme())
    now.take(stated(an_order("1", 0, a_line(price=50_000))))
    now.take(status(name, DAY))
    before, posted = now.member.lots, len(now.transfers)
    answer = now.take(ask(an_order("2", 2 * DAY, a_line(price=50_000)), 100, 50_000))
    assert answer.refusal is not None
    assert (answer.granted, answer.refusal.reason, answer.refusal.args) == (0, Reason.MEMBER_NOT_ACTIVE, {"status": name})
    assert (now.member.lots, len(now.transfers)) == (before, posted)


def test_the_quote_tells_who_is_suspended_that_nothing_may_be_spent_and_who_left_that_they_take_part_no_more() -> None:
    now = books(a_programme())
    cart = an_order("2", 2 * DAY, a_line(price=50_000))
    now.take(stated(an_order("1", 0, a_line(price=50_000))))
    now.take(status("suspended", DAY))
    seen = quote(now.programme, now.member, cart)
    assert isinstance(seen, Quote)
    offer = seen.spendable[0]
    assert offer.limited_by is not None
    assert (offer.amount, offer.limited_by.reason) == (0, Reason.MEMBER_NOT_ACTIVE)
    now.take(status("closed", DAY + 1))
    refused = quote(now.programme, now.member, cart)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.MEMBER_CLOSED


@pytest.mark.parametrize(("name", "earned"), [("suspended", 50), ("closed", 0), ("erased", 0)])
def test_who_left_earns_nothing_more_and_who_is_suspended_still_does(name: str, earned: int) -> None:
    now = books(a_programme())
    now.take(status(name, 0))
    answer = now.take(stated(an_order("1", DAY, a_line(price=5_000))))
    assert balance(now) == earned
    assert (answer.refusal is None) is bool(earned)
    if answer.refusal is not None:
        assert answer.refusal.reason is Reason.MEMBER_CLOSED


def test_orders_known_before_the_closing_still_come_back_and_a_closed_account_opens_again() -> None:
    now = books(a_programme())
    order = an_order("1", 0, a_line(quantity=2, price=5_000))
    now.take(stated(order))
    now.take(status("closed", DAY))
    now.take(stated(changed(order, a_line(price=5_000)), 2 * DAY))
    assert balance(now) == 50
    now.take(status("active", 3 * DAY))
    assert now.take(paying(an_order("2", 4 * DAY, a_line(price=5_000)), 50, 5_000)).granted == 50


def test_an_erased_member_keeps_nothing_gets_nothing_back_and_is_never_opened_again() -> None:
    now = books(a_programme(units={"points": a_unit(activation={"after": "3 days"})}))
    first, order = an_order("1", 0, a_line(price=10_000)), an_order("2", 5 * DAY, a_line(price=10_000))
    now.take(stated(first))
    now.take(paying(order, 60, 10_000))
    now.take(stated(order))
    now.take(status("erased", 6 * DAY))
    assert now.member.lots == ()
    now.take(stated(changed(order), 7 * DAY))
    assert now.member.lots == ()
    answer = now.take(status("active", 8 * DAY))
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.MEMBER_NOT_ACTIVE
    assert now.member.status == "erased"


@given(earned=st.integers(0, 300), taken=st.integers(1, 400))
def test_no_more_is_taken_by_hand_than_there_is(earned: int, taken: int) -> None:
    now = books(a_programme())
    now.take(stated(an_order("1", 0, a_line(price=earned * 100))))
    answer = now.take(by_hand(-taken, DAY))
    assert answer.granted == (-taken if taken <= earned else 0)
    assert (answer.refusal is None) is (taken <= earned)
    assert balance(now) == earned + (answer.granted or 0)


def test_what_is_given_by_hand_is_usable_at_once_repays_a_debt_first_and_ends_as_the_unit_does() -> None:
    now = books(a_programme(units={"points": a_unit(activation={"after": "3 days"}, expiry={"after": "10 days"})}))
    order = an_order("1", 0, a_line(price=10_000))
    now.take(stated(order))
    now.take(paying(an_order("2", 5 * DAY, a_line(price=10_000)), 100, 10_000))
    now.take(stated(changed(order), 6 * DAY))
    assert now.member.debt == {"points": 100}
    fact = by_hand(130, 7 * DAY)
    assert now.take(fact).granted == 130
    (lot,) = now.member.lots
    assert (lot.id, lot.remaining, lot.is_pending, now.member.debt) == (f"adjustment:{fact.id}:points", 30, False, {})
    assert lot.expires_at == 18 * DAY
    assert now.take(by_hand(5, 8 * DAY, unit="nothing")).refusal is not None  # type: ignore[arg-type]
