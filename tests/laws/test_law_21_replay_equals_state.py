"""Law 21: replaying a member's facts from nothing gives exactly the stored state, and `decide` changes nothing that it is given."""

import random

import msgspec
import pytest
from builders import PROGRAMMES, live, some_history, some_programme
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.time import DAY, Instant
from regulars.programme.decide import decide
from regulars.programme.facts import OrderStated
from regulars.programme.fold import differences, dossier_of
from regulars.programme.member import ENGINE_EPOCH, STATE_SCHEMA, MemberState

seeds, names = st.integers(0, 2**32), st.sampled_from(sorted(PROGRAMMES))


@given(seed=seeds, name=names)
def test_folding_the_facts_from_nothing_gives_the_incremental_state(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    again = now.folded_again()
    assert msgspec.json.encode(again.member) == msgspec.json.encode(now.member)
    assert again.orders == now.now.orders
    assert again.ended == now.now.ended
    assert differences(now.transfers, again.transfers) == []


@pytest.mark.slow
@pytest.mark.parametrize("thousand", range(20))
def test_twenty_thousand_histories_replayed_from_nothing_equal_the_incremental_state(thousand: int) -> None:
    every = [some_programme(name) for name in PROGRAMMES]
    for seed in range(thousand * 1000, thousand * 1000 + 1000):
        dice = random.Random(seed)
        now = live(every[seed % len(every)], some_history(dice), dice)
        again = now.folded_again()
        assert again.member == now.member, seed
        assert again.orders == now.now.orders, seed


@given(seed=seeds, name=names)
def test_decide_leaves_state_and_books_as_they_were(seed: int, name: str) -> None:
    dice = random.Random(seed)
    of = some_programme(name)
    now = live(of, some_history(dice), dice)
    for fact in now.facts:
        late = msgspec.structs.replace(fact, occurred_at=Instant(300 * DAY), recorded_at=Instant(300 * DAY))
        if isinstance(late, OrderStated):
            order = msgspec.structs.replace(late.order, sequence=99, lines=())
            late = msgspec.structs.replace(late, order=order)
        dossier = dossier_of(of, now.now, late)
        before = msgspec.json.encode((now.member, dossier, late))
        first = decide(of, now.member, dossier, late)
        assert msgspec.json.encode((now.member, dossier, late)) == before
        assert decide(of, now.member, dossier, late) == first


@given(seed=seeds, name=names)
def test_state_survives_being_written_and_read(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    read = msgspec.json.decode(msgspec.json.encode(now.member), type=MemberState)
    assert read == now.member
    assert (read.engine_epoch, read.state_schema) == (ENGINE_EPOCH, STATE_SCHEMA)
