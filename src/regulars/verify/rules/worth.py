"""What an order is worth: shown prices, what discounts left, and what was paid in money (law 4).

Invariant: whatever is spread over lines is spread by largest remainder over lines in order of their code, equal lines being one, so that
the parts sum to the figure (law 3).
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil, floor
from typing import Any

import msgspec

from regulars.verify.rules.document import Data, Version, number


class Part(msgspec.Struct, dict=True):
    """Equal lines of an order, as one. Money is in minor units of the order's currency, exact."""

    sku: str
    kind: str
    categories: tuple[str, ...]
    quantity: int = 0
    exact: Fraction = Fraction(0)
    tax: Fraction = Fraction(0)
    off: int = 0
    refund: int = 0
    payment: int = 0
    share: Fraction = Fraction(1)
    """What part of it counts: without tax, less than all."""
    ids: dict[str, int] = msgspec.field(default_factory=dict)
    """The lines in it, with their quantities."""

    @property
    def to_pay(self) -> Fraction:
        """After discounts."""
        return max(Fraction(0), self.exact - self.off)

    @cached_property
    def total(self) -> Fraction:
        """What it counts after discounts."""
        return self.to_pay * self.share

    @cached_property
    def paid(self) -> Fraction:
        """What it counts after discounts, units, and money given back without goods."""
        return max(Fraction(0), self.to_pay - self.refund - self.payment) * self.share


class Worth(msgspec.Struct, frozen=True, dict=True):
    """The counted parts of an order, and what conditions may ask of them."""

    parts: tuple[Part, ...]
    rate: Fraction

    @cached_property
    def total(self) -> int:
        """After discounts, in the programme's currency."""
        return self.in_programme(part.total for part in self.parts)

    @cached_property
    def paid(self) -> int:
        """After discounts and units, in the programme's currency."""
        return self.in_programme(part.paid for part in self.parts)

    def in_programme(self, amounts: Iterable[Fraction]) -> int:
        """A sum in the order's currency, which is whole minor units, at its frozen rate."""
        return half_up(half_up(sum(amounts)) * self.rate)


def worth(order: Data, version: Version, payment: Data | None, purchase: Data | None) -> Worth:
    """The worth of an order as it stands, where ``payment`` (its redemption) was made for the ``purchase``."""
    parts = _parts(order, version)
    if payment is not None and purchase is not None:
        kept = _kept_payment(order, purchase, version, payment)
        for part in parts:
            part.payment = sum(kept.get(id, 0) for id in part.ids)
    return Worth(tuple(parts), _rate(order, version))


def _rate(order: Data, version: Version) -> Fraction:
    """Programme currency for one minor unit of the order's."""
    rate = order.get("rate")
    if order["currency"] == version.currency or rate is None:
        return Fraction(1)
    return Fraction(rate["numerator"], rate["denominator"])


def _parts(order: Data, version: Version) -> list[Part]:
    """The counted lines, equal ones together; what was taken off the whole order lies on all its lines, by what is to pay of each."""
    parts = _equal_ones_together(order)
    for part, off in zip(parts, spread(order.get("discount", 0), [part.to_pay for part in parts]), strict=True):
        part.off += off
    for part, refund in zip(parts, spread(order.get("refunded", 0), [part.to_pay for part in parts]), strict=True):
        part.refund = refund
    if version.policy("basis", "shown") == "net":
        for part in parts:
            part.share = 1 - part.tax / part.exact if part.exact else Fraction(1)
    return [part for part in parts if part.kind in version.policy("basis_includes", ["goods"])]


def _equal_ones_together(order: Data) -> list[Part]:
    """All lines in order of their code, lines that are equal but for quantity as one."""
    scale = order.get("scale", 1)
    found: dict[tuple[Any, ...], Part] = {}
    for line in order["lines"]:
        quantity = line["quantity"]
        if not quantity:
            continue
        kind, categories = line.get("kind", "goods"), tuple(line.get("categories", ()))
        each = [Fraction(line.get(name, 0), quantity) for name in ("amount", "discount", "tax", "cost")]
        key = (line["sku"], -each[0], *each[1:], kind, categories, line.get("tax_included", True), line.get("parent") or "")
        part = found.setdefault(key, Part(line["sku"], kind, categories))
        part.quantity += quantity
        part.exact += Fraction(line["amount"], scale)
        part.tax += Fraction(line.get("tax", 0) if line.get("tax_included", True) else 0, scale)
        part.off += line.get("discount", 0)
        part.ids[line["id"]] = quantity
    return [found[key] for key in sorted(found)]


def _kept_payment(order: Data, purchase: Data, version: Version, payment: Data) -> dict[str, int]:
    """What the payment still pays, by a line of each part: it lies on the purchase, and goes with the pieces that went."""
    goods = version.units.get(payment["unit"], {}).get("spending", {}).get("goods")
    if purchase["currency"] != version.currency:
        return {}
    payable = [part for part in _parts(purchase, version) if is_chosen(part, goods)]
    money = min(payment["money"], half_up(sum(part.to_pay for part in payable)))
    kept = {line["id"]: line["quantity"] for line in order["lines"]}
    laid = {}
    for part, share in zip(payable, spread(money, [part.to_pay for part in payable]), strict=True):
        pieces = sum(min(kept.get(id, 0), bought) for id, bought in part.ids.items())
        laid[next((id for id in part.ids if kept.get(id)), "")] = ceil(Fraction(share * pieces, part.quantity))
    return laid


def back_of(order: Data | None, purchase: Data, version: Version, payment: Data) -> int:
    """How many units of a payment the goods that went have given back."""
    money = payment["money"]
    if order is None or not money:
        return 0
    kept = sum(_kept_payment(order, purchase, version, payment).values())
    return floor(Fraction(payment["amount"] * (money - kept), money))


def is_chosen(part: Part, goods: Data | None) -> bool:
    """Whether ``goods`` choose it."""
    if not goods:
        return True
    named = goods.get("skus", []) or goods.get("categories", [])
    is_named = part.sku in goods.get("skus", []) or bool({*part.categories} & {*goods.get("categories", [])})
    is_excepted = part.sku in goods.get("except_skus", []) or bool({*part.categories} & {*goods.get("except_categories", [])})
    return (is_named or not named) and not is_excepted


def spread(amount: int, weights: Sequence[Fraction | int]) -> list[int]:
    """``amount`` by largest remainder: the floor of each share, and what is left one each to the largest remainders, the earlier first."""
    whole = sum(weights)
    if not whole:
        return [amount if i == 0 else 0 for i in range(len(weights))]
    shares = [Fraction(amount * weight, 1) / whole for weight in weights]
    parts = [floor(share) for share in shares]
    largest = sorted(range(len(shares)), key=lambda i: (parts[i] - shares[i], i))
    for i in largest[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def half_up(exact: Fraction | int) -> int:
    """Halves away from zero."""
    return floor(exact + Fraction(1, 2)) if exact >= 0 else -floor(-exact + Fraction(1, 2))


def rounded(exact: Fraction, mode: str) -> int:
    """By the document's words."""
    if mode == "half_up":
        return half_up(exact)
    return ceil(exact) if mode == "up" else floor(exact)


def value_of(unit: Data, version: Version) -> Fraction:
    """What one of a unit pays, in minor units."""
    return number(unit["value"]) * version.minor
