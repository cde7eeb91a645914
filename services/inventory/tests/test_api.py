"""The HTTP API."""

from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from oms_events.testing.scenario import Scenario

from .stories import an_id, counted, dispatched, listed, placed, routed


async def test_the_four_layers_add_up(scenario: Scenario) -> None:
    await scenario.given(listed("A"), counted("A", 10), counted("A", 20, node="N2"))
    order, shipment_id = placed(("A", 6)), an_id()
    await scenario.given(order, placed(("A", 2), shop="S2"))
    await scenario.given(routed(order.order_id, ("A", 4), shipment_id=shipment_id))
    await scenario.client.put("/v1/safety-stock/N2/A", json={"quantity": 5})
    stock = (await scenario.client.get("/v1/stock/A")).json()
    for node in stock["nodes"]:
        assert node["available"] == node["on_hand"] - node["allocated"]
        assert node["contribution"] == max(0, node["available"] - node["safety_stock"])
    assert stock["on_hand"] == sum(node["on_hand"] for node in stock["nodes"]) == 30
    assert stock["allocated"] == sum(node["allocated"] for node in stock["nodes"]) == 4
    assert stock["pool_base"] == sum(node["contribution"] for node in stock["nodes"]) == 21
    assert stock["reserved"] == sum(shop["reserved"] for shop in stock["shops"]) == 4
    assert stock["available"] == stock["pool_base"] - stock["reserved"] == 17
    assert [(shop["shop"], shop["sellable"]) for shop in stock["shops"]] == [("S1", 17), ("S2", 17)]
    summary = (await scenario.client.get("/v1/summary")).json()
    assert summary == {
        "skus": 1,
        "on_hand": 30,
        "allocated": 4,
        "pool_base": 21,
        "reserved": 4,
        "available": 17,
        "oversold": 0,
        "waiting_orders": 0,
    }


async def test_a_reservation_shows_lines_and_shipments(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    order, shipment_id = placed(("A", 6)), an_id()
    await scenario.given(order, routed(order.order_id, ("A", 4), shipment_id=shipment_id))
    shown = (await scenario.client.get(f"/v1/reservations/{order.order_id}")).json()
    assert (shown["state"], shown["channel"], shown["shop"]) == ("reserved", "web", "S1")
    assert [(line["ordered"], line["allocated"], line["reserved"]) for line in shown["lines"]] == [(6, 4, 2)]
    assert [(a["shipment_id"], a["planned"], a["open"], a["answer"]) for a in shown["allocations"]] == [
        (str(shipment_id), 4, 4, "allocated")
    ]


async def test_the_ledger_explains_every_balance_page_by_page(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10), counted("B", 1))
    order, shipment_id = placed(("A", 6)), an_id()
    await scenario.given(order)
    await scenario.given(routed(order.order_id, ("A", 4), shipment_id=shipment_id))
    await scenario.given(dispatched(order.order_id, shipment_id, ("A", 4)))
    rows, cursor = [], None
    while True:
        asked = {"sku": "A", "limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await scenario.client.get("/v1/movements", params=asked)).json()
        rows += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert [row["reason"] for row in rows] == ["snapshot", "reserved", "allocated", "dispatched"]
    assert [(row["on_hand"], row["allocated"], row["reserved"]) for row in rows] == [
        (10, 0, 0),
        (0, 0, 6),
        (0, 4, -4),
        (-4, -4, 0),
    ]
    for before, after in pairwise(rows):
        assert after["reserved_after"] == before["reserved_after"] + after["reserved"]
    assert (rows[-1]["on_hand_after"], rows[-1]["allocated_after"], rows[-1]["shipment_id"]) == (6, 0, str(shipment_id))

    async def newest(**asked: Any) -> dict[str, Any]:
        asked = {"sku": "A", "newest_first": "true", "limit": 3} | asked
        return (await scenario.client.get("/v1/movements", params=asked)).json()

    first = await newest()
    assert first["items"] == rows[:0:-1]
    assert (await newest(cursor=first["next_cursor"]))["items"] == rows[:1]


async def test_stock_is_listed_page_by_page(scenario: Scenario) -> None:
    await scenario.given(counted("A", 1), counted("A", 2, node="N2"), counted("B", 3))
    first = (await scenario.client.get("/v1/stock", params={"limit": 2})).json()
    rest = (await scenario.client.get("/v1/stock", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [(i["sku"], i["node"]) for i in first["items"] + rest["items"]] == [("A", "N1"), ("A", "N2"), ("B", "N1")]
    only_n2 = (await scenario.client.get("/v1/stock", params={"node": "N2"})).json()
    assert [(i["sku"], i["on_hand"]) for i in only_n2["items"]] == [("A", 2)]


async def test_an_adjustment_counts_once_per_reference(scenario: Scenario) -> None:
    body = {"reference": "T-1", "node": "N1", "sku": "A/1", "quantity": 7, "reason": "stocktake"}
    for _ in range(2):
        answer = await scenario.client.post("/v1/stock-adjustments", json=body)
        assert (answer.status_code, answer.json()["on_hand"]) == (200, 7)
    other = await scenario.client.post("/v1/stock-adjustments", json=body | {"quantity": 8})
    assert other.status_code == 409
    assert other.json()["errors"][0]["field"] == "reference"
    assert (await scenario.client.get("/v1/stock/A/1")).json()["on_hand"] == 7
    assert (await scenario.client.get("/v1/reconciliation")).json()["balanced"]


async def test_an_adjustment_serves_who_waits(scenario: Scenario) -> None:
    order = placed(("A", 7))
    await scenario.given(order)
    body = {"reference": "T-1", "node": "N1", "sku": "A", "quantity": 7, "reason": "found"}
    await scenario.client.post("/v1/stock-adjustments", json=body)
    assert [event.order_id for event in await scenario.published()] == [order.order_id]


async def test_reconciliation_names_a_balance_that_nothing_explains(scenario: Scenario) -> None:
    await scenario.given(counted("A", 10))
    async with scenario.transaction() as work:
        await work.connection.execute(text("update stock set on_hand = 11 where sku = 'A'"))
    report = (await scenario.client.get("/v1/reconciliation")).json()
    assert report["balanced"] is False
    assert [(d["kind"], d["sku"], d["node"], d["balance"], d["explained"]) for d in report["differences"]] == [
        ("on_hand_ledger", "A", "N1", 11, 10),
        ("pool_base", "A", None, 10, 11),
    ]


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("GET", "/v1/stock/NOTHING", None, 404),
        ("GET", "/v1/stock/a%00b", None, 422),
        ("GET", f"/v1/reservations/{an_id()}", None, 404),
        ("GET", "/v1/reservations/x", None, 422),
        ("GET", "/v1/availability?channel=web&shop=S1", None, 422),
        ("GET", "/v1/availability?channel=web&shop=S1" + "&sku=A" * 101, None, 422),
        ("GET", "/v1/movements?sku=A&cursor=WzEuNV0", None, 422),
        ("GET", "/v1/movements?sku=A&cursor=Wy0xXQ", None, 422),
        ("GET", "/v1/stock?cursor=bm90aGluZw", None, 422),
        ("GET", "/v1/stock?cursor=WyJcdTAwMDAiLCAiYiJd", None, 422),
        ("GET", "/v1/waiting-orders?cursor=WyJhIiwgImIiXQ", None, 422),
        ("PUT", "/v1/safety-stock/N1/A", {"quantity": -1}, 422),
        ("PUT", "/v1/channel-rules/web/S1", {"percent": 101}, 422),
        ("PUT", "/v1/channel-rules/web/S1", {"minimum": 5, "maximum": 4}, 422),
        (
            "POST",
            "/v1/stock-adjustments",
            {"reference": "1", "node": "N", "sku": "A", "quantity": 0, "reason": "x"},
            422,
        ),
    ],
)
async def test_refuses_what_breaks_a_rule(
    scenario: Scenario, method: str, url: str, body: dict[str, object] | None, status: int
) -> None:
    answer = await scenario.client.request(method, url, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
