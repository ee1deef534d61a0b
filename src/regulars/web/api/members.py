"""Members: who takes part, by what they are known, what they hold, what happened."""

from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from regulars.flows.people import Identity
from regulars.kernel.errors import NotFound, Problem
from regulars.store.database import working_for
from regulars.store.members import StoredMember, find_member, list_members
from regulars.store.orders import OrderRow, list_orders
from regulars.views.members import StatementLine, statement_page
from regulars.web.api.calls import Call, done, identity_of
from regulars.web.api.shapes import MemberIn, MemberOut, StatusIn, member_out, time_of

Who = Annotated[
    str,
    PathParameter(
        description="The shop's own number of the member; or id:..., email:..., phone:..., card:...",
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="So many at most.")]
Why = Annotated[str, QueryParameter(min_length=1, max_length=2000)]
After = Annotated[str, QueryParameter(max_length=250, pattern=r"^[^\x00-\x1f\x7f]*$", description="Cursor: those after it.")]
MemberCursor = Annotated[str, QueryParameter(pattern="^[0-9]{0,19}$", description="Cursor: those after it.")]
Expand = Annotated[list[str] | None, QueryParameter(description="`lots`: what ends when.")]
_FIRST = ""


class MembersOut(msgspec.Struct, frozen=True):
    """A page; ``next`` is the cursor of the one after it."""

    items: list[MemberOut]
    next: str | None


class LineOut(msgspec.Struct, frozen=True):
    """One entry of a statement, and what the account held after it."""

    entry: int
    recorded_at: Any
    value_at: Any
    movement: str
    source: str
    target: str
    amount: int
    cause: str
    rule: str | None
    version: int
    active: int
    pending: int
    held: int
    debt: int


class StatementOut(msgspec.Struct, frozen=True):
    """A page, newest first; ``next`` is the cursor of the older ones."""

    unit: str
    items: list[LineOut]
    next: str | None


class OrderRowOut(msgspec.Struct, frozen=True):
    """An order of a member."""

    order: str
    sequence: int
    currency: str | None
    is_counted: bool


class OrdersOut(msgspec.Struct, frozen=True):
    """A page by the orders' names."""

    items: list[OrderRowOut]
    next: str | None


@put("/members/{who:str}", opt={"needs": "members"}, tags=["Members"], summary="Enrol a member, or add to what is known of them")
async def put_member(call: NamedDependency[Call], who: Who, data: JSONBody[MemberIn]) -> MemberOut:
    """Under the shop's own number. Told again, it is the same member; other identities and profile fields are added."""
    own = identity_of(who, call.caller.source)
    if isinstance(own, int):
        what = "an id of ours is given by us"
        raise NotFound(Problem("member", what, "enrol them under the shop's own number; read them by the id"))
    others = [Identity(one.kind, one.value, call.caller.source if one.kind == "customer" else "") for one in data.identities]
    member_id = await call.people.enrol([own, *others], data.profile)
    return member_out(await _stored(call, member_id))


@get("/members/{who:str}", opt={"needs": "read"}, tags=["Members"], summary="A member as they stand")
async def get_member(call: NamedDependency[Call], who: Who, expand: Expand = None) -> MemberOut:
    """What they hold, their levels, and with `expand=lots` what ends when."""
    return member_out(await _stored(call, await call.member(who)), "lots" in (expand or ()))


@get("/members", opt={"needs": "read"}, tags=["Members"], summary="All members")
async def get_members(call: NamedDependency[Call], after: MemberCursor = _FIRST, limit: Limit = 50) -> MembersOut:
    """By their ids, page by page."""
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        found = await list_members(connection, call.merchant_id, min(int(after or -1), 2**63 - 1), limit)
    return MembersOut([member_out(one) for one in found], str(found[-1].member_id) if len(found) == limit else None)


@get("/members/{who:str}/statement", opt={"needs": "read"}, tags=["Members"], summary="Every movement of a member's value")
async def get_statement(
    call: NamedDependency[Call],
    who: Who,
    unit: Annotated[str, QueryParameter(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")],
    before: Annotated[int | None, QueryParameter(ge=1, le=2**53, description="Cursor: entries older than this one.")] = None,
    limit: Limit = 50,
) -> StatementOut:
    """Newest first."""
    member_id = await call.member(who)
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        lines = await statement_page(connection, call.merchant_id, member_id, unit, before, limit)
    return StatementOut(unit, [_line(line) for line in lines], str(lines[-1].seq) if len(lines) == limit else None)


@get("/members/{who:str}/orders", opt={"needs": "read"}, tags=["Members"], summary="The orders of a member")
async def get_orders(
    call: NamedDependency[Call],
    who: Who,
    after: After = _FIRST,
    limit: Limit = 50,
) -> OrdersOut:
    """By their names, page by page."""
    member_id = await call.member(who)
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        rows = await list_orders(connection, call.merchant_id, member_id, after, limit)
    return OrdersOut([_row(row) for row in rows], rows[-1].order_key if len(rows) == limit else None)


@post("/members/{who:str}/status", opt={"needs": "members"}, status_code=200, tags=["Members"], summary="Suspend, close or reopen a member")
async def post_status(call: NamedDependency[Call], who: Who, data: JSONBody[StatusIn]) -> Response[Any]:
    """Needs an `Idempotency-Key`."""
    member_id = await call.member(who)

    async def change(key: str) -> MemberOut:
        people, lane = call.people, call.service.lane
        done(await people.change_status(lane, member_id, f"{call.caller.source}/{key}", data.status, data.reason, call.actor))
        return member_out(await _stored(call, member_id))

    return await call.once([who, data], change)


@delete("/members/{who:str}", opt={"needs": "members"}, status_code=204, tags=["Members"], summary="Forget a person")
async def delete_member(call: NamedDependency[Call], who: Who, reason: Why) -> None:
    """Their value ends, their identities and their profile go; figures that were booked stay, and name nobody."""
    await call.people.erase(await call.member(who), reason, call.actor)


async def _stored(call: Call, member_id: int) -> StoredMember:
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        stored = await find_member(connection, call.merchant_id, member_id)
    if stored is None:
        raise NotFound(Problem("member", "nobody has this id", "name them by the shop's own number"))
    return stored


def _line(line: StatementLine) -> LineOut:
    return LineOut(
        line.seq,
        time_of(line.recorded_at),
        time_of(line.value_at),
        line.movement,
        line.source,
        line.target,
        line.amount,
        line.cause,
        line.rule,
        line.version,
        line.active,
        line.pending,
        line.held,
        line.debt,
    )


def _row(row: OrderRow) -> OrderRowOut:
    return OrderRowOut(row.order_key, row.sequence, row.currency, row.is_counted)


ROUTES: list[Any] = [put_member, get_member, get_members, get_statement, get_orders, post_status, delete_member]
