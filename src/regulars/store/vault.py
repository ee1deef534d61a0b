"""The vault: personal values, each sealed under the key of its person (law 28).

Invariant: without the person's key nothing in here can be read, and when it is deleted nothing ever again.
"""

from collections.abc import Iterable, Mapping

from regulars.store.database import Connection


async def insert_key(connection: Connection, merchant_id: int, member_id: int, wrapped_key: bytes, salt: bytes) -> None:
    """The person's key, wrapped, and the salt of their commitments."""
    await connection.execute(
        "insert into vault_key (merchant_id, member_id, wrapped_key, salt) values ($1, $2, $3, $4) on conflict do nothing",
        merchant_id,
        member_id,
        wrapped_key,
        salt,
    )


async def find_key(connection: Connection, merchant_id: int, member_id: int) -> bytes | None:
    """The person's key, wrapped; None for nobody, or somebody who was erased."""
    found: bytes | None = await connection.fetchval(
        "select wrapped_key from vault_key where merchant_id = $1 and member_id = $2", merchant_id, member_id
    )
    return found


async def put_values(connection: Connection, merchant_id: int, member_id: int, sealed: Mapping[str, bytes]) -> None:
    """Sealed values by name; what is there already is replaced."""
    await connection.execute(
        """insert into vault (merchant_id, member_id, name, sealed) select $1, $2, u.name, u.sealed
            from unnest($3::text[], $4::bytea[]) as u (name, sealed)
            on conflict (merchant_id, member_id, name) do update set sealed = excluded.sealed""",
        merchant_id,
        member_id,
        list(sealed),
        list(sealed.values()),
    )


async def list_values(connection: Connection, merchant_id: int, member_id: int) -> dict[str, bytes]:
    """Everything sealed of one person, by name."""
    rows = await connection.fetch(
        "select name, sealed from vault where merchant_id = $1 and member_id = $2 order by name", merchant_id, member_id
    )
    return {row[0]: row[1] for row in rows}


async def destroy(connection: Connection, merchant_id: int, member_ids: list[int]) -> None:
    """The keys, the salts and the values of these people."""
    for table in ("vault", "vault_key"):
        await connection.execute(f"delete from {table} where merchant_id = $1 and member_id = any ($2)", merchant_id, member_ids)


async def insert_keys(connection: Connection, merchant_id: int, keys: Iterable[tuple[int, bytes, bytes]]) -> None:
    """Keys and salts of many new people."""
    rows = list(keys)
    await connection.execute(
        """insert into vault_key (merchant_id, member_id, wrapped_key, salt)
            select $1, u.id, u.key, u.salt from unnest($2::bigint[], $3::bytea[], $4::bytea[]) as u (id, key, salt)""",
        merchant_id,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )


async def insert_values(connection: Connection, merchant_id: int, values: Iterable[tuple[int, str, bytes]]) -> None:
    """One sealed value each of many new people."""
    rows = list(values)
    await connection.execute(
        """insert into vault (merchant_id, member_id, name, sealed)
            select $1, u.id, u.name, u.sealed from unnest($2::bigint[], $3::text[], $4::bytea[]) as u (id, name, sealed)""",
        merchant_id,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )
