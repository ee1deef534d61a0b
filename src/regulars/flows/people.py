"""People: who enrols, by what they are known, and what is forgotten when they go.

Invariant: an identity belongs to one member; personal values are written to the vault and nowhere else, and erasing a person leaves
nothing that names them (law 28).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import asyncpg
import msgspec

from regulars.flows.batch import BatchDesk
from regulars.flows.commands import Command, Outcome
from regulars.flows.lane import Lane
from regulars.flows.patience import patiently
from regulars.flows.programmes import Programmes
from regulars.flows.settle import Told
from regulars.gateways.clock import Clock
from regulars.gateways.dice import new_id
from regulars.gateways.keys import Keyring, new_key, seal, unseal
from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.kernel.ids import FactId
from regulars.kernel.time import DAY, Instant
from regulars.programme.facts import StatusChanged
from regulars.store import vault
from regulars.store.database import Connection, working_for
from regulars.store.members import (
    Digest,
    absorbed_members,
    find_member,
    find_members,
    forget_identities,
    insert_identities,
    insert_members,
    lock_member,
)
from regulars.store.sheet import Moved

_GONE = ("erased", "merged")
_PHONE = re.compile(r"^\+?[0-9]{5,15}$")
_PATIENCE_SECONDS = 8

TRACE = 365 * DAY
"""How long keyed hashes of erased identities are kept against fraud."""


class Identity(msgspec.Struct, frozen=True):
    """By what a person is known: ``customer`` is a shop's own number for them (and names its source), the others speak for themselves."""

    kind: Literal["customer", "email", "phone", "card", "device"]
    value: str
    source: str = ""

    @property
    def plain(self) -> str:
        """The same for the same person, however it was written."""
        value = self.value.strip()
        if self.kind == "email":
            return value.casefold()
        if self.kind == "phone":
            return re.sub(r"^00", "+", re.sub(r"[^0-9+]", "", value))
        return f"{self.source}:{value}" if self.kind == "customer" else value


class Person(msgspec.Struct, frozen=True):
    """What the vault knows of somebody."""

    identities: tuple[Identity, ...]
    profile: dict[str, str]


class People:
    """The people of one merchant."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, keyring: Keyring, programmes: Programmes, merchant_id: int) -> None:
        """Whose people; ``keyring`` opens their vault."""
        self._pool = pool
        self._clock = clock
        self._keyring = keyring
        self._desk = BatchDesk(programmes, clock)
        self._merchant_id = merchant_id

    def digest(self, identity: Identity) -> Digest:
        """The keyed hash by which it is found."""
        return identity.kind, self._keyring.digest(self._merchant_id, identity.kind, identity.plain)

    async def find(self, identity: Identity) -> int | None:
        """Who is known by it."""
        digest = self.digest(identity)
        async with working_for(self._pool, [self._merchant_id]) as connection:
            return (await find_members(connection, self._merchant_id, [digest])).get(digest)

    async def enrol(self, identities: Iterable[Identity], profile: Mapping[str, str] | None = None) -> int:
        """The member who is known by these identities; a new one where nobody is. Asked twice, it is the same.

        Raises ``Invalid`` without an identity, or when the identities belong to several members.
        """
        known_by = tuple(identities)
        if not known_by:
            raise Invalid(Problem("identities", "nobody is known by nothing", "give an e-mail, a phone or the shop's customer number"))
        for identity in known_by:
            if not identity.value.strip() or not identity.plain:
                raise Invalid(Problem(f"identities.{identity.kind}", "it is empty", "leave it out"))
            if identity.kind == "phone" and not _PHONE.match(identity.plain):
                hint = "write it with its country, as +48 600 100 200, or leave it out"
                raise Invalid(Problem("identities.phone", f"{identity.value!r} is no number that can be called", hint))
        return await patiently(lambda: self._enrol(known_by, profile or {}), _PATIENCE_SECONDS)

    async def _enrol(self, known_by: Sequence[Identity], profile: Mapping[str, str]) -> int:
        """Raises ``Moved`` when somebody enrols, merges or erases the same person at this moment."""
        async with working_for(self._pool, [self._merchant_id]) as connection:
            digests = [self.digest(identity) for identity in known_by]
            owners = set((await find_members(connection, self._merchant_id, digests)).values())
            if owners:
                member_id = min(owners)
                if await lock_member(connection, self._merchant_id, member_id) in _GONE:
                    raise Moved
            else:
                member_id = new_id(self._clock.now())
                await insert_members(connection, self._merchant_id, [member_id], self._clock.now())
            taken = await insert_identities(connection, self._merchant_id, [(one, member_id) for one in digests], self._clock.now())
            if taken and not owners:
                raise Moved
            if taken or len(owners) > 1:
                others = ", ".join(map(str, sorted({*owners, *taken.values()})))
                raise Invalid(Problem("identities", f"they belong to several members: {others}", "merge them first"))
            await self._keep(connection, member_id, await self._key(connection, member_id), known_by, profile)
        return member_id

    async def read(self, member_id: int) -> Person:
        """What the vault knows of a member. Raises ``NotFound``."""
        async with working_for(self._pool, [self._merchant_id]) as connection:
            wrapped = await vault.find_key(connection, self._merchant_id, member_id)
            if wrapped is None:
                raise NotFound(Problem(f"member {member_id}", "nothing personal is known of them", "erased people leave nothing"))
            values = await vault.list_values(connection, self._merchant_id, member_id)
        key = self._keyring.unwrap(wrapped, self._owner(member_id))
        plain = {name: unseal(key, sealed, f"{self._owner(member_id)}/{name}").decode() for name, sealed in values.items()}
        identities = tuple(
            msgspec.json.decode(text, type=Identity) for name, text in plain.items() if name.startswith("identity/")
        )  # fmt: skip
        return Person(identities, {name[8:]: text for name, text in plain.items() if name.startswith("profile/")})

    async def change_status(
        self, lane: Lane, member_id: int, key: str, status: Literal["active", "suspended", "closed"], reason: str, actor: str
    ) -> Outcome:
        """Suspend, close or reopen a member, once per ``key``."""
        fact = StatusChanged(FactId(key), status, reason, actor, Instant(0), Instant(0))
        return await lane.take(Command(self._merchant_id, member_id, fact, Told("", actor)))

    async def erase(self, member_id: int, reason: str, actor: str) -> None:
        """Forget a person: their value ends, their identities and their vault go, in one transaction; figures and seals stay (law 28).

        Whoever was merged into them goes too. Erasing again changes nothing. Raises ``NotFound``.
        """
        async with working_for(self._pool, [self._merchant_id]) as connection:
            member = await find_member(connection, self._merchant_id, member_id)
            if member is None:
                raise NotFound(Problem(f"member {member_id}", "there is no such member", "look them up by an identity"))
            fact = StatusChanged(FactId(f"erase/{member_id}"), "erased", reason, actor, Instant(0), Instant(0))
            told = Told("", actor, is_told=False)
            (answer,) = await self._desk.work(connection, "erase", [Command(self._merchant_id, member_id, fact, told)])
            if isinstance(answer, Exception):
                raise answer
            if not isinstance(answer, Outcome):
                raise Invalid(Problem(f"member {member_id}", "they were merged into another member", "erase that one"))
            people = [member_id, *await absorbed_members(connection, self._merchant_id, member_id)]
            await forget_identities(connection, self._merchant_id, people, Instant(self._clock.now() + TRACE))
            await vault.destroy(connection, self._merchant_id, people)

    def _owner(self, member_id: int) -> str:
        return f"{self._merchant_id}/{member_id}"

    async def _key(self, connection: Connection, member_id: int) -> bytes:
        """The person's own key, made when there is none yet."""
        owner = self._owner(member_id)
        wrapped = await vault.find_key(connection, self._merchant_id, member_id)
        if wrapped is None:
            key = new_key()
            await vault.insert_key(connection, self._merchant_id, member_id, self._keyring.wrap(key, owner), new_key())
            return key
        return self._keyring.unwrap(wrapped, owner)

    async def _keep(
        self, connection: Connection, member_id: int, key: bytes, identities: Iterable[Identity], profile: Mapping[str, str]
    ) -> None:
        """Seal what is personal; identities lie under their keyed hash, so that one told twice is kept once."""
        values = {f"identity/{self.digest(one)[1].hex()}": msgspec.json.encode(one) for one in identities}
        values |= {f"profile/{name}": value.encode() for name, value in profile.items()}
        owner = self._owner(member_id)
        sealed = {name: seal(key, value, f"{owner}/{name}") for name, value in values.items()}
        await vault.put_values(connection, self._merchant_id, member_id, sealed)
