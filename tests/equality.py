"""Whether the memory holds of every member of a file what a replay makes of them."""

import asyncpg

from regulars.flows.importer import Import
from regulars.flows.people import Identity
from regulars.flows.replays import Prepared
from regulars.gateways.keys import Keyring
from regulars.programme.member import MemberState
from regulars.simulation.figures import Figures
from regulars.simulation.replay import Shop, events_of
from regulars.store.records import read_snapshot


def replayed(prepared: Prepared, source: str) -> dict[str, MemberState]:
    """Every member as a replay leaves them; their orders under the name of ``source``."""
    states = {}
    figures = Figures()
    assert source == "file"  # the name under which a replay knows its orders
    for history in prepared.file.histories(prepared.programme.latest.currency):
        shop = Shop(prepared.programme, history, prepared.assumptions, figures, None, None)
        for event in events_of(history, prepared.assumptions, figures):
            shop.meet(event)
        shop.close(prepared.assumptions.as_of)
        states[history.member] = shop.member
    return states


async def remembered(url: str, keyring: Keyring, request: Import, members: list[str]) -> dict[str, MemberState]:
    """The same members as the memory holds them, under the file's own names."""
    owner = await asyncpg.connect(url)
    try:
        rows = await owner.fetch("select i.digest, m.snapshot::text from identity i join member m using (merchant_id, member_id)")
    finally:
        await owner.close()
    stored = {digest: read_snapshot(snapshot.encode()).member for digest, snapshot in rows}
    found = {}
    for member in members:
        plain = Identity("customer", member, request.source).plain
        state = stored[keyring.digest(request.merchant_id, "customer", plain)]
        state.id = member  # type: ignore[assignment]
        found[member] = state
    return found


async def differing_members(url: str, keyring: Keyring, request: Import, prepared: Prepared) -> tuple[int, int]:
    """How many members a replay has, and how many of them the memory holds otherwise."""
    expected = replayed(prepared, request.source)
    found = await remembered(url, keyring, request, list(expected))
    return len(expected), sum(found[member] != state for member, state in expected.items())
