"""The statement: running balances that end at what the member holds, and a proof that finds what does not add up."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import LotId, UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Lot
from regulars.ledger.statement import reconcile, statement
from regulars.ledger.transfers import Transfer

POINTS, STAMPS = UnitId("points"), UnitId("stamps")


def a_move(movement: Movement, source: Account, target: Account, amount: int, at: int = 0, unit: UnitId = POINTS) -> Transfer:
    return Transfer(movement, unit, source, target, amount, Instant(at), "shop:1")


def a_lot(remaining: int, pending: bool = False, unit: UnitId = POINTS) -> Lot:
    return Lot(LotId(f"{unit}{pending}"), unit, remaining, Instant(0), Instant(1), Instant(9), pending)


HISTORY = [
    a_move(Movement.ACCRUAL, Account.ISSUED, Account.PENDING, 100, 1),
    a_move(Movement.ACCRUAL, Account.ISSUED, Account.ACTIVE, 7, 1, STAMPS),
    a_move(Movement.ACTIVATION, Account.PENDING, Account.ACTIVE, 60, 2),
    a_move(Movement.REDEMPTION, Account.ACTIVE, Account.REDEEMED, 25, 3),
    a_move(Movement.REVERSAL, Account.DEBT, Account.CLAWED_BACK, 5, 4),
]
LOTS = [a_lot(35), a_lot(40, pending=True), a_lot(7, unit=STAMPS)]
DEBT = {POINTS: 5}


def test_each_line_shows_what_changed_and_what_the_member_holds_after_it() -> None:
    lines = [(line.movement, line.active_change, line.pending_change, line.active, line.pending) for line in statement(HISTORY, POINTS)]
    assert lines == [
        (Movement.ACCRUAL, 0, 100, 0, 100),
        (Movement.ACTIVATION, 60, -60, 60, 40),
        (Movement.REDEMPTION, -25, 0, 35, 40),
        (Movement.REVERSAL, 0, 0, 35, 40),
    ]


def test_the_statement_of_another_unit_is_its_own() -> None:
    assert [(line.active, line.value_at) for line in statement(HISTORY, STAMPS)] == [(7, 1)]
    assert statement(HISTORY, UnitId("miles")) == []


@given(st.lists(st.tuples(st.sampled_from([Account.PENDING, Account.ACTIVE]), st.integers(1, 1000))))
def test_the_last_line_is_the_sum_of_all_changes(awards: list[tuple[Account, int]]) -> None:
    lines = statement([a_move(Movement.ACCRUAL, Account.ISSUED, account, amount) for account, amount in awards], POINTS)
    assert [line.active for line in lines[-1:]] == [sum(line.active_change for line in lines)][: len(lines)]
    assert [line.pending for line in lines[-1:]] == [sum(line.pending_change for line in lines)][: len(lines)]


def test_books_that_add_up_show_no_difference() -> None:
    assert reconcile(HISTORY, LOTS, DEBT) == {}
    assert reconcile([], [], {}) == {}


@pytest.mark.parametrize(("lot", "where"), [(0, "points/member.active"), (1, "points/member.pending"), (2, "stamps/member.active")])
def test_a_lot_that_lost_one_point_is_found(lot: int, where: str) -> None:
    lots = [msgspec.structs.replace(known, remaining=known.remaining - (i == lot)) for i, known in enumerate(LOTS)]
    assert reconcile(HISTORY, lots, DEBT) == {where: 1}


@pytest.mark.parametrize("missing", range(5))
def test_a_movement_that_is_missing_is_found(missing: int) -> None:
    assert reconcile(HISTORY[:missing] + HISTORY[missing + 1 :], LOTS, DEBT)


def test_a_lot_and_a_debt_that_no_movement_explains_are_found() -> None:
    assert reconcile([], [a_lot(3)], {}) == {"points/member.active": -3}
    assert reconcile([], [], {STAMPS: 5}) == {"stamps/member.debt": 5}
    assert reconcile(HISTORY, LOTS, {}) == {"points/member.debt": -5}
