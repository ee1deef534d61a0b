-- Keys of a merchant's systems: each works for one source and may do what its scopes say. Of the secret only a hash is kept.
create table api_key (
    merchant_id bigint not null references merchant,
    key_id text not null,
    name text not null,
    source text not null,
    scopes text not null,
    digest bytea not null,
    created_at bigint not null,
    ends_at bigint,
    used_at bigint,
    primary key (merchant_id, key_id)
);
create index api_key_by_id on api_key (key_id);

-- Who came to the door and how it ended, counted by minute; what names no key of ours belongs to nobody, who is merchant 0.
create table attempt (
    merchant_id bigint not null,
    attempt_id bigint not null,
    minute bigint not null,
    door text not null,
    subject text not null,
    address text not null,
    outcome text not null,
    times bigint not null check (times > 0),
    primary key (merchant_id, attempt_id)
);

-- What was answered under an Idempotency-Key, given again for thirty days.
create table answer (
    merchant_id bigint not null references merchant,
    source text not null,
    key text not null,
    digest bytea not null,
    status int not null,
    body bytea not null,
    recorded_at bigint not null,
    primary key (merchant_id, source, key)
);
create index answer_by_age on answer (merchant_id, recorded_at);

grant select, insert, update on api_key to regulars_app;
grant select, insert on attempt to regulars_app;
grant select, insert, delete on answer to regulars_app;

alter table api_key enable row level security;
alter table api_key force row level security;
create policy own_merchant on api_key using (array[merchant_id] <@ (select app_merchants()));
-- Whoever shows a key is looked up by its id before it is known whose it is.
create policy named on api_key for select using (key_id = current_setting('app.key', true));

alter table attempt enable row level security;
alter table attempt force row level security;
create policy own_merchant on attempt using (array[merchant_id] <@ (select app_merchants()));
create policy of_nobody on attempt for insert with check (merchant_id = 0);

alter table answer enable row level security;
alter table answer force row level security;
create policy own_merchant on answer using (array[merchant_id] <@ (select app_merchants()));
