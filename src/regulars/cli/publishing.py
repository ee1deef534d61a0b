"""Publishing, as the owner does it: every version of a file that is not published yet."""

import json
from pathlib import Path

import msgspec

from regulars.cli.screen import Screen
from regulars.cli.service import with_service
from regulars.flows import programmes
from regulars.flows.merchants import move_in
from regulars.gateways.programmefiles import read_programme
from regulars.kernel.time import BEGINNING, Instant, moment
from regulars.programme.definition import Document, Programme, plain
from regulars.store.database import working_for
from regulars.store.house import StoredStore
from regulars.store.programmes import list_versions, live_versions
from regulars.wiring import Service


class Published(msgspec.Struct, frozen=True):
    """A version, since when it applies, and whether it was this publication that made it so."""

    version: int
    applies_from: Instant
    is_new: bool


def publish(file: Path, merchant_id: int, actor: str, reason: str, as_json: bool) -> None:
    """Publish every version of the file that is not published yet; the first publication sets the merchant up."""
    programme = read_programme(file)

    async def do(service: Service) -> tuple[list[Published], int]:
        version = programme.latest
        store = StoredStore(1, "web", version.currency, version.document.time_zone)
        await move_in(service.pool, service.clock, merchant_id, version.document.programme, store, ("shop", "file"))
        return [await _published(service, merchant_id, one.document, actor, reason) for one in programme.versions], await _in_force(
            service, merchant_id
        )

    published, in_force = with_service(do)
    if as_json:
        print(json.dumps(msgspec.to_builtins(published), indent=2))
        return
    for one in published:
        screen = Screen()
        if one.is_new:
            screen.say(f"version {one.version}: published, applies {_since(programme, one.applies_from)}")
        else:
            screen.say(f"version {one.version}: published already, as it is here; nothing was changed{_beside(one, in_force)}")


async def _published(service: Service, merchant_id: int, document: Document, actor: str, reason: str) -> Published:
    data = plain(document)
    async with working_for(service.pool, [merchant_id]) as connection:
        for one in await list_versions(connection, merchant_id):
            if one.applies_from is not None and {**one.document, "version": None} == {**data, "version": None}:
                return Published(one.version, one.applies_from, False)
    number = await programmes.draft(service.pool, service.clock, merchant_id, data, actor)
    applies_from = await programmes.publish(service.pool, service.clock, merchant_id, number, actor, reason)
    return Published(number, applies_from, True)


async def _in_force(service: Service, merchant_id: int) -> int:
    async with working_for(service.pool, [merchant_id]) as connection:
        return (await live_versions(connection, service.clock.now())).get(merchant_id, 0)


def _beside(one: Published, in_force: int) -> str:
    return "" if one.version >= in_force else f"; version {in_force} is in force, and to go back to this one publish it as a new version"


def _since(programme: Programme, at: Instant) -> str:
    return "always" if at == BEGINNING else f"from {moment(at, programme.latest.zone):%Y-%m-%d %H:%M:%S %Z}"
