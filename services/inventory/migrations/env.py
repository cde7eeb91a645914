"""Alembic's entry: the address and the lock come from the runtime."""

from oms_events.runtime.migrations import run_migrations
from oms_inventory.adapters.tables import metadata

run_migrations(metadata)
