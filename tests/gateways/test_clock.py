"""The clock goes forward only, the machine's as well as the one that is set by hand."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from regulars.gateways.clock import Clock, SetClock, SystemClock
from regulars.kernel.errors import Invalid
from regulars.kernel.time import DAY, Instant


@pytest.mark.parametrize("clock", [SystemClock(), SetClock(Instant(0))], ids=["system", "set"])
def test_each_answer_is_later_than_the_one_before(clock: Clock) -> None:
    answers = [clock.now() for _ in range(10_000)]
    assert all(earlier < later for earlier, later in pairwise(answers))


def test_threads_and_several_clocks_never_get_the_same_instant() -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = [answer for batch in pool.map(lambda _: [SystemClock().now() for _ in range(1000)], range(8)) for answer in batch]
    assert len(set(answers)) == len(answers)


def test_a_machine_whose_clock_is_set_back_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = SystemClock().now()
    monkeypatch.setattr(time, "time_ns", lambda: (before - DAY) * 1000)
    assert [SystemClock().now() for _ in range(3)] == [before + 1, before + 2, before + 3]


def test_the_system_clock_counts_microseconds_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    at = SystemClock().now() + DAY
    monkeypatch.setattr(time, "time_ns", lambda: at * 1000 + 999)
    monkeypatch.setattr(SystemClock, "_last", Instant(0))
    assert SystemClock().now() == at


def test_a_set_clock_goes_where_it_is_told_and_a_microsecond_each_time() -> None:
    clock = SetClock(Instant(1000))
    assert [clock.now(), clock.now()] == [1000, 1001]
    clock.advance(DAY)
    assert clock.now() == 1002 + DAY
    clock.set(Instant(5 * DAY))
    assert [clock.now(), clock.now()] == [5 * DAY, 5 * DAY + 1]


def test_a_set_clock_does_not_go_back() -> None:
    clock = SetClock(Instant(1000))
    clock.now()
    with pytest.raises(Invalid, match="has passed"):
        clock.set(Instant(1000))
    with pytest.raises(Invalid, match="has passed"):
        clock.advance(-1)
