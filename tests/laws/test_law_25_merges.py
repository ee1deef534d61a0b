"""Law 25: a merge keeps both histories, moves value with its dates, takes the higher tier, and can be undone."""

import random
from collections import Counter

import msgspec
import pytest
from builders import (
    PROGRAMMES,
    a_line,
    a_programme,
    a_unit,
    an_order,
    balance,
    books,
    by_hand,
    capturing,
    changed,
    holding,
    live,
    paying,
    releasing,
    some_history,
    some_programme,
    stated,
    status,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import FactId, UnitId
from regulars.kernel.time import DAY, Instant
from regulars.ledger.accounts import Account
from regulars.ledger.statement import reconcile
from regulars.ledger.transfers import balances, lot_balances
from regulars.programme.definition import Programme
from regulars.programme.effects import ChangeTier
from regulars.programme.facts import MemberMerged, OrderStated
from regulars.programme.fold import differences
from regulars.programme.reasons import Reason, Refusal
from regulars.simulation.books import Books, merge, undo_merge

seeds, names = st.integers(0, 2**32), st.sampled_from(sorted(PROGRAMMES))
MERGE, UNDO = (FactId("merge"), FactId("merged")), (FactId("undo"), FactId("restored"))


def merged(survivor: Books, absorbed: Books, at: int) -> MemberMerged:
    fact = merge(survivor, absorbed, MERGE, "eva", Instant(at))
    assert isinstance(fact, MemberMerged)
    return fact


def two(of: Programme, seed: int) -> tuple[Books, Books, random.Random]:
    """Two members with histories of their own; order numbers are unique within the shop."""
    dice = random.Random(seed)
    pair = []
    for name in ("anna", "bob"):
        events = []
        for event in some_history(dice, 3):
            facts = [msgspec.structs.replace(f.order, source=f"{name}s") if isinstance(f, OrderStated) else f for f in event]
            orders = [order for order in facts if not isinstance(order, str)]
            times = [f.occurred_at for f in event if isinstance(f, OrderStated)]
            events.append([*([orders[0].key] if len(facts) > 1 else []), stated(orders[0], times[0])])
        one = live(of, events, dice)
        renamed = books(of, name)
        for fact in one.facts:
            renamed.take(fact if isinstance(fact, OrderStated) else msgspec.structs.replace(fact, id=f"{name}-{fact.id}"))
        pair.append(renamed)
    return pair[0], pair[1], dice


def assert_sound(*of: Books) -> None:
    """Each of them adds up and is what its facts say; between them nothing is lost or made."""
    between: Counter[UnitId] = Counter()
    for one in of:
        assert reconcile(one.transfers, one.member.lots, one.member.debt, one.member.held) == {}
        lots: Counter[str] = Counter()
        for lot in one.member.lots:
            lots[lot.id] += lot.remaining
        assert lot_balances(one.transfers) == lots
        again = one.folded_again()
        assert (again.member, again.orders, again.ended) == (one.member, one.now.orders, one.now.ended)
        assert differences(one.transfers, again.transfers) == []
        for (unit, account), amount in balances(one.transfers).items():
            if account is Account.MERGED:
                between[unit] += amount
    assert not any(between.values())


def value(of: Books) -> Counter[tuple[UnitId, bool, int, int]]:
    """What lies where, with its dates."""
    sums: Counter[tuple[UnitId, bool, int, int]] = Counter()
    for lot in of.member.lots:
        sums[lot.unit, lot.is_pending, lot.active_from, lot.expires_at] += lot.remaining
    return sums


@given(seed=seeds, name=names)
def test_everything_of_both_is_there_after_the_merge_with_its_dates_and_nothing_is_left_behind(seed: int, name: str) -> None:
    anna, bob, dice = two(some_programme(name), seed)
    at = max(anna.member.clock, bob.member.clock) + dice.randrange(20 * DAY)
    anna.pass_time(Instant(at))
    bob.pass_time(Instant(at))
    a, b = anna.member, bob.member
    before, orders = value(anna) + value(bob), {*anna.now.orders, *bob.now.orders}
    merged(anna, bob, at)
    assert value(anna) == before
    assert anna.member.held == Counter(a.held) + Counter(b.held)
    assert anna.member.debt == Counter(a.debt) + Counter(b.debt)
    assert (anna.member.orders, anna.member.spend) == (a.orders + b.orders, a.spend + b.spend)
    assert set(anna.now.orders) == orders
    assert (bob.member.lots, bob.member.holds, bob.member.debt, bob.member.orders) == ((), (), {}, 0)
    assert bob.member.status == "merged"
    assert_sound(anna, bob)


@given(seed=seeds, name=names)
def test_a_merge_that_is_undone_at_once_leaves_both_as_they_were(seed: int, name: str) -> None:
    anna, bob, dice = two(some_programme(name), seed)
    at = Instant(max(anna.member.clock, bob.member.clock) + dice.randrange(20 * DAY))
    anna.pass_time(at)
    bob.pass_time(at)
    before = anna.member, bob.member, dict(anna.now.orders), dict(bob.now.orders)
    fact = merged(anna, bob, at)
    assert undo_merge(anna, bob, fact, UNDO, "eva", at) is None
    assert (anna.member, bob.member, anna.now.orders, bob.now.orders) == before
    assert_sound(anna, bob)


@given(seed=seeds, name=names)
def test_after_a_life_in_common_what_goes_back_and_what_stays_are_all_there_is(seed: int, name: str) -> None:
    anna, bob, dice = two(some_programme(name), seed)
    at = max(anna.member.clock, bob.member.clock) + 1
    fact = merged(anna, bob, at)
    for n in range(6):
        at += dice.randrange(1, 8 * DAY)
        states = [book.state for book in anna.now.orders.values() if book.state is not None]
        action = dice.randrange(5)
        if action == 0 and states:
            state = dice.choice(states)
            anna.take(stated(changed(state, *dice.choice(((), state.lines[:1]))), at))
        elif action == 1:
            anna.take(stated(an_order(f"new{n}", at, a_line(price=dice.randint(1, 20_000)))))
        elif action == 2:
            anna.take(paying(an_order(f"p{n}", at, a_line(price=50_000)), max(1, balance(anna) // 2), 50_000))
        elif action == 3 and anna.member.holds:
            hold = dice.choice(anna.member.holds).id
            anna.take(dice.choice((capturing(hold, at), releasing(hold, at))))
        else:
            anna.take(by_hand(dice.choice((40, -30)), at))
        assert_sound(anna, bob)
    anna.pass_time(Instant(at))
    before, debt, orders = value(anna), Counter(anna.member.debt), anna.member.orders
    assert undo_merge(anna, bob, fact, UNDO, "eva", Instant(at)) is None
    assert value(anna) + value(bob) == before
    assert Counter(anna.member.debt) + Counter(bob.member.debt) == debt
    assert anna.member.orders + bob.member.orders == orders
    assert set(bob.now.orders) == set(anna.joined[fact.id])
    assert_sound(anna, bob)


LEVELS = {"tiers": {"status": {"levels": [{"id": "basic", "from": 0}, {"id": "gold", "from": "150.00"}, {"id": "vip", "from": "400.00"}]}}}


def buyer(of: Programme, name: str, minor: int) -> Books:
    one = books(of, name)
    one.take(stated(an_order(f"of-{name}", 0, a_line(price=minor))))
    return one


@pytest.mark.parametrize(
    ("anna_spent", "bob_spent", "level"),
    [(10_000, 20_000, "gold"), (20_000, 1_000, "gold"), (20_000, 20_000, "vip"), (1_000, 50_000, "vip")],
)
def test_the_survivor_has_the_higher_level_and_has_their_own_again_when_it_is_undone(anna_spent: int, bob_spent: int, level: str) -> None:
    of = a_programme(**LEVELS)
    anna, bob = buyer(of, "anna", anna_spent), buyer(of, "bob", bob_spent)
    own, theirs = anna.member.tiers, bob.member.tiers
    fact = merged(anna, bob, DAY)
    assert anna.member.tiers == {"status": level}
    undo_merge(anna, bob, fact, UNDO, "eva", Instant(2 * DAY))
    assert (anna.member.tiers, bob.member.tiers) == (own, theirs)


def test_a_level_that_stays_though_its_orders_came_back_goes_with_its_member() -> None:
    levels = [{"id": "basic", "from": 0}, {"id": "vip", "from": "150.00"}]
    of = a_programme(tiers={"status": {"levels": levels, "review": "never"}})
    anna, bob = buyer(of, "anna", 1_000), buyer(of, "bob", 20_000)
    order = bob.now.orders["shop:of-bob"].state
    assert order is not None
    bob.take(stated(changed(order), DAY))
    fact = merged(anna, bob, 2 * DAY)
    assert anna.member.tiers == {"status": "vip"}
    undo_merge(anna, bob, fact, UNDO, "eva", Instant(3 * DAY))
    assert (anna.member.tiers, bob.member.tiers) == ({"status": "basic"}, {"status": "vip"})


def test_a_higher_level_is_an_effect_of_the_merge() -> None:
    from regulars.programme.decide import decide
    from regulars.programme.dossier import EMPTY

    of = a_programme(**LEVELS)
    anna, bob = buyer(of, "anna", 1_000), buyer(of, "bob", 20_000)
    fact = MemberMerged(FactId("m"), bob.member, "eva", Instant(DAY), Instant(DAY))
    effects = decide(of, anna.member, EMPTY, fact).effects
    assert [effect for effect in effects if isinstance(effect, ChangeTier)] == [ChangeTier("status", "gold", "basic", Instant(DAY))]


def test_points_keep_their_end_and_are_spent_in_order_with_those_of_the_survivor() -> None:
    of = a_programme(units={"points": a_unit(expiry={"after": "30 days"})})
    anna, bob = books(of, "anna"), books(of, "bob")
    anna.take(stated(an_order("a", 5 * DAY, a_line(price=10_000))))
    bob.take(stated(an_order("b", 0, a_line(price=10_000))))
    merged(anna, bob, 6 * DAY)
    anna.take(paying(an_order("c", 7 * DAY, a_line(price=10_000)), 30, 10_000))
    assert [(lot.id, lot.remaining) for lot in anna.member.lots] == [("shop:b:points", 70), ("shop:a:points", 100)]
    anna.pass_time(Instant(31 * DAY))
    assert balance(anna) == 100


def test_a_return_of_an_order_that_came_with_the_merge_is_the_survivors() -> None:
    anna, bob = buyer(a_programme(), "anna", 10_000), buyer(a_programme(), "bob", 20_000)
    order = bob.now.orders["shop:of-bob"].state
    assert order is not None
    merged(anna, bob, DAY)
    anna.take(stated(changed(order), 2 * DAY))
    assert (balance(anna), anna.member.orders, anna.member.spend) == (100, 1, 10_000)


def test_what_is_heard_late_of_an_order_that_came_with_the_merge_takes_effect_with_it() -> None:
    anna, bob = buyer(a_programme(), "anna", 10_000), buyer(a_programme(), "bob", 20_000)
    order = bob.now.orders["shop:of-bob"].state
    assert order is not None
    merged(anna, bob, 5 * DAY)
    anna.take(stated(an_order("more", 6 * DAY, a_line(price=1_000))))
    anna.take(stated(changed(order), 3 * DAY, heard=7 * DAY))
    assert (balance(anna), anna.member.orders) == (110, 2)
    assert_sound(anna, bob)


def test_a_hold_goes_with_its_member_and_comes_back() -> None:
    anna, bob = buyer(a_programme(), "anna", 10_000), buyer(a_programme(), "bob", 20_000)
    cart = an_order("cart", DAY, a_line(price=10_000))
    bob.take(holding(cart, 80, 10_000, 9 * DAY))
    fact = merged(anna, bob, 2 * DAY)
    assert (anna.member.held, bob.member.held) == ({"points": 80}, {})
    undo_merge(anna, bob, fact, UNDO, "eva", Instant(3 * DAY))
    assert (anna.member.held, bob.member.held) == ({}, {"points": 80})
    assert bob.take(capturing("hold-cart", 4 * DAY)).granted == 80
    assert_sound(anna, bob)


def test_debts_go_with_their_member_and_come_back_as_far_as_they_are_still_owed() -> None:
    anna, bob = buyer(a_programme(), "anna", 10_000), buyer(a_programme(), "bob", 20_000)
    order = bob.now.orders["shop:of-bob"].state
    assert order is not None
    bob.take(paying(an_order("p", DAY, a_line(price=10**6)), 200, 10**6))
    bob.take(stated(changed(order), 2 * DAY))
    fact = merged(anna, bob, 3 * DAY)
    assert anna.member.debt == {"points": 200}
    anna.take(stated(an_order("new", 4 * DAY, a_line(price=15_000))))
    assert anna.member.debt == {"points": 50}
    undo_merge(anna, bob, fact, UNDO, "eva", Instant(5 * DAY))
    assert (anna.member.debt, bob.member.debt) == ({}, {"points": 50})
    assert_sound(anna, bob)


def test_who_is_gone_for_good_is_merged_with_nobody_and_a_merge_is_undone_once() -> None:
    anna, bob, cyd = (buyer(a_programme(), name, 10_000) for name in ("anna", "bob", "cyd"))
    cyd.take(status("erased", DAY))
    assert isinstance(merge(anna, cyd, MERGE, "eva", Instant(2 * DAY)), Refusal)
    fact = merged(anna, bob, 2 * DAY)
    assert isinstance(merge(anna, bob, (FactId("x"), FactId("y")), "eva", Instant(2 * DAY)), Refusal)
    assert undo_merge(anna, bob, fact, UNDO, "eva", Instant(3 * DAY)) is None
    again = undo_merge(anna, bob, fact, (FactId("x"), FactId("y")), "eva", Instant(3 * DAY))
    assert again is not None
    assert again.reason is Reason.MERGE_UNKNOWN


def test_of_two_merges_the_later_is_undone_first() -> None:
    anna, bob, cyd = (buyer(a_programme(), name, 10_000) for name in ("anna", "bob", "cyd"))
    first = merged(anna, bob, DAY)
    second = merge(anna, cyd, (FactId("m2"), FactId("m2-other")), "eva", Instant(2 * DAY))
    assert isinstance(second, MemberMerged)
    refused = undo_merge(anna, bob, first, UNDO, "eva", Instant(3 * DAY))
    assert refused is not None
    assert refused.reason is Reason.MERGE_NOT_LAST
    assert undo_merge(anna, cyd, second, (FactId("u2"), FactId("u2-other")), "eva", Instant(3 * DAY)) is None
    assert undo_merge(anna, bob, first, UNDO, "eva", Instant(4 * DAY)) is None
    assert [balance(one) for one in (anna, bob, cyd)] == [100, 100, 100]
    assert_sound(anna, bob, cyd)


def test_news_from_before_an_undone_merge_stays_with_whom_it_concerns() -> None:
    anna, bob = buyer(a_programme(), "anna", 10_000), buyer(a_programme(), "bob", 10_000)
    fact = merged(anna, bob, 3 * DAY)
    assert undo_merge(anna, bob, fact, UNDO, "eva", Instant(4 * DAY)) is None
    late = an_order("late", 2 * DAY, a_line(price=5_000))
    bob.take(stated(late, heard=5 * DAY))
    assert [balance(one) for one in (anna, bob)] == [100, 150]
    assert_sound(anna, bob)
