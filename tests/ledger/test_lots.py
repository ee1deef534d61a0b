"""Lots: never more is taken than lies there, in the order of spending, and what comes back in steps comes back as at once."""

from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import LotId, UnitId
from regulars.kernel.time import NEVER, Instant
from regulars.ledger.lots import (
    Allocation,
    Lot,
    activated,
    active_balance,
    expiry_first,
    last_taken,
    next_due,
    oldest_first,
    pending_balance,
    replace_remaining,
    take,
    with_lot,
)

POINTS, STAMPS = UnitId("points"), UnitId("stamps")


def a_lot(id: str, remaining: int = 100, earned: int = 0, expires: int = 1000, unit: UnitId = POINTS, pending: bool = False) -> Lot:
    return Lot(LotId(id), unit, remaining, Instant(earned), Instant(earned + 5), Instant(expires), pending)


def anything(lot: Lot) -> bool:
    return True


@st.composite
def some_lots(draw: st.DrawFn) -> tuple[Lot, ...]:
    shape = st.tuples(st.integers(1, 500), st.integers(0, 50), st.integers(60, 90), st.sampled_from([POINTS, STAMPS]), st.booleans())
    return tuple(a_lot(f"lot{i}", *rest) for i, rest in enumerate(draw(st.lists(shape, max_size=8))))


@given(some_lots(), st.integers(0, 3000))
def test_never_more_is_taken_than_asked_or_than_there_is(lots: tuple[Lot, ...], amount: int) -> None:
    kept, taken = take(lots, POINTS, amount, lambda lot: not lot.is_pending)
    assert sum(part.amount for part in taken) == min(amount, active_balance(lots, POINTS))
    assert active_balance(kept, POINTS) == active_balance(lots, POINTS) - sum(part.amount for part in taken)
    assert pending_balance(kept, POINTS) == pending_balance(lots, POINTS)
    assert [lot for lot in kept if lot.unit == STAMPS] == [lot for lot in lots if lot.unit == STAMPS]
    assert all(lot.remaining > 0 for lot in kept)
    assert all(0 < part.amount <= part.lot.remaining for part in taken)


@given(some_lots(), st.integers(0, 3000))
def test_lots_are_emptied_from_front_to_back(lots: tuple[Lot, ...], amount: int) -> None:
    kept, taken = take(lots, POINTS, amount, anything)
    of_points = [lot for lot in lots if lot.unit == POINTS]
    assert [part.lot for part in taken] == of_points[: len(taken)]
    assert all(part.amount == part.lot.remaining for part in taken[:-1])
    assert [lot.id for lot in kept] == [lot.id for lot in lots if lot.id in {left.id for left in kept}]


def test_the_lot_that_is_not_emptied_keeps_its_dates() -> None:
    kept, taken = take((a_lot("old", 30, expires=500), a_lot("new", 50, expires=900)), POINTS, 40, anything)
    assert kept == (a_lot("new", 40, expires=900),)
    assert taken == (Allocation(a_lot("old", 30, expires=500), 30), Allocation(a_lot("new", 50, expires=900), 10))


def test_asking_for_nothing_or_less_takes_nothing() -> None:
    lots = (a_lot("a"),)
    assert take(lots, POINTS, 0, anything) == (lots, ())
    assert take(lots, POINTS, -5, anything) == (lots, ())
    assert last_taken((Allocation(a_lot("a"), 5),), -5) == ((Allocation(a_lot("a"), 5),), ())


def by_lot(allocations: tuple[Allocation, ...]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in allocations:
        sums[part.lot.id] = sums.get(part.lot.id, 0) + part.amount
    return sums


@given(some_lots(), st.integers(0, 3000), st.lists(st.integers(0, 400), max_size=6))
def test_giving_back_in_steps_ends_where_giving_back_at_once_ends(lots: tuple[Lot, ...], amount: int, steps: list[int]) -> None:
    _, taken = take(lots, POINTS, amount, anything)
    left, in_steps = taken, ()
    for step in steps:
        left, back = last_taken(left, step)
        in_steps += back
    at_once = last_taken(taken, sum(steps))
    assert left == at_once[0]
    assert by_lot(in_steps) == by_lot(at_once[1])
    assert sum(by_lot(in_steps).values()) == min(sum(steps), sum(by_lot(taken).values()))


def test_what_was_taken_last_goes_back_first() -> None:
    first, second = Allocation(a_lot("first", 30), 30), Allocation(a_lot("second", 50), 10)
    assert last_taken((first, second), 15) == (
        (Allocation(first.lot, 25),),
        (Allocation(second.lot, 10), Allocation(first.lot, 5)),
    )


@given(some_lots(), st.sampled_from([expiry_first, oldest_first]))
def test_a_new_lot_finds_its_place_in_the_order_of_spending(lots: tuple[Lot, ...], order: object) -> None:
    kept: tuple[Lot, ...] = ()
    for lot in lots:
        kept = with_lot(kept, lot, order)  # type: ignore[arg-type]
    assert list(kept) == sorted(lots, key=order)  # type: ignore[call-overload]


@given(some_lots(), st.integers(0, 7), st.integers(1, 100))
def test_value_for_an_open_lot_is_added_to_it(lots: tuple[Lot, ...], which: int, more: int) -> None:
    for lot in lots[which : which + 1]:
        kept = with_lot(lots, replace_remaining(lot, more), expiry_first)
        assert len(kept) == len(lots)
        assert kept[which] == replace_remaining(lot, lot.remaining + more)


def test_the_pending_and_the_active_part_of_one_award_stay_apart() -> None:
    pending = a_lot("award", 10, pending=True)
    kept = with_lot((pending,), activated(replace_remaining(pending, 4)), expiry_first)
    assert (active_balance(kept, POINTS), pending_balance(kept, POINTS)) == (4, 10)


def test_the_lot_that_expires_first_is_spent_first_then_the_oldest() -> None:
    lots = [a_lot("c", earned=1, expires=900), a_lot("b", earned=2, expires=800), a_lot("a", earned=1, expires=800)]
    assert [lot.id for lot in sorted(lots, key=expiry_first)] == ["a", "b", "c"]
    assert [lot.id for lot in sorted(lots, key=oldest_first)] == ["a", "c", "b"]


def test_time_next_touches_the_lot_that_activates_or_expires_first() -> None:
    assert next_due(()) == NEVER
    assert next_due((a_lot("a", earned=100, expires=700), a_lot("b", earned=100, expires=900, pending=True))) == 105
    assert a_lot("a", earned=100, expires=700).due_at == 700
    assert a_lot("b", earned=100, expires=900, pending=True).due_at == 105
