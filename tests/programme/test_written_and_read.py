"""What the engine remembers survives being written and read: facts, states, books, and what a decision leaves behind."""

import random
from typing import Any

import msgspec
from builders import PROGRAMMES, books, holding, live, some_history, some_programme, status
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import FactId, MemberId
from regulars.kernel.time import DAY, Instant
from regulars.programme.dossier import Dossier, OrderBook
from regulars.programme.effects import Effect
from regulars.programme.facts import MemberAbsorbed, MemberMerged, MergeRestored, MergeUndone, OrderStated, Remembered
from regulars.programme.member import MemberState
from regulars.programme.reasons import Refusal


def again(value: Any, kind: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(PROGRAMMES)))
def test_facts_states_books_and_decisions_are_the_same_after_being_written_and_read(seed: int, name: str) -> None:
    dice = random.Random(seed)
    now = live(some_programme(name), some_history(dice), dice)
    at = now.member.clock
    order = next(fact.order for fact in now.facts if isinstance(fact, OrderStated))
    now.take(holding(msgspec.structs.replace(order, id="cart"), 1, 10_000, at + DAY, at))
    now.take(status("suspended", at + 1))
    for fact in now.facts:
        assert again(fact, Remembered) == fact
    assert again(now.member, MemberState) == now.member
    for book in now.now.orders.values():
        assert again(book, OrderBook) == book
        assert again(Dossier(book, (book,), "captured", {"rule:x": 3}), Dossier) == Dossier(book, (book,), "captured", {"rule:x": 3})

    def hear(_: Any, decision: Any) -> None:
        assert again(decision.effects, list[Effect]) == decision.effects
        assert again(decision.refusal, Refusal | None) == decision.refusal
        assert again(decision.limited, tuple[Refusal, ...]) == decision.limited
        assert again(decision.ended, tuple[tuple[str, str], ...]) == decision.ended

    now.folded_again(hear)


def test_the_facts_of_a_pair_are_the_same_after_being_written_and_read() -> None:
    state = live(some_programme("levels"), some_history(random.Random(3)), random.Random(3)).member
    one = FactId("1")
    pair: list[Remembered] = [
        MemberMerged(one, state, "eva", Instant(1), Instant(2)),
        MemberAbsorbed(one, MemberId("m"), "eva", Instant(1), Instant(2)),
        MergeUndone(one, one, state, "eva", Instant(1), Instant(2)),
        MergeRestored(one, state, "eva", Instant(1), Instant(2)),
    ]
    for fact in pair:
        assert again(fact, Remembered) == fact


def test_what_stands_at_its_default_is_not_written_but_the_epoch_always_is() -> None:
    written = msgspec.json.decode(msgspec.json.encode(books(some_programme("plain")).member))
    assert set(written) == {"id", "engine_epoch", "state_schema"}
