"""Tables: every table of the memory by name, for the statements that are built from them.

Invariant: they equal what the migrations made; a test holds one against the other.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSON

metadata = MetaData()

MEMBER = "merchant_id member_id"
"""What stands first in every key of a member's table."""


def _table(name: str, key: str, *columns: Sequence[Column[Any]]) -> Table:
    return Table(name, metadata, *(column for group in columns for column in group), PrimaryKeyConstraint(*key.split()))


def _of(kind: Any, names: str, nullable: bool = False) -> list[Column[Any]]:
    return [Column(name, kind, nullable=nullable) for name in names.split()]


def _numbers(names: str, nullable: bool = False) -> list[Column[Any]]:
    return _of(BigInteger, names, nullable)


def _texts(names: str, nullable: bool = False) -> list[Column[Any]]:
    return _of(Text, names, nullable)


# The house

merchant = _table(
    "merchant", "merchant_id", _numbers("merchant_id"), _texts("name"), _of(Integer, "revision walked_version"), _numbers("recorded_at")
)
store = _table(
    "store",
    "merchant_id store_id",
    _numbers("merchant_id store_id"),
    _texts("name currency time_zone language"),
    _of(Boolean, "is_tax_included"),
)
source = _table("source", "merchant_id source", _numbers("merchant_id"), _texts("source"), _numbers("store_id"))
programme = _table(
    "programme",
    "merchant_id version",
    _numbers("merchant_id"),
    _of(Integer, "version"),
    _texts("status"),
    _numbers("applies_from", nullable=True),
    _of(JSON, "document"),
    _texts("actor"),
    _numbers("recorded_at"),
)
capacity = _table("capacity", "merchant_id capacity", _numbers("merchant_id"), _texts("capacity"), _numbers("most free"))
capacity_lease = _table("capacity_lease", "merchant_id capacity lane", _numbers("merchant_id"), _texts("capacity lane"), _numbers("free"))
seal = _table(
    "seal",
    "merchant_id month",
    _numbers("merchant_id"),
    _texts("month"),
    _numbers("facts transfers"),
    _of(LargeBinary, "previous digest"),
    _numbers("recorded_at"),
)
api_key = _table(
    "api_key",
    "merchant_id key_id",
    _numbers("merchant_id"),
    _texts("key_id name source scopes"),
    _of(LargeBinary, "digest"),
    _numbers("created_at"),
    _numbers("ends_at used_at", nullable=True),
)
attempt = _table(
    "attempt",
    "merchant_id attempt_id",
    _numbers("merchant_id attempt_id minute"),
    _texts("door subject address outcome"),
    _numbers("times"),
)
answer = _table(
    "answer",
    "merchant_id source key",
    _numbers("merchant_id"),
    _texts("source key"),
    _of(LargeBinary, "digest"),
    _of(Integer, "status"),
    _of(LargeBinary, "body"),
    _numbers("recorded_at"),
)
import_run = _table(
    "import_run",
    "merchant_id run parts part",
    _numbers("merchant_id"),
    _texts("run file"),
    _of(Integer, "part parts"),
    _numbers("members_done orders_done"),
    _of(Boolean, "is_done"),
    _numbers("recorded_at"),
)
audit = _table(
    "audit",
    "merchant_id recorded_at audit_id",
    _numbers("merchant_id recorded_at audit_id"),
    _texts("actor action subject reason"),
    _of(JSON, "before after", nullable=True),
)

# Members

member = _table(
    "member",
    MEMBER,
    _numbers(MEMBER),
    _texts("status"),
    _numbers("merged_into", nullable=True),
    _numbers("seq due_at"),
    _of(Integer, "planned_version engine_epoch state_schema"),
    _of(JSON, "snapshot"),
    _numbers("enrolled_at"),
)
identity = _table(
    "identity",
    "merchant_id kind digest",
    _numbers("merchant_id"),
    _texts("kind"),
    _of(LargeBinary, "digest"),
    _numbers("member_id origin_member_id recorded_at"),
)
identity_trace = _table(
    "identity_trace", "merchant_id kind digest", _numbers("merchant_id"), _texts("kind"), _of(LargeBinary, "digest"), _numbers("until")
)
vault_key = _table("vault_key", MEMBER, _numbers(MEMBER), _of(LargeBinary, "wrapped_key salt"))
vault = _table("vault", f"{MEMBER} name", _numbers(MEMBER), _texts("name"), _of(LargeBinary, "sealed"))
guest_order = _table(
    "guest_order",
    "merchant_id source order_id sequence",
    _numbers("merchant_id"),
    _texts("source order_id"),
    _numbers("sequence occurred_at"),
    _of(JSON, "state"),
    _numbers("recorded_at"),
)
fact = _table(
    "fact",
    f"{MEMBER} seq recorded_at",
    _numbers(f"{MEMBER} seq recorded_at"),
    _texts("kind key source actor"),
    _numbers("occurred_at heard_at"),
    _of(JSON, "body record"),
)
fact_key = _table(
    "fact_key",
    "merchant_id source key",
    _numbers("merchant_id"),
    _texts("source key"),
    _numbers("member_id sequence"),
    _of(LargeBinary, "digest"),
    _numbers("seq recorded_at"),
)
order_book = _table(
    "order_book",
    f"{MEMBER} order_key",
    _numbers(MEMBER),
    _texts("order_key"),
    _numbers("origin_member_id sequence"),
    _numbers("placed_at", nullable=True),
    _texts("currency", nullable=True),
    _numbers("scale rate_numerator rate_denominator", nullable=True),
    _texts("rate_source", nullable=True),
    _of(Boolean, "is_counted"),
    _of(JSON, "book"),
)
order_line = _table(
    "order_line",
    f"{MEMBER} order_key line_id",
    _numbers(MEMBER),
    _texts("order_key line_id kind sku"),
    _numbers("quantity gross net tax"),
    _of(Boolean, "is_tax_included"),
    _numbers("discount cost"),
    _texts("parent", nullable=True),
)
account = _table("account", f"{MEMBER} unit", _numbers(MEMBER), _texts("unit"), _numbers("pending active held debt seq recorded_at"))
transfer = _table(
    "transfer",
    f"{MEMBER} unit seq recorded_at",
    _numbers(MEMBER),
    _texts("unit"),
    _numbers("seq recorded_at fact_seq"),
    _texts("movement source target"),
    _numbers("amount value_at"),
    _texts("cause"),
    _texts("lot rule", nullable=True),
    _of(Integer, "version"),
    _numbers("pending active held debt"),
)
allocation = _table(
    "allocation", f"{MEMBER} unit seq lot recorded_at", _numbers(MEMBER), _texts("unit"), _numbers("seq"), _texts("lot"),
    _numbers("recorded_at amount"),
)  # fmt: skip
lot = _table(
    "lot",
    f"{MEMBER} unit lot",
    _numbers(MEMBER),
    _texts("unit lot"),
    _numbers("original pending active earned_at active_from expires_at"),
)
hold = _table(
    "hold", f"{MEMBER} hold", _numbers(MEMBER), _texts("hold order_key unit"), _numbers("amount"), _texts("status"), _numbers("expires_at")
)
draw = _table(
    "draw", f"{MEMBER} capacity fact_seq recorded_at", _numbers(MEMBER), _texts("capacity"), _numbers("fact_seq recorded_at amount")
)
outbox = _table("outbox", f"{MEMBER} fact_seq recorded_at", _numbers(f"{MEMBER} fact_seq recorded_at"), _texts("topic"))

BY_MONTH = (fact, transfer, allocation, draw, outbox)
"""What is partitioned by the month of its ``recorded_at``."""

OF_A_MEMBER = (member, vault_key, vault, fact, order_book, order_line, account, transfer, allocation, lot, hold, draw, outbox)
"""Tables whose every key begins with merchant and member. `identity` and `fact_key` are directories that lead to one."""
