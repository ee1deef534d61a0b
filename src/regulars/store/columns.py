"""Columns: how many values of one column travel to the database as one parameter.

The driver looks at every element of an array to find arrays within it, which costs more than deciding an order; a column therefore goes as
one text - numbers as an array's literal, texts and documents as a JSON array - and the database takes it apart. Invariant: whatever the
values hold, as many come out as went in.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Kind = Literal["bigint", "int", "boolean", "text", "json", "bytea"]

_ENCODER = msgspec.json.Encoder()


def sent(kind: Kind, values: Sequence[Any]) -> str | bytes:
    """``values`` as the parameter that ``taken_apart`` expects."""
    match kind:
        case "text":
            return _ENCODER.encode(values)
        case "json":
            return b"[" + b",".join(values) + b"]"
        case "bytea":
            return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"
    return "{" + str(list(values))[1:-1].replace("None", "null") + "}"


def taken_apart(kind: Kind, number: int) -> str:
    """SQL that gives the values of parameter ``number`` one by one."""
    match kind:
        case "text":
            return f"json_array_elements_text(${number}::json)"
        case "json":
            return f"json_array_elements(${number}::json)"
    return f"unnest(${number}::text::{kind}[])"
