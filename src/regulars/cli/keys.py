"""Keys, as whoever runs the service gives them out: the first one of a merchant is issued here."""

from zoneinfo import ZoneInfo

from regulars.cli.screen import Screen
from regulars.cli.service import with_service
from regulars.flows import access
from regulars.kernel.time import Instant, moment
from regulars.store.access import StoredKey, list_keys
from regulars.store.database import working_for
from regulars.wiring import Service


def issue(name: str, merchant_id: int, source: str, scopes: list[str]) -> None:
    """A new key, said once."""

    async def do(service: Service) -> access.Issued:
        return await access.issue(service.pool, service.clock, merchant_id, name, source, scopes or access.SCOPES, "cli")

    issued = with_service(do)
    screen = Screen()
    screen.say(issued.secret)
    screen.say(f"for source {issued.key.source}: {', '.join(issued.key.scopes)}. It is not shown again.")


def show(merchant_id: int) -> None:
    """All keys of a merchant."""

    async def do(service: Service) -> list[StoredKey]:
        async with working_for(service.pool, [merchant_id]) as connection:
            return await list_keys(connection, merchant_id)

    rows = [[key.key_id, key.name, key.source, " ".join(key.scopes), _until(key)] for key in with_service(do)]
    Screen().columns([["key", "name", "source", "may", "state"], *rows])


def end(key_id: str, merchant_id: int) -> None:
    """A key opens nothing any more."""

    async def do(service: Service) -> None:
        await access.end(service.pool, service.clock, merchant_id, key_id, "cli")

    with_service(do)
    Screen().say(f"key {key_id} opens nothing any more, within seconds in processes that know it")


def _until(key: StoredKey) -> str:
    if key.ends_at is not None:
        return f"ends {_day(key.ends_at)}"
    return "never used" if key.used_at is None else f"used {_day(key.used_at)}"


def _day(at: Instant) -> str:
    return f"{moment(at, ZoneInfo('UTC')):%Y-%m-%d}"
