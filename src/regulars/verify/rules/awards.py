"""What an order deserves: the awards, perks and spend of one order state under one version (laws 3, 4, 15).

Invariant: a pure function of the document, the order, its recorded situation and payment, and of what limits granted to it.
"""

from fractions import Fraction
from math import floor, prod

import msgspec

from regulars.verify.rules.calendar import after
from regulars.verify.rules.conditions import Known, holds
from regulars.verify.rules.document import Data, NotUnderstood, Version, known, level_of, number, rank, span
from regulars.verify.rules.worth import Worth, is_chosen, rounded, spread, value_of, worth

NEVER = 2**62

_POLICIES = [
    "basis",
    "basis_includes",
    "spend_counts",
    "multiple_base",
    "multiples_combine",
    "multiples_on_return",
    "returned_orders_count",
    "lot_order",
    "lot_boundary",
    "over_redeem",
    "shortfall",
    "reinstated_grace",
    "lateness_window",
    "future_facts",
    "stacking_base",
    "discount_rounding",
    "price_floor_percent",
]
_KEYS = ["programme", "currency", "version", "applies_from", "time_zone", "units", "tiers", "groups", "rules", "policies", "replay"]
_RULE_KEYS = ["id", "if", "from", "until", "channels", "priority", "award", "multiply", "discount", "perk", "limit"]
_UNIT_KEYS = ["value", "rounding", "activation", "expiry", "spending"]


class Award(msgspec.Struct, frozen=True):
    """What one rule gives; ``wanted`` is what it would give without a limit."""

    rule: str
    unit: str
    basis: int
    amount: int
    wanted: int


class Deserved(msgspec.Struct, frozen=True):
    """What an order state deserves: ``spend`` is what it counts for its member's, ``is_counted`` whether it is one of their orders."""

    awards: list[Award]
    perks: list[str]
    spend: int
    is_counted: bool


def understood(version: Version) -> None:
    """Raises ``NotUnderstood`` where the document says what this reading does not know."""
    known(version.document, "document", _KEYS)
    known(version.document.get("policies", {}), "policy", _POLICIES)
    for rule in version.rules:
        known(rule, "rule", _RULE_KEYS)
        known(rule.get("limit", {}), "limit", ("uses", "units", "over", "returns"))
        known(rule.get("award", {}), "award", ("unit", "amount", "per", "rate", "percent", "goods"))
        known(rule.get("multiply", {}), "multiple", ("unit", "by"))
        known(rule.get("perk", {}), "perk", ("name",))
    for unit in version.units.values():
        known(unit, "unit", _UNIT_KEYS)
        known(unit.get("activation", {}), "activation", ("after",))
        known(unit.get("expiry", {}), "expiry", ("after", "from", "at_least"))
    for ladder in version.ladders.values():
        known(ladder, "ladder", ("levels", "upgrade", "review"))


def deserved(
    version: Version, order: Data, source: str, situation: Data, payment: Data | None, purchase: Data | None, drawn: dict[str, int]
) -> Deserved:
    """What the order as it stands deserves, given its recorded situation, its payment, and what limits granted (``drawn``)."""
    of = worth(order, version, payment, purchase)
    is_counted = bool(of.parts)
    spend = spend_of(version, of)
    if not is_counted:
        return Deserved([], [], spend, False)
    facts = Known(order, source, of, situation, _tiers(version, situation, spend), version)
    fitting = [rule for rule in version.rules if _fits(rule, facts)]
    awards = []
    for rule in fitting:
        if "award" in rule:
            awards.append(_award(rule, of, version, _multiples(fitting, rule["award"]["unit"]), drawn))
    perks = [rule["id"] for rule in fitting if "perk" in rule and _has_use(rule, drawn)]
    return Deserved([award for award in awards if award.amount or award.wanted], perks, spend, True)


def spend_of(version: Version, of: Worth) -> int:
    """What an order counts for its member's spend."""
    return of.total if version.policy("spend_counts", "paid") == "total" else of.paid


def _tiers(version: Version, situation: Data, spend: int) -> dict[str, str]:
    """The levels at the order: those before it, or those that it reaches itself where the ladder says so."""
    before = situation.get("tiers", {})
    levels = {}
    for name, ladder in version.ladders.items():
        level = before.get(name)
        if rank(ladder, level) < 0:
            level = level_of(ladder, situation.get("spend", 0), version.minor)
        if ladder.get("upgrade", "next_order") == "same_order":
            reached = level_of(ladder, situation.get("spend", 0) + spend, version.minor)
            level = max(level, reached, key=lambda each, ladder=ladder: rank(ladder, each))  # type: ignore[misc]
        levels[name] = level
    return levels


def _fits(rule: Data, of: Known) -> bool:
    """Whether its dates, channel and condition fit."""
    if of.day < rule.get("from", of.day) or of.day > rule.get("until", of.day):
        return False
    if "channels" in rule and of.order.get("channel") not in rule["channels"]:
        return False
    return "if" not in rule or holds(rule["if"], of)


def _multiples(fitting: list[Data], unit: str) -> list[Fraction]:
    """The factors that meet the awards of a unit."""
    return [number(rule["multiply"]["by"]) for rule in fitting if rule.get("multiply", {}).get("unit") == unit]


def _award(rule: Data, of: Worth, version: Version, factors: list[Fraction], drawn: dict[str, int]) -> Award:
    """One rule's award: rounded once, multiplied, rounded once more, and held to its limit."""
    award = rule["award"]
    unit = version.units[award["unit"]]
    chosen = [part for part in of.parts if is_chosen(part, award.get("goods"))]
    basis = of.in_programme(part.paid for part in chosen)
    rounding = unit.get("rounding", {})
    mode = rounding.get("mode", "down")
    if rounding.get("level", "order") == "line" and not _is_flat(award):
        exacts = [_tariff(award, part, unit, version) for part in spread(basis, [part.paid for part in chosen])]
    else:
        exacts = [_tariff(award, basis, unit, version)]
    wanted = sum(rounded(exact, mode) for exact in exacts)
    if factors:
        factor = _factor(factors, version.policy("multiples_combine", "highest"))
        if version.policy("multiple_base", "rounded") == "exact":
            wanted = sum(rounded(exact * factor, mode) for exact in exacts)
        else:
            wanted = rounded(wanted * factor, mode)
    return Award(rule["id"], award["unit"], basis, _limited(rule, wanted, drawn), wanted)


def _is_flat(award: Data) -> bool:
    return "amount" in award and "per" not in award


def _tariff(award: Data, basis: int, unit: Data, version: Version) -> Fraction:
    """The exact award on a basis in minor units."""
    if _is_flat(award):
        return Fraction(award["amount"] if basis > 0 else 0)
    if "per" in award:
        return Fraction(award["amount"] * floor(basis / (number(award["per"]) * version.minor)))
    if "rate" in award:
        return basis * number(award["rate"]) / version.minor
    if "percent" in award:
        return basis * number(award["percent"]) / 100 / value_of(unit, version)
    raise NotUnderstood("a way to award")


def _factor(factors: list[Fraction], combine: str) -> Fraction:
    if combine == "multiply":
        return prod(factors, start=Fraction(1))
    if combine == "add":
        return 1 + sum((factor - 1 for factor in factors), start=Fraction(0))
    return max(factors)


def _has_use(rule: Data, drawn: dict[str, int]) -> bool:
    """Whether a limited perk had a use left for this order."""
    return "limit" not in rule or drawn.get(f"rule:{rule['id']}", 0) > 0


def _limited(rule: Data, wanted: int, drawn: dict[str, int]) -> int:
    """What the limit let through of an award: no more than was granted; an order that grew beyond what is left keeps what it had."""
    limit = rule.get("limit")
    if limit is None:
        return wanted
    granted = drawn.get(f"rule:{rule['id']}", 0)
    if "uses" in limit:
        return wanted if granted > 0 else 0
    return min(wanted, granted)


def dates(version: Version, unit: str, earned_at: int) -> tuple[int, int]:
    """From when and until when what was earned at an instant is usable (laws 1, 5)."""
    terms, zone = version.units[unit], version.zone
    is_whole_day = version.policy("lot_boundary", "end_of_day") == "end_of_day"
    active_from = after(earned_at, span(terms["activation"]["after"]), zone, is_whole_day) if "activation" in terms else earned_at
    expiry = terms.get("expiry")
    if expiry is None:
        return active_from, NEVER
    began = earned_at if expiry.get("from", "activation") == "earning" else active_from
    ends = after(began, span(expiry["after"]), zone, is_whole_day)
    if "at_least" in expiry:
        ends = max(ends, after(active_from, span(expiry["at_least"]), zone, is_whole_day))
    return active_from, ends


def money_of(version: Version, unit: str, amount: int) -> int:
    """What units pay, in whole minor units."""
    return floor(amount * value_of(version.units[unit], version))
