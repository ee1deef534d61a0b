"""Order files: a shop's history as CSV or Parquet, one row an order line, with all its dirt.

Invariant: every row is used or counted by the kind of its trouble, never fatal and never guessed; prices stay exact to a millionth of the
currency; members come out one by one, so that memory does not grow with the file.
"""

import codecs
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import msgspec

from regulars.gateways.columnroles import ROLES, Columns, find_columns
from regulars.kernel.errors import Invalid, NotFound, Problem
from regulars.kernel.ids import MemberId, OrderId
from regulars.kernel.money import exponent
from regulars.kernel.time import Instant, instant
from regulars.programme.facts import Line, Order
from regulars.programme.history import History, Returned
from regulars.programme.policies import LineKind

_DECIMALS = 6
_MICRO = 10**_DECIMALS
"""Prices and quantities are read as whole millionths."""

_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_PLAIN_DATES = (
    *(f"{day}{clock}" for day in ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%y", "%d.%m.%Y") for clock in _CLOCKS),
    *(f"%Y-%m-%dT{clock[1:]}" for clock in _CLOCKS[1:4]),
    "%Y%m%d",
)
_DAY_FIRST = tuple(f"{day}{clock}" for day in ("%d/%m/%y", "%d/%m/%Y", "%d-%m-%Y") for clock in _CLOCKS)
_MONTH_FIRST = tuple(f"{day}{clock}" for day in ("%m/%d/%y", "%m/%d/%Y", "%m-%d-%Y") for clock in _CLOCKS)
_TWO_WAYS = "^([0-9]{1,2})[/-]([0-9]{1,2})[/-][0-9]"
_OFFSET = ":[0-9]{2}[0-9:.]* ?(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)$"
_YEARS = (-2_208_988_800_000_000, 7_258_118_400_000_000)
"""Microseconds from 1970 to 1900 and to 2200: times beyond are placeholders (0001-01-01, 9999-12-31) or two digits of a year."""

_KINDS = {
    "order line": "becomes part of an order",
    "return": "goods that came back: a negative quantity of a known customer",
    "no customer": "left out: nobody to reward",
    "stock correction": "left out: a quantity of zero or less without a customer",
    "free of charge": "left out: the price is zero",
    "negative price": "left out: no price of goods",
    "no quantity": "left out: the quantity is zero",
    "cancellation of a positive quantity": "left out: a cancelling document that sells",
    "no order number": "left out: nobody knows which order it belongs to",
    "unreadable time": "left out",
    "unreadable price": "left out",
    "unreadable quantity": "left out",
}
_NUMBER = r"^([-(]?)\+?(?:[\p{L}\p{Sc}]+\.?)?(-?)([.,]?[0-9][0-9.,]*?)(?:[.,][-–—])?(?:[\p{L}\p{Sc}]+\.?)?\)?$"
"""A number between a sign (or accountants' brackets) and a currency; `500,-` is 500."""

_REMARKS = {
    "service code": "a stock code without two digits in a row, as POST or DOT; counts as goods unless the programme excepts it",
    "price finer than the currency": "kept exactly; only the order's total is rounded",
    "price finer than a millionth": "rounded to a millionth",
    "fractional quantity": "taken as one piece at the price of the whole line",
    "unknown line kind": "counts as goods",
    "order in several currencies": "one of them is taken for all its lines",
    "identical row": "kept: the same line twice is bought twice",
}


class Found(msgspec.Struct, frozen=True):
    """One kind of row: how many there are, what becomes of them, and a few of them as examples."""

    kind: str
    rows: int
    meaning: str
    examples: tuple[dict[str, str], ...] = ()


class Survey(msgspec.Struct, frozen=True):
    """What stands in an order file. ``kinds`` part the rows; ``remarks`` are worth knowing and may overlap."""

    file: str
    columns: Columns
    unused: tuple[str, ...]
    rows: int
    orders: int
    members: int
    returns: int
    first: str | None
    last: str | None
    returns_read_from: str
    kinds: tuple[Found, ...]
    remarks: tuple[Found, ...]


class OrderFile:
    """An order file with its columns understood."""

    def __init__(self, path: Path, columns: Columns | None = None, local_to: ZoneInfo | None = None, dates: str | None = None) -> None:
        """``columns`` overrides what is detected; times without a zone are UTC, or local to ``local_to``; ``dates`` settles whether
        3/4/2025 is ``day-first`` or ``month-first``.

        Raises ``NotFound`` when there is no such file, ``Invalid`` when it is no table, a needed column is missing or dates are unclear.
        """
        self.path = path
        self._local_to = local_to
        source = _source(path)
        with _reading(path) as db:
            described = db.execute(f"describe select * from {source}").fetchall()
            self.fields: dict[str, str] = {row[0]: row[1] for row in described}
            self.columns = find_columns(path, self.fields, columns or {})
            self._rows = self._prepared(db, source, dates)

    def last_instant(self) -> Instant | None:
        """When the last usable row happened; None when there is none."""
        found = self._one("select max(ts) from lines where use in ('order line', 'return')")
        return None if found is None else self._instant(found)

    def order_count(self) -> int:
        """Orders of known customers."""
        return int(self._one("select count(*) from (select distinct member, ord from lines where use = 'order line')"))

    def members_of(self, order: str) -> list[MemberId]:
        """Who placed an order of that number."""
        with _reading(self.path) as db:
            rows = db.execute(
                self._with("select distinct member from lines where ord = ? and use = 'order line' order by 1"), [order]
            ).fetchall()
        return [MemberId(row[0]) for row in rows]

    def histories(self, currency: str, part: int = 0, parts: int = 1, member: str | None = None) -> Iterator[History]:
        """Members with their orders and returns; ``part`` of ``parts`` of the members, or one alone."""
        chosen, args = ("member = ?", [member]) if member is not None else ("hash(member) % ? = ?", [parts, part])
        with _reading(self.path) as db:
            db.execute(self._with(_HISTORIES.format(chosen=chosen)), args)
            for id, rows in groupby(_streamed(db), key=lambda row: row[0]):
                yield self._history(MemberId(id), rows, currency)

    def survey(self, examples: int = 3) -> Survey:
        """What stands in the file, counted by kind."""
        with _reading(self.path) as db:
            db.execute(f"create temp table lines as {self._rows}")
            rows, orders, members, returns, first, last = db.execute(_TOTALS).fetchall()[0]
            kinds = dict(db.execute("select use, count(*) from lines group by 1").fetchall())
            remarks = {
                remark: int(db.execute(f"select count(*) from lines where {_REMARK_SQL[remark]}").fetchall()[0][0]) for remark in _REMARKS
            }
            return Survey(
                file=str(self.path),
                columns=self.columns,
                unused=tuple(name for name in self.fields if name not in self.columns.values()),
                rows=rows,
                orders=orders,
                members=members,
                returns=returns,
                first=None if first is None else _shown(first),
                last=None if last is None else _shown(last),
                returns_read_from="numbers of C and digits" if self._cancels else "negative quantities",
                kinds=tuple(
                    Found(kind, kinds[kind], meaning, _examples(db, f"use = '{kind}'", 0 if kind == "order line" else examples))
                    for kind, meaning in _KINDS.items()
                    if kinds.get(kind)
                ),
                remarks=tuple(
                    Found(remark, remarks[remark], meaning, _examples(db, _REMARK_SQL[remark], examples))
                    for remark, meaning in _REMARKS.items()
                    if remarks[remark]
                ),
            )

    def _history(self, member: MemberId, rows: Iterable[tuple[Any, ...]], currency: str) -> History:
        orders, returns = [], []
        for _, number, is_back, ts, channel, country, own, skus, quantities, worths, categories, kinds in rows:
            at = self._instant(ts)
            if is_back:
                pieces: dict[str, int] = {}
                for sku, quantity in zip(skus, quantities, strict=True):
                    pieces[sku] = pieces.get(sku, 0) - quantity
                returns.append(Returned(number, at, tuple(sorted(pieces.items()))))
            else:
                lines = tuple(map(_line, range(1, len(skus) + 1), skus, quantities, worths, categories, kinds))
                orders.append(Order(OrderId(number), at, own or currency, lines, _scale(own or currency), 1, "file", channel, country))
        orders.sort(key=lambda order: (order.placed_at, order.id))
        returns.sort(key=lambda back: (back.at, back.id))
        return History(member, tuple(orders), tuple(returns))

    def _instant(self, ts: int) -> Instant:
        if self._local_to is None or self._has_offsets:
            return Instant(ts)
        return instant((datetime(1970, 1, 1) + timedelta(microseconds=ts)).replace(tzinfo=self._local_to))

    def _with(self, query: str) -> str:
        return f"with lines as ({self._rows}) {query}"

    def _one(self, query: str) -> Any:
        with _reading(self.path) as db:
            return db.execute(self._with(query)).fetchall()[0][0]

    def _prepared(self, db: duckdb.DuckDBPyConnection, source: str, dates: str | None) -> str:
        """The SQL of one row per row of the file: our own names, exact numbers, and the row's use."""
        fields = {role: (_quoted(name), self.fields[name]) for role, name in self.columns.items()}
        text = {role: _text_sql(*field) for role, field in fields.items()}
        number = text.get("order")
        self._cancels = number is not None and _has_cancellations(db, source, number)
        time, self._has_offsets = _time_sql(db, source, self.columns["time"], fields["time"], dates, self._local_to, self.path)
        unit = "price" if "price" in self.columns else "amount"
        figures = {role: fields[role] for role in (unit, "quantity") if role in fields}
        mark = _decimal_mark(db, source, figures.values())
        exact = {role: _number_sql(*field, mark) for role, field in figures.items()}
        plain = {role: f"nullif({text[role]}, '')" if role in text else "null" for role in ROLES}
        return _ROWS.format(
            source=source,
            member=f"regexp_replace({plain['member']}, '\\.0$', '')",
            ts=time,
            first=_YEARS[0],
            end=_YEARS[1],
            number=f"regexp_replace({plain['order']}, '\\.0$', '')",
            order="number" if number else "strftime(make_timestamp(ts), '%Y-%m-%d %H:%M:%S')",
            cancels=f"regexp_matches({number}, '^C[0-9]+$')" if self._cancels else "false",
            unit=exact[unit],
            quantity=exact.get("quantity", "1"),
            worth="cast(unit as hugeint) * micro_quantity // 1000000" if unit == "price" else "unit * sign(micro_quantity)",
            pieces="case when micro_quantity % 1000000 <> 0 then micro_quantity end" if unit == "price" else "micro_quantity",
            **{role: plain[role] for role in ("sku", "category", "channel", "country", "currency", "kind")},
        )


_ROWS = """
select *, {worth} as worth, {pieces} as pieces,
    cast(case when micro_quantity % 1000000 = 0 then micro_quantity // 1000000 else sign(micro_quantity) end as bigint) as quantity,
    case
        when ts is null then 'unreadable time'
        when unit is null then 'unreadable price'
        when micro_quantity is null then 'unreadable quantity'
        when member is null and micro_quantity <= 0 and not cancels then 'stock correction'
        when member is null then 'no customer'
        when ord is null then 'no order number'
        when micro_quantity < 0 then 'return'
        when cancels then 'cancellation of a positive quantity'
        when micro_quantity = 0 then 'no quantity'
        when unit = 0 then 'free of charge'
        when unit < 0 then 'negative price'
        else 'order line' end as use
from (
    select * replace (case when ts >= {first} and ts < {end} then ts end as ts), {order} as ord,
        try_cast(round(exact_unit * 1000000) as bigint) as unit, try_cast(round(exact_quantity * 1000000) as bigint) as micro_quantity,
        exact_unit * 1000000 <> floor(exact_unit * 1000000) as is_finer
    from (
        select {member} as member, {number} as number, {ts} as ts, {unit} as exact_unit, {quantity} as exact_quantity,
            coalesce({sku}, '') as sku, {category} as category, {channel} as channel, {country} as country,
            upper({currency}) as currency, lower({kind}) as kind, {cancels} as cancels
        from {source}
    )
)"""

_HISTORIES = """
select member, ord, use = 'return' as is_back, min(ts) as ts, any_value(channel), any_value(country), any_value(currency),
    list(sku order by sku, unit desc, pieces, category, kind), list(quantity order by sku, unit desc, pieces, category, kind),
    list(worth order by sku, unit desc, pieces, category, kind), list(category order by sku, unit desc, pieces, category, kind),
    list(kind order by sku, unit desc, pieces, category, kind)
from (
    select member, ord, use, sku, unit, pieces, category, kind, min(ts) as ts, any_value(channel) as channel,
        any_value(country) as country, any_value(currency) as currency, cast(sum(quantity) as bigint) as quantity,
        sum(worth)::hugeint as worth
    from lines where use in ('order line', 'return') and {chosen}
    group by member, ord, use, sku, unit, pieces, category, kind
) group by member, ord, use = 'return' order by member"""

_TOTALS = """
select count(*), count(distinct (member, ord)) filter (where use = 'order line'), count(distinct member) filter (where use = 'order line'),
    count(distinct (member, ord)) filter (where use = 'return'), min(ts) filter (where use = 'order line'),
    max(ts) filter (where use in ('order line', 'return')) from lines"""

_REMARK_SQL = {
    "service code": "sku <> '' and not regexp_matches(sku, '[0-9]{2}')",
    "price finer than the currency": "unit % 10000 <> 0",
    "price finer than a millionth": "is_finer",
    "fractional quantity": "micro_quantity % 1000000 <> 0",
    "unknown line kind": "kind not in ('goods', 'delivery', 'fee', 'gift_card')",
    "order in several currencies": "(member, ord) in (select (member, ord) from lines where use = 'order line' group by member, ord"
    " having count(distinct currency) > 1)",
    "identical row": "rowid in (select rowid from (select rowid, row_number() over (partition by member, ord, ts, sku, unit,"
    " micro_quantity order by rowid) as nth from lines where use = 'order line') where nth > 1)",
}


def _line(id: int, sku: str, quantity: int, worth: int, category: str | None, kind: str | None) -> Line:
    if category is None and kind is None:
        return Line(str(id), sku, quantity, worth)
    categories = tuple(part.strip() for part in (category or "").split("|") if part.strip())
    return Line(str(id), sku, quantity, worth, 0, _LINE_KINDS.get(kind or "", LineKind.GOODS), categories)


def _scale(currency: str) -> int:
    """Millionths in a minor unit; of a currency that nobody knows (its orders are refused later, by name) as if it had hundredths."""
    try:
        digits = exponent(currency)
    except ValueError:
        digits = 2
    return int(_MICRO // 10**digits)


_LINE_KINDS = {str(kind): kind for kind in LineKind}


def _source(path: Path) -> str:
    if not path.exists():
        raise NotFound(Problem(str(path), "there is no such file", "give the path of a CSV or Parquet file with one row an order line"))
    if path.is_dir():
        raise Invalid(Problem(str(path), "this is a folder", "give one CSV or Parquet file with one row an order line"))
    if not path.is_file():
        raise Invalid(Problem(str(path), "this is no file that can be read twice", "write the orders into a file first"))
    if path.stat().st_size == 0:
        raise Invalid(Problem(str(path), "there is nothing to read here", "give a CSV or Parquet file with one row an order line"))
    name = re.sub(r"([*?\[])", r"[\1]", str(path)).replace("'", "''")
    with path.open("rb") as file:
        head = file.read(1_000_000)
    if head.startswith(b"PAR1"):
        return f"read_parquet('{name}') as source"
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Invalid(Problem(str(path), "this is neither CSV nor Parquet", "export the orders as CSV; a spreadsheet can save as CSV"))
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        encoding = "utf-8" if _is_utf8(path) else "latin-1"
    return (
        f"read_csv('{name}', all_varchar = true, header = true, null_padding = true, parallel = false, ignore_errors = false,"
        f" encoding = '{encoding}') as source"
    )


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while part := file.read(1_000_000):
                decoder.decode(part)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _quoted(name: str) -> str:
    return 'source."' + name.replace('"', '""') + '"'


def _text_sql(column: str, type: str) -> str:
    """SQL for a column's text; a whole number that became a float (as where customers are missing) is whole again."""
    if type in ("DOUBLE", "FLOAT"):
        return (
            f"case when isnan({column}) then null when {column} = floor({column}) then cast(try_cast({column} as hugeint) as varchar)"
            f" else cast({column} as varchar) end"
        )
    return f"trim(cast({column} as varchar))"


def _has_cancellations(db: duckdb.DuckDBPyConnection, source: str, number: str) -> bool:
    """Whether order numbers are digits, and some of them digits behind a C: the way of cancelling invoices."""
    plain, cancelled, others = db.execute(
        f"""select count(distinct n) filter (where regexp_matches(n, '^[0-9]+$')),
            count(distinct n) filter (where regexp_matches(n, '^C[0-9]+$')),
            count(distinct n) filter (where not regexp_matches(n, '^C?[0-9]+$')) from (select {number} as n from {source})"""
    ).fetchall()[0]
    return bool(plain > cancelled > 0 and others * 10 <= plain)


def _time_sql(
    db: duckdb.DuckDBPyConnection, source: str, name: str, field: tuple[str, str], dates: str | None, local_to: ZoneInfo | None, path: Path
) -> tuple[str, bool]:
    """SQL for microseconds since 1970 of a column, and whether its times carry their own offset (then the others are settled here)."""
    column, type = field
    if type.startswith(("DATE", "TIMESTAMP")):
        return f"try(epoch_us({column}))", type.startswith("TIMESTAMP WITH")
    value = f"trim(cast({column} as varchar))"
    unclear, by_day, by_month, offsets = db.execute(
        f"""select count(nullif(a, '')), count(*) filter (where try_cast(b as int) <= 12), count(*) filter (where try_cast(a as int) <= 12),
            count(*) filter (where regexp_matches(v, '{_OFFSET}'))
            from (select v, regexp_extract(v, '{_TWO_WAYS}', 1) as a, regexp_extract(v, '{_TWO_WAYS}', 2) as b
                from (select {value} as v from {source}))"""
    ).fetchall()[0]
    if unclear and dates is None and by_day == by_month:
        raise Invalid(
            Problem(str(path), f"nothing tells whether `{name}` writes the day or the month first", "say --dates day-first or month-first")
        )
    is_day_first = dates == "day-first" or (dates is None and by_day > by_month)
    two_ways = _DAY_FIRST if is_day_first else _MONTH_FIRST
    local = f"try_strptime({value}, {list((two_ways if unclear else ()) + _PLAIN_DATES)})"
    if not offsets:
        return f"epoch_us({local})", False
    iso = f"regexp_replace(regexp_replace({value}, ' ?(UTC|GMT)$', 'Z'), ' ?([+-][0-9]{{2}}):?([0-9]{{2}})$', '\\1:\\2')"
    zoned = local if local_to is None else f"timezone('{local_to.key}', {local})"
    return (
        f"case when regexp_matches({value}, '{_OFFSET}') then epoch_us(try_cast({iso} as timestamptz)) else epoch_us({zoned}) end",
        True,
    )


def _bare_sql(column: str) -> str:
    """SQL for the digits and marks of a number as people write it, with its sign; what is no number stays as it is."""
    close = f"regexp_replace(replace({column}, '−', '-'), '[\\s\\p{{Z}}''’]', '', 'g')"
    return f"replace(regexp_replace({close}, '{_NUMBER}', '\\1\\2\\3'), '(', '-')"


def _decimal_mark(db: duckdb.DuckDBPyConnection, source: str, fields: Iterable[tuple[str, str]]) -> str:
    """The decimal mark of a file's numbers: the one that more of them show beyond doubt (`12,50`, `0,125`, `1.234,5`); else the point."""
    commas = points = 0
    for column, type in fields:
        if type == "VARCHAR":
            found = db.execute(
                f"""select count(*) filter (where regexp_matches(v, ',([0-9]{{1,2}}|[0-9]{{4,}})$|^-?0?,[0-9]+$|[.].*,[0-9]*$')),
                    count(*) filter (where regexp_matches(v, '[.]([0-9]{{1,2}}|[0-9]{{4,}})$|^-?0?[.][0-9]+$|,.*[.][0-9]*$'))
                    from (select case when regexp_full_match({column}, '[0-9]+([.,][0-9]+)?') then {column}
                        else {_bare_sql(column)} end as v from {source})"""
            ).fetchall()[0]
            commas, points = commas + found[0], points + found[1]
    return "," if commas > points else "."


def _number_sql(column: str, type: str, mark: str) -> str:
    """SQL for a column's exact decimal: numbers as they are; text by the file's decimal ``mark``; null for what reads otherwise."""
    if type in ("DOUBLE", "FLOAT"):
        return f"try_cast(try_cast({column} as varchar) as decimal(30, 12))"
    if type != "VARCHAR":
        return f"try_cast({column} as decimal(30, 12))"
    grouping = "." if mark == "," else ","
    bare, exact = _bare_sql(column), "as decimal(30, 12))"
    shape = f"-?([0-9]{{1,3}}([{grouping}][0-9]{{2,3}})*[{grouping}][0-9]{{3}}|[0-9]+)?([{mark}][0-9]+)?"
    return (
        f"case when regexp_full_match({column}, '-?[0-9]+([{mark}][0-9]+)?') then try_cast(replace({column}, '{mark}', '.') {exact}"
        f" when regexp_full_match({bare}, '{shape}') then try_cast(replace(replace({bare}, '{grouping}', ''), '{mark}', '.') {exact} end"
    )


def _streamed(db: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := db.fetchmany(2000):
        yield from rows


def _examples(db: duckdb.DuckDBPyConnection, where: str, limit: int) -> tuple[dict[str, str], ...]:
    if not limit:
        return ()
    found = db.execute(
        f'select rowid + 1 as row, ord as "order", member, sku, quantity, unit, ts from lines where {where} order by rowid limit {limit}'
    )
    names = [column[0] for column in found.description or ()]
    shown = []
    for row in found.fetchall():
        values = dict(zip(names, row, strict=True))
        unit, ts = values.pop("unit"), values.pop("ts")
        values["price"] = None if unit is None else f"{Decimal(unit) / _MICRO:f}"
        values["time"] = None if ts is None else _shown(ts)
        shown.append({name: str(value) for name, value in values.items() if value not in (None, "")})
    return tuple(shown)


def _shown(ts: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts)).strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private connection that spills to disk instead of growing; what it cannot read of ``path`` is ``Invalid``."""
    with tempfile.TemporaryDirectory(prefix="regulars-") as folder, duckdb.connect() as db:
        db.execute("set threads = 1")
        db.execute("set memory_limit = '1GB'")
        db.execute(f"set temp_directory = '{folder}'")
        db.execute("set preserve_insertion_order = true")
        db.execute("set TimeZone = 'UTC'")
        db.execute("set enable_progress_bar = false")
        try:
            yield db
        except duckdb.Error as wrong:
            reason = str(wrong).splitlines()[0]
            raise Invalid(Problem(str(path), "this cannot be read as a table of orders", f"CSV or Parquet is expected; {reason}")) from None
