"""Orders at the pool."""

from datetime import timedelta

from oms_events.contracts.inventory import Shortage, StockReleased, StockReservationRejected, StockReserved
from oms_events.testing.scenario import START, Scenario

from .stories import an_id, cancelled, counted, lines, order_cancelled, placed, routed


async def layers(scenario: Scenario, sku: str) -> tuple[int, int, int]:
    """On hand, allocated, reserved of a SKU; after checking that all books agree."""
    assert (await scenario.client.get("/v1/reconciliation")).json() == {"balanced": True, "differences": []}
    answer = (await scenario.client.get(f"/v1/stock/{sku}")).json()
    return answer["on_hand"], answer["allocated"], answer["reserved"]


async def test_reserves_all_lines(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10), counted("B", 5))
    order = placed(("A", 3), ("B", 5))
    assert await scenario.when(order) == [
        StockReserved(order_id=order.order_id, channel="web", shop="S1", lines=lines(("A", 3), ("B", 5)))
    ]
    assert await layers(scenario, "A") == (10, 0, 3)
    assert await layers(scenario, "B") == (5, 0, 5)


async def test_orders_of_one_batch_are_served_in_turn(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    orders = [placed(("A", 4)) for _ in range(3)]
    published = await scenario.when(*orders)
    assert [type(event) for event in published] == [StockReserved, StockReserved, StockReservationRejected]
    assert published[2] == StockReservationRejected(
        order_id=orders[2].order_id, shortages=(Shortage(sku="A", requested=4, available=2),)
    )
    assert await layers(scenario, "A") == (10, 0, 8)


async def test_the_same_order_under_another_event_id_is_reserved_once(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order = placed(("A", 4))
    assert len(await scenario.when(order, order)) == 1
    assert await scenario.when(order) == []
    assert await layers(scenario, "A") == (10, 0, 4)


async def test_waiting_orders_are_served_oldest_first_when_stock_arrives(scenario: Scenario) -> None:
    first, second, third = placed(("A", 6)), placed(("A", 5), ("B", 1)), placed(("A", 4))
    for order in (first, second, third):
        assert [type(e) for e in await scenario.when(order)] == [StockReservationRejected]
        scenario.now += timedelta(seconds=1)
    waiting = (await scenario.client.get("/v1/waiting-orders", params={"limit": 2})).json()
    assert [item["order_id"] for item in waiting["items"]] == [str(first.order_id), str(second.order_id)]
    rest = (await scenario.client.get("/v1/waiting-orders", params={"cursor": waiting["next_cursor"]})).json()
    assert [item["order_id"] for item in rest["items"]] == [str(third.order_id)]

    published = await scenario.when(counted("A", 11))
    assert [event.order_id for event in published] == [first.order_id, third.order_id]
    assert await layers(scenario, "A") == (11, 0, 10)
    published = await scenario.when(counted("B", 1), counted("A", 5, at=START, movement=True))
    assert [event.order_id for event in published] == [second.order_id]
    assert (await scenario.client.get("/v1/waiting-orders")).json()["items"] == []


async def test_what_a_cancellation_frees_goes_to_who_waits(scenario: Scenario) -> None:
    await scenario.given(counted("A", 5))
    holder, waiter = placed(("A", 5)), placed(("A", 2))
    await scenario.given(holder, waiter)
    published = await scenario.when(cancelled(holder.order_id, ("A", 3)))
    assert published == [
        StockReleased(
            order_id=holder.order_id, shipment_id=None, lines=lines(("A", 3)), to_pool=False, reason="lines cancelled"
        ),
        StockReserved(order_id=waiter.order_id, channel="web", shop="S1", lines=lines(("A", 2))),
    ]
    assert await layers(scenario, "A") == (5, 0, 4)


async def test_a_waiting_order_that_shrinks_may_be_served(scenario: Scenario) -> None:
    await scenario.given(counted("A", 5))
    order = placed(("A", 7))
    await scenario.given(order)
    assert await scenario.when(cancelled(order.order_id, ("A", 2))) == [
        StockReserved(order_id=order.order_id, channel="web", shop="S1", lines=lines(("A", 5)))
    ]


async def test_a_waiting_order_cancelled_line_by_line_waits_no_more(scenario: Scenario) -> None:
    order = placed(("A", 2))
    await scenario.given(order, cancelled(order.order_id, ("A", 2)))
    assert (await scenario.client.get("/v1/waiting-orders")).json()["items"] == []
    assert await scenario.when(counted("A", 5)) == []


async def test_a_cancellation_counts_once_and_before_the_order_too(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order_id, cancellation_id = an_id(), an_id()
    early = cancelled(order_id, ("A", 1), cancellation_id=cancellation_id)
    await scenario.given(early, early)
    await scenario.given(placed(("A", 4), order_id=order_id))
    assert await scenario.when(early) == []
    assert await layers(scenario, "A") == (10, 0, 3)


async def test_an_order_cancelled_before_it_is_placed_is_never_reserved(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order_id = an_id()
    await scenario.given(order_cancelled(order_id))
    assert await scenario.when(placed(("A", 4), order_id=order_id)) == []
    assert await scenario.run_jobs() != []
    assert await layers(scenario, "A") == (10, 0, 0)


async def test_the_job_serves_whom_the_batch_could_not(scenario: Scenario) -> None:
    await scenario.given(counted("A", 1))
    orders = [placed(("A", 1)) for _ in range(240)]
    for start in range(0, 240, 80):
        await scenario.given(*orders[start : start + 80])
        scenario.now += timedelta(seconds=1)
    assert len(await scenario.when(counted("A", 500, at=START))) == 200
    late = [event for event in await scenario.run_jobs() if isinstance(event, StockReserved)]
    assert {event.order_id for event in late} == {order.order_id for order in orders[201:]}
    assert await layers(scenario, "A") == (500, 0, 240)


async def test_a_share_limits_the_shop_and_counts_what_was_reserved_before_the_rule(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10), placed(("A", 3)))
    rule = {"percent": 50}
    assert (await scenario.client.put("/v1/channel-rules/web/S1", json=rule)).status_code == 200
    mine, others = placed(("A", 3)), placed(("A", 5), shop="S2")
    assert [type(e) for e in await scenario.when(mine, others)] == [StockReservationRejected, StockReserved]
    asked = {"channel": "web", "shop": "S1", "sku": "A"}
    assert (await scenario.client.get("/v1/availability", params=asked)).json()["items"] == [
        {"sku": "A", "sellable": 2}
    ]
    shops = (await scenario.client.get("/v1/stock/A")).json()["shops"]
    assert [(s["shop"], s["reserved"], s["limit"], s["sellable"]) for s in shops] == [
        ("S1", 3, 2, 2),
        ("S2", 5, None, 2),
    ]
    assert await layers(scenario, "A") == (10, 0, 8)
    await scenario.given(routed(others.order_id, ("A", 5)))
    assert await layers(scenario, "A") == (10, 5, 3)
