"""Packed outbox rows."""

from alembic import op

from oms_events.runtime.tables import upgrade_messaging_v4

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    upgrade_messaging_v4(op)
