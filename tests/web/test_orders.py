"""Orders over HTTP: the whole order as often as one likes; what follows is answered at once."""

from typing import Any

from builders import a_programme, a_unit, purchase_rule
from doors import SOURCE, Doors, in_doors, iso, once

from regulars.kernel.time import DAY

POINTS = {"points": {"active": 100, "pending": 0, "held": 0, "debt": 0}}


def test_an_order_told_twice_is_answered_twice_and_done_once(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        body = doors.order()
        first, second = [await doors.client.put(f"/v1/orders/{SOURCE}/1", json=body) for _ in range(2)]
        assert first.json()["accounts"] == second.json()["accounts"] == POINTS
        assert [answer.json()["is_duplicate"] for answer in (first, second)] == [False, True]
        assert first.json()["awards"] == [{"rule": "purchase", "unit": "points", "amount": 100}]
        changed = await doors.client.put(f"/v1/orders/{SOURCE}/1", json={**body, "discount": 1})
        assert (changed.status_code, changed.json()["code"]) == (409, "content_differs")

    in_doors(memory, a_programme(), story)


def test_the_same_order_with_less_in_it_is_a_return(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        body = doors.order()
        await doors.client.put(f"/v1/orders/{SOURCE}/1", json=body)
        await doors.world.later(DAY)
        body |= {"lines": [], "updated_at": iso(doors.world.clock.now())}
        back = await doors.client.put(f"/v1/orders/{SOURCE}/1", json=body)
        assert back.json()["accounts"]["points"]["active"] == 0
        again = await doors.client.put(f"/v1/orders/{SOURCE}/1", json=body)
        assert (again.json()["is_duplicate"], again.json()["accounts"]) == (True, back.json()["accounts"])

    in_doors(memory, a_programme(), story)


def test_an_order_of_a_guest_is_kept_and_may_be_attached(memory: str) -> None:
    async def story(doors: Doors) -> None:
        assert (await doors.put_order("1", None)).json()["member"] is None
        assert (await doors.put_order("2", "who-is-not-enrolled")).json()["member"] is None
        await doors.enrol("anna")
        attached = await doors.client.post(f"/v1/orders/{SOURCE}/1/attach", json={"member": "anna"})
        assert [one["accounts"] for one in attached.json()] == [POINTS]
        missing = await doors.client.post(f"/v1/orders/{SOURCE}/1/attach", json={"member": "anna"})
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")

    in_doors(memory, a_programme(), story)


def test_of_many_orders_each_has_its_own_answer_and_a_bad_one_harms_no_other(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna", "ben")
        orders: list[dict[str, Any]] = [{"id": str(n), **doors.order("anna" if n % 2 else "ben")} for n in range(20)]
        orders[7]["currency"] = "XXX"
        orders[8]["placed_at"] = "1700-01-01T00:00:00Z"
        answer = await doors.client.post("/v1/orders:batch", json={"orders": orders})
        items = answer.json()["items"]
        assert [item["id"] for item in items] == [order["id"] for order in orders]
        assert [item["status"] for item in items] == [409 if n == 7 else 422 if n == 8 else 200 for n in range(20)]
        assert items[7]["problem"]["code"] == "currency_without_rate"
        assert items[8]["problem"]["param"] == "placed_at"
        for member in ("anna", "ben"):
            assert (await doors.client.get(f"/v1/members/{member}")).json()["accounts"]["points"]["active"] == 900

    in_doors(memory, a_programme(), story)


def test_statement_and_orders_are_paged_and_nothing_is_missed(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        for n in range(7):
            await doors.put_order(str(n))
        entries, before = [], ""
        while before is not None:
            cursor = f"&before={before}" if before else ""
            page = (await doors.client.get(f"/v1/members/anna/statement?unit=points&limit=3{cursor}")).json()
            entries += [line["entry"] for line in page["items"]]
            before = page["next"]
        assert entries == [7, 6, 5, 4, 3, 2, 1]
        names, after = [], ""
        while after is not None:
            page = (await doors.client.get("/v1/members/anna/orders", params={"limit": 3, "after": after})).json()
            names += [row["order"] for row in page["items"]]
            after = page["next"]
        assert names == [f"shop:{n}" for n in range(7)]

    in_doors(memory, a_programme(), story)


def test_an_order_is_explained_in_sentences(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        await doors.put_order("1")
        told = (await doors.client.get(f"/v1/orders/{SOURCE}/1/explanation")).json()["passages"]
        assert "Order 1 of" in told[0]["text"]
        assert any("100" in detail["text"] for detail in told[0]["details"])
        nobody = await doors.client.get(f"/v1/orders/{SOURCE}/2/explanation")
        assert (nobody.status_code, nobody.json()["code"]) == (404, "not_found")

    in_doors(memory, a_programme(), story)


def test_a_quote_tells_a_guest_what_they_lose_and_changes_nothing(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        await doors.put_order("1")
        cart = {"currency": "PLN", "lines": [{"id": "1", "sku": "tea", "quantity": 2, "amount": 37_200}]}
        before = await doors.world.rows("select count(*) from fact")
        guest = (await doors.client.post("/v1/quotes", json={"cart": cart})).json()
        anna = (await doors.client.post("/v1/quotes", json={"cart": cart, "member": "anna"})).json()
        assert (guest["is_guest"], guest["awards"][0]["amount"]) == (True, 372)
        assert (anna["is_guest"], anna["spendable"][0]["balance"]) == (False, 100)
        assert await doors.world.rows("select count(*) from fact") == before

    in_doors(memory, a_programme(), story)


def test_a_quote_knows_what_a_limit_has_left(memory: str) -> None:
    bonus = {"id": "start", "award": {"unit": "points", "amount": 50}, "limit": {"uses": 1}}

    async def story(doors: Doors) -> None:
        await doors.enrol("anna", "ben")
        cart = {"currency": "PLN", "lines": [{"id": "1", "sku": "tea", "quantity": 1, "amount": 10_000}]}
        quotes = []
        for id in ("1", "2"):
            quotes.append((await doors.client.post("/v1/quotes", json={"cart": cart, "member": "ben"})).json())
            await doors.put_order(id)
        assert [sum(award["amount"] for award in quote["awards"]) for quote in quotes] == [150, 100]
        assert [reason["code"] for reason in quotes[1]["reasons"]] == ["budget_exhausted"]

    in_doors(memory, a_programme(units={"points": a_unit()}, rules=[purchase_rule(), bonus]), story)


def test_value_is_redeemed_held_captured_and_released_once_each(memory: str) -> None:
    async def story(doors: Doors) -> None:
        await doors.enrol("anna")
        await doors.put_order("1", amount=50_000)
        ask = {"member": "anna", "order": "2", "unit": "points", "amount": 100, "payable": 100_000}
        first, second = [await doors.client.post("/v1/redemptions", json=ask, headers=once("r")) for _ in range(2)]
        assert (first.status_code, first.content) == (201, second.content)
        assert (second.headers["idempotency-replayed"], first.json()["accounts"]["points"]["active"]) == ("true", 400)
        other = await doors.client.post("/v1/redemptions", json={**ask, "amount": 99}, headers=once("r"))
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")
        hold = {**ask, "order": "3", "expires_at": iso(doors.world.clock.now() + DAY)}  # type: ignore[arg-type]
        held = await doors.client.post("/v1/holds", json=hold, headers=once("h"))
        assert held.json()["accounts"]["points"] == {"active": 300, "pending": 0, "held": 100, "debt": 0}
        captured = await doors.client.post("/v1/members/anna/holds/h/capture", json={"amount": 60}, headers=once("c"))
        assert captured.json()["accounts"]["points"] == {"active": 340, "pending": 0, "held": 0, "debt": 0}
        released = await doors.client.post("/v1/members/anna/holds/h/release", headers=once("l"))
        assert (released.status_code, released.json()["code"]) == (409, "hold_captured")
        given = await doors.client.post(
            "/v1/adjustments", json={"member": "anna", "unit": "points", "amount": 5, "reason": "sorry"}, headers=once("a")
        )
        assert given.json()["accounts"]["points"]["active"] == 345

    in_doors(memory, a_programme(units={"points": a_unit(spending={})}), story)
