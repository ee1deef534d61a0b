"""Transfers: what one account gives another takes, so all accounts of a unit sum to zero."""

from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import UnitId
from regulars.kernel.time import Instant
from regulars.ledger.accounts import MEMBER_ACCOUNTS, Account, Movement
from regulars.ledger.transfers import Transfer, balances

POINTS = UnitId("points")

moves = st.builds(
    Transfer,
    movement=st.sampled_from(Movement),
    unit=st.sampled_from([POINTS, UnitId("stamps")]),
    source=st.sampled_from(Account),
    target=st.sampled_from(Account),
    amount=st.integers(1, 10**12),
    value_at=st.integers(0, 10**15).map(Instant),
    cause=st.just("shop:1"),
)


@given(st.lists(moves))
def test_all_accounts_of_a_unit_sum_to_zero_whatever_moves(transfers: list[Transfer]) -> None:
    sums = balances(transfers)
    for unit in {move.unit for move in transfers}:
        assert sum(amount for (of, _), amount in sums.items() if of == unit) == 0


@given(st.lists(moves), st.lists(moves))
def test_balances_do_not_depend_on_the_order_of_the_transfers(some: list[Transfer], others: list[Transfer]) -> None:
    together = balances(some + others)
    assert together == balances(others + some)
    assert all(together[key] == balances(some)[key] + balances(others)[key] for key in together)


def test_an_accrual_leaves_the_member_what_the_house_issued() -> None:
    sums = balances([Transfer(Movement.ACCRUAL, POINTS, Account.ISSUED, Account.ACTIVE, 37, Instant(0), "shop:1")])
    assert sums == {(POINTS, Account.ISSUED): -37, (POINTS, Account.ACTIVE): 37}


def test_the_accounts_of_a_member_are_told_by_their_names() -> None:
    assert all(str(account).startswith("member.") is (account in MEMBER_ACCOUNTS) for account in Account)
