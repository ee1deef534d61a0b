"""Business keys: under which names facts are remembered, so that one that is told again is known again."""

from regulars.kernel.ids import OrderId
from regulars.programme.facts import OrderStated, Remembered, kind_of


def first_key(order: OrderId) -> str:
    """Of an order's first state: the order's own; a mark that divides it from a sequence is written otherwise."""
    name = order.replace("%", "%25").replace("#", "%23") if "#" in order or "%" in order else order
    return f"order/{name}"


def key_of(fact: Remembered) -> str:
    """Of any other fact: its kind and id; of an order's later states the order's with their sequence."""
    if isinstance(fact, OrderStated):
        return f"{first_key(fact.order.id)}#{fact.order.sequence}"
    return f"{kind_of(fact)}/{fact.id}"
