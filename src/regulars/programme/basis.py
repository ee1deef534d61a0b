"""The basis: what an order's lines are worth to a rule - which lines count, and what was really paid for them.

Invariant (law 4): an award's basis is the shown price of the eligible lines after all discounts and after the part paid with value; what
lies on the whole order is spread over its lines by price, so that the lines always sum to the order.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Annotated

import msgspec
from msgspec import Meta

from regulars.kernel.amount import Rounding, rounded, split
from regulars.programme.facts import Line, Order
from regulars.programme.policies import LineKind, Policies


class Goods(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Chosen goods: those that are named (all, when nothing is named) and not excepted."""

    skus: Annotated[frozenset[str], Meta(description="Only these stock codes.")] = frozenset()
    categories: Annotated[frozenset[str], Meta(description="Only goods of at least one of these categories.")] = frozenset()
    except_skus: Annotated[frozenset[str], Meta(description="Never these stock codes.")] = frozenset()
    except_categories: Annotated[frozenset[str], Meta(description="Never goods of any of these categories.")] = frozenset()

    def covers(self, line: Line) -> bool:
        """Whether ``line`` is one of the chosen goods."""
        if line.sku in self.except_skus or not self.except_categories.isdisjoint(line.categories):
            return False
        if not self.skus and not self.categories:
            return True
        return line.sku in self.skus or not self.categories.isdisjoint(line.categories)


class Basis:
    """What the lines of one order state are worth, computed once and asked by every rule.

    Amounts are minor units of the programme's currency. ``total`` is the counted lines after discounts, ``paid`` the same after money
    given back without goods and after ``value``, the part that points or cashback paid.
    """

    __slots__ = ("_kinds", "_net", "_order", "_per_line", "_value", "_value_goods", "_whole", "counted", "paid", "total")

    def __init__(self, order: Order, policies: Policies, value: int = 0, value_goods: Goods | None = None) -> None:
        """``value``: minor units of the order; ``value_goods``: the goods that it may pay for, None for all counted ones."""
        kinds = policies.basis_includes
        lines = order.lines
        whole = _worth_of_goods(lines) if kinds == _GOODS_ONLY else None
        self.counted = lines if whole is not None else [x for x in lines if x.kind in kinds and x.quantity]
        self._order = order
        self._kinds = kinds
        self._value = value
        self._value_goods = value_goods
        self._net = policies.basis == "net"
        self._per_line: list[tuple[Line, int]] | None = None
        self._whole: int | None = None
        if whole is not None and not self._net:
            parts, discounts = whole
            total = self._whole = rounded(parts, order.scale, Rounding.HALF_UP) - discounts - order.discount
            self.total = self._converted(total)
            self.paid = self._converted(total - order.refunded - value)
        else:
            self.total = self._sum(self._lowered(with_payments=False), None)
            self.paid = self._sum(self._lines(), None)

    def of(self, goods: Goods | None) -> int:
        """What was paid for the chosen goods (all counted ones for None)."""
        if goods is None:
            return self.paid
        order = self._order
        is_plain = not (order.discount or order.refunded or self._value)  # nothing lies on the whole order: lines sum as they are
        return self._sum([(line, line.discount) for line in self.counted] if is_plain else self._lines(), goods)

    def lines_of(self, goods: Goods | None) -> list[tuple[Line, int]]:
        """The chosen lines with what was paid for each; together exactly ``of(goods)``, spread by largest remainder.

        Lines that are equal but for quantity are one line.
        """
        chosen = [(line, off) for line, off in self._lines() if goods is None or goods.covers(line)]
        return list(zip([line for line, _ in chosen], split(self.of(goods), self._weights(chosen)), strict=True))

    def _weights(self, chosen: list[tuple[Line, int]]) -> list[int]:
        """What each line is worth among the chosen ones, as the basis counts it: as shown, or without tax."""
        left = [max(0, line.amount - self._order.scale * off) for line, off in chosen]
        if not self._net:
            return left
        exact = [part * _net_share(line) for part, (line, _) in zip(left, chosen, strict=True)]
        common = lcm(*(part.denominator for part in exact))
        return [int(part * common) for part in exact]

    def payable(self, goods: Goods | None) -> int:
        """Minor units of the order that value may pay: the eligible goods after discounts and money given back."""
        if goods is None and self._whole is not None:
            return max(0, self._whole - self._order.refunded)
        order = self._order
        chosen = [(line, off) for line, off in self._lowered(with_payments=True, with_value=False) if goods is None or goods.covers(line)]
        return sum(max(0, line.amount - order.scale * off) for line, off in chosen) // order.scale

    def value_shares(self) -> list[tuple[Line, int]]:
        """How the payment with value lies on the counted lines, in minor units of the order: by what is left to pay of each."""
        return self._spread_value(self._lowered(with_payments=True, with_value=False))

    def _sum(self, lines: list[tuple[Line, int]], goods: Goods | None) -> int:
        scale = self._order.scale
        if self._net:
            exact = Fraction(0)
            for line, off in lines:
                if goods is None or goods.covers(line):
                    exact += (Fraction(line.amount, scale) - off) * _net_share(line)
            return self._converted(rounded(exact.numerator, exact.denominator, Rounding.HALF_UP))
        parts = off_sum = 0
        for line, off in lines:
            if goods is None or goods.covers(line):
                parts += line.amount
                off_sum += off
        return self._converted(rounded(parts, scale, Rounding.HALF_UP) - off_sum)

    def _lines(self) -> list[tuple[Line, int]]:
        """Counted lines (equal ones as one), each with the minor units that lower it."""
        if self._per_line is None:
            self._per_line = self._lowered(with_payments=True)
        return self._per_line

    def _lowered(self, with_payments: bool, with_value: bool = True) -> list[tuple[Line, int]]:
        """What lies on the whole order is spread over its lines by what is left to pay of each."""
        order, kinds = self._order, self._kinds
        lines = canonical([line for line in order.lines if line.quantity])
        lowered = [line.discount for line in lines]
        for whole in (order.discount, order.refunded if with_payments else 0):
            if whole:
                left = [max(0, line.amount - order.scale * off) for line, off in zip(lines, lowered, strict=True)]
                lowered = [off + share for off, share in zip(lowered, split(whole, left), strict=True)]
        counted = [(line, off) for line, off in zip(lines, lowered, strict=True) if line.kind in kinds]
        if not (with_payments and with_value and self._value):
            return counted
        return [(line, off + share) for (line, off), (_, share) in zip(counted, self._spread_value(counted), strict=True)]

    def _spread_value(self, counted: list[tuple[Line, int]]) -> list[tuple[Line, int]]:
        goods, scale = self._value_goods, self._order.scale
        left = [max(0, line.amount - scale * off) if goods is None or goods.covers(line) else 0 for line, off in counted]
        return list(zip([line for line, _ in counted], split(self._value, left), strict=True))

    def _converted(self, minor: int) -> int:
        if minor <= 0:
            return 0
        rate = self._order.rate
        return minor if rate is None else rounded(minor * rate.numerator, rate.denominator, Rounding.HALF_UP)


_GOODS_ONLY = (LineKind.GOODS,)


def _net_share(line: Line) -> Fraction:
    """The part of a line's price that is not tax."""
    return Fraction(line.amount - line.tax, line.amount or 1) if line.tax_included else Fraction(1)


def _worth_of_goods(lines: Sequence[Line]) -> tuple[int, int] | None:
    """Parts and discounts of all lines when each of them is goods, and something of it is there; else None."""
    parts = discounts = 0
    goods = LineKind.GOODS
    for line in lines:
        if line.kind is not goods or not line.quantity:
            return None
        parts += line.amount
        discounts += line.discount
    return parts, discounts


def money_kept(purchase: Basis, state: Order) -> int:
    """How much of the money that value paid still pays for goods that were kept, in minor units of the order.

    ``purchase`` is the first state, with the payment on its lines. Of a line of which a part came back, the kept pieces keep their
    share, rounded up, so that any sequence of partial returns ends as one return of all of them.
    """
    kept = {line.id: line.quantity for line in state.lines}
    money = 0
    for line, share in purchase.value_shares():
        pieces = sum(kept.get(id, 0) for id in line.id.split(_JOINT))
        money += -(-share * min(pieces, line.quantity) // line.quantity)
    return money


_JOINT = "\n"
"""Between the ids of lines that became one."""


def canonical(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines that are equal but for quantity as one line, in an order of their own (law 3, law 13); its id joins theirs."""
    if len({line.sku for line in lines}) == len(lines):
        return tuple(sorted(lines, key=_sku))
    equal: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        pieces = [_each(amount, line.quantity) for amount in (line.amount, line.discount, line.tax, line.cost)]
        equal.setdefault(
            (line.sku, str(line.kind), tuple(sorted(line.categories)), *pieces, line.tax_included, line.parent or ""), []
        ).append(line)
    return tuple(_together(equal[key]) for key in sorted(equal))


def _sku(line: Line) -> str:
    return line.sku


def _each(amount: int, quantity: int) -> int | Fraction:
    return amount // quantity if quantity and amount % quantity == 0 else Fraction(amount, quantity or 1)


def _together(equal: list[Line]) -> Line:
    if len(equal) == 1:
        return equal[0]
    return msgspec.structs.replace(
        equal[0],
        id=_JOINT.join(sorted(line.id for line in equal)),
        quantity=sum(line.quantity for line in equal),
        amount=sum(line.amount for line in equal),
        discount=sum(line.discount for line in equal),
        tax=sum(line.tax for line in equal),
        cost=sum(line.cost for line in equal),
    )
