"""Whatever the API is sent, it never fails on its own account."""

from oms_events.contracts.logistics import WaybillAssigned
from oms_events.testing.fuzz import fuzz
from oms_events.testing.scenario import Scenario, only


async def test_no_request_makes_the_service_fail(scenario: Scenario, shipment) -> None:
    parcel = shipment()
    (assigned,) = only(await scenario.when(parcel.requested()), WaybillAssigned)
    known = {
        "carrier": assigned.carrier,
        "service": assigned.service,
        "waybill_no": assigned.waybill_no,
        "shipment_id": str(parcel.shipment_id),
    }
    # Fewer than elsewhere: one document of carriers and tariffs takes most of a second to make up.
    answers = await fuzz(scenario, known=known, examples=4)
    assert {200, 404, 422} <= answers.keys()
