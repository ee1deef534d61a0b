"""Law 20: every entry names its cause; `explain` retells it, what was refused, and the nearest change that would have qualified."""

import random

import msgspec
from builders import PROGRAMMES, Data, a_line, a_programme, a_unit, an_order, purchase_rule, some_lines, some_programme
from hypothesis import given
from hypothesis import strategies as st

from regulars.kernel.ids import MemberId
from regulars.kernel.money import Money
from regulars.kernel.time import DAY, Instant
from regulars.ledger.transfers import Transfer
from regulars.locale import speak
from regulars.programme.definition import Programme
from regulars.programme.explain import Passage, Told, explain_member, explain_order
from regulars.programme.facts import Order
from regulars.programme.history import History, Returned
from regulars.simulation.figures import Figures
from regulars.simulation.replay import Assumptions, replay_member


def told(of: Programme, orders: list[Order], returns: tuple[Returned, ...] = ()) -> list[Told]:
    history: list[Told] = []
    assumptions = Assumptions(Instant(400 * DAY), "greedy", "last-purchase-first")
    replay_member(of, History(MemberId("anna"), tuple(orders), returns), assumptions, Figures(), history.append)
    return history


def flat(passages: list[Passage] | tuple[Passage, ...]) -> list[Passage]:
    return [one for passage in passages for one in (passage, *flat(passage.details))]


def find(passages: list[Passage], key: str) -> list[Passage]:
    return [passage for passage in flat(passages) if passage.text.key == key]


@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(PROGRAMMES)))
def test_every_move_of_value_is_told_with_its_amount_and_every_rule_gave_or_says_why_not(seed: int, name: str) -> None:
    dice = random.Random(seed)
    of = some_programme(name)
    orders = [an_order(f"o{n}", n * 9 * DAY, *some_lines(dice)) for n in range(5)]
    back = tuple(Returned(f"r{n}", Instant((n * 10 + 3) * DAY), ((dice.choice("abcd"), dice.randint(1, 3)),)) for n in range(4))
    history = told(of, orders, back)
    story = flat(explain_member(of, history))
    moved = sorted(e.amount for t in history for e in t.decision.effects if isinstance(e, Transfer))
    assert (
        sorted(int(p.text.args["amount"]) for p in story if p.text.key.startswith("move.") or p.text.key == "redemption.granted") == moved
    )  # type: ignore[arg-type]
    for order in orders:
        passages = explain_order(of, history, order.key)
        placed = find(passages, "order.placed")
        gave = {str(p.text.args["rule"]) for p in flat(placed[0].details) if "rule" in p.text.args and p.text.key != "rule.silent"}
        silent = {str(p.text.args["rule"]) for p in find(placed, "rule.silent")}
        assert gave | silent == {rule.id for rule in of.latest.ready}
        assert not gave & silent
        for passage in flat(passages):
            assert speak(passage.text)


def an_example(rules: list[Data], price: int, **keys: Data) -> list[Passage]:
    of = a_programme(rules=rules, **keys)
    return explain_order(of, told(of, [an_order("1", 0, a_line("tea", 2, price), a_line("cup", 1, 500))]), "shop:1")


def test_an_award_tells_version_rule_basis_per_line_rate_rounding_lot_and_dates() -> None:
    sentences = [speak(p.text) for p in flat(an_example([purchase_rule()], 1250, units={"points": a_unit(expiry={"after": "6 months"})}))]
    assert "Rule purchase (version 1) gives 30 points on PLN30.00" in sentences
    assert "2 x tea: paid PLN25.00, 25 points" in sentences
    assert "1 x cup: paid PLN5.00, 5 points" in sentences
    assert "Rate: 1 points for each whole PLN1.00, makes 30" in sentences
    assert "Rounded down, once for the order" in sentences
    assert "Lot shop:1:points: usable from 1 Jan 1970, 00:00, gone at 2 Jul 1970, 00:00" in sentences


def test_a_rule_that_did_not_fire_tells_what_was_wanted_and_how_much_more_would_have_been_enough() -> None:
    big = {"id": "big", "if": {"op": "at_least", "fact": "order.total", "value": "50.00"}, "multiply": {"unit": "points", "by": 2}}
    passages = an_example([purchase_rule(), big], 1250)
    assert find(passages, "rule.silent")[0].text.args == {"rule": "big"}
    assert find(passages, "condition.short")[0].text.args == {"short": Money(2000, "PLN")}
    assert "order.total is PLN30.00; at least PLN50.00 is wanted" in [speak(p.text) for p in flat(passages)]


def test_a_step_finer_than_the_currency_is_told_as_it_was_written() -> None:
    passages = an_example([purchase_rule(amount=1, per="0.005")], 1250)
    assert "Rate: 1 points for each whole 0.005 PLN, makes 6,000" in [speak(passage.text) for passage in flat(passages)]


def test_an_order_too_small_for_its_first_point_tells_how_much_was_missing() -> None:
    passages = an_example([purchase_rule(amount=1, per="40.00")], 1250)
    assert find(passages, "reason.no_effect")
    assert find(passages, "condition.short")[0].text.args == {"short": Money(1000, "PLN")}


@given(total=st.integers(0, 20_000), bound=st.integers(1, 20_000), op=st.sampled_from(["at_least", "above"]))
def test_the_nearest_change_is_exactly_enough(total: int, bound: int, op: str) -> None:
    rule = {
        "id": "big",
        "if": {"op": op, "fact": "order.total", "value": f"{bound // 100}.{bound % 100:02}"},
        "award": {"unit": "points", "amount": 1},
    }
    of = a_programme(rules=[rule])
    order = an_order("1", 0, a_line(price=total))
    short = find(explain_order(of, told(of, [order]), order.key), "condition.short")
    if not short:
        return
    more = short[0].text.args["short"]
    assert isinstance(more, Money)
    for extra, fires in ((more.minor, True), (more.minor - 1, False)):
        again = msgspec.structs.replace(order, lines=(a_line(price=total + extra),))
        history = told(of, [again])
        assert bool(history[-1].decision.order.awards) is fires  # type: ignore[union-attr]


def test_a_refused_payment_tells_its_reason() -> None:
    from builders import books, paying

    from regulars.programme.decide import decide
    from regulars.programme.dossier import EMPTY

    of = a_programme()
    fact = paying(an_order("1", 0, a_line()), 5, 1000)
    passages = explain_order(of, [Told(fact, decide(of, books(of).member, EMPTY, fact))], "shop:1")
    assert [speak(p.text) for p in flat(passages)] == [
        "A payment with 5 points, 1 Jan 1970, 00:00, was refused",
        "5 is more than the balance of 0",
    ]
