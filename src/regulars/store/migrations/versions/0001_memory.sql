-- Memory: what happened, what was decided, what everybody holds.
-- Instants are microseconds since 1970 in UTC (bigint), as everywhere in the engine. Amounts are integers.

create function app_merchants() returns bigint[] stable language sql
    as $$ select coalesce(nullif(current_setting('app.merchants', true), '')::bigint[], '{}') $$;
comment on function app_merchants is 'The merchants that the current transaction may read and write.';

create function moment(at bigint) returns timestamptz immutable language sql
    as $$ select case when at >= 4611686018427387904 then 'infinity' when at <= -4611686018427387904 then '-infinity'
        else timestamptz 'epoch' + at * interval '1 microsecond' end $$;
comment on function moment is 'An instant for people.';

-- House: merchants and what they own.

create table merchant (
    merchant_id bigint primary key,
    name text not null check (name <> ''),
    revision int not null default 0,
    walked_version int not null default 0,
    recorded_at bigint not null
);
comment on column merchant.walked_version is 'The version under which the worker walked every member last.';
comment on column merchant.revision is 'Raised by every publication, so that lanes notice.';

create table store (
    merchant_id bigint not null references merchant,
    store_id bigint not null,
    name text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    time_zone text not null,
    language text not null,
    is_tax_included boolean not null,
    primary key (merchant_id, store_id)
);

create table source (
    merchant_id bigint not null,
    source text not null check (source <> '' and source !~ '[:/#]'),
    store_id bigint not null,
    primary key (merchant_id, source),
    foreign key (merchant_id, store_id) references store
);
comment on table source is 'Where facts come from: a web shop, a till, a file. External ids are unique within it.';

create table programme (
    merchant_id bigint not null references merchant,
    version int not null check (version > 0),
    status text not null check (status in ('draft', 'scheduled', 'live', 'retired')),
    applies_from bigint,
    document json not null,
    actor text not null,
    recorded_at bigint not null,
    primary key (merchant_id, version),
    check (status = 'draft' or applies_from is not null)
);

create table capacity (
    merchant_id bigint not null references merchant,
    capacity text not null,
    most bigint not null check (most >= 0),
    free bigint not null check (free >= 0),
    primary key (merchant_id, capacity),
    check (free <= most)
) with (fillfactor = 50);
comment on table capacity is 'Limited stock, budgets and uses: most = free + leased + drawn by members.';

create table capacity_lease (
    merchant_id bigint not null,
    capacity text not null,
    lane text not null,
    free bigint not null check (free >= 0),
    primary key (merchant_id, capacity, lane),
    foreign key (merchant_id, capacity) references capacity
) with (fillfactor = 50);

create table seal (
    merchant_id bigint not null references merchant,
    month text not null check (month ~ '^[0-9]{4}-[0-9]{2}$'),
    facts bigint not null,
    transfers bigint not null,
    previous bytea not null,
    digest bytea not null,
    recorded_at bigint not null,
    primary key (merchant_id, month)
);

create table import_run (
    merchant_id bigint not null references merchant,
    run text not null,
    file text not null,
    part int not null,
    parts int not null,
    members_done bigint not null default 0,
    orders_done bigint not null default 0,
    is_done boolean not null default false,
    recorded_at bigint not null,
    primary key (merchant_id, run, parts, part)
);

create table audit (
    merchant_id bigint not null references merchant,
    recorded_at bigint not null,
    audit_id bigint not null,
    actor text not null check (actor <> ''),
    action text not null,
    subject text not null,
    reason text not null,
    before json,
    after json,
    primary key (merchant_id, recorded_at, audit_id)
);

-- Members.

create table member (
    merchant_id bigint not null references merchant,
    member_id bigint not null,
    status text not null check (status in ('active', 'suspended', 'closed', 'merged', 'erased')),
    merged_into bigint,
    seq bigint not null default 0,
    due_at bigint not null,
    planned_version int not null,
    engine_epoch int not null,
    state_schema int not null,
    snapshot json not null,
    enrolled_at bigint not null,
    primary key (merchant_id, member_id),
    check ((status = 'merged') = (merged_into is not null))
) with (fillfactor = 60);
create index member_due on member (due_at);

create table identity (
    merchant_id bigint not null references merchant,
    kind text not null check (kind in ('customer', 'email', 'phone', 'card', 'device')),
    digest bytea not null,
    member_id bigint not null,
    origin_member_id bigint not null,
    recorded_at bigint not null,
    primary key (merchant_id, kind, digest),
    foreign key (merchant_id, member_id) references member
);
create index identity_member on identity (merchant_id, member_id);
comment on table identity is 'Who is known by what: keyed hashes only; the values lie in the vault.';

create table identity_trace (
    merchant_id bigint not null references merchant,
    kind text not null,
    digest bytea not null,
    until bigint not null,
    primary key (merchant_id, kind, digest)
);
comment on table identity_trace is 'Keyed hashes of erased identities, kept 12 months against fraud (law 28); they name nobody.';

create table vault_key (
    merchant_id bigint not null,
    member_id bigint not null,
    wrapped_key bytea not null,
    salt bytea not null,
    primary key (merchant_id, member_id),
    foreign key (merchant_id, member_id) references member
);

create table vault (
    merchant_id bigint not null,
    member_id bigint not null,
    name text not null,
    sealed bytea not null,
    primary key (merchant_id, member_id, name),
    foreign key (merchant_id, member_id) references vault_key
);
comment on table vault is 'Personal values, each sealed under the key of its person.';

create table guest_order (
    merchant_id bigint not null references merchant,
    source text not null,
    order_id text not null,
    sequence bigint not null,
    occurred_at bigint not null,
    state json not null,
    recorded_at bigint not null,
    primary key (merchant_id, source, order_id, sequence)
);

create table fact (
    merchant_id bigint not null,
    member_id bigint not null,
    seq bigint not null check (seq > 0),
    recorded_at bigint not null,
    kind text not null,
    key text not null,
    source text not null,
    actor text not null,
    occurred_at bigint not null,
    heard_at bigint not null,
    body json not null,
    record json not null,
    primary key (merchant_id, member_id, seq, recorded_at)
) partition by range (recorded_at);
comment on column fact.record is 'The decision record: version, awards, what was refused or limited, the outcome of a commitment.';

create table fact_key (
    merchant_id bigint not null,
    source text not null,
    key text not null,
    member_id bigint not null,
    sequence bigint not null,
    digest bytea not null,
    seq bigint not null,
    recorded_at bigint not null,
    primary key (merchant_id, source, key)
) partition by hash (merchant_id, source, key);
comment on table fact_key is 'Business keys for ever: whose fact it was, the hash of its content, and where it lies.';
create table fact_key_0 partition of fact_key for values with (modulus 4, remainder 0);
create table fact_key_1 partition of fact_key for values with (modulus 4, remainder 1);
create table fact_key_2 partition of fact_key for values with (modulus 4, remainder 2);
create table fact_key_3 partition of fact_key for values with (modulus 4, remainder 3);

create table order_book (
    merchant_id bigint not null,
    member_id bigint not null,
    order_key text not null,
    origin_member_id bigint not null,
    sequence bigint not null,
    placed_at bigint,
    currency text,
    scale bigint,
    rate_numerator bigint,
    rate_denominator bigint,
    rate_source text,
    is_counted boolean not null,
    book json not null,
    primary key (merchant_id, member_id, order_key)
) with (fillfactor = 80);
comment on column order_book.order_key is 'Its source, a colon, and the id that the source gave it.';
comment on column order_book.origin_member_id is 'Whose order it was at first; a merge moves the book, its undoing moves it back.';

create table order_line (
    merchant_id bigint not null,
    member_id bigint not null,
    order_key text not null,
    line_id text not null,
    kind text not null,
    sku text not null,
    quantity bigint not null check (quantity >= 0),
    gross bigint not null,
    net bigint not null,
    tax bigint not null,
    is_tax_included boolean not null,
    discount bigint not null check (discount >= 0),
    cost bigint not null,
    parent text,
    primary key (merchant_id, member_id, order_key, line_id),
    check (gross = net + tax)
);
comment on table order_line is 'The lines of each order as it stands; gross, net, tax and cost in 1/scale of the minor unit (order_book.scale).';

create table account (
    merchant_id bigint not null,
    member_id bigint not null,
    unit text not null,
    pending bigint not null check (pending >= 0),
    active bigint not null check (active >= 0),
    held bigint not null check (held >= 0),
    debt bigint not null check (debt <= 0),
    seq bigint not null check (seq > 0),
    recorded_at bigint not null,
    primary key (merchant_id, member_id, unit)
) with (fillfactor = 60);

create table transfer (
    merchant_id bigint not null,
    member_id bigint not null,
    unit text not null,
    seq bigint not null check (seq > 0),
    recorded_at bigint not null,
    fact_seq bigint not null,
    movement text not null,
    source text not null,
    target text not null,
    amount bigint not null check (amount > 0),
    value_at bigint not null,
    cause text not null,
    lot text,
    rule text,
    version int not null,
    pending bigint not null check (pending >= 0),
    active bigint not null check (active >= 0),
    held bigint not null check (held >= 0),
    debt bigint not null check (debt <= 0),
    primary key (merchant_id, member_id, unit, seq, recorded_at),
    check (source <> target),
    check (source in ('member.pending', 'member.active', 'member.held', 'member.debt') or source ~ '^house\.[a-z_]+$'),
    check (target in ('member.pending', 'member.active', 'member.held', 'member.debt') or target ~ '^house\.[a-z_]+$')
) partition by range (recorded_at);
comment on table transfer is 'The ledger: one balanced movement a row, with what the account holds after it.';

create table allocation (
    merchant_id bigint not null,
    member_id bigint not null,
    unit text not null,
    seq bigint not null,
    lot text not null,
    recorded_at bigint not null,
    amount bigint not null check (amount > 0),
    primary key (merchant_id, member_id, unit, seq, lot, recorded_at)
) partition by range (recorded_at);
comment on table allocation is 'Which lots paid for a movement that names none itself.';

create table lot (
    merchant_id bigint not null,
    member_id bigint not null,
    unit text not null,
    lot text not null,
    original bigint not null check (original > 0),
    pending bigint not null check (pending >= 0),
    active bigint not null check (active >= 0),
    earned_at bigint not null,
    active_from bigint not null,
    expires_at bigint not null,
    primary key (merchant_id, member_id, unit, lot),
    check (pending + active <= original)
) with (fillfactor = 80);
comment on column lot.original is 'The most that ever lay in it.';

create table hold (
    merchant_id bigint not null,
    member_id bigint not null,
    hold text not null,
    order_key text not null,
    unit text not null,
    amount bigint not null check (amount >= 0),
    status text not null check (status in ('open', 'captured', 'released', 'expired', 'refused')),
    expires_at bigint not null,
    primary key (merchant_id, member_id, hold)
);

create table draw (
    merchant_id bigint not null,
    member_id bigint not null,
    capacity text not null,
    fact_seq bigint not null,
    recorded_at bigint not null,
    amount bigint not null check (amount <> 0),
    primary key (merchant_id, member_id, capacity, fact_seq, recorded_at)
) partition by range (recorded_at);
comment on table draw is 'What members took of a capacity (positive) or gave back (negative).';

create table outbox (
    merchant_id bigint not null,
    member_id bigint not null,
    fact_seq bigint not null,
    recorded_at bigint not null,
    topic text not null,
    primary key (merchant_id, member_id, fact_seq, recorded_at)
) partition by range (recorded_at);
comment on table outbox is 'What is to be told outside: ids only; rendered when it is sent.';

-- Guards.

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation',
        hint = 'corrections are new entries';
end $$;

create trigger append_only before update or delete on fact for each row execute function refuse_change();
create trigger append_only before update or delete on transfer for each row execute function refuse_change();
create trigger append_only before update or delete on allocation for each row execute function refuse_change();
create trigger append_only before update or delete on draw for each row execute function refuse_change();
create trigger append_only before update or delete on fact_key for each row execute function refuse_change();
create trigger append_only before update or delete on audit for each row execute function refuse_change();
create trigger append_only before update or delete on seal for each row execute function refuse_change();
create trigger never_emptied before truncate on fact execute function refuse_change();
create trigger never_emptied before truncate on transfer execute function refuse_change();
create trigger never_emptied before truncate on allocation execute function refuse_change();
create trigger never_emptied before truncate on draw execute function refuse_change();
create trigger never_emptied before truncate on fact_key execute function refuse_change();
create trigger never_emptied before truncate on audit execute function refuse_change();
create trigger never_emptied before truncate on seal execute function refuse_change();
do $$ begin
    for i in 0..3 loop
        execute format('create trigger never_emptied before truncate on fact_key_%s execute function refuse_change()', i);
    end loop;
end $$;

-- A sealed month stays as it is (law 22).
create function check_month() returns trigger language plpgsql as $$
declare
    sealed text;
begin
    select s.month into sealed
    from (select merchant_id, min(recorded_at) as recorded_at from entered group by merchant_id) e
    join seal s on s.merchant_id = e.merchant_id and s.month >= to_char(moment(e.recorded_at) at time zone 'UTC', 'YYYY-MM')
    limit 1;
    if found then
        raise exception 'the month % is sealed', sealed using errcode = 'restrict_violation', hint = 'corrections are recorded now';
    end if;
    return null;
end $$;

create trigger months_stay_sealed after insert on fact referencing new table as entered
    for each statement execute function check_month();
create trigger months_stay_sealed after insert on transfer referencing new table as entered
    for each statement execute function check_month();
create trigger months_stay_sealed after insert on allocation referencing new table as entered
    for each statement execute function check_month();
create trigger months_stay_sealed after insert on draw referencing new table as entered
    for each statement execute function check_month();

-- Entries continue the sequence of their account without a gap, each from where the one before ended, and end where the account stands.
create function check_entries() returns trigger language plpgsql as $$
declare
    wrong record;
begin
    select e.merchant_id, e.member_id, e.unit into wrong
    from (
        select n.*,
            lag(seq) over own as before_seq, lag(pending) over own as before_pending, lag(active) over own as before_active,
            lag(held) over own as before_held, lag(debt) over own as before_debt, lag(recorded_at) over own as before_recorded_at,
            lead(seq) over own as next_seq
        from entered n
        window own as (partition by merchant_id, member_id, unit order by seq)
    ) e
    left join lateral (
        select * from account own
        where own.merchant_id = e.merchant_id and own.member_id = e.member_id and own.unit = e.unit
        limit 1
    ) a on true
    where (e.before_seq is not null and (
            e.seq <> e.before_seq + 1 or e.recorded_at <> e.before_recorded_at
            or e.pending <> e.before_pending + e.amount * ((e.target = 'member.pending')::int - (e.source = 'member.pending')::int)
            or e.active <> e.before_active + e.amount * ((e.target = 'member.active')::int - (e.source = 'member.active')::int)
            or e.held <> e.before_held + e.amount * ((e.target = 'member.held')::int - (e.source = 'member.held')::int)
            or e.debt <> e.before_debt + e.amount * ((e.target = 'member.debt')::int - (e.source = 'member.debt')::int)))
        or (e.next_seq is null and (a.seq, a.recorded_at, a.pending, a.active, a.held, a.debt)
            is distinct from (e.seq, e.recorded_at, e.pending, e.active, e.held, e.debt))
    limit 1;
    if found then
        raise exception 'entries of % of member % do not continue their account', wrong.unit, wrong.member_id
            using errcode = 'integrity_constraint_violation', hint = 'an entry and its account change together, in one statement';
    end if;
    return null;
end $$;

create trigger entries_continue after insert on transfer referencing new table as entered
    for each statement execute function check_entries();

-- An account changes only by the entries that it counts, and no entry that it counted already comes again at another time.
create function check_account() returns trigger language plpgsql as $$
declare
    wrong record;
begin
    if tg_op = 'INSERT' then
        select c.member_id, c.unit into wrong
        from changed c
        left join lateral (
            select * from transfer e
            where e.merchant_id = c.merchant_id and e.member_id = c.member_id and e.unit = c.unit
                and e.seq = 1 and e.recorded_at = c.recorded_at
            limit 1
        ) t on true
        where (t.pending, t.active, t.held, t.debt) is distinct from (
            t.amount * ((t.target = 'member.pending')::int - (t.source = 'member.pending')::int),
            t.amount * ((t.target = 'member.active')::int - (t.source = 'member.active')::int),
            t.amount * ((t.target = 'member.held')::int - (t.source = 'member.held')::int),
            t.amount * ((t.target = 'member.debt')::int - (t.source = 'member.debt')::int))
            or t.seq is null
        limit 1;
    else
        select c.member_id, c.unit into wrong
        from changed c
        left join former f on f.merchant_id = c.merchant_id and f.member_id = c.member_id and f.unit = c.unit
        left join lateral (
            select * from transfer e
            where e.merchant_id = c.merchant_id and e.member_id = c.member_id and e.unit = c.unit
                and e.seq >= f.seq + (f.recorded_at = c.recorded_at)::int and e.seq <= f.seq + 1 and e.recorded_at = c.recorded_at
            order by e.seq limit 1
        ) t on true
        where f.seq is null
            or (c.seq <= f.seq and c is distinct from f)
            or (c.seq > f.seq and (t.seq is distinct from f.seq + 1 or (t.pending, t.active, t.held, t.debt) is distinct from (
                f.pending + t.amount * ((t.target = 'member.pending')::int - (t.source = 'member.pending')::int),
                f.active + t.amount * ((t.target = 'member.active')::int - (t.source = 'member.active')::int),
                f.held + t.amount * ((t.target = 'member.held')::int - (t.source = 'member.held')::int),
                f.debt + t.amount * ((t.target = 'member.debt')::int - (t.source = 'member.debt')::int))))
        limit 1;
    end if;
    if wrong is not null then
        raise exception 'the account of % of member % differs from its entries', wrong.unit, wrong.member_id
            using errcode = 'integrity_constraint_violation', hint = 'an entry and its account change together, in one statement';
    end if;
    return null;
end $$;

create trigger account_begins after insert on account referencing new table as changed
    for each statement execute function check_account();
create trigger account_changes after update on account referencing old table as former new table as changed
    for each statement execute function check_account();
create trigger append_only before delete on account for each row execute function refuse_change();
create trigger never_emptied before truncate on account execute function refuse_change();

-- A hold ends once (law 11).
create function check_hold() returns trigger language plpgsql as $$
begin
    if old.status <> 'open' and new.status <> old.status then
        raise exception 'hold % has ended: %', old.hold, old.status using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger holds_end_once before update on hold for each row execute function check_hold();

-- One statement reads what a batch of commands may know, having locked its members in the order of their ids. Being volatile, each
-- query in it sees what was committed before it began: what a member's lock waited for is seen. Each row is looked up by its key,
-- however large its table was when the plan was made.
create function take_snapshot(merchants bigint[], members bigint[], sources text[], first_keys text[], keys text[], order_keys text[], holds text[])
returns table (
    n bigint, status text, merged_into bigint, seq bigint, snapshot json, revision int, book json, hold_status text,
    first_member bigint, first_sequence bigint, first_digest bytea, first_seq bigint, first_recorded_at bigint,
    key_member bigint, key_digest bytea, key_seq bigint, key_recorded_at bigint
) language plpgsql as $$
begin
    perform set_config('app.merchants', merchants::text, true);
    perform from (select w.* from unnest(merchants, members) as w (merchant_id, member_id) order by 1, 2) w
        cross join lateral (
            select from member x where x.merchant_id = w.merchant_id and x.member_id = w.member_id for no key update
        ) m;
    return query
        select w.n, m.status, m.merged_into, m.seq, m.snapshot, a.revision, b.book, h.status,
            k1.member_id, k1.sequence, k1.digest, k1.seq, k1.recorded_at, k2.member_id, k2.digest, k2.seq, k2.recorded_at
        from unnest(merchants, members, sources, first_keys, keys, order_keys, holds)
            with ordinality as w (merchant_id, member_id, source, first_key, key, order_key, hold, n)
        cross join lateral (select * from merchant x where x.merchant_id = w.merchant_id limit 1) a
        left join lateral (select * from member x where x.merchant_id = w.merchant_id and x.member_id = w.member_id limit 1) m on true
        left join lateral (
            select * from hold x where x.merchant_id = w.merchant_id and x.member_id = w.member_id and x.hold = w.hold limit 1
        ) h on true
        left join lateral (
            select * from order_book x
            where x.merchant_id = w.merchant_id and x.member_id = w.member_id and x.order_key = coalesce(w.order_key, h.order_key)
            limit 1
        ) b on true
        left join lateral (
            select * from fact_key x where x.merchant_id = w.merchant_id and x.source = w.source and x.key = w.first_key limit 1
        ) k1 on true
        left join lateral (
            select * from fact_key x where x.merchant_id = w.merchant_id and x.source = w.source and x.key = w.key limit 1
        ) k2 on true;
end $$;

-- Rights: the service may write entries and never change them; every row belongs to a merchant of the transaction.

grant usage on schema public to regulars_app;
grant select on all tables in schema public to regulars_app;
grant insert on merchant, store, source, programme, capacity, capacity_lease, seal, import_run, audit, member, identity, identity_trace,
    vault_key, vault, guest_order, fact, fact_key, order_book, order_line, account, transfer, allocation, lot, hold, draw, outbox
    to regulars_app;
grant update on merchant, store, programme, capacity, capacity_lease, import_run, member, identity, identity_trace, vault, vault_key, order_book,
    order_line, account, lot, hold to regulars_app;
grant delete on capacity_lease, identity, identity_trace, vault_key, vault, guest_order, order_book, order_line, outbox to regulars_app;
revoke all on fact_key_0, fact_key_1, fact_key_2, fact_key_3 from regulars_app;

do $$
declare
    name text;
begin
    foreach name in array array['merchant', 'store', 'source', 'programme', 'capacity', 'capacity_lease', 'seal', 'import_run', 'audit',
        'member', 'identity', 'identity_trace', 'vault_key', 'vault', 'guest_order', 'fact', 'fact_key', 'order_book', 'order_line',
        'account', 'transfer', 'allocation', 'lot', 'hold', 'draw', 'outbox']
    loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy own_merchant on %I using (array[merchant_id] <@ (select app_merchants()))', name);
    end loop;
end $$;
create policy merchants_for_workers on merchant for select using (current_setting('app.worker', true) = 'on');
