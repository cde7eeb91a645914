"""A short campaign: faults of different kinds against the real system, none of which may cost an order."""

import os

import pytest

from . import campaign
from .faults import KINDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

SEED = 20101201
"""Fixed, so that a failure is one of the change at hand; OMS_CHAOS_SEED draws other targets and another order."""
SHORT = (
    "service killed",
    "broker killed",
    "database killed",
    "connections reset",
    "crash when sent",
    "consumer group reset",
    "broker cut off",
)


async def test_no_order_is_lost_doubled_or_stuck_whatever_fails(pytestconfig: pytest.Config) -> None:
    seed = int(os.environ.get("OMS_CHAOS_SEED", SEED))
    kinds = [kind for kind in KINDS if kind.name in SHORT]
    plan = campaign.Plan(seed, len(SHORT), 140, kinds)
    outcome = await campaign.run(plan, cache=pytestconfig.rootpath / ".cache")

    assert {fault.kind for fault in outcome.faults} == set(SHORT), f"seed {seed}"
    assert outcome.failures == [], f"seed {seed}"
    assert outcome.crashes == [], f"seed {seed}"
    assert outcome.violations == [], f"seed {seed}"
    assert outcome.manual_steps == [], f"seed {seed}"
    assert not outcome.stalled, f"seed {seed}"
    assert outcome.orders_played == 140
    assert outcome.orders_by_state["completed"] > 100
