"""Requests get a waybill, once; those nobody can take are tried again."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from oms_events.contracts.logistics import WaybillAssigned, WaybillRefused
from oms_events.testing.scenario import only
from oms_logistics.adapters import rates
from oms_logistics.app.news import RETRY_AFTER


async def deadlines(scenario) -> list[tuple[str, str]]:
    async with scenario.runtime.connection() as connection:
        rows = await connection.execute(text("select kind, key from deadlines order by kind, key"))
        return [(row.kind, row.key) for row in rows]


async def parcel(scenario, shipment) -> dict:
    answer = await scenario.client.get(f"/v1/parcels/{shipment.shipment_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_request_gets_the_cheapest_waybill_and_every_option_is_told(scenario, shipment):
    a = shipment()
    (assigned,) = await scenario.when(a.requested())
    assert isinstance(assigned, WaybillAssigned)
    assert (assigned.carrier, assigned.service, assigned.waybill_no) == ("norpost", "economy", "NP000000014ZZ")
    assert (assigned.cost_minor, assigned.currency, assigned.billable_weight_g) == (299, "GBP", 900)
    assert assigned.promised_at == datetime(2026, 3, 5, 20, tzinfo=UTC)
    assert len(assigned.options) == 8
    assert [option.service for option in assigned.options if option.chosen] == ["economy"]
    refused = {option.service: option.reason for option in assigned.options if option.cost_minor is None}
    assert refused == {"same-day": "does not serve standard", "air-express": "does not serve standard"}
    assert await deadlines(scenario) == [("promise", str(a.shipment_id))]
    stored = await parcel(scenario, a)
    assert (stored["state"], stored["status"], stored["tariff_version"]) == ("open", "label_ready", 1)
    assert stored["options"] == [option.model_dump(mode="json") for option in assigned.options]


async def test_asked_again_nothing_is_said_again(scenario, shipment):
    a = shipment()
    assert len(await scenario.when(a.requested(), a.requested())) == 1
    assert await scenario.when(a.requested(weight_g=5000)) == []
    assert (await parcel(scenario, a))["weight_g"] == 900


async def test_numbers_of_one_batch_follow_each_other_per_carrier(scenario, shipment):
    requests = [shipment().requested(tier=tier) for tier in ("standard", "next_day", "standard")]
    numbers = [assigned.waybill_no for assigned in only(await scenario.when(*requests), WaybillAssigned)]
    assert numbers == ["NP000000014ZZ", "SW000000014ZZ", "NP000000028ZZ"]
    more = await scenario.when(shipment().requested())
    assert [assigned.waybill_no for assigned in only(more, WaybillAssigned)] == ["NP000000031ZZ"]


async def test_without_a_carrier_it_is_refused_once_and_tried_until_one_comes(empty, seeds, shipment):
    a = shipment()
    (refused,) = await empty.when(a.requested())
    assert refused == WaybillRefused(
        order_id=a.order_id, shipment_id=a.shipment_id, reason="no carrier offers any service"
    )
    assert await empty.when(a.requested()) == []
    assert (await parcel(empty, a))["state"] == "no_carrier"
    for _ in range(2):
        assert await empty.advance(RETRY_AFTER) == []
        assert await deadlines(empty) == [("carrier", str(a.shipment_id))]
    assert (await empty.client.post("/v1/carriers:import", json=seeds)).status_code == 200
    (assigned,) = await empty.advance(timedelta(0))
    assert isinstance(assigned, WaybillAssigned)
    assert assigned.shipment_id == a.shipment_id
    assert await deadlines(empty) == [("promise", str(a.shipment_id))]
    assert (await parcel(empty, a))["refusal"] is None


async def test_a_refusal_names_every_obstacle(scenario, shipment):
    (refused,) = await scenario.when(shipment().requested(to="US", tier="sunday"))
    assert isinstance(refused, WaybillRefused)
    assert refused.reason.count("does not serve sunday") == 8


async def test_what_was_cancelled_before_it_was_requested_gets_no_waybill(scenario, shipment):
    a, b = shipment(), shipment()
    assert await scenario.when(a.cancelled(), b.rejected()) == []
    assert await scenario.when(a.requested(), b.requested()) == []
    assert [(await parcel(scenario, s))["state"] for s in (a, b)] == ["cancelled", "cancelled"]
    assert await deadlines(scenario) == []


async def test_cancelling_voids_the_waybill_and_its_number_is_not_used_again(scenario, shipment):
    a = shipment()
    await scenario.given(a.requested())
    assert await scenario.when(a.cancelled(closed=False)) == []
    assert (await parcel(scenario, a))["state"] == "open"
    assert await scenario.when(a.cancelled(), a.cancelled()) == []
    stored = await parcel(scenario, a)
    assert (stored["state"], stored["status"], stored["waybill_no"]) == ("cancelled", "cancelled", "NP000000014ZZ")
    assert await deadlines(scenario) == []
    (assigned,) = await scenario.when(shipment().requested())
    assert assigned.waybill_no == "NP000000028ZZ"


async def test_cancelling_ends_the_search_for_a_carrier(empty, shipment):
    a = shipment()
    await empty.given(a.requested())
    assert await empty.when(a.rejected()) == []
    assert await deadlines(empty) == []
    assert await empty.advance(RETRY_AFTER) == []


async def test_a_dispatch_heard_before_the_request_is_kept(scenario, shipment):
    a = shipment()
    assert await scenario.when(a.dispatched()) == []
    assert (await parcel(scenario, a))["state"] == "announced"
    (assigned,) = await scenario.when(a.requested())
    assert isinstance(assigned, WaybillAssigned)
    stored = await parcel(scenario, a)
    assert (stored["status"], stored["shipped_weight_g"]) == ("dispatched", 950)


async def test_the_tier_of_the_shop_goes_before_that_of_everybody(scenario, shipment):
    answer = await scenario.client.put("/v1/delivery-tiers/uci/uk/standard", json={"max_days": 1})
    assert answer.status_code == 200, answer.text
    (assigned,) = await scenario.when(shipment().requested())
    assert (assigned.carrier, assigned.service) == ("swiftline", "next-day")
    reasons = {option.service: option.reason for option in assigned.options}
    assert reasons["economy"] == "takes 3 days instead of 1"


async def test_a_new_tariff_version_counts_from_the_next_request_on(scenario, shipment):
    (before,) = await scenario.when(shipment().requested())
    tariffs = (await scenario.client.get("/v1/tariffs", params={"carrier": "norpost", "service": "economy"})).json()
    document = tariffs["items"][0]["document"]
    document["prices"]["domestic"]["breaks"][0]["minor"] = 310
    answer = await scenario.client.post("/v1/tariffs", json=document | {"carrier": "norpost", "service": "economy"})
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    (after,) = await scenario.when(shipment().requested())
    assert [(e.tariff_version, e.cost_minor) for e in (before, after)] == [("1", 299), ("2", 310)]


async def test_a_carrier_switched_off_gets_nothing(scenario, shipment):
    document = {"name": "Norpost", "waybill_prefix": "NP", "active": False}
    assert (await scenario.client.put("/v1/carriers/norpost", json=document)).status_code == 204
    (assigned,) = await scenario.when(shipment().requested())
    assert assigned.carrier == "eurolink"
    assert "norpost" not in {option.carrier for option in assigned.options}


async def somebody_waits_for_a_lock(scenario) -> bool:
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with scenario.runtime.connection() as connection:
        return bool((await connection.execute(text(waiting))).scalar_one())


async def test_serials_become_visible_in_order(scenario):
    """The feed resumes after a serial: a lower one must not appear once a higher one is there."""

    async def draw() -> int:
        async with scenario.transaction() as work:
            return (await rates.issue(work.connection, {"norpost": 1}))["norpost"].draw().serial

    async with scenario.transaction() as work:
        first = (await rates.issue(work.connection, {"norpost": 2}))["norpost"]
        second = asyncio.create_task(draw())
        async with asyncio.timeout(10):
            while not await somebody_waits_for_a_lock(scenario):  # noqa: ASYNC110 - it happens in the database
                await asyncio.sleep(0.01)
        assert [first.draw().serial, first.draw().serial] == [1, 2]
    assert await second == 3
