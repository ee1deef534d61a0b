"""Calls: who asks, and what the service has to answer with.

Invariant: a route says which scope it needs, and nobody passes without.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from regulars.flows.access import SCOPES, Caller, Doorkeeper
from regulars.flows.commands import Outcome
from regulars.flows.people import Identity, People
from regulars.flows.wallet import Wallet
from regulars.kernel.errors import NotFound, Problem
from regulars.store.answers import Answer, find_answer, keep_answer
from regulars.store.database import working_for
from regulars.web.problems import Failure, failure_of, refused
from regulars.wiring import Service

T = TypeVar("T")
JSON = "application/json"
_KINDS = ("id", "customer", "email", "phone", "card", "device")
_KEY = re.compile(r"^[\x21-\x7e]{1,200}$")


class House(msgspec.Struct, frozen=True):
    """What answers: the service, and who keeps its doors."""

    service: Service
    doorkeeper: Doorkeeper


class Call(msgspec.Struct, frozen=True):
    """One request of a caller."""

    house: House
    caller: Caller
    idempotency_key: str

    @property
    def service(self) -> Service:
        """The service."""
        return self.house.service

    @property
    def merchant_id(self) -> int:
        """Whose caller it is."""
        return self.caller.merchant_id

    @property
    def people(self) -> People:
        """The merchant's people."""
        service = self.service
        return People(service.pool, service.clock, service.keyring, service.programmes, self.merchant_id)

    @property
    def wallet(self) -> Wallet:
        """The wallets of the merchant's members, as this caller works with them."""
        return Wallet(self.service.lane, self.merchant_id, self.caller.source, self.actor)

    @property
    def actor(self) -> str:
        """Who did it, for records."""
        return f"key {self.caller.key_id}"

    async def member(self, who: str) -> int:
        """The member named in a path: the shop's own number, or `kind:value`. Raises ``NotFound``."""
        member_id = await self.find(identity_of(who, self.caller.source))
        if member_id is None:
            hint = "enrol them with PUT /v1/members/{customer}; or name them as id:..., email:..., phone:..., card:..."
            raise NotFound(Problem("member", "nobody is known by this", hint))
        return member_id

    async def find(self, identity: Identity | int) -> int | None:
        """Who is known by it; an id of ours is taken at its word."""
        return identity if isinstance(identity, int) else await self.people.find(identity)

    async def once(self, body: Any, do: Callable[[str], Awaitable[T]], status: int = 200) -> Response[Any]:
        """What ``do`` answers, under the request's `Idempotency-Key`: asked again with the same body, the same answer to the byte."""
        key = self.idempotency_key
        if not _KEY.match(key):
            hint = "send a key of your own for each thing that is to be done, as a UUID; send the same when you ask again"
            raise Failure(400, "malformed", Problem("Idempotency-Key", "this request needs a key of 1 to 200 visible characters", hint))
        digest = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).digest()
        pool, now, source = self.service.pool, self.service.clock.now(), self.caller.source
        async with working_for(pool, [self.merchant_id]) as connection:
            known = await find_answer(connection, self.merchant_id, source, key, now)
        if known is not None:
            if known.digest != digest:
                hint = "take another key for another request"
                raise Failure(422, "key_reused", Problem("Idempotency-Key", "it was sent with another body before", hint))
            return Response(known.body, status_code=known.status, media_type=JSON, headers={"Idempotency-Replayed": "true"})
        answer = msgspec.json.encode(await do(key))
        async with working_for(pool, [self.merchant_id]) as connection:
            await keep_answer(connection, self.merchant_id, source, key, Answer(digest, status, answer), now)
        return Response(answer, status_code=status, media_type=JSON)


def identity_of(who: str, source: str) -> Identity | int:
    """What a path says of a member: `id:123` our own id, `email:...` and its kin what they say, anything else the shop's number."""
    kind, colon, value = who.partition(":")
    if not colon or kind not in _KINDS:
        return Identity("customer", who, source)
    if kind == "id":
        if not value.isdecimal() or not value.isascii() or len(value) > 19 or int(value) >= 2**63:
            raise NotFound(Problem("member", "this is no id of a member", "an id of ours is a number, as in id:1234567890"))
        return int(value)
    return Identity(kind, value, source if kind == "customer" else "")  # type: ignore[arg-type]


def may(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises ``Failure`` when the caller has not the scope that the route needs."""
    needs = handler.opt["needs"]
    if needs not in _caller(connection).scopes:
        hint = f"issue a key with the scope `{needs}` ({SCOPES[needs]})"
        raise Failure(403, "not_allowed", Problem("Authorization", f"this key has no scope `{needs}`", hint))


def call_of(request: Request[Any, Any, Any]) -> Call:
    """The call of a request."""
    return Call(request.app.state.house, _caller(request), request.headers.get("idempotency-key", ""))


def _caller(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Whom the door let in."""
    caller: Caller = connection.scope["caller"]  # type: ignore[typeddict-item]
    return caller


def done(outcome: Outcome) -> Outcome:
    """The outcome; a refusal becomes the answer."""
    if outcome.refusal is not None:
        raise refused(outcome.refusal)
    return outcome


async def each(works: list[Awaitable[T]]) -> list[T | Failure]:
    """All of them at once; what cannot be done harms no other."""
    found = await asyncio.gather(*works, return_exceptions=True)
    return [failure_of(one) if isinstance(one, BaseException) else one for one in found]
