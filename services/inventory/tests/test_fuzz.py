"""Whatever the API is sent, it never fails on its own account, and the books stay balanced."""

from oms_events.testing.fuzz import fuzz
from oms_events.testing.scenario import Scenario

from .stories import counted, placed


async def test_no_request_makes_the_service_fail(scenario: Scenario) -> None:
    order = placed(("A", 2))
    await scenario.given(counted("A", 10), order)
    known = {"sku": "A", "node": "N1", "channel": "web", "shop": "S1", "order_id": str(order.order_id)}
    answers = await fuzz(scenario, known=known)
    assert {200, 404, 422} <= answers.keys()
    assert (await scenario.client.get("/v1/reconciliation")).json()["balanced"]
