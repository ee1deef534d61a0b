"""Orders: the shop tells how an order stands now; what follows from it is answered at once."""

from typing import Annotated, Any

import msgspec
from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from regulars.flows.explaining import explain, plain
from regulars.flows.intake import attach_order, keep_guest_order, take_order
from regulars.kernel.errors import Problem
from regulars.kernel.time import Instant
from regulars.web.api.calls import Call, done, each, identity_of
from regulars.web.api.shapes import BatchIn, BatchItemOut, BatchOut, Name, OrderIn, OrderOut, instant_of, order_of, told
from regulars.web.problems import Failure

Path = Annotated[str, PathParameter(description="The shop's own name of it.", min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]


class AttachIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose order it is."""

    member: Name


class ExplanationOut(msgspec.Struct, frozen=True):
    """Sentences, each with those that belong under it."""

    order: str
    passages: list[dict[str, Any]]


@put("/orders/{source:str}/{id:str}", opt={"needs": "orders"}, tags=["Orders"], summary="Tell how an order stands now")
async def put_order(call: NamedDependency[Call], source: Path, id: Path, data: JSONBody[OrderIn]) -> OrderOut:
    """The whole order, as often as it likes: told again unchanged it changes nothing; with less in it, it is a return."""
    _refuse_other_source(call, source)
    return await _take(call, id, data)


@post("/orders:batch", opt={"needs": "orders"}, status_code=200, tags=["Orders"], summary="Tell of many orders")
async def post_orders(call: NamedDependency[Call], data: JSONBody[BatchIn]) -> BatchOut:
    """Up to 500 orders of the key's source; each has an answer of its own, in the same order."""
    answers = await each([_take(call, item.id, item) for item in data.orders])
    return BatchOut([_item(item.id, answer) for item, answer in zip(data.orders, answers, strict=True)])


@post(
    "/orders/{source:str}/{id:str}/attach",
    opt={"needs": "orders"},
    status_code=200,
    tags=["Orders"],
    summary="A guest's order becomes a member's",
)
async def post_attach(call: NamedDependency[Call], source: Path, id: Path, data: JSONBody[AttachIn]) -> list[OrderOut]:
    """Its date is the basis, its effect is now."""
    _refuse_other_source(call, source)
    member_id = await call.member(data.member)
    service = call.service
    outcomes = await attach_order(service.pool, service.lane, call.merchant_id, member_id, source, id, call.actor)
    return [told(f"{source}:{id}", done(outcome)) for outcome in outcomes]


@get("/orders/{source:str}/{id:str}/explanation", opt={"needs": "read"}, tags=["Orders"], summary="Why an order got what it got")
async def get_explanation(call: NamedDependency[Call], source: Path, id: Path) -> ExplanationOut:
    """Line by line: what each rule gave and why, what others would have needed, and what became of it since."""
    passages = await explain(call.service.pool, call.service.programmes, call.merchant_id, f"{source}:{id}")
    return ExplanationOut(f"{source}:{id}", [plain(passage) for passage in passages])


async def _take(call: Call, id: str, said: OrderIn) -> OrderOut:
    source = call.caller.source
    order = order_of(said, source, id)
    now = call.service.clock.now()
    if said.updated_at is not None:
        occurred_at = instant_of(said.updated_at, "updated_at")
    else:
        occurred_at = order.placed_at if order.sequence == 1 else Instant(max(now, order.placed_at))
    member_id = None if said.member is None else await call.find(identity_of(said.member, source))
    if member_id is None:
        await keep_guest_order(call.service.pool, call.service.clock, call.merchant_id, order, occurred_at)
        return OrderOut(order.key, None)
    return told(order.key, done(await take_order(call.service.lane, call.merchant_id, member_id, order, occurred_at, call.actor)))


def _refuse_other_source(call: Call, source: str) -> None:
    if source != call.caller.source:
        what = f"this key speaks for the source {call.caller.source!r}"
        raise Failure(403, "not_allowed", Problem("source", what, "take a key of the other source"))


def _item(id: str, answer: OrderOut | Failure) -> BatchItemOut:
    if isinstance(answer, Failure):
        return BatchItemOut(id, answer.status, None, msgspec.to_builtins(answer.body("")))
    return BatchItemOut(id, 200, answer)


ROUTES: list[Any] = [put_order, post_orders, post_attach, get_explanation]
