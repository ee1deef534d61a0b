"""Members as support sees them: how they stand, what they hold, what happened last."""

import json
from zoneinfo import ZoneInfo

import msgspec

from regulars.cli.screen import Screen
from regulars.cli.service import with_service, zone_of
from regulars.flows.people import Identity, People
from regulars.kernel.errors import NotFound, Problem
from regulars.kernel.time import NEVER, Instant, moment
from regulars.store.database import working_for
from regulars.views.members import MemberPage, StatementLine, member_page
from regulars.wiring import Service


def show(who: str, merchant_id: int, source: str, as_json: bool) -> None:
    """One member: how they stand, what they hold, what happened last."""

    async def do(service: Service) -> tuple[MemberPage, list[str], ZoneInfo]:
        zone, _ = await zone_of(service, merchant_id)
        people = People(service.pool, service.clock, service.keyring, service.programmes, merchant_id)
        member_id = await _who(people, who, source)
        async with working_for(service.pool, [merchant_id]) as connection:
            page = None if member_id is None else await member_page(connection, merchant_id, member_id)
        if page is None or member_id is None:
            hint = "give an e-mail, a phone, the shop's customer number (with --source), or the member's id"
            raise NotFound(Problem(f"member {who}", "nobody is known by this", hint))
        try:
            known_by = [f"{one.kind} {one.value}" for one in (await people.read(member_id)).identities]
        except NotFound:
            known_by = []
        return page, known_by, zone

    page, known_by, zone = with_service(do)
    if as_json:
        print(json.dumps({"known_by": known_by, **msgspec.to_builtins(page)}, indent=2))
    else:
        _print_member(Screen(), page, known_by, zone)


async def _who(people: People, who: str, source: str) -> int | None:
    kinds = [Identity("customer", who, source), Identity("email", who), Identity("phone", who), Identity("card", who)]
    for identity in kinds:
        found = await people.find(identity)
        if found is not None:
            return found
    return int(who) if who.isdecimal() and len(who) <= 19 else None


def _print_member(screen: Screen, page: MemberPage, known_by: list[str], zone: ZoneInfo) -> None:
    stored, member = page.member, page.member.snapshot.member
    screen.say(f"Member {stored.member_id}, {stored.status}", "bold")
    rows = [["known by", ", ".join(known_by) or "nothing"], ["orders", f"{page.orders:,} in the memory, {member.orders:,} counted"]]
    if stored.merged_into is not None:
        rows.append(["merged into", str(stored.merged_into)])
    rows += [[f"level in {ladder}", level] for ladder, level in member.tiers.items()]
    rows += [["merge that can be undone", merge] for merge in page.merges]
    screen.columns(rows)
    for unit, held in stored.snapshot.accounts.items():
        screen.say()
        parts = [f"{held.active:,} usable", *([f"{held.pending:,} pending"] if held.pending else [])]
        parts += [f"{held.held:,} held"] if held.held else []
        parts += [f"{-held.debt:,} owed"] if held.debt else []
        screen.say(f"{unit}: {', '.join(parts)}", "italic")
        lots = [lot for lot in member.lots if lot.unit == unit]
        screen.columns(
            [["lot", "left", "ends"]]
            + [[lot.id, f"{lot.remaining:,}", "never" if lot.expires_at == NEVER else _shown(lot.expires_at, zone)] for lot in lots],
            right=True,
        )
        screen.say(f"  last {len(page.statement[unit])} of {held.seq:,} entries")
        screen.columns(
            [["entry", "value date", "change", "usable after", "what"]]
            + [
                [f"{one.seq:,}", _shown(one.value_at, zone), f"{_change(one):+,}", f"{one.active:,}", f"{one.movement} of {one.cause}"]
                for one in page.statement[unit]
            ],
            right=True,
        )


def _change(line: StatementLine) -> int:
    """What it did to the usable balance."""
    return line.amount * ((line.target == "member.active") - (line.source == "member.active"))


def _shown(at: Instant, zone: ZoneInfo) -> str:
    return f"{moment(at, zone):%Y-%m-%d %H:%M}"
