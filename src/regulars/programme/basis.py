"""The basis: what an order's lines are worth to a rule - which lines count, and what was really paid for them.

Invariant (law 4): an award's basis is the shown price of the eligible lines after all discounts and after the part paid with value; what
lies on the whole order is spread over its lines by price, so that the lines always sum to the order.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
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

    __slots__ = ("_is_whole", "_kinds", "_net", "_order", "_per_line", "_value", "_value_goods", "counted", "paid", "total")

    def __init__(self, order: Order, policies: Policies, value: int = 0, value_goods: Goods | None = None) -> None:
        """``value_goods`` are the goods that value may pay for; None means all counted ones."""
        kinds = policies.basis_includes
        self.counted = order.lines if kinds == _GOODS_ONLY and _all_goods(order.lines) else [x for x in order.lines if x.kind in kinds]
        self._order = order
        self._kinds = kinds
        self._value = value
        self._value_goods = value_goods
        self._net = policies.basis == "net"
        self._is_whole = len(self.counted) == len(order.lines) and not self._net
        self._per_line: list[tuple[Line, int]] | None = None
        if self._is_whole:
            parts = discounts = 0
            for line in self.counted:
                parts += line.amount
                discounts += line.discount
            total = rounded(parts, order.scale, Rounding.HALF_UP) - discounts - order.discount
            self.total = self._converted(total)
            self.paid = self._converted(total - order.refunded - value)
        else:
            self.total = self._sum(lambda _: True, with_payments=False)
            self.paid = self._sum(lambda _: True)

    def of(self, goods: Goods | None) -> int:
        """What was paid for the chosen goods (all counted ones for None)."""
        return self.paid if goods is None else self._sum(goods.covers)

    def lines_of(self, goods: Goods | None) -> list[tuple[Line, int]]:
        """The chosen lines with what was paid for each; together exactly ``of(goods)``, spread by largest remainder.

        Lines that are equal but for quantity are one line.
        """
        chosen = [(line, off) for line, off in self._lines(with_payments=True) if goods is None or goods.covers(line)]
        left = {line.id: max(0, line.amount - self._order.scale * off) for line, off in chosen}
        merged = [(_together(equal), sum(left[line.id] for line in equal)) for equal in _equal_lines([line for line, _ in chosen])]
        return list(zip([line for line, _ in merged], split(self.of(goods), [worth for _, worth in merged]), strict=True))

    def value_shares(self) -> list[int]:
        """How the payment with value lies on the counted lines, in minor units of the order."""
        goods = self._value_goods
        return split(self._value, [line.amount if goods is None or goods.covers(line) else 0 for line in self.counted])

    def _sum(self, chosen: Callable[[Line], bool], with_payments: bool = True) -> int:
        if self._net:
            exact = sum(
                (
                    (Fraction(line.amount, self._order.scale) - off) * Fraction(line.amount - line.tax, line.amount or 1)
                    for line, off in self._lines(with_payments)
                    if chosen(line)
                ),
                Fraction(0),
            )
            return self._converted(rounded(exact.numerator, exact.denominator, Rounding.HALF_UP))
        parts = off_sum = 0
        for line, off in self._lines(with_payments):
            if chosen(line):
                parts += line.amount
                off_sum += off
        return self._converted(rounded(parts, self._order.scale, Rounding.HALF_UP) - off_sum)

    def _lines(self, with_payments: bool) -> list[tuple[Line, int]]:
        if not with_payments:
            return list(zip(self.counted, self._lowered(False), strict=True))
        if self._per_line is None:
            self._per_line = list(zip(self.counted, self._lowered(True), strict=True))
        return self._per_line

    def _lowered(self, with_payments: bool) -> Sequence[int]:
        """By how many minor units each counted line is lowered."""
        order = self._order
        whole = order.discount + (order.refunded if with_payments else 0)
        shares = split(whole, [line.amount for line in order.lines]) if whole else [0] * len(order.lines)
        kinds = self._kinds
        lowered = [line.discount + share for line, share in zip(order.lines, shares, strict=True) if line.kind in kinds]
        if with_payments and self._value:
            return [off + share for off, share in zip(lowered, self.value_shares(), strict=True)]
        return lowered

    def _converted(self, minor: int) -> int:
        if minor <= 0:
            return 0
        rate = self._order.rate
        return minor if rate is None else rounded(minor * rate.numerator, rate.denominator, Rounding.HALF_UP)


_GOODS_ONLY = (LineKind.GOODS,)


def _all_goods(lines: Sequence[Line]) -> bool:
    goods = LineKind.GOODS
    for line in lines:
        if line.kind is not goods:
            return False
    return True


def money_kept(purchase: Basis, state: Order) -> int:
    """How much of the money that value paid still pays for goods that were kept, in minor units of the order.

    ``purchase`` is the first state, with the payment on its lines. Of a line of which a part came back, the kept pieces keep their
    share, rounded up, so that any sequence of partial returns ends as one return of all of them.
    """
    kept: dict[str, int] = {}
    for line in state.lines:
        kept[line.id] = kept.get(line.id, 0) + line.quantity
    money = 0
    for line, share in zip(purchase.counted, purchase.value_shares(), strict=True):
        money += -(-share * min(kept.get(line.id, 0), line.quantity) // line.quantity)
    return money


def canonical(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines that are equal but for quantity as one line, in an order of their own (law 3, law 13)."""
    return tuple(_together(equal) for equal in _equal_lines(lines))


def _equal_lines(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines by what makes them equal: sku, kind, categories and the exact price, discount and tax of one piece."""
    equal: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        pieces = [Fraction(x, line.quantity or 1) for x in (line.amount, line.discount, line.tax)]
        equal.setdefault((line.sku, str(line.kind), tuple(sorted(line.categories)), *pieces), []).append(line)
    return [equal[key] for key in sorted(equal)]


def _together(equal: list[Line]) -> Line:
    if len(equal) == 1:
        return equal[0]
    return msgspec.structs.replace(
        min(equal, key=lambda line: line.id),
        quantity=sum(line.quantity for line in equal),
        amount=sum(line.amount for line in equal),
        discount=sum(line.discount for line in equal),
        tax=sum(line.tax for line in equal),
    )
