"""Entitlement: what an order deserves - awards, multiples and perks - in the situation it was placed in.

Invariant (law 15): it is a pure function of version, situation and the goods kept; the same for the purchase and after any return.
"""

from collections.abc import Mapping
from fractions import Fraction

import msgspec

from regulars.kernel.amount import rounded
from regulars.kernel.ids import RuleId, UnitId
from regulars.programme.basis import Basis
from regulars.programme.conditions import View
from regulars.programme.definition import Ready, Version
from regulars.programme.dossier import Award
from regulars.programme.facts import Order
from regulars.programme.mechanics import multiples, points
from regulars.programme.mechanics.budget import Allowance, capacity_of
from regulars.programme.member import MemberState, Situation
from regulars.programme.reasons import Reason, Refusal


def situation_of(member: MemberState) -> Situation:
    """Where ``member`` stands when their next order is placed."""
    return Situation(member.orders + 1, member.spend, member.tiers, member.first_order_at, member.last_order_at)


def tiers_for(version: Version, situation: Situation, spend: int) -> dict[str, str]:
    """The levels that an order of ``spend`` is judged by: those before it, or with it where a ladder upgrades on the same order."""
    tiers = {ladder: situation.tiers.get(ladder, rungs.at(situation.spend)) for ladder, rungs in version.ladders.items()}
    if version.has_same_order_tiers:
        for ladder, rungs in version.ladders.items():
            reached = rungs.at(situation.spend + spend)
            if rungs.ladder.upgrade == "same_order" and rungs.rank(reached) > rungs.rank(tiers[ladder]):
                tiers[ladder] = reached
    return tiers


class Kept(msgspec.Struct, frozen=True):
    """What limits leave of ``awards`` and ``perks``, what the order holds of capacities then, by how much that changed, and why."""

    awards: tuple[Award, ...]
    perks: tuple[RuleId, ...]
    drawn: dict[str, int]
    changes: dict[str, int]
    lowered: tuple[Refusal, ...]


def within_limits(
    version: Version, held: Mapping[str, int], awards: tuple[Award, ...], perks: tuple[RuleId, ...], allowance: Allowance | None
) -> Kept:
    """What is left when limited rules draw on capacities, of which the order ``held`` some; without an ``allowance`` it keeps those."""
    limits, drawn, got = version.limits, dict(held), {}
    changes: dict[str, int] = {}
    lowered = []
    wants = {award.rule: award.amount for award in awards} | dict.fromkeys(perks, 1)
    for rule, limit in limits.items():
        name, want = capacity_of(rule), wants.get(rule, 0) if limit.uses is None else int(rule in wants)
        before = drawn.get(name, 0)
        drawn[name] = before if allowance is None else allowance.drawn(name, limit, want, before)
        got[rule] = min(want, drawn[name])
        if allowance is not None and drawn[name] != before:
            changes[name] = drawn[name] - before
        if allowance is not None and got[rule] < want:
            lowered.append(Refusal(Reason.BUDGET_EXHAUSTED, rule, {"wanted": want, "granted": got[rule]}))
    left = [_lowered(award, got[award.rule], limits[award.rule].uses) if award.rule in got else award for award in awards]
    return Kept(
        tuple([award for award in left if award.amount]),
        tuple([rule for rule in perks if got.get(rule, 1)]),
        {name: amount for name, amount in drawn.items() if amount},
        changes,
        tuple(lowered),
    )


def _lowered(award: Award, got: int, uses: int | None) -> Award:
    amount = got if uses is None else award.amount * got
    return award if amount == award.amount else msgspec.structs.replace(award, amount=amount)


def spend_of(version: Version, basis: Basis) -> int:
    """What the order adds to the member's spend, in minor units of the programme."""
    return basis.paid if version.policies.spend_counts == "paid" else basis.total


def standing_of(rule: Ready, view: View) -> Reason | None:
    """Why ``rule`` has nothing to do with the order; None when it applies."""
    placed_at = view.order.placed_at
    if placed_at < rule.starts:
        return Reason.NOT_STARTED
    if placed_at >= rule.ends:
        return Reason.ENDED
    if rule.channels and view.order.channel not in rule.channels:
        return Reason.OTHER_CHANNEL
    if rule.condition is not None and not rule.condition.holds(view):
        return Reason.CONDITION_UNMET
    return None


def view_of(version: Version, order: Order, situation: Situation, basis: Basis) -> View:
    """What conditions may read of the order."""
    tiers = tiers_for(version, situation, spend_of(version, basis)) if version.ladders else situation.tiers
    return View(order, situation, basis.total, tiers, version.zone)


def entitlement(version: Version, order: Order, situation: Situation, basis: Basis) -> tuple[tuple[Award, ...], tuple[RuleId, ...]]:
    """The awards and perks that ``order`` deserves. An order of which nothing was kept deserves none."""
    if not basis.counted:
        return (), ()
    view = view_of(version, order, situation, basis)
    factors = _factors(version, view) if version.multiples else {}
    awards = []
    for rule in version.awards:
        if standing_of(rule, view) is None and (given := _award(version, rule, basis, factors.get(rule.unit))) is not None:
            awards.append(given)
    perks = tuple([rule.id for rule in version.perks if standing_of(rule, view) is None])
    return tuple(awards), perks


class Factor(msgspec.Struct, frozen=True):
    """What the awards of one unit are multiplied by, and the rules that say so."""

    by: Fraction
    rules: tuple[RuleId, ...]


def _factors(version: Version, view: View) -> dict[UnitId, Factor]:
    found: dict[UnitId, list[Ready]] = {}
    for rule in version.multiples:
        if standing_of(rule, view) is None:
            found.setdefault(rule.unit, []).append(rule)
    how = version.policies.multiples_combine
    return {unit: Factor(multiples.combined([r.factor for r in rules], how), tuple([r.id for r in rules])) for unit, rules in found.items()}


def _award(version: Version, rule: Ready, basis: Basis, factor: Factor | None) -> Award | None:
    rounding = version.units[rule.unit].rounding
    tariff = rule.tariff
    assert tariff is not None
    worth = basis.paid if rule.goods is None else basis.of(rule.goods)
    is_by_line = rounding.level == "line" and not tariff.is_flat
    parts = [paid for _, paid in basis.lines_of(rule.goods)] if is_by_line else [worth]
    base = sum([points.award(tariff, part, rounding.mode) for part in parts])
    if factor is None:
        return Award(rule.id, rule.unit, worth, base, base) if base else None
    by = factor.by
    if version.policies.multiple_base == "exact":
        exact = [points.exact_award(tariff, part) * by for part in parts]
        amount = sum([rounded(part.numerator, part.denominator, rounding.mode) for part in exact])
    else:
        amount = rounded(base * by.numerator, by.denominator, rounding.mode)
    return Award(rule.id, rule.unit, worth, base, amount, factor.rules) if amount else None
