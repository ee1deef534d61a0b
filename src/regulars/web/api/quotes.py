"""Quotes: what a cart would get, for a member or for a guest who thereby sees what they miss."""

from typing import Any

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from regulars.flows.checkout import ask
from regulars.kernel.texts import Text
from regulars.locale import speak
from regulars.programme.quote import Quote, Spendable
from regulars.programme.reasons import Refusal
from regulars.web.api.calls import Call, identity_of
from regulars.web.api.shapes import AwardOut, QuoteIn, cart_of
from regulars.web.problems import refused


class ReasonOut(msgspec.Struct, frozen=True):
    """Why a rule gave nothing, or not all: a code for machines and words for people."""

    rule: str
    code: str
    words: str


class SpendableOut(msgspec.Struct, frozen=True):
    """How many units may pay for the cart, what they are worth, and what kept it from being more."""

    unit: str
    amount: int
    money: int
    balance: int
    limited_by: str | None


class CartLineOut(msgspec.Struct, frozen=True):
    """One good of the cart, and what comes off it."""

    sku: str
    quantity: int
    price: int
    discount: int


class DiscountOut(msgspec.Struct, frozen=True):
    """What a rule takes off."""

    rule: str
    amount: int


class QuoteOut(msgspec.Struct, frozen=True):
    """The programme's answer; of a guest, what they would have as a member."""

    member: str | None
    is_guest: bool
    version: int
    currency: str
    total: int
    payable: int
    lines: list[CartLineOut]
    discounts: list[DiscountOut]
    awards: list[AwardOut]
    perks: list[str]
    spendable: list[SpendableOut]
    reasons: list[ReasonOut]


@post("/quotes", opt={"needs": "quotes"}, status_code=200, tags=["Carts"], summary="What a cart would get")
async def post_quote(call: NamedDependency[Call], data: JSONBody[QuoteIn]) -> QuoteOut:
    """Changes nothing. A member who is unknown is answered as a guest."""
    service, source = call.service, call.caller.source
    member_id = None if data.member is None else await call.find(identity_of(data.member, source))
    asked = await ask(service.pool, service.programmes, call.merchant_id, member_id, cart_of(data.cart, source, service.clock.now()))
    if isinstance(asked.answer, Refusal):
        raise refused(asked.answer, "cart")
    return _out(asked.answer, asked.member_id)


def _out(quote: Quote, member_id: int | None) -> QuoteOut:
    return QuoteOut(
        None if member_id is None else str(member_id),
        member_id is None,
        quote.version,
        quote.currency,
        quote.total,
        quote.payable,
        [CartLineOut(line.sku, line.quantity, line.price, line.discount) for line in quote.lines],
        [DiscountOut(rule, amount) for rule, amount in quote.discounts],
        [AwardOut(award.rule, award.unit, award.amount) for award in quote.awards],
        list(quote.perks),
        [_spendable(one) for one in quote.spendable],
        [ReasonOut(one.subject, str(one.reason), _words(one)) for one in quote.refusals],
    )


def _spendable(one: Spendable) -> SpendableOut:
    return SpendableOut(one.unit, one.amount, one.money, one.balance, None if one.limited_by is None else str(one.limited_by.reason))


def _words(refusal: Refusal) -> str:
    return speak(Text(f"reason.{refusal.reason}", refusal.args))


ROUTES: list[Any] = [post_quote]
