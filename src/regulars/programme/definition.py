"""The programme: one immutable, typed, versioned document, and the same made ready for deciding.

Invariant: a document that is accepted has exactly one meaning; one that is not is refused with the path, the reason and a hint, and
nothing of it is used.
"""

import difflib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from regulars.kernel.errors import Invalid, Problem
from regulars.kernel.ids import RuleId, UnitId
from regulars.kernel.money import exponent
from regulars.kernel.time import BEGINNING, NEVER, Instant, is_zone, start_of_day
from regulars.programme import reading
from regulars.programme.basis import Goods
from regulars.programme.conditions import CATALOGUE, WEEKDAYS, All, AnyOf, Compare, Condition, Has, In, Not, Within
from regulars.programme.mechanics.budget import Limit, capacity_of
from regulars.programme.mechanics.discounts import Cumulative, Discount, Ramp, ramps
from regulars.programme.mechanics.multiples import ONCE, Multiple, Perk
from regulars.programme.mechanics.points import Earning, Purse, Tariff, Unit, purse, tariff
from regulars.programme.mechanics.tiers import Ladder, Rungs, rungs
from regulars.programme.policies import Policies
from regulars.programme.reading import written
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
    limit: Annotated[Limit | None, Meta(description="How much the rule may give altogether; absent: without end.")] = None


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

    def __init__(self, document: Document, applies_from: Instant | None = None) -> None:
        """``applies_from`` is the instant of its publication, where the document's day came before it.

        Raises ``Invalid`` with every problem found.
        """
        problems = list(_problems(document))
        if problems:
            raise Invalid(*problems)
        self.document = document
        self.number = document.version
        self.currency = document.currency
        self.minor = 10 ** exponent(document.currency)
        self.zone = ZoneInfo(document.time_zone)
        own = BEGINNING if document.applies_from is None else start_of_day(document.applies_from, self.zone)
        self.applies_from = own if applies_from is None else applies_from
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
        self.limits: dict[RuleId, Limit] = {rule.id: rule.limit for rule in document.rules if rule.limit is not None}
        self.capacities = {capacity_of(rule): limit.most for rule, limit in self.limits.items()}
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
        given = tuple(versions)
        self.versions = tuple(sorted(given, key=lambda v: v.applies_from))
        problems = list(_version_problems(self.versions, {id(version): i for i, version in enumerate(given)}))
        if problems:
            raise Invalid(*problems)
        self._by_number = {version.number: version for version in self.versions}
        self.capacities = {name: most for version in self.versions for name, most in version.capacities.items()}
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
    """One document from plain data. Raises ``Invalid`` with every problem of its parts, or else every problem of its meaning."""
    read: Document = reading.read(data, Document, _PARTS)
    return read


def plain(document: Document) -> dict[str, Any]:
    """``document`` as plain data again; what stands at its default is left out."""
    built = reading.plain(document)
    return {key: {id: value[id] for id in getattr(document, key)} if key in _PARTS else value for key, value in built.items()}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the document."""
    return reading.json_schema(Document)


_PARTS = {"units": Unit, "tiers": Ladder, "groups": Group}
"""Kinds of what the document keeps by id."""


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
    named = [("programme", document.programme), *((f"{kind}.{id}", id) for kind in _PARTS for id in getattr(document, kind))]
    for where, name in (*named, *((f"rules[{i}].id", rule.id) for i, rule in enumerate(document.rules))):
        if not name.isprintable() or (where.startswith("units.") and set(name) & set(":+")):
            yield Problem(where, f"{name!r} is no name", "write letters, digits, spaces and dashes")
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
        yield Problem(
            f"{where}.spending.share_percent", f"{spending.share_percent} is no share of an order", "write a number above 0, up to 100"
        )
    if spending.step is not None and (unit.value * minor * spending.step).denominator != 1:
        yield Problem(
            f"{where}.spending.step",
            f"{spending.step} units are worth {written(unit.value * spending.step)}, which is finer than the currency",
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
            yield Problem(f"{where}.levels[{i + 1}].from", "levels must rise", f"write more than {written(lower.from_)}")
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
    if rule.limit is not None:
        yield from _limit_problems(where, rule, rule.limit)
    if rule.if_ is not None:
        yield from _condition_problems(f"{where}.if", rule.if_, document, minor)


def _limit_problems(where: str, rule: Rule, limit: Limit) -> Iterator[Problem]:
    if rule.award is None and rule.perk is None:
        yield Problem(f"{where}.limit", "only what is awarded or given as a perk can be limited", "take `limit` out of this rule")
        return
    if (limit.uses is None) == (limit.units is None):
        have = "neither" if limit.uses is None else "both"
        yield Problem(f"{where}.limit", f"a limit counts `uses` or `units`, this one {have}", "keep one of the two")
    elif limit.units is not None and rule.award is None:
        yield Problem(f"{where}.limit.units", "a perk has no units", "write `uses` instead: so many orders get it")
    elif limit.uses is not None and limit.over == "reduce":
        yield Problem(f"{where}.limit.over", "a use cannot be reduced", "leave `over` out, or limit the `units`")


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
        yield from _positive(f"{where}.amount", discount.amount) or _amount_problems(f"{where}.amount", discount.amount, minor)
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
                f"nothing says what a spend between {written(Fraction(lower.last, minor))} and the next step gets",
                "add `between: lower` or `between: none`, or leave out `to`",
            )


def _condition_problems(where: str, node: Condition, document: Document, minor: int) -> Iterator[Problem]:
    if where.count(".of") > reading.DEPTH_MAX:
        yield reading.too_deep(where)
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
        if node.fact.startswith("tier.") and not document.tiers:
            hint = f"define the ladder `{node.fact[5:]}` under `tiers`"
        yield Problem(f"{where}.fact", f"there is no fact {node.fact!r}", hint)
        return
    fits = {Compare: ("amount", "number"), In: ("text", "number"), Has: ("set",), Within: ("instant",)}
    allowed = next(kinds for base, kinds in fits.items() if isinstance(node, base))
    if kind not in allowed:
        yield Problem(f"{where}.op", f"{node.fact} is of kind {kind}, which this comparison cannot ask", _FITTING[kind])
    elif isinstance(node, In) and any(isinstance(value, int) is (kind == "text") for value in node.values):
        yield Problem(f"{where}.values", f"{node.fact} is of kind {kind}", "write text in quotes and numbers without")
    elif isinstance(node, In) and (possible := _known_values(node.fact, document)):
        for value in sorted(map(str, node.values.difference(possible))):
            yield Problem(f"{where}.values", f"{node.fact} is never {value!r}", f"it may be: {', '.join(map(str, possible))}")


def _known_values(fact: str, document: Document) -> list[int | str]:
    """What ``fact`` may be; empty where it may be anything."""
    if fact.startswith("tier."):
        return [level.id for level in document.tiers[fact[5:]].levels]
    return {"order.weekday": [*WEEKDAYS], "order.month": [*range(1, 13)]}.get(fact, [])


_FITTING = {
    "amount": "use at_least, above, at_most or below",
    "number": "use at_least, above, at_most, below or in",
    "text": "use in",
    "set": "use has",
    "instant": "use within",
}


def _positive(where: str, value: Fraction) -> list[Problem]:
    return [Problem(where, f"{written(value)} is not above zero", "write a number above 0")] if value <= 0 else []


def _percentage(where: str, value: Fraction) -> Iterator[Problem]:
    if not 0 <= value <= 100:
        yield Problem(where, f"{written(value)} % is no discount", "write a number from 0 to 100")


def _amount_problems(where: str, value: Fraction, minor: int) -> Iterator[Problem]:
    if value < 0:
        yield Problem(where, f"{written(value)} is below zero", "write 0 or more")
    if (value * minor).denominator != 1:
        yield Problem(where, f"{written(value)} is finer than the currency's smallest unit", "round it to the currency")


def _version_problems(versions: tuple[Version, ...], places: dict[int, int]) -> Iterator[Problem]:
    """``places``: the place of each version's document among those given, by its identity."""
    if not versions:
        yield Problem("", "the programme is empty", "`regulars programme new points` writes one to begin with")
        return
    first = versions[0].document
    for lower, higher in pairwise(versions):
        where = f"versions[{places[id(higher)]}]"
        if higher.applies_from == lower.applies_from:
            what = f"versions {lower.number} and {higher.number} begin at once"
            yield Problem(f"{where}.applies_from", what, "let each begin on its own day")
        if higher.number <= lower.number:
            what = f"version {higher.number} begins after version {lower.number}"
            yield Problem(f"{where}.version", what, "let numbers rise with the days")
        for key in ("programme", "currency", "time_zone"):
            if getattr(higher.document, key) != getattr(first, key):
                what = f"version {higher.number} has another {key} than version {versions[0].number}"
                yield Problem(f"{where}.{key}", what, "keep it for all versions")


def _in_minor(node: Condition, minor: int) -> Condition:
    """``node`` with its amounts in minor units."""
    if isinstance(node, (All, AnyOf)):
        return msgspec.structs.replace(node, of=tuple(_in_minor(inner, minor) for inner in node.of))
    if isinstance(node, Not):
        return msgspec.structs.replace(node, of=_in_minor(node.of, minor))
    if isinstance(node, Compare) and CATALOGUE[node.fact].kind == "amount":
        return msgspec.structs.replace(node, value=node.value * minor)
    return node
