"""Whatever the API is sent, it never fails on its own account."""

from oms_events.testing.fuzz import fuzz
from oms_events.testing.scenario import Scenario


async def test_no_request_makes_the_service_fail(scenario: Scenario) -> None:
    await scenario.client.post("/v1/products:batch", json=[{"product_code": "P", "title": "Tea"}])
    await scenario.client.post("/v1/skus:batch", json=[{"sku": "A", "product_code": "P", "title": "Tea, 100 g"}])
    answers = await fuzz(scenario, known={"sku": "A", "product_code": "P"})
    assert {200, 404, 422} <= answers.keys()
