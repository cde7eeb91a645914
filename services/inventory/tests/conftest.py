"""Fixtures of inventory's tests."""

from pathlib import Path

import pytest

from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario
from oms_inventory.service import service

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
async def scenario(scenario_of: ScenarioOf) -> Scenario:
    """Inventory on a fresh database."""
    return await scenario_of(service, MIGRATIONS)
