"""Law 8: the lot that expires first is spent first, then the oldest; allocations are recorded; no balance goes below zero by spending."""

import random

import pytest
from builders import (
    a_line,
    a_programme,
    a_unit,
    an_order,
    balance,
    books,
    changed,
    live,
    paying,
    purchase_rule,
    some_history,
    some_programme,
    stated,
)
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY
from regulars.ledger.accounts import Account, Movement
from regulars.ledger.lots import Lot


def by_expiry(lot: Lot) -> tuple[int, int]:
    return lot.expires_at, lot.earned_at


def by_age(lot: Lot) -> int:
    return lot.earned_at


points = st.lists(st.integers(1, 500), min_size=1, max_size=8)


@pytest.mark.parametrize(("policy", "order"), [("expiry_first", by_expiry), ("oldest_first", by_age)])
@given(earned=points, share=st.integers(1, 100), seed=st.integers(0, 999))
def test_lots_are_spent_in_the_programmes_order_and_allocations_say_so(
    policy: str, order, earned: list[int], share: int, seed: int
) -> None:
    """Two units of different life share the books; only the asked one pays."""
    dice = random.Random(seed)
    of = a_programme(
        {"version": 1, "units": {"points": a_unit(expiry={"after": "200 days"})}, "policies": {"lot_order": policy}},
        {
            "version": 2,
            "applies_from": "1970-01-05",
            "units": {"points": a_unit(expiry={"after": "60 days"})},
            "policies": {"lot_order": policy},
        },
    )
    now = books(of)
    for i, amount in enumerate(earned):
        now.take(stated(an_order(f"o{i}", i * DAY + dice.randrange(DAY), a_line(price=amount * 100))))
    ask = max(1, sum(earned) * share // 100)
    before = {lot.id: lot for lot in now.member.lots}
    last = an_order("last", 30 * DAY, a_line(price=10**7))
    assert now.take(paying(last, ask, 10**7)).granted == ask
    parts = next(t for t in now.transfers if t.movement is Movement.REDEMPTION).allocations
    assert sum(part.amount for part in parts) == ask
    wanted, left = [], ask
    for lot in sorted(before.values(), key=order):
        if left:
            wanted.append((lot.id, min(left, lot.remaining)))
            left -= wanted[-1][1]
    assert [(part.lot.id, part.amount) for part in parts] == wanted


@given(seed=st.integers(0, 2**32), name=st.sampled_from(["plain", "short lives", "levels", "multiples"]))
def test_spending_never_takes_an_account_below_zero(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    held = {Account.ACTIVE: 0, Account.PENDING: 0}
    for transfer in now.transfers:
        if transfer.unit == "points":
            for account, sign in ((transfer.source, -1), (transfer.target, 1)):
                if account in held:
                    held[account] += sign * transfer.amount
        assert min(held.values()) >= 0
    assert all(lot.remaining > 0 for lot in now.member.lots)


def test_a_member_in_debt_cannot_spend() -> None:
    now = books(a_programme(rules=[purchase_rule()]))
    first, second = an_order("1", 0, a_line(price=10_000)), an_order("2", DAY, a_line(price=5_000))
    now.take(stated(first))
    now.take(paying(second, 50, 5_000))
    now.take(stated(second))
    now.take(stated(changed(first), 2 * DAY))
    assert balance(now) == 49 - 50
    assert now.take(paying(an_order("3", 3 * DAY, a_line()), 1, 1000)).granted == 0
