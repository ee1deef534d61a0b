"""Words: catalogues of texts by language, and the putting of a text into words.

Invariant: a key without its sentence is an error that the tests find, never a blank that a member reads.
"""

from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal

from regulars.kernel.money import Money, exponent
from regulars.kernel.texts import Argument, Moment, Text
from regulars.kernel.time import BEGINNING, NEVER, moment

LANGUAGES = ("en",)


def speak(text: Text, language: str = "en") -> str:
    """``text`` as a sentence. Raises ``KeyError`` when the catalogue has no such key or the text lacks an argument."""
    return catalogue(language)[text.key].format(**{name: _shown(value, language) for name, value in text.args.items()})


def amount(money: Money, language: str = "en") -> str:
    """``money`` as the language writes it, with the decimals of ISO 4217."""
    digits = exponent(money.currency)
    pattern = "¤#,##0" + (f".{'0' * digits}" if digits else "")
    return format_currency(Decimal(money.minor).scaleb(-digits), money.currency, pattern, _locale(language), currency_digits=False)


@lru_cache
def catalogue(language: str) -> dict[str, str]:
    """Sentences by key."""
    path = Path(__file__).parent / language / "regulars.po"
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, locale=language) if message.id}


@lru_cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


def _shown(value: Argument, language: str) -> str:
    if isinstance(value, Money):
        return amount(value, language)
    if isinstance(value, Moment):
        return _time(value, language)
    if isinstance(value, int):
        return format_decimal(value, locale=_locale(language))
    return value


def _time(value: Moment, language: str) -> str:
    if value.at in (NEVER, BEGINNING):
        return "-"
    local = moment(value.at, ZoneInfo(value.zone))
    return format_datetime(local, "d MMM y, HH:mm", locale=_locale(language))
