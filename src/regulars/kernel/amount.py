"""Exact integer amounts: one rounding, one fair split, and ratios that never become floats.

Invariant: what is split always sums to the figure that was split, and a ratio is rounded once, where it is applied.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

_PLAIN_NUMBER = re.compile(r"-?([0-9]{1,40}\.[0-9]{1,20}|[0-9]{1,90}(/0{0,9}[1-9][0-9]{0,89})?)")


class Rounding(StrEnum):
    """How an exact ratio becomes a whole number of minor units."""

    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"


def rounded(numerator: int, denominator: int, mode: Rounding) -> int:
    """The whole number nearest to ``numerator / denominator`` by ``mode``; ``denominator`` is positive.

    Halves go away from zero, ``down`` goes towards zero and ``up`` away from it, so that a refund mirrors its award.

    >>> [rounded(5, 2, mode) for mode in (Rounding.DOWN, Rounding.HALF_UP, Rounding.UP)]
    [2, 3, 3]
    >>> rounded(-5, 2, Rounding.HALF_UP)
    -3
    """
    if numerator < 0:
        return -rounded(-numerator, denominator, mode)
    if mode is Rounding.DOWN:
        return numerator // denominator
    if mode is Rounding.HALF_UP:
        return (2 * numerator + denominator) // (2 * denominator)
    return -(-numerator // denominator)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` spread over ``weights`` (none negative) by largest remainder; the parts sum to ``total``.

    Equal remainders go to the earlier part. With no weight at all there is nobody to carry it: all parts are zero.

    >>> split(100, [1, 1, 1])
    [34, 33, 33]
    """
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    if left:
        order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
        for i in order[:left]:
            parts[i] += 1
    return parts


def decimal_text(value: Fraction) -> str:
    """``value`` as people write it: ``12.5``, or ``1/3`` where no decimal is exact.

    >>> [decimal_text(Fraction(n, d)) for n, d in ((25, 2), (-1, 4), (1, 3), (7, 1))]
    ['12.5', '-0.25', '1/3', '7']
    """
    if value.denominator == 1:
        return str(value.numerator)
    digits = next((d for d in range(1, 13) if (value * 10**d).denominator == 1), None)
    if digits is None:
        return str(value)
    whole, part = divmod(abs(int(value * 10**digits)), 10**digits)
    return f"{'-' if value < 0 else ''}{whole}.{part:0{digits}d}"


def fraction(text: str | int) -> Fraction:
    """An exact fraction from ``"1.5"``, ``"3/2"`` or ``3``. Raises ``ValueError`` for anything else.

    >>> fraction("1.5") == fraction("3/2")
    True
    """
    if isinstance(text, str) and not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain number")
    return Fraction(text)
