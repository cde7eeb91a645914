"""Alembic's entry for this service."""

from oms_events.runtime.migrations import run_migrations
from oms_settlement.adapters.tables import metadata

run_migrations(metadata)
