"""Fixtures: the counting service's kit, on the broker in memory and on Kafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from oms_events import registry
from oms_events.registry import Topic
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import ensure_topics
from oms_events.runtime.tables import (
    create_messaging_v1,
    upgrade_messaging_v2,
    upgrade_messaging_v3,
    upgrade_messaging_v4,
)
from oms_events.testing.fixtures import MakeDatabase

from .kit import DECLARED, PARTITIONS, TABLES, UPCAST, Kit, Noted, Stepped


def _create_messaging(connection: Connection) -> None:
    operations = Operations(MigrationContext.configure(connection))
    create_messaging_v1(operations)
    upgrade_messaging_v2(operations)
    upgrade_messaging_v3(operations)
    upgrade_messaging_v4(operations)


@pytest.fixture(scope="session")
def messaging_database(make_database: MakeDatabase) -> str:
    """A database with the messaging tables and the service's own, to be copied."""
    url = make_database("conformance_template")

    async def create() -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(_create_messaging)
            for statement in TABLES:
                await connection.execute(text(statement))
        await engine.dispose()

    asyncio.run(create())
    return url


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's events are known, on topics of its own."""
    run = uuid.uuid4().hex[:8]
    for type_, step in UPCAST.items():
        monkeypatch.setitem(registry._upcasts, type_, step)
    for type_, model in DECLARED.items():
        monkeypatch.setitem(registry._events, type_, model)
        monkeypatch.setattr(model, "topic", Topic(f"{model.topic.name[:-3]}-{run}.v1", key="counter"))


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def bootstrap(request: pytest.FixtureRequest) -> str | None:
    """The broker's address; None for the one in memory."""
    return None if request.param == "memory" else request.getfixturevalue("kafka_bootstrap")


@pytest.fixture
async def kit(
    declared: None, bootstrap: str | None, messaging_database: str, make_database: MakeDatabase
) -> AsyncIterator[Kit]:
    url = await asyncio.to_thread(make_database, "conformance", template=messaging_database)
    if bootstrap:
        await ensure_topics(Broker(bootstrap), [Stepped.topic, Noted.topic], partitions=PARTITIONS)
    kit = Kit(url, bootstrap)
    yield kit
    await kit.close()
    await asyncio.to_thread(make_database.drop, url)
