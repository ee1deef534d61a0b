"""Attacks: whoever reaches the database past our code - as the service's role, or as its owner - is refused by the database itself.

Every attack meets the rows of a shop that has lived, with two merchants in it, and leaves every one of them as it was.
"""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import pytest
from servers import fresh_database
from tales import a_lively_programme, a_lively_shop, as_owner, everything
from world import MERCHANT, START, World, in_world

from regulars.flows.people import Identity
from regulars.flows.seals import seal_months
from regulars.gateways.postgres import Server
from regulars.kernel.time import DAY
from regulars.store.schema import APP_ROLE
from regulars.store.tables import metadata

OTHER = 2
NOW = START + 45 * DAY
"""12 July 2026; the shop lived in May, and May and June are sealed."""
MAY = START + 2 * DAY

NO_RIGHT, NEVER, CHECK, BROKEN = "42501", "23001", "23514", "23000"
"""SQLSTATEs: insufficient privilege (a policy's refusal too), restrict violation, check violation, integrity constraint violation."""


class Attack(NamedTuple):
    """``sql`` fails with the state ``service`` for the service's role, and ``owner`` for whoever owns the database."""

    what: str
    sql: str
    service: str
    owner: str


def attack(what: str, sql: str, service: str, owner: str | None = None) -> Attack:
    return Attack(what, sql, service, service if owner is None else owner)


# --- entries are never changed --------------------------------------------------------------------------------------------------

ENTRIES = {
    "fact": "actor",
    "transfer": "cause",
    "allocation": "lot",
    "draw": "capacity",
    "fact_key": "source",
    "audit": "reason",
    "seal": "month",
}
MONTHLY = ("fact", "transfer", "allocation", "draw")
PARTS = {f"{table}_2026_05": ENTRIES[table] for table in MONTHLY} | {"FACT_KEYS": "source"}


def changing(table: str, column: str) -> Iterator[Attack]:
    yield attack(f"an entry of {table} is changed", f"update {table} set {column} = 'x'", NO_RIGHT, NEVER)
    yield attack(f"an entry of {table} is written again as it is", f"update {table} set {column} = {column}", NO_RIGHT, NEVER)
    yield attack(f"an entry of {table} is removed", f"delete from {table}", NO_RIGHT, NEVER)
    yield attack(f"{table} is emptied", f"truncate {table}", NO_RIGHT, NEVER)


CHANGES = [one for table, column in {**ENTRIES, **PARTS}.items() for one in changing(table, column)]

# --- entries and accounts go together -------------------------------------------------------------------------------------------

ENTRY = {
    "merchant_id": "a.merchant_id",
    "member_id": "a.member_id",
    "unit": "a.unit",
    "seq": "a.seq + 1",
    "recorded_at": str(NOW),
    "fact_seq": "1",
    "movement": "'adjustment'",
    "source": "'house.adjusted'",
    "target": "'member.active'",
    "amount": "10",
    "value_at": str(NOW),
    "cause": "'attack'",
    "lot": "null",
    "rule": "null",
    "version": "1",
    "pending": "a.pending",
    "active": "a.active + 10",
    "held": "a.held",
    "debt": "a.debt",
}
ACCOUNT = {"seq": "seq + 1", "active": "active + 10", "recorded_at": str(NOW)}
TWO = {"seq": "seq + 2", "active": "active + 20"}
SECOND = {"seq": "a.seq + 2", "active": "a.active + 20"}
AGAIN = {"seq": "a.seq", "active": "a.active"}


def posting(*entries: dict[str, str], account: dict[str, str] | None = None, into: str = "transfer") -> str:
    """Entries on Anna's points and the account that counts them, in one statement: what the service does, with something wrong."""
    texts = [", ".join(f"{value} as {name}" for name, value in {**ENTRY, **entry}.items()) for entry in entries]
    chosen = " union all ".join(f"select {text} from account a where ANNA" for text in texts)
    inserted = f"insert into {into} ({', '.join(ENTRY)}) {chosen}"
    if account is None:
        return inserted
    changes = ", ".join(f"{name} = {value}" for name, value in {**ACCOUNT, **account}.items())
    return f"with entered as ({inserted}) update account a set {changes} where ANNA"


def books(what: str, sql: str, state: str = BROKEN) -> Attack:
    return attack(what, sql, state)


def account(changes: str) -> str:
    return f"update account a set {changes} where ANNA"


BOOKS = [
    books("nothing moves", posting({"amount": "0"}, account={}), CHECK),
    books("less than nothing moves", posting({"amount": "-10", "active": "a.active - 10"}, account={"active": "active - 10"}), CHECK),
    books("value moves in a circle", posting({"source": "'member.active'", "active": "a.active"}, account={"active": "active"}), CHECK),
    books("value comes from an account that is none", posting({"source": "'member.secret'"}, account={}), CHECK),
    books(
        "value goes to an account that is none", posting({"target": "'house.'", "active": "a.active"}, account={"active": "active"}), CHECK
    ),
    books("value comes from nowhere", posting({"source": "null"}, account={}), "23502"),
    books("an entry comes without its account", posting({})),
    books("an entry comes to an account that counts another", posting({}, account={"active": "active + 11"})),
    books("an account counts an entry at another time", posting({}, account={"recorded_at": str(NOW + 1)})),
    books("an entry belongs to no account", posting({"unit": "'stamps'", "seq": "1", "active": "10"})),
    books("a balance grows by itself", account("active = active + 1")),
    books("a balance grows with its number", account(f"active = active + 1, seq = seq + 1, recorded_at = {NOW}")),
    books("a number grows by itself", account("seq = seq + 1")),
    books("a number goes back", account("seq = seq - 1")),
    books("value changes its state by itself", account("held = held + 1, active = active - 1")),
    books("an account is dated anew", account(f"recorded_at = {NOW}")),
    books("an account changes its unit", account("unit = 'stamps'")),
    books("an account goes to somebody else", account("member_id = 77")),
    books("an account is closed", "delete from account a where ANNA", NO_RIGHT)._replace(owner=NEVER),
    books("all accounts are closed", "truncate account", NO_RIGHT)._replace(owner=NEVER),
    books("an account begins with a balance", f"insert into account values (1, 77, 'points', 0, 100, 0, 0, 1, {NOW})"),
    books(
        "an account begins with nothing, as if something had been", f"insert into account values (1, 77, 'points', 0, 0, 0, 0, 3, {NOW})"
    ),
    books("an account begins before its first entry", f"insert into account values (1, 77, 'points', 0, 0, 0, 0, 0, {NOW})", CHECK),
    books("a number is left out", posting({"seq": "a.seq + 2"}, account={"seq": "seq + 2"})),
    books("a number is left out between two", posting({}, {**SECOND, "seq": "a.seq + 3"}, account={**TWO, "seq": "seq + 3"})),
    books("a number comes again in another month", posting(AGAIN)),
    books("a number comes again in another month, beside a good one", posting(AGAIN, {}, account={})),
    books("a number comes again at a time of its own", posting({**AGAIN, "recorded_at": str(NOW - 1)}, {}, account={})),
    books("a number comes again after its account was dated anew", account(f"recorded_at = {NOW}") + "; " + posting(AGAIN)),
    books("the same number comes twice at once", posting({}, {}, account={}), "23505"),
    books("an entry goes on from another balance", posting({"active": "a.active + 15"}, account={"active": "active + 15"})),
    books("two entries do not continue each other", posting({"active": "a.active + 11"}, SECOND, account=TWO)),
    *(
        books(
            f"the second of two entries goes on from another {name} balance",
            posting(
                {}, {**SECOND, name: f"{SECOND.get(name, f'a.{name}')} {more}"}, account={**TWO, name: f"{TWO.get(name, name)} {more}"}
            ),
        )
        for name, more in {"pending": "+ 1", "active": "+ 1", "held": "+ 1", "debt": "- 1"}.items()
    ),
    books("two entries go on in different times", posting({"recorded_at": str(NOW - 1)}, SECOND, account=TWO)),
    books("a balance ends pending below zero", account("pending = -1"), CHECK),
    books("a balance ends active below zero", account("active = -1"), CHECK),
    books("a balance ends held below zero", account("held = -1"), CHECK),
    books("a debt is owed to the member", account("debt = 1"), CHECK),
    books("an entry ends pending below zero", posting({"pending": "-1"}, account={}), CHECK),
    books("an entry ends active below zero", posting({"active": "-1"}, account={}), CHECK),
    books("an entry ends held below zero", posting({"held": "-1"}, account={}), CHECK),
    books("an entry ends with a debt owed to the member", posting({"debt": "1"}, account={}), CHECK),
    attack("an entry comes past the ledger", posting({}, into="transfer_2026_07"), NO_RIGHT, BROKEN),
    attack("an entry comes past the ledger with its account", posting({}, account={}, into="transfer_2026_05"), NO_RIGHT, CHECK),
]

# --- a sealed month stays as it is ----------------------------------------------------------------------------------------------

A_FACT = f"select merchant_id, member_id, 99, {MAY}, kind, key, source, actor, 1, 1, body, record from fact limit 1"
A_DRAW = f"values (1, 77, 'rule:welcome', 1, {MAY}, 1)"

SEALED = [
    attack(f"{table} gets an entry in a sealed month", f"insert into {table} {select}", NEVER)
    for table, select in {
        "fact": A_FACT,
        "allocation": f"values (1, 77, 'points', 1, 'lot', {MAY}, 1)",
        "draw": A_DRAW,
    }.items()
] + [
    attack(
        "the ledger gets an entry in a sealed month",
        posting({"recorded_at": str(MAY)}, account={"recorded_at": str(MAY)}),
        NEVER,
    ),
    attack("a fact comes past the table into a sealed month", f"insert into fact_2026_05 {A_FACT}", NO_RIGHT, NEVER),
    attack("a draw comes past the table into a sealed month", f"insert into draw_2026_05 {A_DRAW}", NO_RIGHT, NEVER),
    attack("a month is sealed twice", "insert into seal select * from seal limit 1", "23505"),
    attack("a month is sealed that is none", "insert into seal values (1, 'May', 1, 1, '', '', 1)", CHECK),
]

# --- what is counted stays possible ---------------------------------------------------------------------------------------------


def first(table: str, changes: str, where: str = "true") -> str:
    return f"update {table} set {changes} where merchant_id = 1 and {where}"


FIGURES = [
    attack("more is taken of a capacity than there is", first("capacity", "free = -1"), CHECK),
    attack("a capacity has more free than there is", first("capacity", "free = most + 1"), CHECK),
    attack("a capacity is less than nothing", first("capacity", "most = -1, free = 0"), CHECK),
    attack("a lease gives more than it has", first("capacity_lease", "free = -1"), CHECK),
    attack("a lot is active below zero", first("lot", "active = -1"), CHECK),
    attack("a lot is pending below zero", first("lot", "pending = -1"), CHECK),
    attack("more remains in a lot than ever lay in it", first("lot", "active = original + 1"), CHECK),
    attack("a lot is made of nothing", first("lot", "original = 0, active = 0, pending = 0"), CHECK),
    attack("less than nothing is allocated", f"insert into allocation values (1, 77, 'points', 1, 'lot', {NOW}, -1)", CHECK),
    attack("nothing is drawn", f"insert into draw values (1, 77, 'rule:welcome', 1, {NOW}, 0)", CHECK),
    attack("a hold ends a second time", first("hold", "status = 'released'", "hold = 'h-captured'"), NEVER),
    attack("a hold is opened again", first("hold", "status = 'open'", "hold = 'h-captured'"), NEVER),
    attack("a hold ends in a way that is none", first("hold", "status = 'lost'", "hold = 'h-open'"), CHECK),
    attack("less than nothing is held", first("hold", "amount = -1", "hold = 'h-open'"), CHECK),
    attack("a line's gross is not its net and tax", first("order_line", "gross = gross + 1"), CHECK),
    attack("a line has less than no pieces", first("order_line", "quantity = -1"), CHECK),
    attack("a line's discount is a surcharge", first("order_line", "discount = -1"), CHECK),
    attack("a member is merged into nobody", first("member", "status = 'merged'", "merged_into is null"), CHECK),
    attack("a member stands as nobody can", first("member", "status = 'vip'"), CHECK),
    attack("somebody is known who is nobody", "insert into identity values (1, 'email', 'x', 4711, 4711, 1)", "23503"),
    attack("somebody is known by what identifies nobody", first("identity", "kind = 'shoe size'"), CHECK),
    attack("a key of a fact is given again", "insert into fact_key select * from fact_key limit 1", "23505"),
    attack("something is done by nobody", f"insert into audit values (1, {NOW}, 1, '', 'x', 'x', 'x')", CHECK),
    attack("a version is live from nowhen", first("programme", "applies_from = null"), CHECK),
]

ATTACKS = [*CHANGES, *BOOKS, *SEALED, *FIGURES]

# --- the shop -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(server: Server, template: str) -> Iterator[str]:
    """The address of a database in which a shop has lived, and another merchant has a row like each of its own."""
    with fresh_database(server, template) as url:
        in_world(url, a_lively_programme(), lived)
        yield url


async def lived(world: World) -> None:
    await a_lively_shop(world)
    dora = await world.people.enrol([Identity("email", "dora@example.org")])
    await world.people.erase(dora, "asked", "eva")
    await world.later(NOW - world.clock.now() - DAY)
    assert await seal_months(world.pool, world.clock, MERCHANT) == ["2026-05", "2026-06"]
    async with as_owner(world.url) as owner:
        await owner.execute("insert into import_run values (1, 'a run', 'orders.csv', 1, 1, 5, 5, true, 1)")
        await owner.execute("insert into api_key values (1, 'k', 'till', 'shop', 'read', '\\x01', 1, null, null)")
        await owner.execute("insert into attempt values (1, 1, 1, 'api', 'k', '127.0.0.1', 'ended', 1)")
        await owner.execute("insert into answer values (1, 'shop', 'a key', '\\x01', 200, '\\x7b7d', 1)")
        await owner.execute("set session_replication_role = replica")
        for name, table in metadata.tables.items():
            others = ", ".join(column.name for column in table.columns if column.name != "merchant_id")
            copied = await owner.execute(f"insert into {name} (merchant_id, {others}) select {OTHER}, {others} from {name}")
            assert copied != "INSERT 0 0", f"{name} has no row to attack"


@asynccontextmanager
async def intruding(url: str, who: str, merchants: str | None = f"{{{MERCHANT}}}") -> "Any":
    """A connection of the service's role, or of the owner; what it does stays done."""
    async with as_owner(url) as connection, connection.transaction():
        if who == "service":
            await connection.execute(f"set local role {APP_ROLE}")
        if merchants is not None:
            await connection.execute("select set_config('app.merchants', $1, true)", merchants)
        yield connection


async def aimed(url: str, sql: str) -> str:
    """The attack with the names of what it is aimed at."""
    async with as_owner(url) as owner:
        anna = await owner.fetchval("select member_id from hold where hold = 'h-open' and merchant_id = 1")
        keys = await owner.fetchval("select tableoid::regclass::text from fact_key where merchant_id = 1 limit 1")
    return sql.replace("ANNA", f"a.merchant_id = 1 and a.member_id = {anna} and a.unit = 'points'").replace("FACT_KEYS", keys)


@pytest.fixture(scope="module")
def untouched(shop: str) -> dict[str, str]:
    """What the rows of the shop were before any attack."""
    return asyncio.run(everything(shop))


def tried(url: str, who: str, sql: str) -> str:
    """The SQLSTATE with which the database refuses; "done" when it does not."""

    async def story() -> str:
        try:
            async with intruding(url, who) as connection:
                await connection.execute(await aimed(url, sql))
        except asyncpg.PostgresError as refused:
            return str(refused.sqlstate)
        return "done"

    return asyncio.run(story())


@pytest.mark.parametrize("who", ["service", "owner"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_an_attack_is_refused_and_changes_nothing(shop: str, untouched: dict[str, str], attack: Attack, who: str) -> None:
    assert tried(shop, who, attack.sql) == getattr(attack, who)
    assert asyncio.run(everything(shop)) == untouched


@pytest.mark.parametrize("who", ["service", "owner"])
@pytest.mark.parametrize("sql", [posting({}, account={}), posting({}, SECOND, account=TWO)], ids=["one", "two"])
def test_entries_with_their_account_are_no_attack(shop: str, who: str, sql: str) -> None:
    async def posted() -> None:
        async with as_owner(shop) as connection:
            change = connection.transaction()
            await change.start()
            if who == "service":
                await connection.execute(f"set local role {APP_ROLE}")
            await connection.execute(f"set local app.merchants = '{{{MERCHANT}}}'")
            assert await connection.execute(await aimed(shop, sql)) == "UPDATE 1"
            await change.rollback()

    asyncio.run(posted())


# --- other merchants ------------------------------------------------------------------------------------------------------------

TABLES = sorted(metadata.tables)


def test_the_service_sees_the_rows_of_its_merchant_and_no_others(shop: str) -> None:
    async def seen() -> None:
        for merchants in ("{1}", "{2}", "{1,2}"):
            async with intruding(shop, "service", merchants) as connection:
                for table in TABLES:
                    found = await connection.fetch(f"select distinct merchant_id from {table} order by 1")
                    assert "{" + ",".join(str(row[0]) for row in found) + "}" == merchants, table

    asyncio.run(seen())


@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_another_merchant_is_neither_added_nor_changed_nor_removed(shop: str, untouched: dict[str, str], table: str) -> None:
    async def refused(sql: str, *args: Any) -> None:
        """Refused outright, or done to no row at all."""
        try:
            async with intruding(shop, "service") as connection:
                assert await connection.execute(sql, *args) in ("UPDATE 0", "DELETE 0")
        except asyncpg.InsufficientPrivilegeError:
            pass

    async def story() -> None:
        async with as_owner(shop) as owner:
            row = await owner.fetchval(f"select row_to_json(t)::text from {table} t where merchant_id = {OTHER} limit 1")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with intruding(shop, "service") as connection:
                await connection.execute(f"insert into {table} select * from json_populate_record(null::{table}, $1::text::json)", row)
        await refused(f"update {table} set merchant_id = merchant_id where merchant_id = {OTHER}")
        await refused(f"delete from {table} where merchant_id = {OTHER}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with intruding(shop, "service") as connection:
                await connection.execute(f"update {table} set merchant_id = {OTHER}")

    asyncio.run(story())
    assert asyncio.run(everything(shop)) == untouched


@pytest.mark.parametrize("merchants", [None, "", "{}", "{3}"])
def test_who_names_no_merchant_sees_nothing_and_adds_nothing(shop: str, merchants: str | None) -> None:
    async def story() -> None:
        async with intruding(shop, "service", merchants) as connection:
            for table in TABLES:
                assert await connection.fetchval(f"select count(*) from {table}") == 0, table
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await connection.execute("insert into merchant (merchant_id, name, revision, recorded_at) values (1, 'mine', 0, 1)")

    asyncio.run(story())


@pytest.mark.parametrize("garbage", ["1", "1 or true", "{1,x}", "{1}; drop table fact", "null"])
def test_merchants_that_are_none_are_refused(shop: str, garbage: str) -> None:
    async def tried(table: str) -> None:
        async with intruding(shop, "service", garbage) as connection:
            await connection.fetch(f"select * from {table}")

    for table in TABLES:
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            asyncio.run(tried(table))


def test_a_worker_lists_merchants_and_sees_nothing_else_of_them(shop: str) -> None:
    async def seen() -> None:
        async with intruding(shop, "service", None) as connection:
            await connection.execute("set local app.worker = 'on'")
            found = {table: await connection.fetchval(f"select count(*) from {table}") for table in TABLES}
            assert {table: count for table, count in found.items() if count} == {"merchant": 2}
            assert await connection.execute("update merchant set name = 'x'") == "UPDATE 0"

    asyncio.run(seen())
