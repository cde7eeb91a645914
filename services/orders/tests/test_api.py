"""The HTTP API: commands twice, errors that name their cause, pages that neither skip nor repeat."""

import json
from datetime import datetime
from uuid import uuid4

import pytest

from oms_events.contracts.orders import CancellationRequested, HoldOpened, OrderCancelled, OrderLinesCancelled
from oms_events.testing.scenario import Scenario, only

from .examples import cancelled, dispatched, ident, mapped, paid, reserved, short, told


@pytest.fixture
async def listed(scenario: Scenario) -> Scenario:
    await scenario.given(mapped("1"), mapped("2"))
    return scenario


async def test_cancelling_by_hand_is_done_once_per_reference(listed: Scenario) -> None:
    await listed.given(told())
    command = {"lines": [{"line_id": "1", "quantity": 1}], "reason": "buyer called", "reference": "T-1"}
    first = await listed.client.post(f"/v1/orders/{ident()}:cancel", json=command)
    assert first.status_code == 200
    assert first.json()["lines"] == [{"line_id": "1", "asked": 1, "stopped": 1, "refused": 0}]
    again = await listed.client.post(f"/v1/orders/{ident()}:cancel", json=command)
    assert again.json()["cancellation_id"] == first.json()["cancellation_id"]
    assert len(only(await listed.published(), OrderLinesCancelled)) == 1
    await listed.client.post(f"/v1/orders/{ident()}:cancel", json={"reference": "T-2"})
    assert len(only(await listed.published(), OrderCancelled)) == 1


async def test_cancelling_by_hand_after_the_release_asks_fulfilment(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved())
    answer = await listed.client.post(f"/v1/orders/{ident()}:cancel", json={"reference": "T-1"})
    assert answer.json()["state"] == "requested"
    [asked] = only(await listed.published(), CancellationRequested)
    assert sum(line.quantity for line in asked.lines) == 3


async def test_a_hold_by_hand_stops_the_release(listed: Scenario) -> None:
    await listed.given(told(), paid())
    command = {"blocks": ["release"], "reason": "fraud check", "by": "ann", "reference": "F-1"}
    first = await listed.client.post(f"/v1/orders/{ident()}/holds", json=command)
    again = await listed.client.post(f"/v1/orders/{ident()}/holds", json=command)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert len(only(await listed.published(), HoldOpened)) == 1
    assert await listed.when(reserved()) == []
    hold = f"/v1/holds/{first.json()['hold_id']}"
    resolve = {"outcome": "resolved", "by": "bob", "note": "fine"}
    for _ in range(2):
        closed = await listed.client.post(f"{hold}:resolve", json=resolve)
        assert (closed.status_code, closed.json()["state"], closed.json()["note"]) == (200, "RESOLVED", "fine")
    assert [type(event).__name__ for event in await listed.published()] == ["HoldResolved", "OrderReleased"]
    other = await listed.client.post(f"{hold}:resolve", json={"outcome": "rejected", "by": "bob"})
    assert other.status_code == 409


async def test_rejecting_a_hold_cancels_the_order(listed: Scenario) -> None:
    await listed.given(told(buyer_note="hello", total_minor=2601))
    holds = (await listed.client.get("/v1/holds", params={"state": "OPEN"})).json()["items"]
    assert {hold["code"] for hold in holds} == {"AMOUNT_MISMATCH", "BUYER_NOTE"}
    path = f"/v1/holds/{holds[0]['hold_id']}:resolve"
    assert (await listed.client.post(path, json={"outcome": "rejected", "by": "ann"})).json()["state"] == "REJECTED"
    assert len(only(await listed.published(), OrderCancelled)) == 1
    order = (await listed.client.get(f"/v1/orders/{ident()}")).json()
    assert order["state"] == "cancelled"
    assert sorted(hold["state"] for hold in order["holds"]) == ["EXPIRED", "REJECTED"]


async def test_a_hold_that_an_event_ends_is_not_resolved_by_hand(listed: Scenario) -> None:
    await listed.given(told())
    [hold] = await listed.when(short())
    answer = await listed.client.post(f"/v1/holds/{hold.hold_id}:resolve", json={"outcome": "resolved", "by": "ann"})
    assert answer.status_code == 409
    assert "STOCK_SHORT" in answer.json()["detail"]


async def test_an_ended_order_cannot_be_held(listed: Scenario) -> None:
    await listed.given(told(), cancelled())
    answer = await listed.client.post(f"/v1/orders/{ident()}/holds", json={"by": "ann", "reference": "F"})
    assert answer.status_code == 409


async def test_pages_follow_the_order_of_receipt(listed: Scenario) -> None:
    numbers = [f"A-{n}" for n in range(7)]
    await listed.given(*(told(number) for number in numbers))
    found, cursor = [], None
    while True:
        parameters = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await listed.client.get("/v1/orders", params=parameters)).json()
        found += [order["channel_order_no"] for order in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == numbers


async def test_the_newest_come_first_when_asked(listed: Scenario) -> None:
    numbers = [f"A-{n}" for n in range(7)]
    await listed.given(*(told(number) for number in numbers))
    found, cursor = [], None
    while True:
        parameters = {"newest_first": "true", "limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await listed.client.get("/v1/orders", params=parameters)).json()
        found += [order["channel_order_no"] for order in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == numbers[::-1]


async def test_orders_are_found_and_counted_by_when_they_were_placed(listed: Scenario) -> None:
    placed = {"A-1": "2026-03-01T07:59:59Z", "A-2": "2026-03-01T09:00:00Z", "A-3": "2026-03-01T09:59:00Z"}
    await listed.given(*(told(no, placed_at=datetime.fromisoformat(at)) for no, at in placed.items()))

    async def find(**filters: str) -> list[str]:
        answer = await listed.client.get("/v1/orders", params=filters)
        return [order["channel_order_no"] for order in answer.json()["items"]]

    assert await find(placed_from="2026-03-01T09:00:00Z") == ["A-2", "A-3"]
    assert await find(placed_until="2026-03-01T17:00:00+08:00") == ["A-1"]

    async def count(**asked: str | int) -> dict[str, int]:
        answer = await listed.client.get("/v1/order-counts", params=asked)
        return {entry["at"]: entry["orders"] for entry in answer.json()["counts"]}

    assert await count() == {"2026-03-01T07:00:00Z": 1, "2026-03-01T09:00:00Z": 2}
    assert await count(steps=2) == {"2026-03-01T09:00:00Z": 2}
    assert await count(until="2026-03-01T09:00:00Z", steps=2) == {"2026-03-01T07:00:00Z": 1}
    assert await count(step="day", steps=1) == {"2026-03-01T00:00:00Z": 3}


async def test_without_orders_there_is_nothing_to_count(listed: Scenario) -> None:
    assert (await listed.client.get("/v1/order-counts")).json() == {"step": "hour", "counts": []}


async def test_filters(listed: Scenario) -> None:
    await listed.given(told("A-1"), told("A-2", buyer_note="hi"), told("A-3"), paid(no="A-3"))

    async def find(**filters: str) -> list[str]:
        answer = await listed.client.get("/v1/orders", params=filters)
        return [order["channel_order_no"] for order in answer.json()["items"]]

    assert await find(state="on_hold") == ["A-2"]
    assert await find(hold_code="BUYER_NOTE") == ["A-2"]
    assert await find(state="awaiting_stock", channel="tmall", shop="flagship") == ["A-3"]
    assert await find(channel_order_no="A-1") == ["A-1"]
    assert await find(shop="other") == []


async def test_the_summary_counts_states_and_their_reasons(listed: Scenario) -> None:
    await listed.given(*(told(f"A-{n}") for n in range(3)), told("B", buyer_note="hi"))
    await listed.given(paid(no="A-0"), reserved("A-0"), dispatched(no="A-0", _1=2))
    summary = (await listed.client.get("/v1/summary")).json()
    assert summary == {
        "orders": 4,
        "states": [
            {"state": "awaiting_payment", "orders": 2, "holds": {}},
            {"state": "in_fulfilment", "orders": 1, "holds": {}},
            {"state": "on_hold", "orders": 1, "holds": {"BUYER_NOTE": 1}},
        ],
        "order_lines": 8,
        "lines_shipped": 1,
        "units_shipped": 2,
    }


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/orders/{id}", None),
        ("GET", "/v1/orders/{id}/timeline", None),
        ("GET", "/v1/orders/{id}/channel-order", None),
        ("GET", "/v1/holds/{id}", None),
        ("POST", "/v1/orders/{id}:cancel", {"reference": "x"}),
        ("POST", "/v1/orders/{id}/holds", {"reference": "x", "by": "ann"}),
        ("POST", "/v1/holds/{id}:resolve", {"outcome": "resolved", "by": "ann"}),
    ],
)
async def test_what_does_not_exist_is_not_found(scenario: Scenario, method: str, path: str, body: dict | None) -> None:
    answer = await scenario.client.request(method, path.format(id=uuid4()), json=body)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_hostile_input_is_refused_by_rule(listed: Scenario) -> None:
    await listed.given(told())
    path = f"/v1/orders/{ident()}"
    for body in (
        {"reference": "a\x00b"},
        {"reference": "\ud800"},
        {"reference": "x" * 65},
        {"reference": "x", "reason": "a\x00b"},
        {"reference": "x", "lines": [{"line_id": "1", "quantity": 2**70}]},
        {"reference": "x", "lines": [{"line_id": "1", "quantity": 0}]},
    ):
        content = json.dumps(body)
        answer = await listed.client.post(
            f"{path}:cancel", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 422, body
    for query in (
        "cursor=AAAA",
        "cursor=Wy0xXQ",
        "limit=0",
        "state=nothing",
        "shop=%00",
        "channel_order_no=",
        "placed_from=2026-03-01T00:00:00",
    ):
        assert (await listed.client.get(f"/v1/orders?{query}")).status_code == 422, query
    assert (await listed.client.get("/v1/holds?cursor=WyJ4Il0")).status_code == 422


async def test_operations_have_names_of_their_own(scenario: Scenario) -> None:
    paths = (await scenario.client.get("/openapi.json")).json()["paths"]
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(ids) == len(set(ids))
