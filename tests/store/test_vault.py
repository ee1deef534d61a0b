"""The vault: personal values are read with the key of their person and in no other way, nor anywhere else than where they were put."""

import pytest
from builders import a_programme
from cryptography.exceptions import InvalidTag
from tales import as_owner
from world import MERCHANT, World, in_world

from regulars.flows.people import Identity, People
from regulars.flows.programmes import Programmes
from regulars.gateways.keys import Keyring, new_key, seal, unseal
from regulars.kernel.errors import Invalid, NotFound

ANNA = [Identity("email", "Anna@example.org"), Identity("phone", "+48 600 100 200")]


def test_what_was_put_in_is_read_as_it_was_written(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol(ANNA, {"name": "Anna Nováková", "birthday": "1990-02-28"})
        person = await world.people.read(anna)
        assert set(person.identities) == set(ANNA)
        assert person.profile == {"name": "Anna Nováková", "birthday": "1990-02-28"}
        await world.people.enrol(ANNA[:1], {"name": "Anna Dvořáková"})
        assert (await world.people.read(anna)).profile == {"name": "Anna Dvořáková", "birthday": "1990-02-28"}

    in_world(memory, a_programme(), story)


def test_with_another_master_secret_nothing_is_read(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol(ANNA, {"name": "Anna"})
        stranger = People(world.pool, world.clock, Keyring(b"another master secret of a thief"), Programmes(), MERCHANT)
        with pytest.raises(Invalid, match="this key does not open it"):
            await stranger.read(anna)
        assert await stranger.find(ANNA[0]) is None
        assert await world.people.find(ANNA[0]) == anna

    in_world(memory, a_programme(), story)


@pytest.mark.parametrize(
    "theft",
    [
        "update vault v set sealed = o.sealed from vault o where v.member_id = $1 and o.member_id = $2 and v.name = o.name",
        "update vault_key v set wrapped_key = o.wrapped_key from vault_key o where v.member_id = $1 and o.member_id = $2",
        """update vault v set sealed = o.sealed from vault o where v.member_id = $1 and o.member_id = v.member_id
            and v.name = 'profile/name' and o.name = 'profile/note' and $2::bigint > 0""",
        """update vault set sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 1)
            where $1::bigint + $2::bigint > 0""",
    ],
    ids=["the value of another person", "the key of another person", "another value of the same person", "a changed byte"],
)
def test_what_was_moved_or_changed_is_not_read(memory: str, theft: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol(ANNA[:1], {"name": "Anna", "note": "likes oolong"})
        ben = await world.people.enrol(ANNA[1:], {"name": "Ben", "note": "likes sencha"})
        async with as_owner(world.url) as owner:
            assert await owner.execute(theft, anna, ben) != "UPDATE 0"
        with pytest.raises((InvalidTag, Invalid)):
            await world.people.read(anna)

    in_world(memory, a_programme(), story)


def test_nobody_is_read_who_is_nobody(memory: str) -> None:
    async def story(world: World) -> None:
        with pytest.raises(NotFound):
            await world.people.read(4711)
        unknown = await world.member()
        with pytest.raises(NotFound):
            await world.people.read(unknown)
        assert await world.people.enrol(ANNA) != unknown

    in_world(memory, a_programme(), story)


def test_the_same_value_is_sealed_differently_each_time() -> None:
    key = new_key()
    first, second = seal(key, b"anna", "1/1/name"), seal(key, b"anna", "1/1/name")
    assert first != second
    assert unseal(key, first, "1/1/name") == unseal(key, second, "1/1/name") == b"anna"
    with pytest.raises(InvalidTag):
        unseal(key, first, "1/2/name")


def test_a_person_reads_as_nothing_after_their_key_is_gone_though_a_copy_of_the_values_stays(memory: str) -> None:
    async def story(world: World) -> None:
        anna = await world.people.enrol(ANNA[:1], {"name": "Anna"})
        async with as_owner(world.url) as owner:
            await owner.execute("create table copy as select * from vault")
            await world.people.erase(anna, "asked", "eva")
            ben = await world.people.enrol(ANNA[1:], {})
            stolen = "insert into vault select merchant_id, $1, name, sealed from copy"
            await owner.execute(stolen, ben)
        with pytest.raises(InvalidTag):
            await world.people.read(ben)
        with pytest.raises(NotFound):
            await world.people.read(anna)

    in_world(memory, a_programme(), story)


def test_the_digest_of_an_identity_differs_by_merchant_kind_and_secret() -> None:
    keyring, other = Keyring(b"one"), Keyring(b"other")
    digests = {
        keyring.digest(1, "email", "a"),
        keyring.digest(2, "email", "a"),
        keyring.digest(1, "phone", "a"),
        keyring.digest(1, "email", "b"),
        other.digest(1, "email", "a"),
    }
    assert len(digests) == 5
