"""Texts as data: a key and its arguments, put into words only where somebody reads them.

Invariant: the engine never holds a sentence; the same text reads in every language that has a catalogue.
"""

import msgspec

from regulars.kernel.money import Money
from regulars.kernel.time import Instant


class Moment(msgspec.Struct, frozen=True, tag=True):
    """An instant as it is shown: by the clock of ``zone``."""

    at: Instant
    zone: str


Argument = int | str | Money | Moment


class Text(msgspec.Struct, frozen=True):
    """A sentence not yet spoken: ``key`` of the catalogue and ``args`` for its blanks."""

    key: str
    args: dict[str, Argument] = {}


def text(key: str, /, **args: Argument) -> Text:
    """Shorthand: ``text("award.given", unit="points", amount=37)``."""
    return Text(key, args)
