"""A scenario of fulfilment on a fresh database."""

from pathlib import Path

import pytest

from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario
from oms_fulfilment.service import service

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
async def scenario(scenario_of: ScenarioOf) -> Scenario:
    return await scenario_of(service, MIGRATIONS)
