"""Pytest fixtures for service tests, which want a `make_database` fixture (see `MakeDatabase`); the option `--seed`.

A test that fails tells the seeds of its brokers in memory; `--seed N` gives every broker that seed.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from oms_events.runtime import migrations
from oms_events.runtime.service import Service
from oms_events.testing import seeds
from oms_events.testing.scenario import START, Scenario


class MakeDatabase(Protocol):
    """Makes an empty database, or a copy of another, and answers its SQLAlchemy URL (asyncpg)."""

    def __call__(self, name: str, *, template: str | None = None) -> str: ...

    def drop(self, url: str) -> None:
        """Drop one before the session ends."""


class ScenarioOf(Protocol):
    """Starts a scenario of a service on a fresh, migrated database."""

    def __call__(
        self, service: Service, migrations_folder: Path, *, start: datetime = START
    ) -> Awaitable[Scenario]: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("oms").addoption(
        "--seed", type=int, help="what the broker in memory does by chance: the seed that a failed test told"
    )


def pytest_configure(config: pytest.Config) -> None:
    if (seed := config.getoption("--seed")) is not None:
        os.environ[seeds.VARIABLE] = str(seed)


def pytest_runtest_setup() -> None:
    seeds.forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and seeds.drawn():
        said = [f"seed {seed}: play it again with --seed {seed}" for seed in seeds.drawn()]
        report.sections.append(("broker in memory", "\n".join(said)))
    return report


@pytest.fixture(scope="session")
def migrated_database(make_database: MakeDatabase) -> Callable[[Service, Path], str]:
    """The URL of a fresh database of a service: migrated once per run, then copied."""
    templates: dict[str, str] = {}

    def fresh(service: Service, folder: Path) -> str:
        if service.name not in templates:
            template = make_database(f"{service.name}_template")
            migrations.upgrade(folder, database_url=template)
            templates[service.name] = template
        return make_database(service.name, template=templates[service.name])

    return fresh


@pytest_asyncio.fixture
async def scenario_of(
    migrated_database: Callable[[Service, Path], str], make_database: MakeDatabase
) -> AsyncIterator[ScenarioOf]:
    """Scenarios of any service; they end with the test, and their databases with them."""
    async with AsyncExitStack() as stack:

        async def start_scenario(service: Service, migrations_folder: Path, *, start: datetime = START) -> Scenario:
            # In a thread: Alembic runs an event loop of its own.
            url = await asyncio.to_thread(migrated_database, service, migrations_folder)
            stack.push_async_callback(asyncio.to_thread, make_database.drop, url)
            scenario = Scenario(service, url, start=start)
            return await stack.enter_async_context(scenario.running())

        yield start_scenario
