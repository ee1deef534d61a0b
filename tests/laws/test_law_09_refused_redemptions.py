"""Law 9: a redemption below the minimum, above the balance or above the share is refused with a reason and changes nothing."""

from typing import Any

import msgspec
import pytest
from builders import a_line, a_programme, a_unit, an_order, balance, books, paying, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY
from regulars.programme.quote import Quote, quote
from regulars.programme.reasons import Reason


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
