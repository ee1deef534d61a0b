"""Value: set aside for an order, paid, given back, adjusted by hand. Each needs an `Idempotency-Key`: asked twice, it happens once."""

from typing import Annotated, Any

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from regulars.flows.commands import Outcome
from regulars.kernel.ids import UnitId
from regulars.web.api.calls import Call, done
from regulars.web.api.shapes import AdjustmentIn, CaptureIn, HoldIn, MovedOut, RedemptionIn, accounts_of, instant_of

Path = Annotated[str, PathParameter(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


@post("/redemptions", opt={"needs": "wallet"}, status_code=201, tags=["Value"], summary="Pay for an order with value")
async def post_redemption(call: NamedDependency[Call], data: JSONBody[RedemptionIn]) -> Response[Any]:
    """The member is debited exactly what is asked, or nothing with the reason."""

    async def redeem(key: str) -> MovedOut:
        member_id = await call.member(data.member)
        order = f"{call.caller.source}:{data.order}"
        return _moved(await call.wallet.redeem(member_id, key, order, UnitId(data.unit), data.amount, data.payable))

    return await call.once(data, redeem, 201)


@post("/holds", opt={"needs": "wallet"}, status_code=201, tags=["Value"], summary="Set value aside for an order")
async def post_hold(call: NamedDependency[Call], data: JSONBody[HoldIn]) -> Response[Any]:
    """The `Idempotency-Key` is the name of the hold. It ends captured, released or expired."""
    until = instant_of(data.expires_at, "expires_at")

    async def hold(key: str) -> MovedOut:
        member_id = await call.member(data.member)
        order = f"{call.caller.source}:{data.order}"
        return _moved(await call.wallet.hold(member_id, key, order, UnitId(data.unit), data.amount, data.payable, until))

    return await call.once(data, hold, 201)


@post(
    "/members/{who:str}/holds/{hold:str}/capture", opt={"needs": "wallet"}, status_code=200, tags=["Value"], summary="A hold pays its order"
)
async def post_capture(call: NamedDependency[Call], who: Path, hold: Path, data: JSONBody[CaptureIn]) -> Response[Any]:
    """All of it, or `amount`; the rest is released."""

    async def capture(key: str) -> MovedOut:
        return _moved(await call.wallet.capture(await call.member(who), key, hold, data.amount))

    return await call.once([who, hold, "capture", data], capture)


@post("/members/{who:str}/holds/{hold:str}/release", opt={"needs": "wallet"}, status_code=200, tags=["Value"], summary="A hold is given up")
async def post_release(call: NamedDependency[Call], who: Path, hold: Path) -> Response[Any]:
    """What was set aside may be spent again."""

    async def release(key: str) -> MovedOut:
        return _moved(await call.wallet.release(await call.member(who), key, hold))

    return await call.once([who, hold, "release"], release)


@post("/adjustments", opt={"needs": "adjust"}, status_code=201, tags=["Value"], summary="Give or take value by hand")
async def post_adjustment(call: NamedDependency[Call], data: JSONBody[AdjustmentIn]) -> Response[Any]:
    """With a reason; it leaves an audit record."""

    async def adjust(key: str) -> MovedOut:
        member_id = await call.member(data.member)
        return _moved(await call.wallet.adjust(member_id, key, UnitId(data.unit), data.amount, data.reason))

    return await call.once(data, adjust, 201)


def _moved(outcome: Outcome) -> MovedOut:
    done(outcome)
    return MovedOut(str(outcome.member_id), outcome.record.granted or 0, accounts_of(outcome.accounts))


ROUTES: list[Any] = [post_redemption, post_hold, post_capture, post_release, post_adjustment]
