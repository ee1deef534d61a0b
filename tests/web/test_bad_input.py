"""Bad input: whatever is sent, the answer is a 4xx that says where and what, and nothing is changed."""

import json
import random
from typing import Any

import pytest
from builders import a_programme
from doors import SOURCE, Doors, in_doors, once

LINE = {"id": "1", "sku": "tea", "quantity": 1, "amount": 1000}
WRONG: list[tuple[str, str, Any, str]] = [
    ("PUT", "/v1/orders/shop/1", {}, "malformed"),
    ("PUT", "/v1/orders/shop/1", [], "malformed"),
    ("PUT", "/v1/orders/shop/1", {"lines": [{**LINE, "quantity": -1}]}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"lines": [{**LINE, "amount": 10**30}]}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"lines": [{**LINE, "amount": 1.5}]}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"lines": [LINE, LINE]}, "unsound"),
    ("PUT", "/v1/orders/shop/1", {"currency": "EURO"}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"placed_at": "yesterday"}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"placed_at": "2026-01-01T00:00:00"}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"placed_at": "9999-01-01T00:00:00Z"}, "invalid"),
    ("PUT", "/v1/orders/shop/1", {"placed_at": "2199-01-01T00:00:00Z"}, "in_future"),
    ("PUT", "/v1/orders/shop/1", {"unheard_of": 1}, "malformed"),
    ("PUT", "/v1/orders/shop/1", {"codes": ["nul \x00"]}, "malformed"),
    ("PUT", "/v1/orders/shop/%00", {}, "malformed"),
    ("PUT", "/v1/orders/web/1", None, "not_allowed"),
    ("PUT", "/v1/members/id:12", {}, "not_found"),
    ("PUT", "/v1/members/zoe", {"identities": [{"kind": "phone", "value": "n/a"}]}, "invalid"),
    ("PUT", "/v1/members/zoe", {"identities": [{"kind": "planet", "value": "x"}]}, "malformed"),
    ("PUT", "/v1/members/zoe", {"profile": {"Name!": "x"}}, "malformed"),
    ("GET", "/v1/members/nobody", None, "not_found"),
    ("GET", "/v1/members/id:99999999999999999999", None, "not_found"),
    ("GET", "/v1/members?limit=0", None, "malformed"),
    ("GET", "/v1/members?limit=many", None, "malformed"),
    ("GET", "/v1/members/anna/statement", None, "malformed"),
    ("GET", "/v1/orders/shop/none/explanation", None, "not_found"),
    ("POST", "/v1/orders:batch", {"orders": []}, "malformed"),
    ("POST", "/v1/quotes", {"cart": {"currency": "PLN", "lines": [{**LINE, "tax": "a"}]}}, "malformed"),
    ("POST", "/v1/holds", {"member": "anna", "order": "1", "unit": "points", "amount": 1, "payable": 1}, "malformed"),
    ("POST", "/v1/redemptions", {"member": "anna", "order": "1", "unit": "gold", "amount": 1, "payable": 1}, "unit_unknown"),
    ("POST", "/v1/redemptions", {"member": "nobody", "order": "1", "unit": "points", "amount": 1, "payable": 1}, "not_found"),
    ("POST", "/v1/adjustments", {"member": "anna", "unit": "points", "amount": 0, "reason": "none"}, "unsound"),
    ("POST", "/v1/programmes:check", {"programme": 7}, "invalid"),
    ("POST", "/v1/programmes", {}, "invalid"),
    ("POST", "/v1/programmes/9/publish", {}, "not_found"),
    ("POST", "/v1/keys", {"name": "x", "source": "nowhere", "scopes": ["read"]}, "invalid"),
    ("POST", "/v1/keys", {"name": "x", "source": "shop", "scopes": ["everything"]}, "invalid"),
    ("DELETE", "/v1/keys/abc", None, "not_found"),
    ("GET", "/v1/planets", None, "no_such_route"),
    ("PATCH", "/v1/me", None, "method_not_allowed"),
]


async def standing(doors: Doors) -> list[tuple[Any, ...]]:
    """How many rows there are of what matters; a refusal itself may be remembered as the answer to its key."""
    tables = ("member", "account", "transfer", "programme", "api_key", "guest_order", "order_book")
    return [tuple(row) for row in await doors.world.rows(" union all ".join(f"select '{t}', count(*) from {t}" for t in tables))]


def test_whatever_is_wrong_is_told_and_changes_nothing(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        before = await standing(doors)
        for n, (method, path, body, code) in enumerate(WRONG):
            if path.startswith("/v1/orders/") and isinstance(body, dict) and body:
                body = {**doors.order(), **body}
            if body is None and method == "PUT":
                body = doors.order()
            answer = await doors.client.request(method, path, json=body, headers=once(str(n)))
            told = answer.json()
            assert (told["code"], answer.status_code // 100) == (code, 4), (method, path, body, answer.text)
            assert told["request_id"] == answer.headers["x-request-id"]
            assert told["detail"], (path, told)
            assert answer.headers["content-type"] == "application/problem+json"
        assert await standing(doors) == before

    in_doors(memory, a_programme(), story)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b"[" * 100_000, 400),
        (b'{"lines":' * 20_000, 400),
        (b'{"member": "\\ud800"}', 400),
        (b"x" * (2 * 2**20 + 1), 413),
    ],
)
def test_what_is_no_json_is_told(memory: str, content: bytes, status: int) -> None:
    async def story(doors: Doors) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await doors.client.put(f"/v1/orders/{SOURCE}/1", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["code"] == ("too_large" if status == 413 else "malformed")

    in_doors(memory, a_programme(), story)


NUMBERS: list[Any] = [None, True, -1, 0, 2**53, 2**63, 10**40, 0.5]
TEXTS: list[Any] = ["", "\x00", "é" * 200, "x" * 5000, "2026-02-30T00:00:00Z"]
JUNK = [*NUMBERS, *TEXTS, [], {}, [[]], {"a": {}}]


def mutated(body: Any, dice: random.Random) -> Any:
    """``body`` with something wrong in one place."""
    if isinstance(body, dict) and body and dice.random() < 0.8:
        key = dice.choice(sorted(body))
        rest = {name: value for name, value in body.items() if name != key}
        choice = dice.random()
        return rest if choice < 0.2 else {**body, str(dice.choice(JUNK)): 1} if choice < 0.3 else {**body, key: mutated(body[key], dice)}
    if isinstance(body, list) and body and dice.random() < 0.8:
        return [*body[:-1], mutated(body[-1], dice)] if dice.random() < 0.8 else body * 3
    return dice.choice(JUNK)


def test_two_thousand_mutated_bodies_meet_no_trouble_of_ours(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        dice = random.Random(29)
        order = {
            **doors.order(),
            "sequence": 1,
            "updated_at": "2026-05-29T10:00:00Z",
            "rate": {"numerator": 1, "denominator": 2, "source": "bank"},
        }
        cart = {"cart": {"currency": "PLN", "lines": [LINE], "codes": ["A"]}, "member": "anna"}
        value = {"member": "anna", "order": "1", "unit": "points", "amount": 1, "payable": 1}
        whole = [
            ("PUT", "/v1/orders/shop/m", order),
            ("POST", "/v1/orders:batch", {"orders": [{"id": "b", **order}]}),
            ("POST", "/v1/quotes", cart),
            ("PUT", "/v1/members/anna", {"identities": [{"kind": "card", "value": "7"}], "profile": {"name": "Anna"}}),
            ("POST", "/v1/redemptions", value),
            ("POST", "/v1/holds", {**value, "expires_at": "2026-07-01T00:00:00Z"}),
            ("POST", "/v1/adjustments", {"member": "anna", "unit": "points", "amount": 1, "reason": "sorry"}),
            ("POST", "/v1/programmes:check", (await doors.client.get("/v1/programmes")).json()[0]["document"]),
            ("POST", "/v1/keys", {"name": "k", "source": "shop", "scopes": ["read"]}),
        ]
        for n in range(2000):
            method, path, body = dice.choice(whole)
            wrong = mutated(body, dice)
            answer = await doors.client.request(method, path, json=wrong, headers=once(f"m{n}"))
            assert answer.status_code < 500, (method, path, json.dumps(wrong)[:2000], answer.text)
            assert answer.is_success or answer.json()["code"], answer.text

    in_doors(memory, a_programme(), story)
