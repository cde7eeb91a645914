"""Fixtures of the analytics tests."""

from pathlib import Path

import pytest

from oms_analytics.service import service
from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
async def scenario(scenario_of: ScenarioOf) -> Scenario:
    return await scenario_of(service, MIGRATIONS)
