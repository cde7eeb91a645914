"""Alembic's entry point."""

from oms_events.runtime.migrations import run_migrations
from oms_fulfilment.adapters.tables import metadata

run_migrations(metadata)
