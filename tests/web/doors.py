"""Doors for tests: the service behind its door, and a client with a key."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import httpx
import msgspec
from world import MERCHANT, World, in_world

from regulars.flows.access import SCOPES, issue
from regulars.gateways.keys import Keyring
from regulars.kernel.time import Instant, moment
from regulars.programme.definition import Programme
from regulars.web.app import opened
from regulars.web.door import Buckets
from regulars.wiring import Service

_T = TypeVar("_T")
SOURCE = "shop"


class Doors(msgspec.Struct, frozen=True):
    """A world behind its door, with a client whose key may do everything."""

    world: World
    app: Any
    client: httpx.AsyncClient

    async def key(self, *scopes: str, merchant: int = MERCHANT, source: str = SOURCE) -> str:
        """The secret of a new key; without scopes it may do everything."""
        issued = await issue(self.world.pool, self.world.clock, merchant, "test", source, scopes or SCOPES, "tests")
        return issued.secret

    async def put_order(self, id: str, member: str | None = "anna", amount: int = 10_000, **more: Any) -> httpx.Response:
        """An order of one line, placed now."""
        return await self.client.put(f"/v1/orders/{SOURCE}/{id}", json=self.order(member, amount, **more))

    def order(self, member: str | None = "anna", amount: int = 10_000, **more: Any) -> dict[str, Any]:
        """The body of an order of one line, placed now."""
        line = {"id": "1", "sku": "tea", "quantity": 1, "amount": amount}
        return {"member": member, "placed_at": iso(self.world.clock.now()), "currency": "PLN", "lines": [line], **more}

    async def enrol(self, *names: str) -> None:
        """Members under the shop's own numbers."""
        for name in names:
            assert (await self.client.put(f"/v1/members/{name}", json={})).status_code == 200


def in_doors(url: str, programme: Programme, story: Callable[[Doors], Awaitable[_T]], buckets: Buckets | None = None) -> _T:
    """What ``story`` comes to."""

    async def behind(world: World) -> _T:
        keyring = Keyring(b"a master secret for tests alone!")
        service = Service(world.url, world.pool, world.lane, world.programmes, world.clock, keyring)
        issued = await issue(world.pool, world.clock, MERCHANT, "tests", SOURCE, SCOPES, "tests")
        async with opened(service, buckets or Buckets(10_000, 100_000), Buckets(10_000, 100_000)) as app:
            transport = httpx.ASGITransport(app=app)
            headers = bearer(issued.secret)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=headers) as client:
                return await story(Doors(world, app, client))

    return in_world(url, programme, behind)


def bearer(secret: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {secret}"}


def once(key: str) -> dict[str, str]:
    """The header that names a deed."""
    return {"Idempotency-Key": key}


def iso(at: Instant) -> str:
    """A time as it goes over the wire."""
    return moment(at, ZoneInfo("UTC")).isoformat()


def utc(text: str) -> datetime:
    """A time of an answer."""
    return datetime.fromisoformat(text).astimezone(UTC)
