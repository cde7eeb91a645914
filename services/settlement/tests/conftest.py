"""Fixtures of the settlement tests."""

from pathlib import Path

import pytest

from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario
from oms_settlement.service import service

ROOT = Path(__file__).parents[1]


@pytest.fixture
async def scenario(scenario_of: ScenarioOf) -> Scenario:
    """The service on a fresh database."""
    return await scenario_of(service, ROOT / "migrations")
