"""Orders go through the whole system: every service, real databases, a broker that is no kinder than Kafka."""

from collections import Counter

import pytest

from .conftest import OutsideOf
from .players import LEEDS, LONDON, Outside, cancellation, delivered_to, ident, layers, order, payment, report, scans

pytestmark = pytest.mark.integration


async def test_an_order_goes_its_whole_way(outside: Outside) -> None:
    await outside.say(order("1", a=2, b=1))
    assert await outside.state("1") == "awaiting_payment"
    assert await outside.stock("A") == layers(20, reserved=2)

    await outside.say(payment(order("1", a=2, b=1)))
    shipment = await outside.shipment("1")
    assert (shipment["node"], await outside.state("1")) == (LONDON, "released")
    assert await outside.stock("A") == layers(20, allocated=2)

    await outside.say(report(shipment, "accepted"))
    await outside.say(report(shipment, "shipped"))
    assert await outside.state("1") == "shipped"
    assert await outside.stock("A") == layers(18)

    await outside.say(*scans(shipment))
    assert await outside.state("1") == "completed"
    assert outside.system.story(ident("1")) == Counter(
        ChannelOrderReceived=1,
        ChannelPaymentReceived=1,
        OrderPlaced=1,
        StockReserved=1,
        OrderPaid=1,
        OrderReleased=1,
        OrderRouted=1,
        StockAllocated=1,
        ShipmentRequested=1,
        WaybillAssigned=1,
        ShipmentReleased=1,
        ShipmentAccepted=1,
        ShipmentDispatched=1,
        StockConsumed=1,
        ParcelTracked=4,
        ShipmentDelivered=1,
        OrderCompleted=1,
        AccrualPosted=2,
    )
    await outside.system.check_books()


async def test_every_event_tells_what_caused_it(outside: Outside) -> None:
    await outside.buy("1", a=1)
    await outside.ship_and_deliver(await outside.shipment("1"))

    happened = {str(received.meta.id): received.meta for received in outside.system.events()}
    told = {id_ for id_, meta in happened.items() if meta.source == "/oms/gateway"}
    (completed,) = (meta for meta in happened.values() if meta.type == "oms.orders.OrderCompleted.v1")
    chain = [completed]
    while chain[-1].causationid is not None:
        chain.append(happened[chain[-1].causationid])
    assert [meta.type.split(".")[2] for meta in chain] == [
        "OrderCompleted",
        "ShipmentDelivered",
        "TrackingScanReceived",
    ]
    assert {meta.correlationid for meta in chain} == {str(chain[-1].id)} <= told


async def test_an_order_waits_for_stock_until_it_is_delivered(outside: Outside) -> None:
    await outside.buy("1", b=11)
    assert await outside.state("1") == "awaiting_stock"
    assert outside.system.story(ident("1"))["OrderReleased"] == 0
    assert await outside.stock("B") == layers(10)

    await outside.say(*delivered_to(LONDON, B=5))
    assert await outside.stock("B") == layers(15, allocated=11)
    await outside.ship_and_deliver(await outside.shipment("1"))
    assert await outside.state("1") == "completed"
    assert await outside.stock("B") == layers(4)
    await outside.system.check_books()


async def test_a_cancellation_before_the_release_frees_the_stock(outside: Outside) -> None:
    await outside.say(order("1", a=3))
    assert await outside.stock("A") == layers(20, reserved=3)

    await outside.say(cancellation("1"))
    assert await outside.state("1") == "cancelled"
    assert await outside.stock("A") == layers(20)

    await outside.say(payment(order("1", a=3)))
    shown = await outside.order("1")
    assert (shown["state"], shown["payment_state"]) == ("cancelled", "refund_due")
    assert outside.system.story(ident("1"))["OrderReleased"] == 0
    await outside.system.check_books()


async def test_a_cancellation_after_the_release_stops_what_nobody_has_accepted(outside: Outside) -> None:
    await outside.buy("1", a=3)
    assert await outside.stock("A") == layers(20, allocated=3)

    await outside.say(cancellation("1"))
    assert await outside.state("1") == "cancelled"
    assert [shipment["state"] for shipment in await outside.shipments("1")] == ["cancelled"]
    assert await outside.stock("A") == layers(20)
    await outside.system.check_books()


async def test_a_cancellation_after_the_acceptance_is_refused(outside: Outside) -> None:
    await outside.buy("1", a=3)
    shipment = await outside.shipment("1")
    await outside.say(report(shipment, "accepted"))

    await outside.say(cancellation("1"))
    (asked,) = (await outside.order("1"))["cancellations"]
    assert [(line["stopped"], line["refused"]) for line in asked["lines"]] == [(0, 3)]
    assert await outside.state("1") == "released"

    await outside.say(report(shipment, "shipped"), *scans(shipment))
    assert await outside.state("1") == "completed"
    assert await outside.stock("A") == layers(17)
    await outside.system.check_books()


@pytest.mark.parametrize("seed", range(4))
async def test_a_cancellation_that_races_the_warehouse_has_one_answer(outside_of: OutsideOf, seed: int) -> None:
    outside = await outside_of(seed=seed)
    await outside.open_shop("A")
    await outside.say(*delivered_to(LONDON, A=10))
    await outside.buy("1", a=3)
    shipment = await outside.shipment("1")

    await outside.say(cancellation("1"), report(shipment, "accepted"))
    if await outside.state("1") == "cancelled":
        assert [shipment["state"] for shipment in await outside.shipments("1")] == ["cancelled"]
        assert await outside.stock("A") == layers(10)
    else:
        await outside.say(report(shipment, "shipped"), *scans(shipment))
        assert await outside.state("1") == "completed"
        assert await outside.stock("A") == layers(7)
    assert outside.system.story(ident("1"))["CancellationAnswered"] == 1
    await outside.system.check_books()


async def test_a_cancellation_that_races_the_release_leaves_nothing_behind(outside: Outside) -> None:
    ordered = order("1", a=3)
    await outside.say(ordered, payment(ordered), cancellation("1"))
    assert await outside.state("1") == "cancelled"
    assert await outside.stock("A") == layers(20)
    assert await outside.shipments("1", "planned", "allocated", "released") == []
    await outside.system.check_books()


async def test_what_a_warehouse_rejects_ships_from_the_other(outside: Outside) -> None:
    await outside.buy("1", a=2)
    await outside.say(report(await outside.shipment("1"), "rejected"))

    shipment = await outside.shipment("1")
    assert shipment["node"] == LEEDS
    await outside.ship_and_deliver(shipment)
    assert await outside.state("1") == "completed"
    assert [shipment["state"] for shipment in await outside.shipments("1")] == ["rejected", "dispatched"]
    assert await outside.stock("A") == layers(18)
    await outside.system.check_books()


async def test_what_a_warehouse_lacks_comes_from_the_other(outside: Outside) -> None:
    await outside.buy("1", a=5)
    first = await outside.shipment("1")
    await outside.say(report(first, "accepted"))
    await outside.say(report(first, "short", **{first["lines"][0]["line_id"]: 2}))

    second = await outside.shipment("1")
    assert (second["node"], [line["quantity"] for line in second["lines"]]) == (LEEDS, [3])
    await outside.say(report(first, "shipped"), *scans(first))
    assert await outside.state("1") == "in_fulfilment"
    await outside.ship_and_deliver(second)
    assert await outside.state("1") == "completed"
    assert await outside.stock("A") == layers(15)
    await outside.system.check_books()


async def test_an_order_waits_for_its_listing_to_be_mapped(outside_of: OutsideOf) -> None:
    outside = await outside_of()
    await outside.open_shop("A", "B", unmapped=["B"])
    await outside.say(*delivered_to(LONDON, A=10, B=10))
    await outside.buy("1", a=1, b=1)
    shown = await outside.order("1")
    assert (shown["state"], [hold["code"] for hold in shown["holds"]]) == ("on_hold", ["LISTING_UNMAPPED"])
    assert outside.system.story(ident("1"))["OrderPlaced"] == 0

    await outside.list_items("B")
    await outside.system.calm()
    await outside.ship_and_deliver(await outside.shipment("1"))
    assert await outside.state("1") == "completed"
    assert (await outside.stock("A"), await outside.stock("B")) == (layers(9), layers(9))
    await outside.system.check_books()
