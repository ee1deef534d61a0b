"""Access: every route, asked with every kind of key, lets in whom it should and nobody else."""

from typing import Any

import httpx
import pytest
from builders import a_programme
from doors import SOURCE, Doors, bearer, in_doors, iso, once
from world import MERCHANT

from regulars.flows.access import SCOPES
from regulars.flows.programmes import draft, publish
from regulars.kernel.time import DAY, Instant
from regulars.programme.definition import plain
from regulars.store.database import working_for
from regulars.store.house import StoredStore, insert_merchant, insert_source, insert_store
from regulars.web.app import ROUTES
from regulars.web.door import Buckets

OTHER = 2
LINE = {"id": "1", "sku": "tea", "quantity": 1, "amount": 1000}
VALUE = {"member": "anna", "order": "9", "unit": "points", "amount": 1, "payable": 1000}

SAMPLES: dict[tuple[str, str], tuple[str, Any]] = {
    ("PUT", "/orders/{source:str}/{id:str}"): (f"/orders/{SOURCE}/1", "order"),
    ("POST", "/orders:batch"): ("/orders:batch", {"orders": []}),
    ("POST", "/orders/{source:str}/{id:str}/attach"): (f"/orders/{SOURCE}/guest/attach", {"member": "anna"}),
    ("GET", "/orders/{source:str}/{id:str}/explanation"): (f"/orders/{SOURCE}/1/explanation", None),
    ("PUT", "/members/{who:str}"): ("/members/anna", {}),
    ("GET", "/members/{who:str}"): ("/members/anna", None),
    ("GET", "/members"): ("/members", None),
    ("GET", "/members/{who:str}/statement"): ("/members/anna/statement?unit=points", None),
    ("GET", "/members/{who:str}/orders"): ("/members/anna/orders", None),
    ("POST", "/members/{who:str}/status"): ("/members/anna/status", {"status": "active", "reason": "back"}),
    ("DELETE", "/members/{who:str}"): ("/members/zoe?reason=asked", None),
    ("POST", "/quotes"): ("/quotes", {"cart": {"currency": "PLN", "lines": [LINE]}, "member": "anna"}),
    ("POST", "/redemptions"): ("/redemptions", VALUE),
    ("POST", "/holds"): ("/holds", "hold"),
    ("POST", "/members/{who:str}/holds/{hold:str}/capture"): ("/members/anna/holds/a-hold/capture", {}),
    ("POST", "/members/{who:str}/holds/{hold:str}/release"): ("/members/anna/holds/b-hold/release", None),
    ("POST", "/adjustments"): ("/adjustments", {"member": "anna", "unit": "points", "amount": 1, "reason": "sorry"}),
    ("GET", "/me"): ("/me", None),
    ("GET", "/programmes"): ("/programmes", None),
    ("POST", "/programmes:check"): ("/programmes:check", "document"),
    ("POST", "/programmes"): ("/programmes", "document"),
    ("POST", "/programmes/{version:int}/publish"): ("/programmes/2/publish", {}),
    ("GET", "/keys"): ("/keys", None),
    ("POST", "/keys"): ("/keys", {"name": "new", "source": SOURCE, "scopes": ["read"]}),
    ("POST", "/keys/{id:str}/rotate"): ("/keys/{key}/rotate", None),
    ("DELETE", "/keys/{id:str}"): ("/keys/{key}", None),
    ("GET", "/attempts"): ("/attempts", None),
}
"""A request that the right key may make, for each route: address and body."""

OWN = {
    "/orders:batch",
    "/orders/{source:str}/{id:str}",
    "/me",
    "/members",
    "/keys",
    "/attempts",
    "/programmes",
    "/programmes:check",
    "/programmes/{version:int}/publish",
    "/quotes",
}
"""What another merchant may ask too, for it speaks of their own; and enrolling is theirs."""

TABLE = [(method, handler) for handler in ROUTES for method in sorted(handler.http_methods)]


def route_of(method: str, handler: Any) -> tuple[str, str]:
    (path,) = handler.paths
    return method, "/" + path.lstrip("/")


@pytest.mark.parametrize(("method", "handler"), TABLE, ids=lambda value: getattr(value, "handler_name", str(value)))
def test_a_route_has_a_scope_and_a_row(method: str, handler: Any) -> None:
    assert route_of(method, handler) in SAMPLES
    assert handler.opt["needs"] in SCOPES


async def a_shop(doors: Doors) -> dict[str, str]:
    """A shop with one of everything, and another beside it; the keys by kind, and one to be ended."""
    world = doors.world
    document = plain(a_programme().latest.document)
    async with working_for(world.pool, [OTHER]) as connection:
        await insert_merchant(connection, OTHER, "Another", world.clock.now())
        await insert_store(connection, OTHER, StoredStore(1, "web", "PLN"))
        await insert_source(connection, OTHER, SOURCE, 1)
    await publish(world.pool, world.clock, OTHER, await draft(world.pool, world.clock, OTHER, document, "eva"), "eva")
    await doors.enrol("anna", "zoe")
    await doors.put_order("1", amount=50_000)
    await doors.put_order("guest", None)
    for hold in ("a-hold", "b-hold"):
        ask = {**VALUE, "order": hold, "expires_at": iso(Instant(world.clock.now() + DAY))}
        assert (await doors.client.post("/v1/holds", json=ask, headers=once(hold))).status_code == 201
    await draft(world.pool, world.clock, MERCHANT, document, "eva")
    ended = await doors.key()
    await doors.client.delete(f"/v1/keys/{ended.split('_')[1]}")
    return {
        "right": await doors.key(),
        "read only": await doors.key("read"),
        "ended": ended,
        "of another merchant": await doors.key(merchant=OTHER),
        "forged": (await doors.key())[:-4] + "0000",
        "key": (await doors.key("read")).split("_")[1],
    }


async def asked(doors: Doors, method: str, route: str, secret: str, key: str) -> httpx.Response:
    path, body = SAMPLES[method, route]
    if body == "order":
        body = doors.order(amount=1000)
    elif body == "hold":
        body = {**VALUE, "order": "h", "expires_at": iso(Instant(doors.world.clock.now() + DAY))}
    elif body == "document":
        body = plain(a_programme().latest.document)
    if route == "/orders:batch":
        body = {"orders": [{"id": "b1", **doors.order()}]}
    if method == "PUT" and route.startswith("/orders"):
        path += "-new"
    headers = {"Authorization": f"Bearer {secret}" if secret else "", **once(f"{method}{route}{secret[-6:]}")}
    return await doors.client.request(method, "/v1" + path.replace("{key}", key), json=body, headers=headers)


def test_every_route_lets_in_whom_it_should_and_nobody_else(memory: str) -> None:
    async def story(doors: Doors) -> None:
        keys = await a_shop(doors)
        whose = str((await doors.client.get("/v1/members/anna")).json()["id"])
        for method, handler in sorted(TABLE, key=lambda row: row[0] == "PUT"):  # whoever enrols an anna of their own has one
            route = route_of(method, handler)[1]
            for kind in ("", "forged", "ended"):
                answer = await asked(doors, method, route, keys.get(kind, ""), keys["key"])
                assert (answer.status_code, answer.json()["code"]) == (401, "no_key"), (method, route, kind)
            answer = await asked(doors, method, route, keys["read only"], keys["key"])
            if handler.opt["needs"] != "read":
                assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), (method, route)
            answer = await asked(doors, method, route, keys["of another merchant"], keys["key"])
            assert answer.is_success is (route in OWN or (method, route) == ("PUT", "/members/{who:str}")), (method, route, answer.text)
            assert whose not in answer.text, (method, route)
        drafts = "select version from programme where status = 'draft' and merchant_id = $1"
        assert await doors.world.rows(drafts, MERCHANT) == [(2,)]
        assert await doors.world.rows("select member_id::text, status from member where merchant_id = $1 order by 1", MERCHANT) == sorted(
            [(row[0], "active") for row in await doors.world.rows("select member_id::text from member where merchant_id = $1", MERCHANT)]
        )
        for method, handler in sorted(TABLE, key=lambda row: row[0] == "DELETE"):
            route = route_of(method, handler)[1]
            answer = await asked(doors, method, route, keys["right"], keys["key"])
            assert answer.is_success, (method, route, answer.text)

    in_doors(memory, a_programme(units={"points": {"spending": {}, "value": "0.01"}}), story)


def test_a_key_that_was_replaced_opens_for_another_day(memory: str) -> None:
    async def story(doors: Doors) -> None:
        old = await doors.key()
        new = (await doors.client.post(f"/v1/keys/{old.split('_')[1]}/rotate")).json()["secret"]
        for days, opens in ((0, True), (1, False)):
            await doors.world.later(days * DAY)
            answers = [(await doors.client.get("/v1/me", headers=bearer(one))).is_success for one in (old, new)]
            assert answers == [opens, True]

    in_doors(memory, a_programme(), story)


def test_who_came_and_was_refused_is_counted_and_no_secret_is_kept(memory: str) -> None:
    async def story(doors: Doors) -> None:
        secret = await doors.key("read")
        wrong = secret[:-6] + "ffffff"
        for _ in range(5):
            assert (await doors.client.get("/v1/me", headers=bearer(wrong))).status_code == 401
        await doors.client.get("/v1/me", headers=bearer("rk_nobody_knows"))
        await doors.app._keeper.write_down()
        (attempt,) = (await doors.client.get("/v1/attempts")).json()["items"]
        assert (attempt["key"], attempt["outcome"], attempt["times"]) == (secret.split("_")[1], "unknown", 5)
        kept = await doors.world.rows("select key_id || name || source || scopes || encode(digest, 'escape') as text from api_key")
        assert all(secret.split("_")[2] not in row["text"] for row in kept)

    in_doors(memory, a_programme(), story)


def test_who_asks_faster_than_they_may_is_told_how_long_to_wait(memory: str) -> None:
    async def story(doors: Doors) -> None:
        answers = [await doors.client.get("/v1/me") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[0].headers["ratelimit"].startswith('"key";r=2;')
        assert answers[3].headers["retry-after"] == "1000"

    in_doors(memory, a_programme(), story, Buckets(0.001, 3))
