"""Memory: facts, decisions, the ledger, and what everybody holds."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None
    connection.run_async(lambda connection: connection.execute(statements))
