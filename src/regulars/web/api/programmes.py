"""Programmes and keys: what is in force, drafts and their publication; who may ask."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from regulars.flows import access
from regulars.flows.programmes import draft, publish
from regulars.programme.definition import Version, document
from regulars.store.access import StoredKey, list_attempts, list_keys
from regulars.store.database import working_for
from regulars.store.programmes import Stored, list_versions
from regulars.web.api.calls import Call
from regulars.web.api.shapes import Name, Words, time_of

Document = Annotated[dict[str, Any], msgspec.Meta(description="A programme, as its JSON schema describes it.")]


class VersionOut(msgspec.Struct, frozen=True):
    """One version; a draft applies from nowhen."""

    version: int
    status: str
    applies_from: datetime | None
    actor: str
    document: dict[str, Any]


class CheckedOut(msgspec.Struct, frozen=True):
    """What a document came to."""

    programme: str
    rules: int
    units: list[str]


class DraftedOut(msgspec.Struct, frozen=True):
    """The number of a draft."""

    version: int


class PublishIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is published."""

    reason: Words = ""


class PublishedOut(msgspec.Struct, frozen=True):
    """Since when a version applies; nothing: always."""

    version: int
    applies_from: datetime | None


class KeyOut(msgspec.Struct, frozen=True):
    """A key without its secret."""

    id: str
    name: str
    source: str
    scopes: list[str]
    created_at: datetime | None
    ends_at: datetime | None
    used_at: datetime | None


class IssuedOut(msgspec.Struct, frozen=True):
    """A new key; its ``secret`` is said here and never again."""

    key: KeyOut
    secret: str


class KeyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key is called, for which source it speaks, and what it may do."""

    name: Name
    source: Name
    scopes: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=20)]


class MeOut(msgspec.Struct, frozen=True):
    """Who asks."""

    merchant: str
    key: str
    name: str
    source: str
    scopes: list[str]


class AttemptOut(msgspec.Struct, frozen=True):
    """What came to the door within a minute."""

    minute: datetime | None
    door: str
    key: str
    address: str
    outcome: str
    times: int


class AttemptsOut(msgspec.Struct, frozen=True):
    """A page, newest first."""

    items: list[AttemptOut]
    next: str | None


Number = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
KeyId = Annotated[str, PathParameter(pattern="^[0-9a-f]{1,40}$")]


@get("/me", opt={"needs": "read"}, tags=["Keys"], summary="Who asks")
async def get_me(call: NamedDependency[Call]) -> MeOut:
    """What the key is and may do."""
    caller = call.caller
    return MeOut(str(caller.merchant_id), caller.key_id, caller.name, caller.source, sorted(caller.scopes))


@get("/programmes", opt={"needs": "read"}, tags=["Programmes"], summary="All versions of the programme")
async def get_programmes(call: NamedDependency[Call]) -> list[VersionOut]:
    """By number, drafts included."""
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        return [_version(one) for one in await list_versions(connection, call.merchant_id)]


@post("/programmes:check", opt={"needs": "read"}, status_code=200, tags=["Programmes"], summary="Whether a document is a programme")
async def post_check(data: JSONBody[Document]) -> CheckedOut:
    """Every problem with its place and what to do; nothing is kept."""
    read = document(data)
    version = Version(read)
    return CheckedOut(read.programme, len(version.ready), sorted(version.purses))


@post("/programmes", opt={"needs": "programmes"}, status_code=201, tags=["Programmes"], summary="Keep a draft")
async def post_draft(call: NamedDependency[Call], data: JSONBody[Document]) -> DraftedOut:
    """Under the number that it says, or the next."""
    return DraftedOut(await draft(call.service.pool, call.service.clock, call.merchant_id, data, call.actor))


@post("/programmes/{version:int}/publish", opt={"needs": "programmes"}, status_code=200, tags=["Programmes"], summary="Publish a draft")
async def post_publish(call: NamedDependency[Call], version: Number, data: JSONBody[PublishIn]) -> PublishedOut:
    """From the day that it names, or as soon as everybody knows; the first version always was."""
    at = await publish(call.service.pool, call.service.clock, call.merchant_id, version, call.actor, data.reason)
    return PublishedOut(version, time_of(at) if at > 0 else None)


@get("/keys", opt={"needs": "keys"}, tags=["Keys"], summary="All keys")
async def get_keys(call: NamedDependency[Call]) -> list[KeyOut]:
    """Those that ended too."""
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        return [_key(one) for one in await list_keys(connection, call.merchant_id)]


@post("/keys", opt={"needs": "keys"}, status_code=201, tags=["Keys"], summary="Issue a key")
async def post_key(call: NamedDependency[Call], data: JSONBody[KeyIn]) -> IssuedOut:
    """Its secret is said once."""
    issued = await access.issue(call.service.pool, call.service.clock, call.merchant_id, data.name, data.source, data.scopes, call.actor)
    return IssuedOut(_key(issued.key), issued.secret)


@post("/keys/{id:str}/rotate", opt={"needs": "keys"}, status_code=201, tags=["Keys"], summary="A new key in the place of one")
async def post_rotation(call: NamedDependency[Call], id: KeyId) -> IssuedOut:
    """The old one opens for another day."""
    issued = await access.replace(call.service.pool, call.service.clock, call.merchant_id, id, call.actor)
    call.house.doorkeeper.forget(id)
    return IssuedOut(_key(issued.key), issued.secret)


@delete("/keys/{id:str}", opt={"needs": "keys"}, status_code=204, tags=["Keys"], summary="End a key")
async def delete_key(call: NamedDependency[Call], id: KeyId) -> None:
    """At once here, within seconds in other processes."""
    await access.end(call.service.pool, call.service.clock, call.merchant_id, id, call.actor)
    call.house.doorkeeper.forget(id)


@get("/attempts", opt={"needs": "keys"}, tags=["Keys"], summary="Who came to the door and was refused")
async def get_attempts(
    call: NamedDependency[Call],
    before: Annotated[str, QueryParameter(pattern="^[0-9]{0,19}$")] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> AttemptsOut:
    """Counted by minute, newest first."""
    async with working_for(call.service.pool, [call.merchant_id]) as connection:
        rows = await list_attempts(connection, call.merchant_id, min(int(before), 2**63 - 1) if before else None, limit)
    items = [AttemptOut(time_of(one.minute), one.door, one.subject, one.address, one.outcome, times) for _, one, times in rows]
    return AttemptsOut(items, str(rows[-1][0]) if len(rows) == limit else None)


def _version(one: Stored) -> VersionOut:
    since = None if one.applies_from is None or one.applies_from <= 0 else time_of(one.applies_from)
    return VersionOut(one.version, one.status, since, one.actor, one.document)


def _key(key: StoredKey) -> KeyOut:
    ends = None if key.ends_at is None else time_of(key.ends_at)
    used = None if key.used_at is None else time_of(key.used_at)
    return KeyOut(key.key_id, key.name, key.source, list(key.scopes), time_of(key.created_at), ends, used)


ROUTES: list[Any] = [
    get_me,
    get_programmes,
    post_check,
    post_draft,
    post_publish,
    get_keys,
    post_key,
    post_rotation,
    delete_key,
    get_attempts,
]
