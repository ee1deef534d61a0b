"""Money: the decimals of ISO 4217, nothing finer, and a text that reads back."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.money import Money, exponent


@pytest.mark.parametrize(
    ("currency", "digits"), [("PLN", 2), ("CZK", 2), ("UAH", 2), ("HUF", 2), ("JPY", 0), ("ISK", 0), ("KWD", 3), ("TND", 3), ("CLF", 4)]
)
def test_a_currency_has_the_decimals_of_iso_4217(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize("code", ["", "pln", "XXX", "ZŁ", "PLN ", "EURO"])
def test_an_unknown_currency_is_refused_by_name(code: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 4217 currency code"):
        exponent(code)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1230, "PLN"), "12.30 PLN"),
        (Money(5, "EUR"), "0.05 EUR"),
        (Money(-5, "EUR"), "-0.05 EUR"),
        (Money(0, "CZK"), "0.00 CZK"),
        (Money(1500, "JPY"), "1500 JPY"),
        (Money(-1, "KWD"), "-0.001 KWD"),
    ],
)
def test_money_reads_as_plain_decimal_text(money: Money, text: str) -> None:
    assert str(money) == text


@given(st.integers(-(10**20), 10**20), st.sampled_from(["PLN", "JPY", "KWD", "CLF"]))
def test_the_text_of_money_reads_back_to_the_same_amount(minor: int, currency: str) -> None:
    amount, code = str(Money(minor, currency)).split(" ")
    assert Fraction(amount) * 10 ** exponent(code) == minor
