"""Alembic's entry for this service."""

from oms_analytics.adapters.tables import metadata
from oms_events.runtime.migrations import run_migrations

run_migrations(metadata)
