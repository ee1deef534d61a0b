"""Records: the form in which what was decided is kept.

Invariant: what is read back equals what was written, value by value; the form is verbatim JSON, so that it can be read without us.
"""

import hashlib

import msgspec

from regulars.kernel.ids import MemberId, RuleId, UnitId
from regulars.kernel.time import BEGINNING, Instant
from regulars.programme.dossier import Award, OrderBook
from regulars.programme.effects import ChangeTier, GrantPerk, RevokePerk
from regulars.programme.facts import Order, OrderStated, Place, Remembered
from regulars.programme.member import MemberState, Situation
from regulars.programme.reasons import Refusal


class Standing(msgspec.Struct, array_like=True):
    """What a member's account in one unit holds after its entry number ``seq``."""

    pending: int = 0
    active: int = 0
    held: int = 0
    debt: int = 0
    seq: int = 0


class Snapshot(msgspec.Struct):
    """A member as they stand: the state, the place of their last fact, and their accounts."""

    member: MemberState
    last: Place = (BEGINNING, "", 0, "")
    accounts: dict[UnitId, Standing] = {}


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision record of one fact: under which version, in which situation, what was awarded, refused, limited, granted."""

    version: int = 0
    refusal: Refusal | None = None
    granted: int | None = None
    grants: dict[str, int] | None = None
    limited: tuple[Refusal, ...] = ()
    situation: Situation | None = None
    awards: tuple[Award, ...] = ()
    perks: tuple[RuleId, ...] = ()
    effects: tuple[ChangeTier | GrantPerk | RevokePerk, ...] = ()
    joined: dict[str, OrderBook] | None = None
    """The books that came with a merge, or came back with its undoing."""


class _Kept(msgspec.Struct, omit_defaults=True):
    """A book; its purchase is left out where it is the present state."""

    book: OrderBook
    is_purchase: bool = False


def new_snapshot(member: int) -> Snapshot:
    """Nobody's past."""
    return Snapshot(MemberState(MemberId(str(member))))


def read_snapshot(stored: bytes) -> Snapshot:
    """What was written."""
    return _SNAPSHOT.decode(stored)


def read_record(stored: bytes) -> Record:
    """What was written."""
    return _RECORD.decode(stored)


def read_book(stored: bytes) -> OrderBook:
    """What was written."""
    kept = _BOOK.decode(stored)
    return msgspec.structs.replace(kept.book, purchase=kept.book.state) if kept.is_purchase else kept.book


def written(value: Snapshot | Record) -> bytes:
    """As JSON."""
    return _ENCODER.encode(value)


def written_book(book: OrderBook) -> bytes:
    """As JSON, an order that is still as it was purchased only once."""
    if book.purchase is not None and book.purchase == book.state:
        return _ENCODER.encode(_Kept(msgspec.structs.replace(book, purchase=None), True))
    return _ENCODER.encode(_Kept(book))


def written_fact(fact: Remembered) -> tuple[bytes, bytes]:
    """A fact as it was told to us, and the hash of its content: what a repetition is compared by.

    Of an order that is its state; of anything else the fact without its times.
    """
    plain = _plain(fact)
    body = _ENCODER.encode(plain)
    content = _ENCODER.encode(plain.order if isinstance(plain, OrderStated) else msgspec.structs.replace(plain, occurred_at=Instant(0)))
    return body, hashlib.sha256(content).digest()


def _plain(fact: Remembered) -> Remembered:
    """``fact`` without the time of hearing, and in one form: a default that was said is left out like one that was not.

    The encoder leaves out defaults by identity, and a text that came from outside is equal to its default and not the same object.
    """
    if isinstance(fact, OrderStated) and fact.order.source == _SOURCE:
        return msgspec.structs.replace(fact, order=msgspec.structs.replace(fact.order, source=_SOURCE), recorded_at=Instant(0))
    plain: Remembered = msgspec.structs.replace(fact, recorded_at=Instant(0))
    return plain


_SOURCE: str = next(field.default for field in msgspec.structs.fields(Order) if field.name == "source")


def read_fact(body: bytes, occurred_at: Instant, heard_at: Instant, record: Record) -> Remembered:
    """A fact with its outcome, dated as it was folded."""
    fact: Remembered = _FACT.decode(body)
    outcome = {name: getattr(record, name) for name in ("granted", "grants") if hasattr(fact, name)}
    made: Remembered = msgspec.structs.replace(fact, occurred_at=occurred_at, recorded_at=heard_at, **outcome)
    return made


_ENCODER = msgspec.json.Encoder()
_SNAPSHOT = msgspec.json.Decoder(Snapshot)
_RECORD = msgspec.json.Decoder(Record)
_BOOK = msgspec.json.Decoder(_Kept)
_FACT = msgspec.json.Decoder(Remembered)
