"""The programme: one immutable, typed, versioned document, and the same made ready for deciding.

Invariant: a document that is accepted has exactly one meaning; one that is not is refused with the path, the reason and a hint, and
nothing of it is used.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from regulars.kernel.amount import decimal_text, fraction
from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.ids import RuleId, UnitId
from regulars.kernel.money import exponent
from regulars.kernel.time import BEGINNING, NEVER, Instant, Span, is_zone, span, start_of_day
from regulars.programme.basis import Goods
from regulars.programme.conditions import CATALOGUE, All, AnyOf, Compare, Condition, Has, In, Node, Not, Within
from regulars.programme.mechanics.discounts import Cumulative, Discount, Ramp, ramps
from regulars.programme.mechanics.multiples import ONCE, Multiple, Perk
from regulars.programme.mechanics.points import Earning, Purse, Tariff, Unit, purse, tariff
from regulars.programme.mechanics.tiers import Ladder, Rungs, rungs
from regulars.programme.policies import Policies
from regulars.programme.stacking import STACKING, Group, Mode


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"if_": "if", "from_": "from"}):
    """What happens with an order, and when. Exactly one effect: ``award``, ``multiply``, ``discount`` or ``perk``."""

    id: Annotated[RuleId, Meta(min_length=1, description="Its name in records and explanations; unique in the programme.")]
    if_: Annotated[Condition | None, Meta(description="The condition; absent: always.")] = None
    from_: Annotated[date | None, Meta(description="First local day on which it holds, by the day of purchase.")] = None
    until: Annotated[date | None, Meta(description="Last local day on which it holds (that day included).")] = None
    channels: Annotated[frozenset[str], Meta(description="Only orders of these channels; absent: all.")] = frozenset()
    priority: Annotated[int, Meta(description="Discounts of higher priority apply first; equal ones by id.")] = 0
    award: Annotated[Earning | None, Meta(description="Award units.")] = None
    multiply: Annotated[Multiple | None, Meta(description="Multiply the awards of a unit.")] = None
    discount: Annotated[Discount | None, Meta(description="Take money off.")] = None
    perk: Annotated[Perk | None, Meta(description="Add a gift or service to the order.")] = None


class ReplaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a replay over a history of orders treats what the history does not tell. Flags of the command override it."""

    redeem: Annotated[
        Literal["never", "greedy"],
        Meta(description="What members do: `never` spend, or at each order spend as much as allowed (`greedy`)."),
    ] = "never"
    returns: Annotated[
        Literal["ignore", "last-purchase-first"],
        Meta(description="`ignore` returned goods, or match each returned piece to the latest order that still has one."),
    ] = "ignore"
    as_of: Annotated[
        date | None, Meta(description="Figures as of the first local instant of this day; absent: the day after the last order.")
    ] = None
    times: Annotated[
        Literal["utc", "local"], Meta(description="How times without a zone are read: as UTC, or as `local` time of the programme's zone.")
    ] = "utc"


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One version of a programme, as people write it."""

    programme: Annotated[str, Meta(min_length=1, description="Its name.")]
    currency: Annotated[str, Meta(description="ISO 4217 code; all amounts in the document are in it.")]
    version: Annotated[int, Meta(ge=1, description="Number of this version.")] = 1
    applies_from: Annotated[date | None, Meta(description="First local day of this version; absent: always.")] = None
    time_zone: Annotated[str, Meta(description="IANA zone of the store, as `Europe/Warsaw`: its days, months and birthdays.")] = "UTC"
    units: Annotated[dict[UnitId, Unit], Meta(description="What is counted, by id; figures name the first one first.")] = {}
    tiers: Annotated[dict[str, Ladder], Meta(description="Ladders of levels, by id.")] = {}
    groups: Annotated[dict[str, Group], Meta(description="Stacking groups of discounts, by name.")] = {}
    rules: Annotated[tuple[Rule, ...], Meta(description="What happens with an order.")] = ()
    policies: Annotated[Policies, Meta(description="Where shops differ.")] = Policies()
    replay: Annotated[ReplaySection, Meta(description="For `regulars replay`.")] = ReplaySection()


class Ready(msgspec.Struct, frozen=True):
    """A rule made ready: its window in instants (half open) and its effect in minor units."""

    id: RuleId
    rule: Rule
    condition: Condition | None
    starts: Instant
    ends: Instant
    channels: frozenset[str]
    goods: Goods | None = None
    tariff: Tariff | None = None
    factor: Fraction = ONCE
    ramps: tuple[Ramp, ...] = ()
    amount_off: int = 0
    mode: Mode = Mode.STACK
    unit: UnitId = UnitId("")


class Version:
    """One version made ready: what `decide`, `quote` and `explain` read. Immutable by convention."""

    def __init__(self, document: Document) -> None:
        """Raises ``Invalid`` with every problem found."""
        problems = list(_problems(document))
        if problems:
            raise Invalid(*problems)
        self.document = document
        self.number = document.version
        self.currency = document.currency
        self.minor = 10 ** exponent(document.currency)
        self.zone = ZoneInfo(document.time_zone)
        self.applies_from = BEGINNING if document.applies_from is None else start_of_day(document.applies_from, self.zone)
        self.policies = document.policies
        self.units = document.units
        self.ladders: dict[str, Rungs] = {id: rungs(ladder, self.minor) for id, ladder in document.tiers.items()}
        purses = {id: purse(id, unit, self.minor) for id, unit in document.units.items()}
        self.purses: dict[UnitId, Purse] = {id: ready for id, ready in purses.items() if ready is not None}
        ready = [self._ready(rule) for rule in document.rules]
        self.awards = tuple(r for r in ready if r.rule.award is not None)
        self.multiples = tuple(r for r in ready if r.rule.multiply is not None)
        self.discounts = tuple(r for r in ready if r.rule.discount is not None)
        self.perks = tuple(r for r in ready if r.rule.perk is not None)
        self.is_exact = document.policies.lot_boundary == "instant"
        self.counts_anew = document.policies.multiples_on_return == "recompute" and not document.policies.returned_orders_count
        self.has_same_order_tiers = any(ladder.upgrade == "same_order" for ladder in document.tiers.values())

    @property
    def ready(self) -> tuple[Ready, ...]:
        """All rules, by effect."""
        return self.awards + self.multiples + self.discounts + self.perks

    def _ready(self, rule: Rule) -> Ready:
        award, discount = rule.award, rule.discount
        value = self.units[award.unit].value if award else None
        cumulative = discount.cumulative if discount else None
        return Ready(
            id=rule.id,
            rule=rule,
            condition=None if rule.if_ is None else _in_minor(rule.if_, self.minor),
            starts=BEGINNING if rule.from_ is None else start_of_day(rule.from_, self.zone),
            ends=NEVER if rule.until in (None, date.max) else start_of_day(rule.until + timedelta(days=1), self.zone),
            channels=rule.channels,
            goods=award.goods if award else discount.goods if discount else None,
            tariff=tariff(award, self.minor, value * self.minor if value is not None else None) if award else None,
            factor=rule.multiply.by if rule.multiply else ONCE,
            ramps=ramps(cumulative, self.minor) if cumulative else (),
            amount_off=int(discount.amount * self.minor) if discount and discount.amount is not None else 0,
            mode=self.document.groups.get(discount.group, STACKING).mode if discount else Mode.STACK,
            unit=award.unit if award else rule.multiply.unit if rule.multiply else UnitId(""),
        )


class Programme:
    """All versions of one programme. An order lives under the version of its purchase for ever."""

    def __init__(self, versions: Iterable[Version]) -> None:
        """At least one version. Raises ``Invalid`` when numbers repeat, starts do not rise, or name, currency or zone differ."""
        self.versions = tuple(sorted(versions, key=lambda v: v.applies_from))
        problems = list(_version_problems(self.versions))
        if problems:
            raise Invalid(*problems)
        self._by_number = {version.number: version for version in self.versions}
        self._first = self.versions[0]
        self.is_single = len(self.versions) == 1 and self._first.applies_from == BEGINNING

    def at(self, instant: Instant) -> Version | None:
        """The version in force at ``instant``; None before the first."""
        if self.is_single:
            return self._first
        found = None
        for version in self.versions:
            if version.applies_from <= instant:
                found = version
        return found

    def numbered(self, number: int) -> Version:
        """Version ``number``. Raises ``KeyError``."""
        return self._by_number[number]

    @property
    def latest(self) -> Version:
        """The last one."""
        return self.versions[-1]


def programme(documents: Iterable[Any]) -> Programme:
    """A programme from plain data (dicts and lists, as read from YAML or JSON), one item a version.

    Raises ``Invalid`` with path, reason and hint.
    """
    items = list(documents)
    if not items:
        raise Invalid(Problem("", "the programme is empty", "`regulars programme new` writes one to begin with"))
    if len(items) == 1:
        return Programme([Version(document(items[0]))])
    versions = []
    for i, item in enumerate(items):
        try:
            versions.append(Version(document(item)))
        except Invalid as wrong:
            raise Invalid(*(Problem(f"versions[{i}].{p.where}".rstrip("."), p.what, p.hint) for p in wrong.problems)) from None
    return Programme(versions)


def document(data: Any) -> Document:
    """One document from plain data. Raises ``Invalid``."""
    try:
        read: Document = _convert(data, Document)
        return read
    except msgspec.ValidationError as wrong:
        raise Invalid(_structure_problem(data, str(wrong), Document)) from None
    except RecursionError:
        raise Invalid(_too_deep("")) from None


def plain(document: Document) -> dict[str, Any]:
    """``document`` as plain data again; what stands at its default is left out."""
    built: dict[str, Any] = _listed(msgspec.to_builtins(document, enc_hook=_written, str_keys=True, order="deterministic"))
    return {key: {id: value[id] for id in getattr(document, key)} if key in _MAPS else value for key, value in built.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the document."""
    schema = msgspec.json.schema(_twin(Document), schema_hook=_schema_of)
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
        except ValueError:
            raise ValueError(f"{value!r} is not a span of time; write one as 14 days, 6 months or 1 year") from None
    raise NotImplementedError(type)


def _written(value: Any) -> Any:
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
        default = _written(field.default) if isinstance(field.default, (Fraction, Span)) else field.default
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
_DEPTH_MAX = 40
_MAPS: dict[str, Any] = {"units": Unit, "tiers": Ladder, "groups": Group}


def _structure_problem(data: Any, message: str, kind: Any) -> Problem:
    """msgspec's message on a ``kind`` as a problem; inside a mapping it does not name the key, so the entries are tried one by one."""
    found = _AT.search(message)
    path, what = (found["path"], message[: found.start()]) if found else ("", message)
    head, bracket, _ = path.partition("[...]")
    if bracket and head in _MAPS and isinstance(data, dict) and isinstance(data.get(head), dict):
        for key, item in data[head].items():
            try:
                _convert(item, _MAPS[head])
            except msgspec.ValidationError as wrong:
                inner = _structure_problem(item, str(wrong), _MAPS[head])
                return Problem(f"{head}.{key}.{inner.where}".rstrip("."), inner.what, inner.hint)
    if unknown := _UNKNOWN.search(what):
        where = f"{path}.{unknown['field']}".lstrip(".")
        return Problem(where, f"there is no key `{unknown['field']}` here", _nearest(unknown["field"], _fields_at(kind, path)))
    if missing := _MISSING.search(what):
        return Problem(path or "programme", f"the key `{missing['field']}` is missing", "docs/reference/programme.md lists the keys")
    if value := _TAG.search(what):
        return Problem(path, f"there is no comparison {value['tag']!r}", _nearest(value["tag"], _tags_at(kind, path)))
    return Problem(path, what, "docs/reference/programme.md says what belongs here")


def _too_deep(where: str) -> Problem:
    return Problem(where, "it is nested too deeply to be read by anybody", f"keep conditions within {_DEPTH_MAX} levels")


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


# --- meaning: what the structure cannot say -------------------------------------------------------------------------------------


def _problems(document: Document) -> Iterator[Problem]:
    try:
        minor = 10 ** exponent(document.currency)
    except ValueError as wrong:
        yield Problem("currency", str(wrong), "write the three capital letters, as PLN, CZK, UAH, EUR or GBP")
        return
    if not is_zone(document.time_zone):
        yield Problem("time_zone", f"{document.time_zone!r} is not a time zone", "write its IANA name, as Europe/Warsaw or Europe/Prague")
        return
    for id, unit in document.units.items():
        yield from _unit_problems(f"units.{id}", unit, minor)
    for name, ladder in document.tiers.items():
        yield from _ladder_problems(f"tiers.{name}", ladder, minor)
    floor = document.policies.price_floor_percent
    if not 0 <= floor <= 100:
        yield Problem("policies.price_floor_percent", f"{floor} is no percentage of a price", "write a number from 0 to 100")
    seen: set[str] = set()
    for i, rule in enumerate(document.rules):
        where = f"rules[{i}]"
        if rule.id in seen:
            yield Problem(f"{where}.id", f"another rule is called {rule.id!r} already", "give each rule its own id")
        seen.add(rule.id)
        yield from _rule_problems(where, rule, document, minor)


def _unit_problems(where: str, unit: Unit, minor: int) -> Iterator[Problem]:
    if unit.value is not None and unit.value <= 0:
        yield Problem(f"{where}.value", "a unit is worth more than nothing", "write its worth in money, as 0.01, or leave it out")
    for name, length in (("activation", unit.activation), ("expiry", unit.expiry)):
        if length is not None and length.after.count == 0:
            yield Problem(f"{where}.{name}.after", "the span is empty", f"leave `{name}` out instead")
    if unit.expiry and unit.expiry.at_least is not None and unit.expiry.from_ == "activation":
        yield Problem(
            f"{where}.expiry.at_least", "it only matters when life is counted from earning", "add `from: earning` or leave it out"
        )
    spending = unit.spending
    if spending is None:
        return
    if unit.value is None:
        yield Problem(f"{where}.value", "a unit that can pay needs a worth", "add `value`, as 0.01: what one is worth when it pays")
        return
    if not 0 < spending.share_percent <= 100:
        yield Problem(f"{where}.spending.share_percent", f"{spending.share_percent} is no share of an order", "write a number up to 100")
    if spending.step is not None and (unit.value * minor * spending.step).denominator != 1:
        yield Problem(
            f"{where}.spending.step",
            f"{spending.step} units are worth {_written(unit.value * spending.step)}, which is finer than the currency",
            f"use a multiple of {(unit.value * minor).denominator}",
        )


def _ladder_problems(where: str, ladder: Ladder, minor: int) -> Iterator[Problem]:
    names = [level.id for level in ladder.levels]
    if len(set(names)) < len(names):
        yield Problem(f"{where}.levels", "two levels have the same id", "give each level its own id")
    if ladder.levels[0].from_ != 0:
        yield Problem(f"{where}.levels[0].from", "the first level begins at 0", "add a level `from: 0` for members who spent less")
    for i, (lower, higher) in enumerate(pairwise(ladder.levels)):
        if higher.from_ <= lower.from_:
            yield Problem(f"{where}.levels[{i + 1}].from", "levels must rise", f"write more than {_written(lower.from_)}")
    for i, level in enumerate(ladder.levels):
        yield from _amount_problems(f"{where}.levels[{i}].from", level.from_, minor)


def _rule_problems(where: str, rule: Rule, document: Document, minor: int) -> Iterator[Problem]:
    effects = [name for name in ("award", "multiply", "discount", "perk") if getattr(rule, name) is not None]
    if len(effects) != 1:
        have = " and ".join(effects) or "none"
        yield Problem(where, f"a rule has one effect, this one has {have}", "keep one of award, multiply, discount, perk; split the rest")
    if rule.from_ and rule.until and rule.until < rule.from_:
        yield Problem(f"{where}.until", f"it ends on {rule.until}, before it begins on {rule.from_}", "swap the two days")
    for name, effect in (("award", rule.award), ("multiply", rule.multiply)):
        if effect is not None and effect.unit not in document.units:
            known = ", ".join(document.units) or "no unit is defined"
            yield Problem(f"{where}.{name}.unit", f"there is no unit {effect.unit!r}", f"known units: {known}")
            return
    if rule.award is not None:
        yield from _award_problems(f"{where}.award", rule.award, document)
    if rule.multiply is not None and rule.multiply.by < 1:
        yield Problem(f"{where}.multiply.by", "a multiple is 1 or more", "write 2 for double points")
    if rule.discount is not None:
        yield from _discount_problems(f"{where}.discount", rule.discount, document, minor)
    if rule.if_ is not None:
        yield from _condition_problems(f"{where}.if", rule.if_, document, minor)


def _award_problems(where: str, award: Earning, document: Document) -> Iterator[Problem]:
    ways = [name for name in ("amount", "rate", "percent") if getattr(award, name) is not None]
    if len(ways) != 1:
        have = " and ".join(ways) or "none"
        yield Problem(where, f"an award is stated in one way, this one in {have}", "keep one of amount (with per), rate, percent")
    if award.per is not None:
        if award.amount is None:
            yield Problem(f"{where}.per", "`per` goes with `amount`", "write amount: 1 beside it")
        yield from _positive(f"{where}.per", award.per)
    if award.rate is not None:
        yield from _positive(f"{where}.rate", award.rate)
    if award.percent is not None:
        yield from _positive(f"{where}.percent", award.percent)
        if document.units[award.unit].value is None:
            yield Problem(f"{where}.percent", f"a percentage needs to know what one of {award.unit!r} is worth", "add `value` to the unit")


def _discount_problems(where: str, discount: Discount, document: Document, minor: int) -> Iterator[Problem]:
    ways = [name for name in ("percent", "amount", "cumulative") if getattr(discount, name) is not None]
    if len(ways) != 1:
        have = " and ".join(ways) or "none"
        yield Problem(where, f"a discount is stated in one way, this one in {have}", "keep one of percent, amount, cumulative")
    if discount.percent is not None:
        yield from _percentage(f"{where}.percent", discount.percent)
    if discount.amount is not None:
        yield from _positive(f"{where}.amount", discount.amount)
        yield from _amount_problems(f"{where}.amount", discount.amount, minor)
    if discount.group and discount.group not in document.groups:
        yield Problem(f"{where}.group", f"there is no group {discount.group!r}", "define it under `groups` with its mode")
    if discount.cumulative is not None:
        yield from _cumulative_problems(f"{where}.cumulative", discount.cumulative, minor)


def _cumulative_problems(where: str, cumulative: Cumulative, minor: int) -> Iterator[Problem]:
    for i, step in enumerate(cumulative.steps):
        yield from _percentage(f"{where}.steps[{i}].percent", step.percent)
        if (step.from_ is None) == (step.above is None):
            yield Problem(f"{where}.steps[{i}]", "a step begins either `from` or `above` an amount", "keep one of the two")
            return
        if step.to is not None and step.to < (step.from_ if step.from_ is not None else step.above or 0):
            yield Problem(f"{where}.steps[{i}].to", "the step ends before it begins", "swap the two amounts")
    for i, (lower, higher) in enumerate(pairwise(ramps(cumulative, minor))):
        if higher.first <= (lower.first if lower.last is None else lower.last):
            yield Problem(f"{where}.steps[{i + 1}]", "it begins before the step below it has ended", "let steps rise without overlap")
        elif lower.last is not None and higher.first > lower.last + 1 and cumulative.between is None:
            yield Problem(
                f"{where}.between",
                f"nothing says what a spend between {_written(Fraction(lower.last, minor))} and the next step gets",
                "add `between: lower` or `between: none`, or leave out `to`",
            )


def _condition_problems(where: str, node: Condition, document: Document, minor: int) -> Iterator[Problem]:
    if where.count(".of") > _DEPTH_MAX:
        yield _too_deep(where)
        return
    if isinstance(node, (All, AnyOf)):
        for i, inner in enumerate(node.of):
            yield from _condition_problems(f"{where}.of[{i}]", inner, document, minor)
        return
    if isinstance(node, Not):
        yield from _condition_problems(f"{where}.of", node.of, document, minor)
        return
    if not isinstance(node, (Compare, In, Has, Within)):
        return
    kind = "text" if node.fact.startswith("tier.") else CATALOGUE[node.fact].kind if node.fact in CATALOGUE else None
    if kind is None or (node.fact.startswith("tier.") and node.fact[5:] not in document.tiers):
        known = [*CATALOGUE, *(f"tier.{ladder}" for ladder in document.tiers)]
        close = difflib.get_close_matches(node.fact, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known facts: {', '.join(known)}"
        yield Problem(f"{where}.fact", f"there is no fact {node.fact!r}", hint)
        return
    fits = {Compare: ("amount", "number"), In: ("text", "number"), Has: ("set",), Within: ("instant",)}
    allowed = next(kinds for base, kinds in fits.items() if isinstance(node, base))
    if kind not in allowed:
        yield Problem(f"{where}.op", f"{node.fact} is of kind {kind}, which this comparison cannot ask", _FITTING[kind])
    elif isinstance(node, In) and any(isinstance(value, int) is (kind == "text") for value in node.values):
        yield Problem(f"{where}.values", f"{node.fact} is of kind {kind}", "write text in quotes and numbers without")
    elif isinstance(node, In) and node.fact.startswith("tier."):
        levels = [level.id for level in document.tiers[node.fact[5:]].levels]
        for value in sorted(map(str, node.values)):
            if value not in levels:
                yield Problem(f"{where}.values", f"the ladder has no level {value!r}", f"its levels: {', '.join(levels)}")


_FITTING = {
    "amount": "use at_least, above, at_most or below",
    "number": "use at_least, above, at_most, below or in",
    "text": "use in",
    "set": "use has",
    "instant": "use within",
}


def _positive(where: str, value: Fraction) -> Iterator[Problem]:
    if value <= 0:
        yield Problem(where, f"{_written(value)} is not above zero", "write a number above 0")


def _percentage(where: str, value: Fraction) -> Iterator[Problem]:
    if not 0 <= value <= 100:
        yield Problem(where, f"{_written(value)} % is no discount", "write a number from 0 to 100")


def _amount_problems(where: str, value: Fraction, minor: int) -> Iterator[Problem]:
    if value < 0:
        yield Problem(where, f"{_written(value)} is below zero", "write 0 or more")
    if (value * minor).denominator != 1:
        yield Problem(where, f"{_written(value)} is finer than the currency's smallest unit", "round it to the currency")


def _version_problems(versions: tuple[Version, ...]) -> Iterator[Problem]:
    if not versions:
        yield Problem("", "the programme is empty", "`regulars programme new` writes one to begin with")
        return
    first = versions[0].document
    for lower, higher in pairwise(versions):
        if higher.applies_from == lower.applies_from:
            yield Problem("applies_from", f"versions {lower.number} and {higher.number} begin at once", "let each begin on its own day")
        if higher.number <= lower.number:
            yield Problem("version", f"version {higher.number} begins after version {lower.number}", "let numbers rise with the days")
        for key in ("programme", "currency", "time_zone"):
            if getattr(higher.document, key) != getattr(first, key):
                yield Problem(
                    key, f"version {higher.number} has another {key} than version {versions[0].number}", "keep it for all versions"
                )


def _in_minor(node: Condition, minor: int) -> Condition:
    """``node`` with its amounts in minor units."""
    if isinstance(node, (All, AnyOf)):
        return msgspec.structs.replace(node, of=tuple(_in_minor(inner, minor) for inner in node.of))
    if isinstance(node, Not):
        return msgspec.structs.replace(node, of=_in_minor(node.of, minor))
    if isinstance(node, Compare) and CATALOGUE[node.fact].kind == "amount":
        return msgspec.structs.replace(node, value=node.value * minor)
    return node
