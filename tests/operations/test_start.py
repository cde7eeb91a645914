"""What a process needs is looked for before it starts, and code that is older than its database can still start."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import create_async_engine

from oms_events import registry
from oms_events.runtime import migrations, requirements
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import ensure_topics
from oms_events.runtime.settings import Settings
from oms_events.testing.fixtures import MakeDatabase
from oms_orders.service import service

from .conftest import ROOT

FOLDER = ROOT / "services" / "orders" / "migrations"


def _settings(url: str, bootstrap: str = "127.0.0.1:1") -> Settings:
    return Settings(database_url=SecretStr(url), kafka_bootstrap=bootstrap)


async def missing(settings: Settings) -> str | None:
    return await requirements.missing(service, settings, FOLDER, Broker.of(settings))


async def _run(url: str, statement: str) -> CursorResult[Any]:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        result = await connection.execute(text(statement))
    await engine.dispose()
    return result


async def test_an_empty_database_is_behind_and_a_missing_one_too(make_database: MakeDatabase) -> None:
    url = await asyncio.to_thread(make_database, "start")
    assert str(await missing(_settings(url))).startswith("database: at revision none")
    nowhere = url.rpartition("/")[0] + "/nowhere"
    assert str(await missing(_settings(nowhere))).startswith("database: ")


async def test_a_database_between_two_versions_is_behind(make_database: MakeDatabase) -> None:
    url = await asyncio.to_thread(make_database, "start")
    await asyncio.to_thread(migrations.upgrade, FOLDER, revision="0001", database_url=url)
    assert str(await migrations.behind(FOLDER, url)).startswith("at revision 0001, not yet at ")
    await asyncio.to_thread(migrations.upgrade, FOLDER, database_url=url)
    assert await migrations.behind(FOLDER, url) is None


async def test_older_code_starts_on_a_newer_database_and_leaves_it_as_it_is(make_database: MakeDatabase) -> None:
    url = await asyncio.to_thread(make_database, "start")
    await asyncio.to_thread(migrations.upgrade, FOLDER, database_url=url)
    await _run(url, "update alembic_version set version_num = '9999'")
    assert await migrations.behind(FOLDER, url) is None
    await asyncio.to_thread(migrations.upgrade, FOLDER, database_url=url)  # a roll-back runs its Jobs, too
    assert (await _run(url, "select version_num from alembic_version")).scalars().all() == ["9999"]


@pytest.mark.integration
async def test_topics_are_waited_for(make_database: MakeDatabase, kafka_bootstrap: str) -> None:
    url = await asyncio.to_thread(make_database, "start")
    await asyncio.to_thread(migrations.upgrade, FOLDER, database_url=url)
    unreachable = await missing(_settings(url))
    assert str(unreachable).startswith("broker: ")
    await ensure_topics(Broker(kafka_bootstrap), registry.topics(), partitions=1)
    assert await requirements.until_met(service, _settings(url, kafka_bootstrap), FOLDER, wait_s=5)
