"""Scans move parcels along; deliveries are told once, broken promises too."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from oms_events.contracts.logistics import DeliveryPromiseBroken, ParcelTracked, ShipmentDelivered
from oms_events.testing.scenario import START, only

WAYBILL = "NP000000014ZZ"


def at(hours: float):
    return START + timedelta(hours=hours)


@pytest.fixture
async def under_way(scenario, shipment):
    """A shipment whose waybill is assigned, and its scenario."""
    a = shipment()
    await scenario.given(a.requested())
    return a


async def show(scenario, shipment) -> dict:
    return (await scenario.client.get(f"/v1/parcels/{shipment.shipment_id}")).json()


async def test_each_change_of_status_is_told(scenario, under_way, scan):
    events = await scenario.when(
        scan(WAYBILL, "picked_up", at(2)),
        scan(WAYBILL, "in_transit", at(5)),
        scan(WAYBILL, "in_transit", at(6), place="Hull"),
    )
    assert [(event.status, event.occurred_at) for event in only(events, ParcelTracked)] == [
        ("picked_up", at(2)),
        ("in_transit", at(5)),
    ]
    stored = await show(scenario, under_way)
    assert (stored["status"], stored["status_at"]) == ("in_transit", at(6).isoformat().replace("+00:00", "Z"))


async def test_a_late_older_scan_is_kept_but_does_not_move_the_parcel_back(scenario, under_way, scan):
    await scenario.given(scan(WAYBILL, "out_for_delivery", at(8)))
    assert await scenario.when(scan(WAYBILL, "in_transit", at(5))) == []
    assert (await show(scenario, under_way))["status"] == "out_for_delivery"
    scans = (await scenario.client.get(f"/v1/parcels/{under_way.shipment_id}/scans")).json()
    assert [scan["status"] for scan in scans] == ["in_transit", "out_for_delivery"]


async def test_the_same_scan_twice_is_one(scenario, under_way, scan):
    once = scan(WAYBILL, "picked_up", at(2))
    assert len(await scenario.when(once, once)) == 1
    assert await scenario.when(once) == []
    assert len((await scenario.client.get(f"/v1/parcels/{under_way.shipment_id}/scans")).json()) == 1


async def test_a_delivery_is_told_once_with_its_lateness(scenario, under_way, scan):
    late = at(24 * 5)
    events = await scenario.when(scan(WAYBILL, "delivered", late), scan(WAYBILL, "delivered", late, place="Door"))
    promised = events[1].promised_at
    assert events == [
        ParcelTracked(
            order_id=under_way.order_id,
            shipment_id=under_way.shipment_id,
            waybill_no=WAYBILL,
            status="delivered",
            occurred_at=late,
        ),
        ShipmentDelivered(
            order_id=under_way.order_id,
            shipment_id=under_way.shipment_id,
            waybill_no=WAYBILL,
            delivered_at=late,
            promised_at=promised,
            late_by_s=int((late - promised).total_seconds()),
        ),
    ]
    assert events[1].late_by_s > 0
    assert await scenario.when(scan(WAYBILL, "in_transit", late + timedelta(hours=1))) == []
    assert (await show(scenario, under_way))["state"] == "delivered"
    back = await scenario.when(scan(WAYBILL, "returned", late + timedelta(hours=9)))
    assert [event.status for event in only(back, ParcelTracked)] == ["returned"]


async def test_delivered_before_dispatched_is_fine(scenario, under_way, scan):
    (_, delivered) = await scenario.when(scan(WAYBILL, "delivered", at(20)))
    assert delivered.late_by_s == 0
    assert await scenario.when(under_way.dispatched(at=at(3))) == []
    stored = await show(scenario, under_way)
    assert (stored["state"], stored["shipped_weight_g"]) == ("delivered", 950)


async def test_a_broken_promise_is_told_once(scenario, under_way, scan):
    await scenario.given(scan(WAYBILL, "in_transit", at(9)))
    promised_at = at(24 * 3 + 11)
    assert await scenario.advance(promised_at - scenario.now - timedelta(seconds=1)) == []
    (broken,) = await scenario.advance(timedelta(seconds=1))
    assert broken == DeliveryPromiseBroken(
        order_id=under_way.order_id,
        shipment_id=under_way.shipment_id,
        waybill_no=WAYBILL,
        promised_at=promised_at,
        last_status="in_transit",
    )
    assert await scenario.advance(timedelta(days=30)) == []
    assert [row["late"] for row in (await scenario.client.get("/v1/summary")).json()["parcels"]] == [1]


async def test_a_kept_promise_is_not_broken(scenario, under_way, scan):
    await scenario.given(scan(WAYBILL, "delivered", at(20)))
    assert await scenario.advance(timedelta(days=30)) == []


async def test_a_scan_ahead_of_its_waybill_waits_and_is_applied(scenario, shipment, scan):
    early = scan(WAYBILL, "picked_up", at(-1))
    assert await scenario.when(early, scan(WAYBILL, "picked_up", at(-1), carrier="swiftline")) == []
    listed = (await scenario.client.get("/v1/early-scans")).json()["items"]
    assert {item["carrier"] for item in listed} == {"norpost", "swiftline"}
    a = shipment()
    events = await scenario.when(a.requested())
    assert [type(event).__name__ for event in events] == ["WaybillAssigned", "ParcelTracked"]
    assert (await show(scenario, a))["status"] == "picked_up"
    listed = (await scenario.client.get("/v1/early-scans")).json()["items"]
    assert [item["carrier"] for item in listed] == ["swiftline"]
    assert await scenario.when(early) == []


async def test_a_scan_stored_while_its_waybill_was_assigned_is_found_later(scenario, under_way, scan):
    await scenario.given(scan(WAYBILL, "picked_up", at(2)))
    async with scenario.transaction() as work:
        await work.connection.execute(text("update scans set shipment_id = null, status = 'in_transit'"))
    (tracked,) = await scenario.run_jobs()
    assert tracked.status == "in_transit"
    assert await scenario.run_jobs() == []


async def test_goods_under_way_outweigh_a_cancellation(scenario, under_way, scan):
    await scenario.given(under_way.cancelled())
    (tracked,) = await scenario.when(scan(WAYBILL, "in_transit", at(4)))
    assert tracked.status == "in_transit"
    assert (await show(scenario, under_way))["state"] == "open"
    assert len(only(await scenario.advance(timedelta(days=9)), DeliveryPromiseBroken)) == 1


Story = st.permutations(["dispatched", "picked_up", "in_transit", "delivered", "delivered again", "older"])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(story=Story, cuts=st.sets(st.integers(1, 5)))
async def test_any_order_and_any_batches_end_the_same(scenario, shipment, scan, story, cuts):
    a = shipment()
    (assigned,) = await scenario.when(a.requested())
    number = assigned.waybill_no
    told = {
        "dispatched": a.dispatched(at=at(1)),
        "picked_up": scan(number, "picked_up", at(2)),
        "in_transit": scan(number, "in_transit", at(6)),
        "delivered": scan(number, "delivered", at(9)),
        "delivered again": scan(number, "delivered", at(9)),
        "older": scan(number, "in_transit", at(3), place="Hull"),
    }
    events = []
    edges = [0, *sorted(cuts), len(story)]
    for start, end in pairwise(edges):
        events += await scenario.when(*(told[name] for name in story[start:end]))
    stored = await show(scenario, a)
    assert (stored["state"], stored["status"], stored["shipped_weight_g"]) == ("delivered", "delivered", 950)
    assert [event.delivered_at for event in only(events, ShipmentDelivered)] == [at(9)]
