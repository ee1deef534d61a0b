"""The reconciler: whether what was acknowledged is there, once, with its effects; by plain SQL that shares nothing with the engine."""

from collections import Counter
from collections.abc import Iterable

from servers import rows
from worker import Acknowledged


def assert_accounts_stand(url: str) -> None:
    """Each account is what its entries, its lots, its open holds and the member's snapshot say (laws 8 and 19)."""
    side = "sum(amount * ((target = 'member.{0}')::int - (source = 'member.{0}')::int))"
    parts = ", ".join(side.format(name) for name in ("pending", "active", "held", "debt"))
    entries = f"(select array[{parts}]::bigint[] from transfer t where t.member_id = a.member_id and t.unit = a.unit)"
    in_lots = "(select array[sum(pending), sum(active)]::bigint[] from lot l where l.member_id = a.member_id and l.unit = a.unit)"
    in_holds = "(select coalesce(sum(amount), 0) from hold h where h.member_id = a.member_id and h.unit = a.unit and h.status = 'open')"
    kept = "(select snapshot -> 'accounts' -> a.unit from member m where m.member_id = a.member_id)"
    said = "'[' || pending || ',' || active || ',' || held || ',' || debt || ',' || seq || ']'"
    differs = " or ".join(
        (
            f"array[pending, active, held, debt] is distinct from {entries}",
            f"array[pending, active] is distinct from coalesce({in_lots}, '{{0,0}}')",
            f"held <> {in_holds}",
            f"{said} is distinct from {kept}::text",
        )
    )
    assert rows(url, f"select * from account a where {differs}") == []


def assert_capacities_add_up(url: str) -> None:
    """Of each capacity, most = free + leased + what members drew, and what they drew is what their orders hold (law 6)."""
    wrong = """select * from (select capacity, most, free,
            (select coalesce(sum(free), 0) from capacity_lease l where l.capacity = c.capacity) as leased,
            (select coalesce(sum(amount), 0) from draw d where d.capacity = c.capacity) as drawn,
            (select coalesce(sum((book -> 'book' -> 'drawn' ->> c.capacity)::bigint), 0) from order_book) as held
        from capacity c) one where most <> free + leased + drawn or drawn <> held"""
    assert rows(url, wrong) == []


def assert_nothing_lost_nothing_doubled(url: str, acknowledged: Iterable[Acknowledged]) -> None:
    """What was acknowledged is there once with its effects, and nothing else is there."""
    heard = {one.key: one for one in acknowledged}
    there = Counter(row[0] for row in rows(url, "select key from fact where source = 'shop'"))
    assert [key for key in heard if key not in there] == [], "acknowledged and lost"
    assert [key for key, times in there.items() if times > 1] == [], "there twice"
    assert [key for key in there if key not in heard] == [], "there and never asked to the end"
    keys = rows(
        url, "select k.key, k.member_id from fact_key k join fact f using (member_id, seq, recorded_at, key) where k.source = 'shop'"
    )
    assert dict(keys) == {key: one.member for key, one in heard.items()}
    _assert_granted(url, heard)
    _assert_earned(url)
    assert_accounts_stand(url)
    assert_capacities_add_up(url)


def _assert_granted(url: str, heard: dict[str, Acknowledged]) -> None:
    """What callers heard of payments and gifts is what entries say: of each, once."""
    redeemed = """select cause, sum(amount * ((target = 'house.redeemed')::int - (source = 'house.redeemed')::int))::bigint
        from transfer where 'house.redeemed' in (source, target) group by cause"""
    heard_of = {
        f"{kind}:{id}": one.granted
        for (fact, _, id), one in ((key.partition("/"), one) for key, one in heard.items())
        for kind in (("paid",) if fact == "value_redeemed" else ("held",) if fact == "hold_captured" else ())
        if one.granted
    }
    assert {cause: amount for cause, amount in rows(url, redeemed) if amount} == heard_of
    by_hand = """select sum(amount * ((source like 'house.%')::int - (target like 'house.%')::int))::bigint
        from transfer where movement = 'adjustment'"""
    assert (rows(url, by_hand)[0][0] or 0) == sum(one.granted or 0 for key, one in heard.items() if key.startswith("value_adjusted/"))
    ends = dict(rows(url, "select 'hold_' || status || '/' || hold, 1 from hold where status in ('captured', 'released')"))
    assert set(ends) == {key for key, one in heard.items() if key.startswith(("hold_captured/", "hold_released/")) and one.granted}


def _assert_earned(url: str) -> None:
    """Each order earned a point for each whole 1.00 of what it stands at, whatever it went through; it has one book."""
    earned = """coalesce((select sum(amount * ((source in ('house.issued', 'house.clawed_back'))::int
            - (target in ('house.issued', 'house.clawed_back'))::int))
        from transfer t where t.member_id = b.member_id and t.cause = b.order_key and t.unit = 'points'), 0)"""
    worth = "coalesce((select div(sum(gross), 100) from order_line l where l.member_id = b.member_id and l.order_key = b.order_key), 0)"
    wrong = rows(url, f"select order_key, {earned}, {worth} from order_book b where sequence > 0 and {earned} <> {worth}")
    assert wrong == []
    assert rows(url, "select order_key from order_book group by order_key having count(*) > 1") == []
