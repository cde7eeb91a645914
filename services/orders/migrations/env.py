"""Alembic environment of the orders service."""

from oms_events.runtime.migrations import run_migrations
from oms_orders.adapters.tables import metadata

run_migrations(metadata)
