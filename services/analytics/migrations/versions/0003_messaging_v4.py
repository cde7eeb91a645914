"""Packed outbox rows."""

from alembic import op

from oms_events.runtime.tables import upgrade_messaging_v4

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    upgrade_messaging_v4(op)
