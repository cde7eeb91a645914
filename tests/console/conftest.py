"""The house, started once for all tests of the pages, and a real browser to look at it with."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from oms_analytics.service import service as analytics
from oms_catalog.service import service as catalog
from oms_events.runtime.service import Service
from oms_fulfilment.service import service as fulfilment
from oms_inventory.service import service as inventory
from oms_logistics.service import service as logistics
from oms_orders.service import service as orders
from oms_settlement.service import service as settlement

from .house import House, files_of, standing

SERVICES = (catalog, inventory, orders, fulfilment, logistics, settlement, analytics)
ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(
    migrated_database: Callable[[Service, Path], str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A house with an hour's business in it."""
    databases = [
        # In a thread: Alembic runs an event loop of its own.
        await asyncio.to_thread(migrated_database, service, ROOT / "services" / service.name / "migrations")
        for service in SERVICES
    ]
    folder = tmp_path_factory.mktemp("house")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMS_FILES_URL", files_of(folder))  # gateway and settlement share it
        async with standing(zip(SERVICES, databases, strict=True), folder) as house:
            await house.poison()
            yield house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Chromium: OMS_CHROMIUM names it, or it is on the path. Without one the tests of pages fail, and say so."""
    found = os.environ.get("OMS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("no Chromium: install the package chromium, or name the program with OMS_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        await browser.close()
