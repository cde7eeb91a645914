"""Alembic's entry: the service's own tables."""

from oms_catalog.adapters.tables import metadata
from oms_events.runtime.migrations import run_migrations

run_migrations(metadata)
