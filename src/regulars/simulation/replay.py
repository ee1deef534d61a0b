"""Replay: a draft programme over a shop's own past, by the very functions that will serve it live.

The replay plays the shop: it quotes each order, takes the discounts off, lets the member pay with value if so assumed, and states the
order. Members' behaviour is assumed unchanged. Where rules have limits, members share what there is, and are replayed in order of time.
Invariant: nothing here decides; every figure comes out of `decide` and `quote`.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from regulars.kernel.amount import Rounding, rounded
from regulars.kernel.ids import FactId, MemberId
from regulars.kernel.time import Instant, local_day
from regulars.ledger.accounts import Movement
from regulars.ledger.lots import active_balance
from regulars.ledger.transfers import Transfer
from regulars.programme.decide import Decision
from regulars.programme.definition import Programme, Version
from regulars.programme.dossier import EMPTY, OrderBook
from regulars.programme.effects import GrantPerk, RevokePerk
from regulars.programme.entitlement import situation_of
from regulars.programme.explain import Told
from regulars.programme.facts import Order, OrderStated, TimePassed, ValueRedeemed
from regulars.programme.fold import dossier_for
from regulars.programme.history import History, Returned
from regulars.programme.mechanics import points
from regulars.programme.member import MemberState
from regulars.programme.quote import Priced, discounted, payable
from regulars.simulation.capacities import Capacities, decide_within
from regulars.simulation.figures import Drawn, Figures
from regulars.simulation.returns import Kept


class Assumptions(msgspec.Struct, frozen=True):
    """What the history does not tell: whether members spend, what became of returned goods, whether the programme's discounts come off
    (``give``) or the orders stand as they were paid (``as-paid``), and when the figures are taken."""

    as_of: Instant
    redeem: Literal["never", "greedy"] = "never"
    returns: Literal["ignore", "last-purchase-first"] = "ignore"
    discounts: Literal["give", "as-paid"] = "give"


Listener = Callable[[Told], None]
Event = Order | Returned
When = tuple[Instant, int, str]


NOBODY: Mapping[MemberId, Listener] = MappingProxyType({})


def replay(
    programme: Programme,
    histories: Iterable[History],
    assumptions: Assumptions,
    figures: Figures,
    listeners: Mapping[MemberId, Listener] = NOBODY,
) -> None:
    """Replay into ``figures``; ``listeners`` are told of each fact of their member with its decision.

    Member by member, with one in memory at a time. Where rules have limits, all members in order of time: who came first gets what there
    is, as it would have happened, and all of them are in memory.
    """
    if programme.capacities:
        _replay_in_time_order(programme, histories, assumptions, figures, listeners)
    else:
        for history in histories:
            replay_member(programme, history, assumptions, figures, listeners.get(history.member))
    figures.settle_flows()


def replay_member(
    programme: Programme, history: History, assumptions: Assumptions, figures: Figures, listener: Listener | None = None
) -> None:
    """Replay one member, who has every limit to themselves; ``listener`` is told of each fact with its decision."""
    shop = Shop(programme, history, assumptions, figures, listener, Capacities(programme.capacities) if programme.capacities else None)
    for event in events_of(history, assumptions, figures):
        shop.meet(event)
    shop.close(assumptions.as_of)


def _replay_in_time_order(
    programme: Programme,
    histories: Iterable[History],
    assumptions: Assumptions,
    figures: Figures,
    listeners: Mapping[MemberId, Listener],
) -> None:
    capacities = Capacities(programme.capacities)
    shops, streams = [], []
    for history in histories:
        shop = Shop(programme, history, assumptions, figures, listeners.get(history.member), capacities)
        shops.append(shop)
        streams.append(_met_by(shop, events_of(history, assumptions, figures)))
    for _, _, shop, event in heapq.merge(*streams, key=lambda met: met[:2]):
        shop.meet(event)
    for shop in shops:
        shop.close(assumptions.as_of)
    figures.limits = {name: Drawn(most, capacities.drawn[name]) for name, most in capacities.most.items()}


def _met_by(shop: "Shop", events: list[Event]) -> Iterator[tuple[When, MemberId, "Shop", Event]]:
    return ((_when(event), shop.member.id, shop, event) for event in events)


def events_of(history: History, assumptions: Assumptions, figures: Figures) -> list[Event]:
    """What happened to one member before the day of the figures, in order of time."""
    as_of = assumptions.as_of
    events: list[Event] = [order for order in history.orders if order.placed_at < as_of]
    figures.orders_after_as_of += len(history.orders) - len(events)
    if assumptions.returns != "ignore" and history.returns:
        events += [back for back in history.returns if back.at < as_of]
        events.sort(key=_when)
    return events


def bought(books: Iterable[OrderBook]) -> list[tuple[Order, Order]]:
    """The purchases of ``books`` in order of time, each with how it stands."""
    pairs = [(book.purchase, book.state) for book in books if book.purchase is not None and book.state is not None]
    return sorted(pairs, key=lambda pair: _when(pair[0]))


def _numbered(order: Order) -> Order:
    """``order`` with new ids for its lines, some of which became one."""
    return msgspec.structs.replace(order, lines=tuple(msgspec.structs.replace(x, id=str(n)) for n, x in enumerate(order.lines, 1)))


def order_total(order: Order) -> int:
    """The shown price of the whole order in whole minor units, before anything comes off or back."""
    return rounded(sum([line.amount for line in order.lines]), order.scale, Rounding.HALF_UP)


def _when(event: Event) -> When:
    if isinstance(event, Order):
        return (event.placed_at, 0, event.id)
    return (event.at, 1, event.id)


class Shop:
    """The shop as one member meets it, with their state and the books of their orders."""

    __slots__ = ("_assumptions", "_capacities", "_figures", "_kept", "_listener", "_orders", "_perks", "_programme", "_zone", "member")

    def __init__(
        self,
        programme: Programme,
        history: History,
        assumptions: Assumptions,
        figures: Figures,
        listener: Listener | None,
        capacities: Capacities | None,
    ) -> None:
        """A member without a past."""
        self.member = MemberState(history.member)
        self._programme = programme
        self._assumptions = assumptions
        self._figures = figures
        self._listener = listener
        self._capacities = capacities
        self._orders: dict[str, OrderBook] = {}
        self._kept = Kept() if assumptions.returns != "ignore" and history.returns else None
        self._perks = 0
        self._zone = programme.latest.zone

    def resume(self, member: MemberState, books: Iterable[OrderBook]) -> None:
        """The member has a past: they stand so, with these orders."""
        self.member = member
        self._orders = {book.key: book for book in books}
        if self._kept is not None:
            for purchase, state in bought(self._orders.values()):
                self._kept.know(purchase, state)

    def meet(self, event: Event) -> None:
        """The member buys, or brings goods back."""
        if isinstance(event, Order):
            self.sell(event)
        else:
            self.take_back(event)

    def sell(self, order: Order) -> None:
        """The member buys: discounts, payment with value, the order."""
        figures, at = self._figures, order.placed_at
        priced = Priced(order)
        version = self._programme.at(at)
        if version is not None and order.currency == version.currency:
            if self.member.due_at <= at:
                self._decide(TimePassed(at))
            figures.revenue_minor += order_total(order)
            if version.discounts and self._assumptions.discounts == "give":
                priced = discounted(version, order, situation_of(self.member))
                figures.discount_minor += sum(one.amount for one in priced.applied)
                order = _numbered(priced.order) if len(priced.order.lines) < len(order.lines) else priced.order
            if self._assumptions.redeem == "greedy" and self.member.lots:
                self._pay(version, order)
        decision = self._decide(OrderStated(FactId(f"{order.key}#1"), order, at, at), priced)
        if decision.refusal is not None:
            figures.refused[decision.refusal.reason] += 1
            return
        figures.orders += 1
        if decision.order is not None and not any(award.amount for award in decision.order.awards):
            figures.orders_without_points += 1
        if self._kept is not None:
            self._kept.buy(order)

    def take_back(self, returned: Returned) -> None:
        """Goods come back: each order that they came from is stated anew."""
        assert self._kept is not None
        if self.member.due_at <= returned.at:
            self._decide(TimePassed(returned.at))
        for state in self._kept.take_back(returned):
            fact = OrderStated(FactId(f"{state.key}#{state.sequence}"), state, returned.at, returned.at)
            self._decide(fact)

    def close(self, as_of: Instant) -> None:
        """Whatever is due by ``as_of`` takes effect; then the member is counted."""
        if self.member.due_at <= as_of:
            self._decide(TimePassed(as_of))
        figures = self._figures
        if self._orders:
            figures.close_member(self.member)
        if self._perks:
            figures.members_with_perks += 1
            figures.perks += self._perks
        if self._kept is not None:
            figures.returned_units_matched += self._kept.units_matched
            figures.returned_units_unmatched += self._kept.units_unmatched
            figures.orders_fully_returned += self._kept.orders_fully_returned()

    def _pay(self, version: Version, order: Order) -> None:
        """Spend as much as is allowed, of the first unit that allows any."""
        for purse in version.purses.values():
            balance = active_balance(self.member.lots, purse.unit)
            if balance < purse.step:
                continue
            eligible = payable(version, order, purse)
            most, _ = points.allowed(purse, balance, eligible)
            if most:
                at = order.placed_at
                self._decide(ValueRedeemed(FactId(f"{order.key}#pay"), order.key, purse.unit, most, eligible, at, at))
                self._figures.unit(purse.unit).redeemed_minor += purse.money(most)
                return

    def _decide(self, fact: OrderStated | ValueRedeemed | TimePassed, priced: Priced | None = None) -> Decision:
        orders = self._orders
        if isinstance(fact, TimePassed):
            dossier = EMPTY
        else:
            dossier = dossier_for(self._programme, orders, fact)
        decision = decide_within(self._capacities, self._programme, self.member, dossier, fact)
        self.member = decision.member
        if decision.order is not None:
            orders[decision.order.key] = decision.order
        for book in decision.later:
            orders[book.key] = book
        self._count(decision)
        if self._listener is not None:
            self._listener(Told(fact, decision, priced.applied, priced.silent) if priced is not None else Told(fact, decision))
        return decision

    def _count(self, decision: Decision) -> None:
        figures = self._figures
        flows = figures.flows
        for effect in decision.effects:
            if isinstance(effect, Transfer):
                day = local_day(effect.value_at, self._zone)
                flows[effect.unit, effect.source, effect.target, day.year, day.month] += effect.amount
                if effect.movement is Movement.REDEMPTION:
                    unit = figures.unit(effect.unit)
                    unit.redemptions += 1
            elif isinstance(effect, GrantPerk):
                self._perks += 1
            elif isinstance(effect, RevokePerk):
                self._perks -= 1
