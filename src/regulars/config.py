"""Configuration: what the surroundings say, read once.

Invariant: nothing else reads the environment, and no secret has a default.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from regulars.kernel.errors import Invalid, Problem


class Config(msgspec.Struct, frozen=True):
    """Where everything is. ``database_url`` None: the embedded server, with its data under ``home``."""

    home: Path
    database_url: str | None = None
    vault_key: str | None = None


def read_config(environment: Mapping[str, str] = os.environ) -> Config:
    """What the environment says. Raises ``Invalid`` for an address that is none of PostgreSQL."""
    home = environment.get("REGULARS_HOME") or Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "regulars"
    url = environment.get("REGULARS_DATABASE_URL") or None
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        hint = "write it as postgresql://user:password@host:port/database"
        raise Invalid(Problem("REGULARS_DATABASE_URL", "this is no address of a PostgreSQL database", hint))
    url = url.replace("postgres://", "postgresql://", 1) if url and url.startswith("postgres://") else url
    return Config(Path(home), url, environment.get("REGULARS_VAULT_KEY") or None)
