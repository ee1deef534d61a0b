"""Law 19: entries are append-only and balanced; balance = sum of entries = sum of open lots; all accounts of a unit sum to zero."""

import random
from collections import Counter

import msgspec
from builders import PROGRAMMES, a_line, a_programme, an_order, books, live, some_history, some_programme, stated
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, Instant
from regulars.ledger.statement import reconcile, statement
from regulars.ledger.transfers import Transfer, balances, lot_balances
from regulars.programme.facts import OrderStated, Rate
from regulars.programme.reasons import Reason
from regulars.simulation.books import Books

seeds, names = st.integers(0, 2**32), st.sampled_from(sorted(PROGRAMMES))


@given(seed=seeds, name=names)
def test_entries_lots_and_debt_agree_after_every_fact_and_entries_are_only_added(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = books(some_programme(name))
    posted: list[Transfer] = []
    facts = [fact for event in some_history(dice) for fact in event if not isinstance(fact, str)]
    dice.shuffle(facts)
    for fact in facts:
        now.take(stated(fact.order, fact.occurred_at, fact.occurred_at))
        assert now.transfers[: len(posted)] == posted
        posted = list(now.transfers)
        assert reconcile(posted, now.member.lots, now.member.debt, now.member.held) == {}
        assert lot_balances(posted) == in_lots(now)
        for unit in {unit for unit, _ in balances(posted)}:
            assert sum(amount for (of, _), amount in balances(posted).items() if of == unit) == 0


def in_lots(now: Books) -> dict[str, int]:
    remaining: Counter[str] = Counter()
    for lot in now.member.lots:
        remaining[lot.id] += lot.remaining
    return remaining


@given(seed=seeds, name=names)
def test_for_every_lot_its_entries_sum_to_what_lies_in_it_after_payments_holds_and_late_evidence(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    late = [fact for fact in now.facts if isinstance(fact, OrderStated) and dice.random() < 0.3]
    again = books(now.programme)
    for fact in [fact for fact in now.facts if fact not in late] + late:
        again.take(msgspec.structs.replace(fact, recorded_at=Instant(fact.occurred_at + DAY)))
        assert lot_balances(again.transfers) == in_lots(again)
        assert reconcile(again.transfers, again.member.lots, again.member.debt, again.member.held) == {}


@given(seed=seeds, name=names)
def test_every_transfer_moves_something_from_one_account_to_another(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    now.pass_time(Instant(300 * DAY))
    for transfer in now.transfers:
        assert transfer.amount > 0
        assert transfer.source is not transfer.target
        assert not transfer.allocations or sum(part.amount for part in transfer.allocations) == transfer.amount


@given(seed=seeds, name=names)
def test_the_statement_ends_with_what_the_member_holds(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    for unit in now.programme.latest.units:
        lines = statement(now.transfers, unit)
        held = [lot for lot in now.member.lots if lot.unit == unit]
        assert (lines[-1].active if lines else 0) == sum(lot.remaining for lot in held if not lot.is_pending)
        assert (lines[-1].pending if lines else 0) == sum(lot.remaining for lot in held if lot.is_pending)
        assert (lines[-1].held if lines else 0) == now.member.held.get(unit, 0)


@given(price=st.integers(1, 10**7), numerator=st.integers(1, 10**4), denominator=st.integers(1, 10**4))
def test_thresholds_and_bases_convert_at_the_rate_frozen_at_purchase(price: int, numerator: int, denominator: int) -> None:
    now = books(a_programme(rules=[{"id": "p", "award": {"unit": "points", "rate": 100}}]))
    rate = Rate(numerator, denominator, "bank")
    now.take(stated(an_order("1", 0, a_line(price=price), currency="EUR", rate=rate)))
    expected = (2 * price * numerator + denominator) // (2 * denominator)
    assert now.member.spend == expected
    assert sum(lot.remaining for lot in now.member.lots) == expected


def test_an_order_in_a_currency_without_a_rate_is_refused_not_taken_one_to_one() -> None:
    now = books(a_programme())
    answer = now.take(stated(an_order("1", 0, a_line(), currency="EUR")))
    assert answer.refusal is not None
    assert answer.refusal.reason is Reason.CURRENCY_WITHOUT_RATE
    assert now.transfers == []
