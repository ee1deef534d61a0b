"""Returns of the past: which order a piece that came back belonged to, when the history does not say.

Invariant: every returned piece is matched to at most one bought piece of the same code and the same member, the latest purchase first;
what finds none is counted and left alone.
"""

from collections.abc import Iterable

import msgspec

from regulars.programme.facts import Line, Order
from regulars.programme.history import Returned


class Kept:
    """What one member still keeps of their orders."""

    def __init__(self) -> None:
        """Nothing bought yet."""
        self._purchases: dict[str, Order] = {}
        self._states: dict[str, Order] = {}
        self._orders_with: dict[str, list[str]] = {}
        self.units_matched = 0
        self.units_unmatched = 0

    def buy(self, order: Order) -> None:
        """``order`` was placed, after all that were bought before."""
        self._purchases[order.key] = self._states[order.key] = order
        for sku in {line.sku for line in order.lines}:
            self._orders_with.setdefault(sku, []).append(order.key)

    def know(self, purchase: Order, state: Order) -> None:
        """``purchase`` was made earlier, and stands as ``state`` since."""
        self.buy(purchase)
        self._states[purchase.key] = state

    def take_back(self, returned: Returned) -> list[Order]:
        """The new states of the orders that ``returned`` goods came from: code by code, the latest purchase first."""
        changed: dict[str, dict[str, int]] = {}
        for sku, pieces in returned.pieces:
            left = pieces
            for key, line in self._candidates(sku):
                if not left:
                    break
                already = changed.setdefault(key, {})
                part = min(left, line.quantity - already.get(line.id, 0))
                already[line.id] = already.get(line.id, 0) + part
                left -= part
            self.units_matched += pieces - left
            self.units_unmatched += left
        return [self._without(key, pieces) for key, pieces in changed.items() if any(pieces.values())]

    def orders_fully_returned(self) -> int:
        """Orders of which nothing was kept."""
        return sum(not state.lines for state in self._states.values())

    def _candidates(self, sku: str) -> Iterable[tuple[str, Line]]:
        """Lines of that code, from the latest order to the first, within an order the dearer piece first."""
        for key in reversed(self._orders_with.get(sku, [])):
            lines = [line for line in self._states[key].lines if line.sku == sku]
            for line in sorted(lines, key=lambda line: -line.amount * _MANY // line.quantity):
                yield key, line

    def _without(self, key: str, pieces: dict[str, int]) -> Order:
        state = self._states[key]
        bought = {line.id: line for line in self._purchases[key].lines}
        lines = tuple(
            _kept(bought[line.id], line.quantity - pieces.get(line.id, 0)) for line in state.lines if line.quantity > pieces.get(line.id, 0)
        )
        state = msgspec.structs.replace(state, lines=lines, sequence=state.sequence + 1)
        self._states[key] = state
        return state


def _kept(bought: Line, quantity: int) -> Line:
    """``quantity`` pieces of what was ``bought``, at the same price; the discount that stays is rounded up, so that parts sum to it."""
    if quantity == bought.quantity:
        return bought
    return msgspec.structs.replace(
        bought,
        quantity=quantity,
        amount=bought.amount * quantity // bought.quantity,
        discount=-(-bought.discount * quantity // bought.quantity),
        tax=bought.tax * quantity // bought.quantity,
        cost=bought.cost * quantity // bought.quantity,
    )


_MANY = 10**12
