"""Every service's database has the messaging tables of the runtime in their present form."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from tests.services import ROOT, SERVICES

from oms_events.runtime.service import Service
from oms_events.runtime.tables import metadata
from oms_events.testing.migrations import schema_differences

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_migrations_bring_the_messaging_tables(
    service: Service, migrated_database: Callable[[Service, Path], str]
) -> None:
    # In a thread: Alembic runs an event loop of its own.
    url = await asyncio.to_thread(migrated_database, service, ROOT / "services" / service.name / "migrations")
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert await schema_differences(connection, metadata) == []
    await engine.dispose()
