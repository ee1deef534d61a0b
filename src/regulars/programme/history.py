"""History: what a shop's own files remember of one member - their orders and the goods that came back - in order of time."""

import msgspec

from regulars.kernel.ids import MemberId
from regulars.kernel.time import Instant
from regulars.programme.facts import Order


class Returned(msgspec.Struct, frozen=True, gc=False):
    """Goods that came back at one time on one document: pieces by stock code, in order of code."""

    id: str
    at: Instant
    pieces: tuple[tuple[str, int], ...]


class History(msgspec.Struct, frozen=True):
    """One member's orders (by time, then id) and returns (by time, then document)."""

    member: MemberId
    orders: tuple[Order, ...]
    returns: tuple[Returned, ...] = ()
