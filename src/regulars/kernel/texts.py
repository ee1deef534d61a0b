"""Texts as data: a key and its arguments, put into words only where somebody reads them.

Invariant: the engine never holds a sentence; the same text reads in every language that has a catalogue.
"""

import msgspec

from regulars.kernel.money import Money

Argument = int | str | Money


class Text(msgspec.Struct, frozen=True):
    """A sentence not yet spoken: ``key`` of the catalogue and ``args`` for its blanks; ``count`` chooses the plural form."""

    key: str
    args: dict[str, Argument] = {}
    count: int | None = None


def text(key: str, count: int | None = None, **args: Argument) -> Text:
    """Shorthand: ``text("award.made", unit="points", amount=37)``."""
    return Text(key, args, count)
