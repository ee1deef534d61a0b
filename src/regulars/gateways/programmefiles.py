"""Programme files: YAML or JSON in, a programme out, and every complaint with the line where it belongs.

Invariant: numbers stay the text that was written, so no float ever stands between a document and a figure.
"""

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.programme.definition import Programme, programme

_SIZE_MAX = 5_000_000
_NODES_MAX = 200_000

Lines = dict[str, int]
"""Line number by path, as ``rules[0].award.unit``."""


def read_programme(path: Path, time_zone: str | None = None) -> Programme:
    """The programme in ``path``. A YAML file may hold several versions, divided by ``---``; a JSON file a list of them.

    ``time_zone`` stands in for the zone that the document names.

    Raises ``NotFound`` or ``Invalid``, whose problems name file, line and path.
    """
    text = _text(path)
    documents, lines = _json(text, path) if path.suffix.lower() == ".json" else _yaml(text, path)
    if time_zone is not None:
        documents = [{**item, "time_zone": time_zone} if isinstance(item, dict) else item for item in documents]
    try:
        return programme(documents)
    except Invalid as wrong:
        raise Invalid(*(_placed(problem, path, lines, len(documents) > 1) for problem in wrong.problems)) from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _SIZE_MAX:
            raise Invalid(Problem(str(path), "this is larger than any programme", "is it the file of orders? that goes to --orders"))
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(
            Problem(str(path), "there is no such file", "`regulars programme new points` writes a programme to begin with")
        ) from None
    except UnicodeDecodeError:
        raise Invalid(
            Problem(str(path), "this is not text in UTF-8", "a programme is a YAML or JSON file; orders go to --orders")
        ) from None
    except OSError as wrong:
        raise NotFound(Problem(str(path), f"it cannot be read: {wrong.strerror}", "check the path and its permissions")) from None


def _json(text: str, path: Path) -> tuple[list[Any], list[Lines]]:
    try:
        data = json.loads(text, parse_float=str, parse_constant=str, object_pairs_hook=partial(_object, path))
    except (ValueError, RecursionError) as wrong:
        at = f"{path}:{wrong.lineno}" if isinstance(wrong, json.JSONDecodeError) else str(path)
        raise Invalid(Problem(at, "this is not JSON", str(wrong))) from None
    documents = data if isinstance(data, list) else [data]
    return documents, [{} for _ in documents]


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Invalid(Problem(str(path), f"the key `{name}` stands twice in one object", "keep one of them"))
    return data


def _yaml(text: str, path: Path) -> tuple[list[Any], list[Lines]]:
    documents, lines = [], []
    try:
        for node in yaml.compose_all(text, Loader=_PlainLoader):
            if node is not None and not node.tag.endswith(":null"):
                placed: Lines = {}
                documents.append(_Reader(path, placed).value(node, ""))
                lines.append(placed)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark
        at = f"{path}:{mark.line + 1}" if mark else str(path)
        raise Invalid(Problem(at, f"this is not YAML: {wrong.problem}", "check indentation, colons and quotes around it")) from None
    except (yaml.YAMLError, RecursionError):
        raise Invalid(Problem(str(path), "this is not YAML", "check the file in an editor that knows YAML")) from None
    return documents, lines


_WHOLE = re.compile(r"^-?(?:0|[1-9][0-9]{0,17})$")


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.2's plain words: true, false, null and whole numbers; all else is text as it stands (`no`, `12.50`, `2025-01-31`)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, list("-0123456789"))


class _Reader:
    """Nodes to plain data, keeping the line of each path."""

    def __init__(self, path: Path, lines: Lines) -> None:
        self._path = path
        self._lines = lines
        self._count = 0

    def value(self, node: yaml.Node, where: str) -> Any:
        self._count += 1
        if self._count > _NODES_MAX:
            raise Invalid(Problem(str(self._path), "this is larger than any programme", "write it without repeated anchors"))
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{where}[{i}]") for i, item in enumerate(node.value)]
        if node.tag.endswith(":bool"):
            return node.value == "true"
        if node.tag.endswith(":null"):
            return None
        return int(node.value) if node.tag.endswith(":int") and _WHOLE.match(node.value) else node.value

    def _mapping(self, node: yaml.MappingNode, where: str) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise Invalid(Problem(f"{self._path}:{line}", "a key is one word here, not a list or mapping", "write it as `key: value`"))
            name = str(key.value)
            at = f"{where}.{name}".lstrip(".")
            if name in data:
                raise Invalid(Problem(f"{self._path}:{line}", f"the key `{name}` stands here twice", "keep one of them"))
            self._lines[at] = line
            data[name] = self.value(item, at)
        return data


def _placed(problem: Problem, path: Path, lines: list[Lines], are_many: bool) -> Problem:
    """``problem`` with file and line; the line of the nearest parent where its own path has none."""
    where, of = problem.where, lines[0] if lines else {}
    if are_many and (found := re.match(r"versions\[(\d+)\]\.?(.*)", where)):
        of, nearest = lines[int(found[1])], found[2]
    else:
        nearest = where
    while nearest and nearest not in of:
        nearest = nearest[: max(nearest.rfind("."), nearest.rfind("["), 0)]
    line = of.get(nearest)
    place = f"{path}:{line}" if line else str(path)
    return Problem(f"{place}: {where}" if where else place, problem.what, problem.hint)
