"""Law 28: personal values lie sealed in one vault; who is erased leaves nothing that names them, in no byte of a full copy."""

import asyncio
import base64
import hashlib
import subprocess
from typing import Any

from builders import POINTS, a_line, an_order, changed, stated
from tales import a_lively_programme, as_owner, buy, digest_of
from world import MERCHANT, World, in_world

from regulars.flows.people import TRACE, Identity
from regulars.flows.seals import seal_months
from regulars.gateways.postgres import Server
from regulars.kernel.time import DAY, SECOND, Instant

ANNA = [Identity("email", "Anna.Nowakowska@Example.org"), Identity("phone", "+48600100200"), Identity("card", "70017002")]
ANNA_TOO = [Identity("customer", "KD-99817", "shop"), Identity("email", "nowakowska.home@example.net")]
PROFILE = {"name": "Anna Nowakowská", "street": "Długa 17/4", "birthday": "1990-02-28"}
PROFILE_TOO = {"name": "A. Nowakowská-Home"}
CLEO = Identity("email", "cleo@example.org")


def identifiers() -> set[str]:
    """Everything that names Anna, as she said it and as it is compared."""
    plain = {form for one in (*ANNA, *ANNA_TOO) for form in (one.value, one.plain)}
    return plain | set(PROFILE.values()) | set(PROFILE_TOO.values())


def shapes(value: str) -> set[str]:
    """How a careless engine might leave it."""
    raw, folded = value.encode(), value.casefold()
    coded = base64.b64encode(raw).decode().rstrip("=")[:-1]
    digests = {digest(raw).hexdigest() for digest in (hashlib.sha256, hashlib.sha1, hashlib.md5)}
    digests |= {base64.b64encode(hashlib.sha256(raw).digest()).decode(), hashlib.sha256(folded.encode()).hexdigest()}
    return {folded, raw.hex(), folded.encode().hex(), coded.casefold()} | {digest.casefold() for digest in digests}


def a_copy(server: Server, url: str) -> str:
    """A full dump, as text in lower case."""
    words = [server.binaries.bin / "pg_dump", "--no-sync", f"--dbname={url}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.casefold()


def traces(copy: str) -> set[str]:
    return {shape for value in identifiers() for shape in shapes(value) if shape in copy}


async def lived(world: World) -> tuple[int, int, int]:
    """Anna, who enrolled twice and was merged; Cleo stands beside her. Their May is sealed."""
    anna = await world.people.enrol(ANNA, PROFILE)
    too = await world.people.enrol(ANNA_TOO, PROFILE_TOO)
    cleo = await world.people.enrol([CLEO])
    order = await buy(world, anna, "a1", 30_000)
    await world.take(anna, stated(changed(order, a_line(price=20_000)), world.clock.now()))
    await world.give(anna, 70)
    await world.wallet.redeem(anna, "pay-a2", "shop:a2", POINTS, 120, 50_000)
    await buy(world, anna, "a2", 50_000)
    await buy(world, too, "b1", 40_000)
    await buy(world, cleo, "c1", 12_300)
    await world.later(10 * DAY)
    await world.pairs.merge(anna, too, "eva")
    await world.wallet.hold(anna, "h-open", "shop:a3", POINTS, 25, 50_000, Instant(world.clock.now() + DAY))
    assert await seal_months(world.pool, world.clock, MERCHANT) == ["2026-05"]
    return anna, too, cleo


def test_before_erasure_nothing_that_names_a_member_stands_anywhere_in_plain(server: Server, memory: str) -> None:
    async def story(world: World) -> None:
        anna, _, _ = await lived(world)
        person = await world.people.read(anna)
        assert {one.plain for one in person.identities} == {one.plain for one in ANNA}
        assert person.profile == PROFILE

    in_world(memory, a_lively_programme(), story)
    copy = a_copy(server, memory)
    assert "shop:a1" in copy
    assert traces(copy) == set()


def test_the_search_finds_what_is_left_lying(server: Server, memory: str) -> None:
    async def story(world: World) -> None:
        await lived(world)
        async with as_owner(world.url) as owner:
            await owner.execute("create table left_lying (value bytea, other text)")
            await owner.execute("insert into left_lying values ($1, $2)", b"Anna.Nowakowska@Example.org", f"-- {sha256('70017002')}")

    in_world(memory, a_lively_programme(), story)
    assert traces(a_copy(server, memory)) == {b"Anna.Nowakowska@Example.org".hex(), sha256("70017002")}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_after_erasure_nothing_is_left_in_a_full_copy_but_traces_that_name_nobody(server: Server, memory: str) -> None:
    keys: list[bytes] = []
    digests: list[bytes] = []

    async def story(world: World) -> None:
        anna, too, cleo = await lived(world)
        keys.extend(
            value for row in await world.rows("select wrapped_key, salt from vault_key where member_id <> $1", cleo) for value in row
        )
        digests.extend(world.people.digest(one)[1] for one in (*ANNA, *ANNA_TOO))
        before = world.clock.now()
        await world.people.erase(anna, "asked", "eva")
        for table in ("identity", "vault", "vault_key"):
            assert await world.rows(f"select from {table} where member_id in ($1, $2)", anna, too) == [], table
            assert await world.rows(f"select from {table} where member_id = $1", cleo) != [], table
        found = await world.rows("select digest, until from identity_trace")
        assert {row["digest"] for row in found} == set(digests)
        assert all(before + TRACE <= row["until"] <= before + TRACE + SECOND for row in found)
        assert TRACE == 365 * DAY
        assert [await world.people.find(one) for one in (*ANNA, *ANNA_TOO)] == [None] * 5
        assert await world.people.find(CLEO) == cleo

    in_world(memory, a_lively_programme(), story)
    copy = a_copy(server, memory)
    assert traces(copy) == set()
    assert [copy.count(digest.hex()) for digest in digests] == [1] * 5
    assert [key.hex() for key in keys if key.hex() in copy] == []


def test_erasure_closes_the_members_accounts_and_changes_nothing_else_that_counts(memory: str) -> None:
    async def story(world: World) -> None:
        anna, too, cleo = await lived(world)
        before, books = await entries(world), await standing(world, cleo)
        await world.people.erase(anna, "asked", "eva")
        after = await entries(world)
        closing = after["transfer"] - before["transfer"]
        assert {name: rows - after[name] for name, rows in before.items()} == {name: set() for name in before}
        assert {row[1] for row in closing} == {anna}
        assert {(row[6], row[8]) for row in closing} == {("release", "member.active"), ("expiry", "house.expired")}
        assert after["seal"] == before["seal"]
        assert {row[1] for row in after["fact"] - before["fact"]} == {anna}
        assert await standing(world, cleo) == books
        assert totals(after["transfer"] - closing) == totals(before["transfer"])
        assert sum(totals(after["transfer"]).values()) == 0
        async with as_owner(world.url) as owner:
            assert await owner.fetchval("select digest from seal") == await digest_of(owner, MERCHANT, "2026-05")
        assert [await world.stands(one) for one in (anna, too, cleo)] == [True] * 3
        held = (await world.past(anna)).snapshot
        assert (held.member.status, held.member.lots, held.member.holds) == ("erased", (), ())
        assert {(a.pending, a.active, a.held, a.debt) for a in held.accounts.values()} == {(0, 0, 0, 0)}

    in_world(memory, a_lively_programme(), story)


async def entries(world: World) -> dict[str, set[tuple[Any, ...]]]:
    names = ("transfer", "fact", "fact_key", "allocation", "draw", "seal", "audit")
    return {name: {tuple(row) for row in await world.rows(f"select * from {name}")} for name in names}


async def standing(world: World, member: int) -> Any:
    return [await world.rows(f"select * from {name} where member_id = $1", member) for name in ("account", "lot", "order_book", "identity")]


def totals(rows: set[tuple[Any, ...]]) -> dict[str, int]:
    """What each account of the house and all members' together hold."""
    found: dict[str, int] = {}
    for row in rows:
        source, target, amount = row[7], row[8], row[9]
        found[source] = found.get(source, 0) - amount
        found[target] = found.get(target, 0) + amount
    return found


def test_who_was_erased_enrols_again_as_somebody_new(memory: str) -> None:
    async def story(world: World) -> None:
        anna, too, _ = await lived(world)
        await world.people.erase(anna, "asked", "eva")
        again = await world.people.enrol(ANNA, PROFILE)
        assert again not in (anna, too)
        assert (await world.past(again)).snapshot.accounts == {}
        assert (await world.people.read(again)).profile == PROFILE
        refused = await world.take(again, stated(an_order("a1", world.clock.now(), a_line())))
        assert refused.refusal is not None
        await world.later(366 * DAY)
        await world.night()
        assert await world.rows("select from identity_trace") == []
        assert await world.people.find(ANNA[0]) == again

    in_world(memory, a_lively_programme(), story)


def test_erasing_one_of_two_who_were_told_apart_again_leaves_the_other(memory: str) -> None:
    async def story(world: World) -> None:
        anna, too = await world.people.enrol(ANNA, PROFILE), await world.people.enrol(ANNA_TOO, PROFILE_TOO)
        merge = await world.pairs.merge(anna, too, "eva")
        await world.pairs.undo(anna, merge, "eva")
        await world.people.erase(anna, "asked", "eva")
        assert (await world.people.read(too)).profile == PROFILE_TOO
        assert [await world.people.find(one) for one in (*ANNA, *ANNA_TOO)] == [None, None, None, too, too]

    in_world(memory, a_lively_programme(), story)


def test_a_house_full_of_members_erased_at_once_is_empty_of_names(memory: str) -> None:
    async def story(world: World) -> None:
        people = [await world.people.enrol([Identity("email", f"{n}@example.org")], {"name": f"N{n}"}) for n in range(20)]
        await asyncio.gather(*(world.people.erase(one, "asked", "eva") for one in people))
        for table in ("identity", "vault", "vault_key"):
            assert await world.rows(f"select from {table}") == [], table
        assert len(await world.rows("select from identity_trace")) == 20

    in_world(memory, a_lively_programme(), story)
