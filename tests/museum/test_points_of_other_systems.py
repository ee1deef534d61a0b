"""The museum, first room: bugs that other systems had with points, returns, rounding and currencies, each with the right ending here.

Each test names its system and where the bug was reported. What is only about databases or concurrency comes with the floors that have them.
"""

import msgspec
import pytest
from builders import a_line, a_programme, a_unit, an_order, balance, books, changed, paying, purchase_rule, stated

from regulars.kernel.time import DAY, Instant
from regulars.ledger.accounts import Account, Movement
from regulars.programme.facts import LineKind, Rate
from regulars.programme.quote import Quote, quote
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books


def with_points(amount: int, **unit: object) -> Books:
    """A member who just earned so many points."""
    now = books(a_programme(units={"points": a_unit(**unit)}))
    now.take(stated(an_order("first", 0, a_line(price=amount * 100))))
    return now


def test_loyaltyos_returned_goods_leave_no_points_behind() -> None:
    """LoyaltyOS 81661d1: `reverse` fails with "Account not found" and the points are kept."""
    now = with_points(100)
    state = now.now.orders["shop:first"].state
    assert state is not None
    now.take(stated(changed(state), DAY))
    assert balance(now) == 0


def test_loyaltyos_only_the_unspent_part_of_a_lot_expires() -> None:
    """LoyaltyOS 81661d1: earn 100, spend 80, expire: balance -80 instead of 20 expiring."""
    now = with_points(100, expiry={"after": "30 days"})
    now.take(paying(an_order("p", DAY, a_line(price=10_000)), 80, 10_000))
    now.pass_time(Instant(60 * DAY))
    assert balance(now) == 0
    assert [t.amount for t in now.transfers if t.movement is Movement.EXPIRY] == [20]


def test_loyaltyos_a_second_sweep_of_expiry_finds_nothing() -> None:
    """LoyaltyOS 81661d1: an expired award is selected again and a unique key stops the run."""
    now = with_points(100, expiry={"after": "30 days"})
    now.pass_time(Instant(60 * DAY))
    posted = list(now.transfers)
    assert now.pass_time(Instant(60 * DAY)) == []
    assert now.pass_time(Instant(90 * DAY)) == []
    assert now.transfers == posted


def test_loyaltyos_the_same_key_two_hundred_times_has_one_effect_and_one_answer() -> None:
    """LoyaltyOS 81661d1: one effect, but 199 callers get a raw database error."""
    now = books(a_programme())
    fact = stated(an_order("1", 0, a_line()))
    answers = [now.take(fact) for _ in range(200)]
    assert all(answer == answers[0] for answer in answers)
    assert balance(now) == 10


def test_loyaltyos_a_balance_of_100_pays_100_once() -> None:
    """LoyaltyOS 81661d1: 2,000 redemptions of 100 succeed on a balance of 1,000."""
    now = with_points(100)
    granted = [now.take(paying(an_order(f"o{i}", DAY, a_line(price=10_000)), 100, 10_000)).granted for i in range(20)]
    assert granted.count(100) == 1
    assert balance(now) == 0


def test_odoo_buy_refund_repeat_makes_no_points() -> None:
    """odoo/odoo#257854, #238806: points stay after a refund, so buying and refunding makes unlimited points."""
    now = books(a_programme())
    for n in range(10):
        order = an_order(str(n), n * DAY, a_line(price=100_000))
        now.take(stated(order))
        now.take(stated(changed(order), n * DAY + 1))
    assert balance(now) == 0


def test_erpnext_a_partial_return_keeps_only_the_points_of_what_was_kept() -> None:
    """frappe/erpnext#32951: a partial sales return keeps all points."""
    now = books(a_programme())
    order = an_order("1", 0, a_line("a", 3, 1000), a_line("b", 1, 5000))
    now.take(stated(order))
    now.take(stated(changed(order, a_line("a", 1, 1000), a_line("b", 1, 5000)), DAY))
    assert balance(now) == 60


def test_odoo_a_refund_does_not_charge_spent_points_a_second_time() -> None:
    """odoo/odoo#212922, #221928: refunding an order that was paid with points deducts the points again."""
    now = with_points(100)
    order = an_order("paid", DAY, a_line(price=50))
    now.take(paying(order, 50, 50))
    now.take(stated(order))
    now.take(stated(changed(order), 2 * DAY))
    assert balance(now) == 100


def test_loyaltylion_spent_points_come_back_with_part_of_the_goods_too() -> None:
    """LoyaltyLion help: points spent on a voucher come back only on a full refund."""
    now = with_points(100)
    order = an_order("paid", DAY, a_line(quantity=2, price=50))
    now.take(paying(order, 100, 100))
    now.take(stated(order))
    now.take(stated(changed(order, a_line(quantity=1, price=50)), 2 * DAY))
    assert balance(now) == 50


def test_odoo_no_more_points_are_taken_than_the_cart_is_worth() -> None:
    """odoo/odoo#274951: 30 points are redeemed as 300 although the cart is only 20."""
    now = with_points(30, value="10.00")
    answer = now.take(paying(an_order("2", DAY, a_line(price=2000)), 30, 2000))
    assert answer.granted == 0
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.ABOVE_SHARE
    assert balance(now) == 30


def test_odoo_two_returns_never_add_up_to_a_gain() -> None:
    """odoo/odoo#17335: a minus and a minus became a plus, and the balance grew."""
    now = books(a_programme())
    order = an_order("1", 0, a_line(quantity=2, price=5000))
    now.take(stated(order))
    less = changed(order, a_line(quantity=1, price=5000))
    now.take(stated(less, DAY))
    now.take(stated(changed(less), 2 * DAY))
    now.take(stated(changed(changed(less)), 3 * DAY))
    assert balance(now) == 0


def test_woocommerce_points_are_not_awarded_again_on_every_change_of_status() -> None:
    """wpswings/points-and-rewards-for-woocommerce#104, OpenCart#2349: every change of status awards again."""
    now = books(a_programme())
    order = an_order("1", 0, a_line())
    now.take(stated(order))
    for day in range(1, 9):
        order = changed(order, *order.lines)
        now.take(stated(order, day * DAY))
    assert balance(now) == 10


def test_woocommerce_an_order_cancelled_and_completed_again_has_its_points() -> None:
    """wpswings/points-and-rewards-for-woocommerce#111: cancelled, then completed again: no points."""
    now = books(a_programme())
    order = an_order("1", 0, a_line())
    cancelled = changed(order)
    now.take(stated(order))
    now.take(stated(cancelled, DAY))
    now.take(stated(changed(cancelled, *order.lines), 2 * DAY))
    assert balance(now) == 10


def test_setono_redeem_and_cancel_does_not_make_points_eternal() -> None:
    """Setono/sylius-loyalty-plugin 0b40b07: the rollback writes a new credit without an expiry date."""
    now = with_points(100, expiry={"after": "30 days"})
    dates = [(lot.id, lot.expires_at) for lot in now.member.lots]
    order = an_order("paid", DAY, a_line(price=100))
    now.take(paying(order, 100, 100))
    now.take(stated(order))
    now.take(stated(changed(order), 2 * DAY))
    assert [(lot.id, lot.expires_at) for lot in now.member.lots] == dates


def test_smile_a_return_is_counted_by_the_rule_of_the_purchase_not_of_today() -> None:
    """Smile.io help: after the rule rose from 1 to 2 points, returning half takes all; after it was deleted, none."""
    twice = {"version": 2, "applies_from": "1970-02-01", "rules": [purchase_rule(amount=2, per="1.00")]}
    gone = {"version": 3, "applies_from": "1970-03-01", "rules": []}
    for day in (35, 65):
        now = books(a_programme({"version": 1}, twice, gone))
        order = an_order("1", 0, a_line(quantity=2, price=2500))
        now.take(stated(order))
        now.take(stated(changed(order, a_line(quantity=1, price=2500)), day * DAY))
        assert balance(now) == 25


def test_woocommerce_payments_a_currency_does_not_multiply_points() -> None:
    """Automattic/woocommerce-payments#2848: 100 EUR are 100 points, the same basket in rand 1,700."""
    now = books(a_programme(currency="EUR"))
    now.take(stated(an_order("1", 0, a_line(price=10_000), currency="EUR")))
    now.take(stated(an_order("2", DAY, a_line(price=170_000), currency="ZAR", rate=Rate(1, 17, "shop"))))
    assert [lot.remaining for lot in now.member.lots] == [100, 100]


@pytest.mark.parametrize("prices", [[1], [333, 333, 334], [1, 1, 1], [9999, 1]])
def test_odoo_a_full_discount_leaves_zero_and_not_a_penny(prices: list[int]) -> None:
    """odoo/odoo#156897, #271032: a 100 % discount gives 0.01."""
    of = a_programme(rules=[{"id": "all", "discount": {"percent": 100}}])
    answer = quote(of, None, an_order("1", 0, *(a_line(f"s{i}", 1, price) for i, price in enumerate(prices))))
    assert isinstance(answer, Quote)
    assert answer.payable == 0


def test_mall_discounts_never_make_an_order_negative() -> None:
    """macrozheng/mall#1003: payable -824.00."""
    rules = [{"id": f"r{i}", "discount": {"amount": "500.00"}} for i in range(3)]
    answer = quote(a_programme(rules=rules), None, an_order("1", 0, a_line(price=67_600)))
    assert isinstance(answer, Quote)
    assert answer.payable == 0


def test_nopcommerce_delivery_and_gift_cards_earn_nothing_by_themselves() -> None:
    """nopCommerce#1917, #815: points are given on shipping and on gift cards."""
    now = books(a_programme())
    lines = (a_line("post", 1, 2000, kind=LineKind.DELIVERY), a_line("card", 1, 5000, kind=LineKind.GIFT_CARD))
    now.take(stated(an_order("1", 0, *lines)))
    assert balance(now) == 0


def test_medusa_asking_for_a_price_does_not_change_the_cart() -> None:
    """medusajs/medusa 59e6747: computing actions sets the quantity of an item to 1."""
    cart = an_order("1", 0, a_line(quantity=7))
    before = msgspec.json.encode(cart)
    quote(a_programme(rules=[{"id": "r", "discount": {"percent": 10}}]), None, cart)
    assert msgspec.json.encode(cart) == before


def test_vendure_a_refund_and_a_cancellation_of_one_order_take_its_points_once() -> None:
    """Vendure 3.7 sends two independent events; reversing once per event takes the points back twice."""
    now = with_points(500)
    order = an_order("1", DAY, a_line(quantity=2, price=6138))
    now.take(stated(order))
    refunded = changed(order, a_line(quantity=1, price=6138))
    now.take(stated(refunded, 2 * DAY))
    now.take(stated(changed(refunded), 3 * DAY))
    now.take(stated(changed(changed(refunded)), 4 * DAY))
    assert balance(now) == 500
    assert sum(t.amount for t in now.transfers if t.target is Account.CLAWED_BACK) == 122


def test_vendure_the_price_of_a_line_is_taken_as_the_shop_shows_it() -> None:
    """Vendure 3.7: two pieces of 61.38 are shown as 122.75, not 122.76; the basis is what is shown."""
    now = books(a_programme(rules=[purchase_rule(rate=100)]))
    now.take(stated(an_order("1", 0, msgspec.structs.replace(a_line(quantity=2, price=6138), amount=12275))))
    assert balance(now) == 12275
