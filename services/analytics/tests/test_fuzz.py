"""Whatever the API is sent, it never fails on its own account."""

from oms_events.testing.fuzz import fuzz
from oms_events.testing.scenario import Scenario

from .stories import Story, catalog


async def test_no_request_makes_the_service_fail(scenario: Scenario) -> None:
    story = Story()
    await scenario.given(*catalog(), story.placed())
    await scenario.run_jobs()
    answers = await fuzz(scenario, known={"order_id": str(story.order_id)}, examples=12)
    assert {200, 404, 422} <= answers.keys()
