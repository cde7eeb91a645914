"""Stock reports."""

from datetime import datetime, timedelta
from itertools import permutations

from oms_events.testing.scenario import START, Scenario

from .stories import an_id, counted, dispatched, placed, routed


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


async def at_node(scenario: Scenario, sku: str) -> dict[str, int]:
    assert (await scenario.client.get("/v1/reconciliation")).json()["balanced"]
    node: dict[str, int] = (await scenario.client.get(f"/v1/stock/{sku}")).json()["nodes"][0]
    return node


async def test_a_snapshot_sets_and_a_movement_adds(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10, at=minute(1)), counted("A", -3, at=minute(2), movement=True))
    node = await at_node(scenario, "A")
    assert (node["on_hand"], node["wms_reported"], node["wms_difference"]) == (7, 10, 0)
    await scenario.given(counted("A", 5, at=minute(3)))
    node = await at_node(scenario, "A")
    assert (node["on_hand"], node["wms_reported"], node["wms_difference"]) == (5, 5, -2)


async def test_golden_numbers_170_reserve_3_pick_3(scenario: Scenario) -> None:
    await scenario.given(counted("A", 170, at=minute(0)))
    order, shipment_id = placed(("A", 3)), an_id()
    await scenario.given(order)
    assert (await scenario.client.get("/v1/stock/A")).json()["available"] == 167
    await scenario.given(routed(order.order_id, ("A", 3), shipment_id=shipment_id))
    assert (await scenario.client.get("/v1/stock/A")).json()["available"] == 167
    await scenario.given(dispatched(order.order_id, shipment_id, ("A", 3), at=minute(1)))
    stock = (await scenario.client.get("/v1/stock/A")).json()
    assert (stock["on_hand"], stock["available"]) == (167, 167)


async def test_reports_end_the_same_in_any_sequence_and_twice(scenario: Scenario) -> None:
    for number, sequence in enumerate(permutations(range(4))):
        sku = f"SKU{number}"
        reports = [
            counted(sku, 100, at=minute(1), report_no="R1"),
            counted(sku, -7, at=minute(2), report_no="R2", movement=True),
            counted(sku, 90, at=minute(3), report_no="R3"),
            counted(sku, 4, at=minute(4), report_no="R4", movement=True),
        ]
        happened = [reports[i] for i in sequence]
        if number % 2:
            await scenario.when(*happened, *happened)
        else:
            for report in (*happened, *happened):
                await scenario.when(report)
        assert (await at_node(scenario, sku))["on_hand"] == 94, sequence


async def test_a_late_snapshot_keeps_what_left_since(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10, at=minute(0)))
    shipment_id = an_id()
    order = placed(("A", 4))
    await scenario.given(order, routed(order.order_id, ("A", 4), shipment_id=shipment_id))
    await scenario.given(dispatched(order.order_id, shipment_id, ("A", 4), at=minute(5)))
    await scenario.given(counted("A", 9, at=minute(3)))
    assert (await at_node(scenario, "A"))["on_hand"] == 5
    await scenario.given(counted("A", 6, at=minute(6)))
    assert (await at_node(scenario, "A"))["on_hand"] == 6


async def test_report_numbers_are_each_warehouses_own(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10, report_no="1"), counted("A", 5, node="N2", report_no="1"))
    await scenario.given(counted("B", 3, report_no="1"), counted("B", 9, at=START, report_no="1"))
    assert (await scenario.client.get("/v1/stock/A")).json()["on_hand"] == 15
    assert (await scenario.client.get("/v1/stock/B")).json()["on_hand"] == 3
