"""Whatever the API is sent, it never fails on its own account."""

from oms_events.testing.fuzz import fuzz
from oms_events.testing.scenario import Scenario

from .examples import SHOP, ident, mapped, told


async def test_no_request_makes_the_service_fail(scenario: Scenario) -> None:
    await scenario.given(mapped("1"), mapped("2"), told(buyer_note="ring twice"))
    (hold,) = (await scenario.client.get("/v1/holds")).json()["items"]
    answers = await fuzz(scenario, known={"order_id": str(ident()), "hold_id": hold["hold_id"], **SHOP})
    assert {200, 404, 422} <= answers.keys()
