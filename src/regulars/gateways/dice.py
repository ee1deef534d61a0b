"""Dice: chance, and the ids that are drawn by it.

Invariant: an id says nothing of whom it names, and two processes do not draw the same one.
"""

import secrets

from regulars.kernel.time import Instant

_CHANCE_BITS = 21


def new_id(now: Instant) -> int:
    """A fresh id of 62 bits: the millisecond, then chance; so ids of one time lie together in an index."""
    millisecond: int = now // 1000 % 2**41
    return (millisecond << _CHANCE_BITS) + secrets.randbits(_CHANCE_BITS)


def new_ids(now: Instant, count: int) -> list[int]:
    """``count`` different ones."""
    found: set[int] = set()
    while len(found) < count:
        found.add(new_id(now))
    return sorted(found)
