"""The whole system on fresh databases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio
from tests.services import ROOT, SERVICES

from oms_events.registry import topics
from oms_events.runtime.service import Service
from oms_events.runtime.tracing import OFF, Tracing
from oms_events.testing.fixtures import MakeDatabase
from oms_events.testing.memory_broker import ROUGH, Manners, MemoryBroker

from .players import LEEDS, LONDON, Outside, counted
from .system import System

OutsideOf = Callable[..., Awaitable[Outside]]


@pytest_asyncio.fixture
async def outside_of(
    migrated_database: Callable[[Service, Path], str], make_database: MakeDatabase
) -> AsyncIterator[OutsideOf]:
    """Starts a whole system and answers those outside it. The broker's seed is printed."""
    async with AsyncExitStack() as stack:

        async def start(
            *,
            seed: int | None = None,
            manners: Manners = ROUGH,
            tracing_of: Callable[[str], Tracing] = lambda _: OFF,
        ) -> Outside:
            broker = MemoryBroker([topic.name for topic in topics()], seed=seed, manners=manners)
            print(f"memory broker with seed {broker.seed}")
            databases = [
                # In a thread: Alembic runs an event loop of its own.
                await asyncio.to_thread(migrated_database, service, ROOT / "services" / service.name / "migrations")
                for service in SERVICES
            ]
            for url in databases:
                stack.push_async_callback(asyncio.to_thread, make_database.drop, url)
            system = System(broker, zip(SERVICES, databases, strict=True), tracing_of)
            return Outside(await stack.enter_async_context(system.running()))

        yield start


@pytest_asyncio.fixture
async def outside(outside_of: OutsideOf) -> Outside:
    """A system with a shop, SKUs A and B, ten of A and of B in London and ten of A in Leeds."""
    outside = await outside_of()
    await outside.open_shop("A", "B")
    await outside.say(*counted(LONDON, A=10, B=10), *counted(LEEDS, A=10))
    return outside
