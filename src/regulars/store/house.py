"""The house: merchants, their stores and the sources from which facts come.

Invariant: a source belongs to one store, a store to one merchant; external ids are unique within a source.
"""

import msgspec

from regulars.kernel.time import Instant
from regulars.store.database import Connection


class StoredStore(msgspec.Struct, frozen=True):
    """One place of sale."""

    store_id: int
    name: str
    currency: str
    time_zone: str = "UTC"
    language: str = "en"
    is_tax_included: bool = True


async def insert_merchant(connection: Connection, merchant_id: int, name: str, now: Instant) -> None:
    """A new merchant; one that is there already keeps its name."""
    await connection.execute(
        "insert into merchant (merchant_id, name, recorded_at) values ($1, $2, $3) on conflict do nothing", merchant_id, name, now
    )


async def insert_store(connection: Connection, merchant_id: int, store: StoredStore) -> None:
    """A new store of a merchant."""
    await connection.execute(
        """insert into store (merchant_id, store_id, name, currency, time_zone, language, is_tax_included)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing""",
        merchant_id,
        *msgspec.structs.astuple(store),
    )


async def insert_source(connection: Connection, merchant_id: int, source: str, store_id: int) -> None:
    """A new source of facts for a store."""
    await connection.execute(
        "insert into source (merchant_id, source, store_id) values ($1, $2, $3) on conflict do nothing", merchant_id, source, store_id
    )


async def list_merchants(connection: Connection) -> dict[int, str]:
    """All merchants by id with their names; for workers, who see every one of them."""
    await connection.execute("select set_config('app.worker', 'on', true)")
    return {row[0]: row[1] for row in await connection.fetch("select merchant_id, name from merchant order by 1")}
