"""The present form of the messaging tables."""

from alembic import op

from oms_events.runtime.tables import upgrade_messaging_v2, upgrade_messaging_v3

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    upgrade_messaging_v2(op)
    upgrade_messaging_v3(op)
