"""Shipments at nodes."""

from datetime import timedelta
from itertools import permutations

import pytest

from oms_events.contracts.inventory import (
    Shortage,
    StockAllocated,
    StockAllocationRejected,
    StockConsumed,
    StockReleased,
)
from oms_events.registry import Event
from oms_events.testing.scenario import START, Scenario

from .stories import (
    an_id,
    cancelled,
    counted,
    dispatched,
    lines,
    order_cancelled,
    placed,
    plan,
    routed,
    shipment_cancelled,
    shipment_rejected,
)


async def layers(scenario: Scenario, sku: str) -> tuple[int, int, int]:
    """On hand, allocated, reserved of a SKU; after checking that all books agree."""
    assert (await scenario.client.get("/v1/reconciliation")).json() == {"balanced": True, "differences": []}
    answer = (await scenario.client.get(f"/v1/stock/{sku}")).json()
    return answer["on_hand"], answer["allocated"], answer["reserved"]


async def test_allocates_and_consumes(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order, shipment_id = placed(("A", 4)), an_id()
    await scenario.given(order)
    plan_ = routed(order.order_id, ("A", 4), shipment_id=shipment_id)
    assert await scenario.when(plan_) == [
        StockAllocated(
            order_id=order.order_id,
            shipment_id=shipment_id,
            decision_id=plan_.decision_id,
            node="N1",
            lines=lines(("A", 4)),
        )
    ]
    assert await layers(scenario, "A") == (10, 4, 0)
    gone = dispatched(order.order_id, shipment_id, ("A", 4))
    assert await scenario.when(gone) == [
        StockConsumed(order_id=order.order_id, shipment_id=shipment_id, node="N1", lines=lines(("A", 4)))
    ]
    assert await layers(scenario, "A") == (6, 0, 0)
    assert await scenario.when(gone, plan_) == []
    assert await layers(scenario, "A") == (6, 0, 0)


async def test_each_shipment_of_a_plan_is_answered_for_itself(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10), counted("B", 1, node="N2"), counted("B", 9, node="N1"))
    order = placed(("A", 4), ("B", 3))
    await scenario.given(order)
    first, second = an_id(), an_id()
    part_a, part_b = lines(("A", 4), ("B", 3))
    route = plan(order.order_id, [(first, "N1", (part_a,)), (second, "N2", (part_b,))])
    allocated, rejected = await scenario.when(route)
    assert isinstance(allocated, StockAllocated)
    assert allocated.shipment_id == first
    assert rejected == StockAllocationRejected(
        order_id=order.order_id,
        shipment_id=second,
        decision_id=route.decision_id,
        node="N2",
        shortages=(Shortage(sku="B", requested=3, available=1),),
    )
    assert await layers(scenario, "B") == (10, 0, 3)


async def test_a_rejected_shipment_goes_back_to_its_reservation(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order, shipment_id = placed(("A", 4)), an_id()
    await scenario.given(order, routed(order.order_id, ("A", 4), shipment_id=shipment_id))
    assert await scenario.when(shipment_rejected(order.order_id, shipment_id, ("A", 4))) == [
        StockReleased(
            order_id=order.order_id,
            shipment_id=shipment_id,
            lines=lines(("A", 4)),
            to_pool=True,
            reason="shipment rejected",
        )
    ]
    assert await layers(scenario, "A") == (10, 0, 4)


async def test_what_a_cancelled_shipment_gives_back_of_a_cancelled_line_is_free(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order, shipment_id = placed(("A", 4)), an_id()
    await scenario.given(order, routed(order.order_id, ("A", 4), shipment_id=shipment_id))
    assert await scenario.when(cancelled(order.order_id, ("A", 3))) == []
    stopped = shipment_cancelled(order.order_id, shipment_id, ("A", 4))
    kept, free = await scenario.when(stopped)
    assert isinstance(kept, StockReleased)
    assert isinstance(free, StockReleased)
    assert (kept.to_pool, kept.lines) == (True, lines(("A", 1)))
    assert (free.to_pool, free.lines) == (False, lines(("A", 3)))
    assert await scenario.when(stopped) == []
    assert await layers(scenario, "A") == (10, 0, 1)


async def test_dispatching_what_nobody_set_aside_is_booked_and_listed(scenario: Scenario) -> None:
    order_id, shipment_id = an_id(), an_id()
    await scenario.given(counted("A", 1))
    assert [type(e) for e in await scenario.when(dispatched(order_id, shipment_id, ("A", 3)))] == [StockConsumed]
    assert (await scenario.client.get("/v1/stock/A")).json()["on_hand"] == -2
    report = (await scenario.client.get("/v1/reconciliation")).json()
    assert [(d["kind"], d["detail"], d["balance"]) for d in report["differences"]] == [
        ("dispatched_unallocated", str(shipment_id), 3)
    ]
    ledger = (await scenario.client.get("/v1/movements", params={"sku": "A"})).json()["items"]
    assert [(row["reason"], row["on_hand"], row["on_hand_after"]) for row in ledger] == [
        ("snapshot", 1, 1),
        ("dispatched_unallocated", -3, -2),
    ]


async def test_a_sku_that_nobody_ever_stocked_can_leave_all_the_same(scenario: Scenario) -> None:
    await scenario.when(dispatched(an_id(), an_id(), ("NEW", 2)))
    assert (await scenario.client.get("/v1/stock/NEW")).json()["on_hand"] == -2
    assert (await scenario.client.get("/v1/summary")).json()["oversold"] == 1


async def test_safety_stock_is_not_promised_but_serves_a_promise(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order = placed(("A", 8))
    await scenario.given(order)
    url = "/v1/safety-stock/N1/A"
    assert (await scenario.client.put(url, json={"quantity": 5})).status_code == 200
    stock = (await scenario.client.get("/v1/stock/A")).json()
    assert (stock["pool_base"], stock["available"], stock["nodes"][0]["available"]) == (5, -3, 10)
    assert [type(e) for e in await scenario.when(routed(order.order_id, ("A", 8)))] == [StockAllocated]
    assert await layers(scenario, "A") == (10, 8, 0)


@pytest.mark.parametrize("seed", range(6))
async def test_facts_of_one_order_end_the_same_in_any_sequence(scenario: Scenario, seed: int) -> None:
    """Ninety of the 720 sequences of six facts; every other one as a single batch."""
    await scenario.given(counted("A", 100_000))
    for number, sequence in enumerate(list(permutations(range(6)))[seed::48]):
        order_id, shipment_id, other_id = an_id(), an_id(), an_id()
        facts: list[Event] = [
            placed(("A", 10), order_id=order_id),
            routed(order_id, ("A", 6), shipment_id=shipment_id),
            dispatched(order_id, shipment_id, ("A", 4), at=START + timedelta(minutes=1)),
            shipment_rejected(order_id, shipment_id, ("A", 2)),
            cancelled(order_id, ("A", 3)),
            shipment_cancelled(order_id, other_id, ("A", 2)),
        ]
        happened = [facts[i] for i in sequence]
        if number % 2:
            await scenario.when(*happened)
        else:
            for fact in happened:
                await scenario.when(fact)
        on_hand, allocated, reserved = await layers(scenario, "A")
        assert (on_hand, allocated, reserved) == (100_000 - 4 * (number + 1), 0, 3)
        await scenario.when(order_cancelled(order_id))
        assert await layers(scenario, "A") == (on_hand, 0, 0)
