"""The audit finds nothing in a database that is right, and names each fault that is planted into it."""

import asyncio
from collections.abc import Iterator

import pytest
from handmade import A1, A2, A2_ENDS, ANNA, B1_BACK, BOB, ERASED, GIVEN, MERGED, at, build
from servers import execute, fresh_database, rows, with_name

from regulars.gateways.postgres import Server
from regulars.kernel.errors import Invalid, NotFound
from regulars.verify import Report, findings, run

OF_ANNA = f"merchant_id = 1 and member_id = {ANNA}"
OF_BOB = f"merchant_id = 1 and member_id = {BOB}"


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[str]:
    """The database that is right, on each server once."""
    with fresh_database(server) as url:
        asyncio.run(build(url))
        yield url


@pytest.fixture
def copy(server: Server, world: str) -> Iterator[str]:
    """One of its own, for one fault."""
    with fresh_database(server, world) as url:
        yield url


def audit(url: str, merchant: int | None = None) -> Report:
    """The report."""
    return asyncio.run(run(url, merchant, lambda *_: None))


def plant(url: str, sql: str) -> None:
    """A fault, with the guards of the database asleep."""
    execute(url, f"set session_replication_role = replica; {sql}")


def changed(table: str, column: str, where: str, old: str, new: str) -> str:
    """JSON text changed in place; the fault must be there to be found."""
    update = f"update {table} set {column} = replace({column}::text, '{old}', '{new}')::json where {where}"
    return f"do $$ begin assert exists (select from {table} where {where} and {column}::text like '%{old}%'); end $$; {update}"


def snapshot(member: int, old: str, new: str) -> str:
    """The member's snapshot changed."""
    return changed("member", "snapshot", f"merchant_id = 1 and member_id = {member}", old, new)


def book(key: str, old: str, new: str) -> str:
    """An order book changed."""
    return changed("order_book", "book", f"order_key = 'shop:{key}'", old, new)


def record(seq: int, old: str, new: str) -> str:
    """The record of one of Anna's facts changed."""
    return changed("fact", "record", f"{OF_ANNA} and seq = {seq}", old, new)


def test_nothing_is_found_in_a_database_that_is_right(world: str) -> None:
    report = audit(world)
    assert findings(report) == {}, [finding for check in report.checks for finding in check.findings]
    assert report.ok
    assert report.notes == []
    looked_at = {check.name: dict(check.looked_at) for check in report.checks}
    assert looked_at == {
        "entries": {"accounts": 2, "entries": 11, "units": 1},
        "lots": {"lots": 4, "allocations": 4},
        "facts": {"facts": 11, "keys": 11},
        "orders": {"orders": 5, "lines": 2},
        "deserved": {"orders": 3, "awards": 2},
        "standing": {"members": 4, "levels": 2},
        "commitments": {"holds": 2, "payments": 3, "adjustments": 1},
        "capacities": {"draws": 5, "capacities": 1},
        "seals": {"months": 2, "rows": 31},
        "people": {"personal rows": 3, "members": 4},
        "tenancy": {"tables": 27},
    }
    assert not any(check.not_judged for check in report.checks)


ENTRY = f"""insert into transfer select merchant_id, member_id, unit, {{seq}}, recorded_at + {{later}}, fact_seq, movement, source, target,
    amount, value_at, cause, lot, rule, version, pending, active, held, debt from transfer where {OF_ANNA} and seq = 8"""
FACT = f"""insert into fact select merchant_id, member_id, seq, recorded_at + 1, kind, key, source, actor, occurred_at, heard_at, body,
    record from fact where {OF_ANNA} and seq = 8"""
KNOWN = """insert into identity (merchant_id, kind, digest, member_id, origin_member_id, recorded_at)
    select 1, 'phone', decode(lpad(n::text, 4, '0'), 'hex'), {0}, {0}, 0 from generate_series(1, 50) n"""

FAULTS = {
    "entries.gap": f"delete from transfer where {OF_ANNA} and seq = 2",
    "entries.twice": ENTRY.format(seq=8, later=1),
    "entries.balance": f"update transfer set active = active + 1 where {OF_ANNA} and seq = 4",
    "entries.account": f"update account set active = active + 1 where {OF_ANNA}",
    "entries.sum": f"update account set active = active + 1 where {OF_ANNA}",
    "entries.snapshot": snapshot(ANNA, "[0,27,5,0,8]", "[0,28,5,0,8]"),
    "entries.negative": f"update transfer set amount = 200 where {OF_ANNA} and seq = 2",
    "entries.fact": f"update transfer set fact_seq = 99 where {OF_ANNA} and seq = 8",
    "entries.moment": f"update transfer set recorded_at = recorded_at + 1 where {OF_ANNA} and seq = 8",
    "entries.merged": f"update transfer set source = 'house.merged' where {OF_ANNA} and seq = 8",
    "lots.row": f"update lot set active = active - 1 where {OF_ANNA} and lot = 'shop:A2:points'",
    "lots.snapshot": snapshot(ANNA, '"remaining":7', '"remaining":8'),
    "lots.dates": f"update lot set expires_at = expires_at + 1 where {OF_ANNA} and lot = 'shop:A2:points'",
    "lots.allocated": f"update allocation set amount = 19 where {OF_ANNA} and seq = 2",
    "lots.loose": f"update allocation set seq = 99 where {OF_ANNA} and seq = 2",
    "lots.sum": snapshot(BOB, '"debt":{"points":30}', '"debt":{"points":29}'),
    "facts.number": FACT,
    "facts.kind": f"update fact set kind = 'value_held' where {OF_ANNA} and seq = 8",
    "facts.last": f"update member set seq = 7 where {OF_ANNA}",
    "facts.forgotten": f"delete from fact_key where {OF_ANNA} and seq = 8",
    "facts.key": f"update fact_key set seq = 7 where {OF_ANNA} and seq = 8",
    "facts.lost": f"update fact set key = '' where {OF_ANNA} and seq = 8",
    "facts.digest": changed("fact", "body", f"{OF_ANNA} and seq = 8", "goodwill", "goodvill"),
    "facts.sequence": f"update fact_key set sequence = 3 where {OF_ANNA} and seq = 4",
    "orders.state": book("A2", '"sku":"TEA"', '"sku":"TEE"'),
    "orders.purchase": book("A1", '"sku":"CUP"', '"sku":"CAP"'),
    "orders.row": "update order_book set is_counted = false where order_key = 'shop:A2'",
    "orders.lines": "update order_line set sku = 'TEE' where order_key = 'shop:A2'",
    "orders.missing": "delete from order_book where order_key = 'shop:A2'",
    "orders.holdings": book("A2", '"earned":29', '"earned":30'),
    "orders.net": f"update transfer set cause = 'shop:A1' where {OF_ANNA} and seq = 3",
    "deserved.version": book("A2", '"version":1,"is_counted"', '"version":2,"is_counted"'),
    "deserved.awards": book("A2", '"amount":29', '"amount":30'),
    "deserved.perks": book("A2", '"perks":["wrap"]', '"perks":[]'),
    "deserved.spend": book("A2", '"spend":2980', '"spend":3000'),
    "deserved.counted": book("B1", '"version":1', '"version":1,"is_counted":true'),
    "deserved.dates": book("A2", f'"expires_at":{A2_ENDS}', '"expires_at":1'),
    "deserved.limited": book("A2", '"drawn":{"rule:purchase":29}', '"drawn":{"rule:purchase":28}'),
    "deserved.unreadable": book("A2", '"situation":{"number":2,', '"situation":{"nummer":2,'),
    "standing.spend": snapshot(ANNA, '"spend":4980', '"spend":4981'),
    "standing.orders": snapshot(ANNA, '"orders":2', '"orders":3'),
    "standing.due": f"update member set due_at = due_at + 1 where {OF_ANNA}",
    "standing.overdue": snapshot(ANNA, f'"clock":{GIVEN}', f'"clock":{at("2025-09-01 00:00")}'),
    "standing.status": f"update member set status = 'suspended' where {OF_ANNA}",
    "standing.level": snapshot(ANNA, '"status":"basic"', '"status":"silver"'),
    "standing.snapshot": f"update member set snapshot = '{{}}' where {OF_BOB}",
    "commitments.redeemed": record(2, '"granted":20', '"granted":21'),
    "commitments.redemption": book("A4", '"amount":4,"money"', '"amount":5,"money"'),
    "commitments.money": book("A2", '"money":20', '"money":21'),
    "commitments.lots": book("A2", '"amount":20}]', '"amount":19}]'),
    "commitments.back": book("A2", '"money":20', '"money":20,"back":21'),
    "commitments.hold": f"update hold set amount = 6 where {OF_ANNA} and hold = 'h1'",
    "commitments.status": f"update hold set status = 'released' where {OF_ANNA} and hold = 'h1'",
    "commitments.snapshot": snapshot(ANNA, '"id":"h1"', '"id":"h3"'),
    "commitments.ends": changed("fact", "body", f"{OF_ANNA} and seq = 8", '"type":"value_adjusted"', '"hold":"h2","type":"hold_released"')
    + f"; update fact set kind = 'hold_released' where {OF_ANNA} and seq = 8",
    "commitments.held": f"update transfer set cause = 'shop:A9' where {OF_ANNA} and seq = 5",
    "commitments.adjusted": record(8, '"granted":7', '"granted":8'),
    "capacities.draw": f"update draw set amount = 41 where {OF_ANNA} and fact_seq = 1",
    "capacities.moment": f"update draw set recorded_at = recorded_at + 1 where {OF_ANNA} and fact_seq = 1",
    "capacities.orders": book("A1", '"drawn":{"rule:purchase":20}', '"drawn":{"rule:purchase":21}'),
    "capacities.sum": "update capacity set free = 902",
    "capacities.negative": f"update draw set amount = -400 where {OF_ANNA} and fact_seq = 4",
    "capacities.unknown": "delete from capacity_lease; delete from capacity",
    "seals.digest": f"update fact set actor = 'shoq' where {OF_ANNA} and seq = 1",
    "seals.count": ENTRY.format(seq=9, later=1),
    "seals.chain": "delete from seal where month = '2025-01'",
    "seals.hole": "delete from seal where month = '2025-01'",
    "people.nobody": KNOWN.format("99"),
    "people.erased": f"insert into vault_key values (1, {ERASED}, 'k', 's')",
    "people.merged": KNOWN.format(MERGED),
    "people.holds": f"insert into account values (1, {MERGED}, 'points', 0, 1, 0, 0, 1, {A1})",
    "people.way": f"update member set merged_into = 99 where member_id = {MERGED}",
    "tenancy.merchant": "insert into audit values (9, 0, 1, 'me', 'nothing', 'nobody', '')",
    "tenancy.member": f"update draw set member_id = 99 where {OF_BOB} and recorded_at = {B1_BACK}",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_planted_fault_is_found_by_name(copy: str, kind: str) -> None:
    plant(copy, FAULTS[kind])
    report = audit(copy)
    assert kind in findings(report)
    assert not report.ok
    told = [finding for check in report.checks for finding in check.findings if finding.kind == kind]
    assert all(finding.where and finding.what and finding.hint and finding.expected != finding.found for finding in told)


CHANGES = {"text": "coalesce({}, '') || 'x'", "json": "(' ' || {}::text)::json", "bigint": "{} + 1", "integer": "{} + 1"}
ODD = {"source": "'house.other'", "target": "'house.other'", "debt": "debt - 1"}


@pytest.mark.parametrize("table", ["fact", "transfer", "allocation", "draw"])
def test_every_column_of_a_sealed_row_counts(copy: str, table: str) -> None:
    """Each is changed by itself in a row of January: the seal of January breaks, and no other."""
    columns = rows(copy, f"select attname, atttypid::regtype::text from pg_attribute where attrelid = '{table}'::regclass and attnum > 0")
    when = A2 if table == "allocation" else A1
    for column, type in columns:
        change = ODD[column] if table == "transfer" and column in ODD else CHANGES[type].format(column)
        plant(copy, f"create table kept as table {table}; update {table} set {column} = {change} where {OF_ANNA} and recorded_at = {when}")
        broken = {f.where for check in audit(copy).checks for f in check.findings if f.kind == "seals.digest"}
        assert broken == {"merchant 1, month 2025-01"}, column
        plant(copy, f"delete from {table}; insert into {table} table kept; drop table kept")
    assert audit(copy).ok


@pytest.mark.parametrize("json", ["{}", "[]", "1", '{"member":[1],"book":7,"order":"x","type":3}', '{"member":{"lots":[{}],"holds":[1]}}'])
@pytest.mark.parametrize(("table", "column"), [("member", "snapshot"), ("fact", "body"), ("fact", "record"), ("order_book", "book")])
def test_json_of_any_shape_is_a_finding_and_no_end_of_the_audit(copy: str, table: str, column: str, json: str) -> None:
    plant(copy, f"update {table} set {column} = '{json}'")
    assert not audit(copy).ok


def test_a_feature_that_is_not_known_is_named_and_never_passed_silently(copy: str) -> None:
    plant(copy, changed("programme", "document", "version = 1", '"currency":"EUR"', '"currency":"EUR","weather":"fine"'))
    deserved = next(check for check in audit(copy).checks if check.name == "deserved")
    assert dict(deserved.not_judged) == {"document key `weather`": 3}


def test_findings_are_all_counted_and_the_first_of_each_kind_told(copy: str) -> None:
    plant(copy, KNOWN.format("100 + n"))
    report = audit(copy)
    assert findings(report)["people.nobody"] == 50
    people = next(check for check in report.checks if check.name == "people")
    assert len([finding for finding in people.findings if finding.kind == "people.nobody"]) == 20


def test_one_merchant_alone(copy: str) -> None:
    plant(copy, f"update account set active = active + 1 where {OF_ANNA}")
    assert audit(copy, 2).ok
    assert not audit(copy, 1).ok
    with pytest.raises(NotFound, match="there is no such merchant"):
        audit(copy, 3)


def test_a_role_under_row_level_security_sees_all_merchants_and_says_what_it_cannot_see(server: Server, copy: str) -> None:
    execute(copy, "do $$ begin create role auditor login password 'a'; exception when duplicate_object then null; end $$")
    execute(copy, "grant usage on schema public to auditor; grant select on all tables in schema public to auditor")
    report = audit(copy.replace(copy.split("@")[0], "postgresql://auditor:a"))
    assert findings(report) == {}
    assert {check.name: sum(check.looked_at.values()) for check in report.checks}["entries"] == 14
    assert "row-level security" in report.notes[0]


def test_a_database_without_books_is_refused_in_words(database: str) -> None:
    with pytest.raises(Invalid, match="there are no books"):
        audit(database)
    with pytest.raises(Invalid, match="cannot be opened"):
        audit(with_name(database, "nowhere"))


def test_it_writes_nothing(copy: str) -> None:
    execute(copy, f"alter database {copy.rsplit('/', 1)[1]} set default_transaction_read_only = on")
    assert audit(copy).ok
