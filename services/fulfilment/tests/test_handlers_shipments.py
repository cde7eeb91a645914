"""Shipments from allocation to dispatch, with every kind of bad timing."""

from datetime import timedelta
from itertools import permutations

import pytest

from oms_events.contracts.fulfilment import (
    CancellationAnswered,
    OrderRouted,
    ShipmentAccepted,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
    ShipmentReleased,
    ShipmentRequested,
)
from oms_events.testing.scenario import START, only

from .stories import (
    LON,
    MAN,
    allocated,
    cancelled,
    no_waybill,
    not_allocated,
    open_nodes,
    plan,
    quantities,
    release,
    released,
    reported,
    request,
    stock,
    uid,
    waybill,
)


@pytest.fixture
async def shop(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=50, GB_MAN=50), stock("B", GB_LON=50, GB_MAN=50))
    return scenario


async def shipment(scenario, shipment_id) -> dict:
    response = await scenario.client.get(f"/v1/shipments/{shipment_id}")
    assert response.status_code == 200
    return response.json()


async def reports(scenario, state=None) -> list[tuple[str, str, str]]:
    page = (await scenario.client.get("/v1/warehouse-reports", params={"state": state} if state else {})).json()
    return [(item["report_no"], item["state"], item["reason"]) for item in page["items"]]


async def test_the_whole_way(shop):
    (planned,) = await plan(shop, A=2, B=1)
    (requested,) = await shop.when(allocated(planned))
    assert (requested.origin_country, requested.channel, requested.ship_to.receiver_token) == ("GB", "uci", "tok-1")
    (let_go,) = await shop.when(waybill(requested))
    assert (let_go.carrier, let_go.released_at, quantities(let_go.lines)) == ("swift", START, {"A": 2, "B": 1})
    (accepted,) = await shop.when(reported(requested, "accepted"))
    assert isinstance(accepted, ShipmentAccepted)
    (dispatched,) = await shop.when(reported(requested, "shipped", weight_g=900))
    assert (quantities(dispatched.lines), dispatched.weight_g) == ({"A": 2, "B": 1}, 900)
    assert dispatched.waybill_no == let_go.waybill_no
    summary = (await shop.client.get("/v1/summary")).json()
    assert summary == {
        "demands": {"done": 1},
        "shipments": {"dispatched": 1},
        "warehouse_reports": {"applied": 2},
        "lines_shipped": 2,
        "units_shipped": 3,
        "split_orders": 0,
    }


async def test_every_answer_twice_changes_nothing(shop):
    (planned,) = await plan(shop, A=2)
    (requested, *more) = await shop.when(allocated(planned), allocated(planned))
    assert more == []
    assert len(await shop.when(waybill(requested), waybill(requested))) == 1
    assert len(await shop.when(reported(requested, "accepted"), reported(requested, "accepted"))) == 1
    assert len(await shop.when(reported(requested, "shipped"), reported(requested, "shipped", no="s-2"))) == 1
    assert await shop.when(allocated(planned), waybill(requested), reported(requested, "shipped")) == []
    assert await reports(shop, "refused") == [("s-2", "refused", "contradicts: the shipment is dispatched")]


async def test_without_a_carrier_it_waits_and_goes_on_when_there_is_one(shop):
    requested = await request(shop, A=1)
    assert await shop.when(no_waybill(requested)) == []
    assert (await shipment(shop, requested.shipment_id))["note"] == "no carrier: too heavy"
    (let_go,) = await shop.when(waybill(requested))
    assert isinstance(let_go, ShipmentReleased)
    assert (await shipment(shop, requested.shipment_id))["note"] == ""
    assert await shop.when(no_waybill(requested)) == []


async def test_rejected_by_its_warehouse_the_order_goes_elsewhere(shop):
    requested = await release(shop, A=2)
    assert requested.node == MAN
    rejected, routed = await shop.when(reported(requested, "rejected"))
    assert (quantities(rejected.lines), rejected.closed) == ({"A": 2}, True)
    assert [s.node for s in routed.shipments] == [LON]
    assert await shop.when(reported(requested, "accepted")) == []
    assert await shop.when(reported(requested, "shipped")) == []
    assert ("shipped-1", "refused", "contradicts: the shipment is rejected") in await reports(shop, "refused")


async def test_what_is_short_goes_elsewhere_and_the_rest_ships(shop):
    requested = await release(shop, A=5, B=1)
    rejected, routed = await shop.when(reported(requested, "short", lines={"A": 3, "B": 1}))
    assert (quantities(rejected.lines), rejected.closed) == ({"A": 2}, False)
    assert [(s.node, quantities(s.lines)) for s in routed.shipments] == [(LON, {"A": 2})]
    (dispatched,) = await shop.when(reported(requested, "shipped"))
    assert quantities(dispatched.lines) == {"A": 3, "B": 1}


async def test_nothing_to_be_had_ends_the_shipment(shop):
    requested = await release(shop, A=5)
    rejected, _ = await shop.when(reported(requested, "short"))
    assert (quantities(rejected.lines), rejected.closed) == ({"A": 5}, True)
    assert (await shipment(shop, requested.shipment_id))["state"] == "rejected"


async def test_fewer_shipped_than_planned_counts_as_short(shop):
    requested = await release(shop, A=5, B=1)
    events = await shop.when(reported(requested, "shipped", lines={"A": 4}))
    (dispatched,), (rejected,), (routed,) = (
        only(events, kind) for kind in (ShipmentDispatched, ShipmentRejected, OrderRouted)
    )
    assert quantities(dispatched.lines) == {"A": 4}
    assert (quantities(rejected.lines), rejected.closed) == ({"A": 1, "B": 1}, False)
    assert [(s.node, quantities(s.lines)) for s in routed.shipments] == [(LON, {"A": 1, "B": 1})]
    assert (await shipment(shop, requested.shipment_id))["state"] == "dispatched"


async def test_more_shipped_than_planned_is_cut_and_noted(shop):
    requested = await release(shop, A=5)
    (dispatched,) = await shop.when(reported(requested, "shipped", lines={"A": 7, "X": 1}))
    assert quantities(dispatched.lines) == {"A": 5}
    assert await reports(shop) == [("shipped-1", "applied", "more than was left to ship: L-A by 2, L-X by 1")]


async def test_a_report_of_another_warehouse_is_refused_and_kept(shop):
    requested = await release(shop, A=1)
    assert await shop.when(reported(requested, "shipped", node=LON)) == []
    assert await reports(shop, "refused") == [("shipped-1", "refused", f"the shipment belongs to {MAN}")]


@pytest.mark.parametrize("order", list(permutations(["accepted", "shipped", "waybill"])))
async def test_reports_and_the_waybill_in_any_order_end_the_same(shop, order):
    requested = await request(shop, A=2)
    events = {
        "waybill": waybill(requested),
        "accepted": reported(requested, "accepted", at=START),
        "shipped": reported(requested, "shipped", at=START + timedelta(hours=1)),
    }
    told = []
    for name in order:
        told += await shop.when(events[name])
    (dispatched,) = only(told, ShipmentDispatched)
    assert quantities(dispatched.lines) == {"A": 2}
    assert dispatched.dispatched_at == START + timedelta(hours=1)
    assert (await shipment(shop, requested.shipment_id))["state"] == "dispatched"
    assert {state for _, state, _ in await reports(shop)} == {"applied"}


async def test_a_report_of_an_unknown_shipment_stays_visible(shop):
    (planned,) = await plan(shop, A=1)
    stranger = planned.model_copy(update={"shipment_id": uid("stranger")})
    assert await shop.when(reported(stranger, "shipped")) == []
    assert await reports(shop, "unmatched") == [("shipped-1", "unmatched", "the shipment is not known")]
    await shop.advance(timedelta(days=8))
    await shop.run_jobs()
    assert await reports(shop, "unmatched") == []
    assert len(await reports(shop, "expired")) == 1


async def test_cancelled_before_inventory_answered_inventory_hears_of_it_afterwards(shop):
    (planned,) = await plan(shop, A=3, B=1)
    (answered,) = await shop.when(cancelled(A=1, B=1))
    assert (quantities(answered.stopped), answered.refused) == ({"A": 1, "B": 1}, ())
    told, requested = await shop.when(allocated(planned))
    assert (quantities(told.lines), told.closed, told.cancellation_id) == ({"A": 1, "B": 1}, False, uid("cancel"))
    assert quantities(requested.lines) == {"A": 2}


async def test_cancelled_whole_before_inventory_answered(shop):
    (planned,) = await plan(shop, A=3)
    await shop.when(cancelled("one", A=1), cancelled("two", A=2))
    events = await shop.when(allocated(planned))
    assert [(quantities(e.lines), e.closed) for e in only(events, ShipmentCancelled)] == [
        ({"A": 1}, True),
        ({"A": 2}, True),
    ]
    assert only(events, ShipmentRequested) == []
    assert await shop.when(allocated(planned)) == []


async def test_cancelled_whole_and_then_refused_by_inventory(shop):
    (planned,) = await plan(shop, A=3)
    await shop.when(cancelled(A=3))
    assert await shop.when(not_allocated(planned)) == []
    assert await shop.when(allocated(planned)) == []


@pytest.mark.parametrize("stage", ["allocated", "released"])
async def test_cancelled_before_the_warehouse_accepted(shop, stage):
    requested = await (request if stage == "allocated" else release)(shop, A=3)
    told, answered = await shop.when(cancelled("part", A=1))
    assert (quantities(told.lines), told.closed, quantities(answered.stopped)) == ({"A": 1}, False, {"A": 1})
    assert (await shipment(shop, requested.shipment_id))["lines"][0]["left"] == 2
    told, answered = await shop.when(cancelled("rest", A=5))
    assert (quantities(told.lines), told.closed) == ({"A": 2}, True)
    assert (quantities(answered.stopped), quantities(answered.refused)) == ({"A": 2}, {"A": 3})
    assert await shop.when(waybill(requested), reported(requested, "accepted")) == []
    assert (await shipment(shop, requested.shipment_id))["state"] == "cancelled"


async def test_what_the_warehouse_accepted_is_not_stopped(shop):
    requested = await release(shop, A=3)
    await shop.when(reported(requested, "accepted"))
    (answered,) = await shop.when(cancelled(A=1))
    assert (answered.stopped, quantities(answered.refused)) == ((), {"A": 1})
    assert await shop.when(cancelled(A=1)) == []


async def test_goods_said_to_have_left_after_a_cancellation_are_seen_by_a_person(shop):
    requested = await release(shop, A=3)
    await shop.when(cancelled(A=3))
    assert await shop.when(reported(requested, "shipped")) == []
    assert await reports(shop, "refused") == [("shipped-1", "refused", "contradicts: the shipment is cancelled")]


async def test_unplanned_units_are_cancelled_first(shop):
    await shop.given(stock("A", 2, GB_LON=3), stock("B", 2))
    requested = await release(shop, A=3)
    await shop.when(reported(requested, "short", lines={"A": 1}))
    events = await shop.when(cancelled(A=2))
    assert only(events, ShipmentCancelled) == []
    (answered,) = only(events, CancellationAnswered)
    assert quantities(answered.stopped) == {"A": 2}
    (dispatched,) = await shop.when(reported(requested, "shipped"))
    assert quantities(dispatched.lines) == {"A": 1}


async def test_an_allocation_of_a_shipment_nobody_planned_is_set_aside(shop):
    (planned,) = await plan(shop, A=1)
    stranger = planned.model_copy(update={"shipment_id": uid("stranger")})
    with pytest.raises(AssertionError, match="UnknownShipment"):
        await shop.when(allocated(stranger))


async def test_the_feed_lists_each_release_once_in_order(shop):
    first = await release(shop, "one", A=1)
    second = await release(shop, "two", A=1)
    feed = (await shop.client.get(f"/v1/nodes/{MAN}/releases", params={"limit": 1})).json()
    assert [item["shipment_id"] for item in feed["items"]] == [str(first.shipment_id)]
    assert feed["items"][0]["receiver_token"] == "tok-1"
    feed = (await shop.client.get(f"/v1/nodes/{MAN}/releases", params={"cursor": feed["next_cursor"]})).json()
    assert [item["shipment_id"] for item in feed["items"]] == [str(second.shipment_id)]
    nothing = (await shop.client.get(f"/v1/nodes/{MAN}/releases", params={"cursor": feed["next_cursor"]})).json()
    assert nothing == {"items": [], "next_cursor": feed["next_cursor"]}
    third = await release(shop, "three", A=1)
    feed = (await shop.client.get(f"/v1/nodes/{MAN}/releases", params={"cursor": nothing["next_cursor"]})).json()
    assert [item["shipment_id"] for item in feed["items"]] == [str(third.shipment_id)]


async def test_orders_of_one_batch_with_two_reports_of_one_order(shop):
    await shop.given(stock("A", 2, GB_MAN=2), stock("B", 2, GB_LON=2))
    shipments = await plan(shop, A=1, B=1)
    requested = only(await shop.when(*(allocated(s) for s in shipments)), ShipmentRequested)
    await shop.when(*(waybill(s) for s in requested))
    await shop.given(stock("A", 3, GB_LON=9), stock("B", 3, GB_MAN=9))
    events = await shop.when(*(reported(s, "rejected") for s in requested))
    (routed,) = only(events, OrderRouted)
    assert sum(len(s.lines) for s in routed.shipments) == 2
    assert await shop.when(released(A=1, B=1)) == []
