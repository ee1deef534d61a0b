"""Reading: plain data into typed structs, and what is wrong with it in words.

Invariant: a number stays the text that was written until it is an exact fraction; every part that cannot be read is named with its path.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from fractions import Fraction
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from regulars.kernel.amount import decimal_text, fraction
from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.time import Span, span
from regulars.programme.conditions import Node


def read(data: Any, kind: type[msgspec.Struct], parts: Mapping[str, Any]) -> Any:
    """A ``kind`` from plain data; ``parts`` are the kinds of its entries by id. Raises ``Invalid`` with the problem of each part."""
    try:
        return _convert(data, kind)
    except msgspec.ValidationError as wrong:
        found = list(_problems_of_parts(data, kind, parts)) if isinstance(data, dict) else []
        whole = _problem(data, str(wrong), kind)
        if not found or (_MISSING.search(str(wrong)) and not _AT.search(str(wrong))):
            found.append(whole)
        raise Invalid(*found) from None
    except RecursionError:
        raise Invalid(too_deep("")) from None


def _problems_of_parts(data: dict[str, Any], kind: type[msgspec.Struct], parts: Mapping[str, Any]) -> Iterator[Problem]:
    """Each part tried by itself: entries by id, items of lists, single values."""
    fields = _encoded(kind)
    for key, value in data.items():
        if key in parts and isinstance(value, dict):
            pieces = [(f"{key}.{id}", item, parts[key]) for id, item in value.items()]
        elif isinstance(value, list) and (items := _structs_in(fields.get(key))):
            pieces = [(f"{key}[{i}]", item, items[0]) for i, item in enumerate(value)]
        else:
            pieces = [(key, value, fields[key])] if key in fields else []
        for where, item, of in pieces:
            try:
                _convert(item, of)
            except msgspec.ValidationError as wrong:
                inner = _problem(item, str(wrong), of)
                yield Problem(_joined(where, inner.where), inner.what, inner.hint)
            except RecursionError:
                yield too_deep(where)
        if key not in fields:
            yield Problem(key, f"there is no key `{key}` here", _nearest(str(key), list(fields)))


def _joined(where: str, inner: str) -> str:
    return f"{where}{inner}" if inner.startswith("[") or not inner else f"{where}.{inner}"


def plain(struct: msgspec.Struct) -> dict[str, Any]:
    """``struct`` as plain data; what stands at its default is left out."""
    built: dict[str, Any] = _listed(msgspec.to_builtins(struct, enc_hook=written, str_keys=True, order="deterministic"))
    return built


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def json_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema (2020-12) of ``kind``."""
    schema = msgspec.json.schema(_twin(kind), schema_hook=_schema_of)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _convert(data: Any, type: Any) -> Any:
    return msgspec.convert(data, type, dec_hook=_read, str_keys=True)


def _read(type: Any, value: Any) -> Any:
    if type is Fraction:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError("write a number, as 10 or 12.50")
        try:
            return fraction(value)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{value!r} is not a number; write one as 10, 12.50 or 1/3") from None
    if type is Span:
        try:
            return span(value if isinstance(value, str) else "")
        except ValueError as wrong:
            raise ValueError(f"{wrong}; write one as 14 days, 6 months or 1 year, up to 1000 years") from None
    raise NotImplementedError(type)


def written(value: Any) -> Any:
    """A fraction or span as people write it."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else decimal_text(value)
    if isinstance(value, Span):
        return str(value)
    raise NotImplementedError(value)


def _schema_of(type: Any) -> dict[str, Any]:
    if type is Fraction:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?\d+(\.\d+|/[1-9]\d*)?$"}]}
    if type is Span:
        return {"type": "string", "pattern": r"^\d+ (hour|day|week|month|year)s?$"}
    raise NotImplementedError(type)


@cache
def _twin(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """``kind`` with defaults that a schema can state: msgspec states them, but knows neither fractions nor spans."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        default = written(field.default) if isinstance(field.default, (Fraction, Span)) else field.default
        twin = msgspec.field(default=default, default_factory=field.default_factory)  # type: ignore[call-overload]
        fields.append((field.name, _twinned(field.type), twin))
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    namespace = {"__doc__": kind.__doc__}
    return msgspec.defstruct(kind.__name__, fields, namespace=namespace, rename=names, kw_only=True, forbid_unknown_fields=True)


def _twinned(annotation: Any) -> Any:
    """``annotation`` with twins in place of its structs; conditions, which have no defaults, stay."""
    if _is_struct(annotation):
        return annotation if issubclass(annotation, Node) else _twin(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_twinned(args[0]), *args[1:])]
    if origin in (Union, UnionType):
        return Union[tuple(_twinned(arg) for arg in args)]  # noqa: UP007
    return origin[tuple(_twinned(arg) for arg in args)] if origin in (dict, tuple) else annotation


_AT = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_TAG = re.compile(r"^Invalid value '(?P<tag>[^']*)'$")
DEPTH_MAX = 40


def _problem(data: Any, message: str, kind: Any) -> Problem:
    """msgspec's message on a ``kind`` in words: where, what is wrong, and what belongs there."""
    found = _AT.search(message)
    path, what = (found["path"], message[: found.start()]) if found else ("", message)
    if unknown := _UNKNOWN.search(what):
        where = f"{path}.{unknown['field']}".lstrip(".")
        return Problem(where, f"there is no key `{unknown['field']}` here", _nearest(unknown["field"], _fields_at(kind, path)))
    if missing := _MISSING.search(what):
        return Problem(path, f"the key `{missing['field']}` is missing", "docs/reference/programme.md lists the keys")
    if value := _TAG.search(what):
        return Problem(path, f"there is no comparison {value['tag']!r}", _nearest(value["tag"], _tags_at(kind, path)))
    value = _value_at(data, path)
    if _ENUM.search(what):
        choices = _choices_at(kind, path)
        return Problem(path, f"{value!r} is none of the choices", f"write one of: {', '.join(choices)}" if choices else _SEE)
    if "RFC3339" in what:
        return Problem(path, f"{value!r} is no day of the calendar", "write year, month and day, as 2025-01-31")
    if expected := _EXPECTED.search(what):
        names = [_KINDS.get(name, name) for name in expected["wanted"].split(" | ") if name != "null"]
        return Problem(path, f"{_shown(value)} stands here", f"write {' or '.join(dict.fromkeys(names))}")
    return Problem(path, what, _SEE)


_ENUM = re.compile(r"^Invalid enum value")
_EXPECTED = re.compile(r"^Expected `(?P<wanted>[^`]*)`, got `[^`]*`$")
_SEE = "docs/reference/programme.md says what belongs here"
_KINDS = {
    "object": "keys with values, as `name: value`",
    "array": "a list, each item behind a dash",
    "str": "text",
    "int": "a whole number of at most 18 digits",
    "bool": "true or false",
    "date": "a day, as 2025-01-31",
}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping of keys"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"{value!r}"


def _value_at(data: Any, path: str) -> Any:
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        try:
            data = data[key] if key else data[int(index)]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _choices_at(kind: Any, path: str) -> list[str]:
    head, _, name = path.rpartition(".")
    name = re.sub(r"\[\d+\]", "", name)
    return [choice for struct in _structs_at(kind, head) for choice in _choices_in(_encoded(struct).get(name))]


def _choices_in(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(choice) for choice in annotation]
    return [choice for part in get_args(annotation) for choice in _choices_in(part)]


def too_deep(where: str) -> Problem:
    """A condition within conditions within conditions."""
    return Problem(where, "it is nested too deeply to be read by anybody", f"keep conditions within {DEPTH_MAX} levels")


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"


def _fields_at(kind: Any, path: str) -> list[str]:
    """Keys of the struct that ``path`` leads to from ``kind``; of all structs where it leads into a union."""
    return list(dict.fromkeys(key for struct in _structs_at(kind, path) for key in (*_tag_field(struct), *_encoded(struct))))


def _tags_at(kind: Any, path: str) -> list[str]:
    return [str(struct.__struct_config__.tag) for struct in _structs_at(kind, path.rpartition(".")[0])]


def _tag_field(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    field = struct.__struct_config__.tag_field
    return () if field is None else (field,)


def _encoded(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def _structs_at(kind: Any, path: str) -> list[type[msgspec.Struct]]:
    found = _structs_in(kind)
    for name in re.findall(r"[A-Za-z_]+", path):
        inner = [annotation for struct in found if (annotation := _encoded(struct).get(name)) is not None]
        found = list(dict.fromkeys(struct for annotation in inner for struct in _structs_in(annotation)))
    return found


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _structs_in(annotation: Any) -> list[type[msgspec.Struct]]:
    if _is_struct(annotation):
        return [annotation]
    return [struct for part in get_args(annotation) for struct in _structs_in(part)]
