"""Whatever the API is sent, it never fails on its own account."""

from oms_events.testing.fuzz import fuzz
from oms_events.testing.scenario import Scenario

from .stories import LON, open_nodes, release, stock, uid


async def test_no_request_makes_the_service_fail(scenario: Scenario) -> None:
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5))
    shipment = await release(scenario, A=1)
    (decision,) = (await scenario.client.get("/v1/decisions", params={"order_id": str(uid("order"))})).json()["items"]
    known = {
        "node": LON,
        "name": "default",
        "shipment_id": str(shipment.shipment_id),
        "decision_id": decision["decision_id"],
    }
    answers = await fuzz(scenario, known=known)
    assert {200, 404, 422} <= answers.keys()
