"""What the gateway tells of its requests: by route, never by path, and only where somebody listens."""

import json

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from oms_gateway.keys import Role

from .conftest import House, MakeOrder


def requests(method: str, route: str, status: int) -> float:
    labels = {"service": "gateway", "method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("oms_http_request_seconds_count", labels) or 0.0


def told() -> str:
    return json.dumps([[s.name, s.labels] for metric in REGISTRY.collect() for s in metric.samples])


async def test_requests_are_counted_by_route(house: House, upstream: FastAPI, order: MakeOrder) -> None:
    upstream.add_api_route("/v1/orders/{order_id}/holds", lambda order_id: {"id": order_id}, methods=["POST"])
    auth = house.auth(Role.OPERATOR)
    before = [
        requests("POST", "/v1/orders", 202),
        requests("POST", "/v1/orders/{order_id}/holds", 200),
        requests("GET", "unmatched", 404),
    ]
    assert (await house.client.post("/v1/orders", json=order(), auth=auth)).status_code == 202
    assert (await house.client.post("/v1/orders/quaggaville/holds", json={}, auth=auth)).status_code == 200
    assert (await house.client.get("/v1/quaggaville", auth=auth)).status_code == 404
    after = [
        requests("POST", "/v1/orders", 202),
        requests("POST", "/v1/orders/{order_id}/holds", 200),
        requests("GET", "unmatched", 404),
    ]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1]
    assert "quaggaville" not in told()


async def test_a_method_of_ones_own_is_not_a_label(house: House) -> None:
    answer = await house.client.request("QUAGGA", "/v1/orders")
    assert answer.status_code == 405
    assert "QUAGGA" not in told()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_machines_that_look_are_not_counted(house: House, path: str) -> None:
    await house.client.get(path)
    assert path not in told()


async def test_without_tracing_a_callers_context_passes_unchanged(house: House, order: MakeOrder) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    auth = house.auth(Role.CHANNEL)
    await house.client.post("/v1/orders", json=order(), auth=auth, headers={"traceparent": traceparent})
    await house.client.post("/v1/orders", json=order(channel_order_no="A-2"), auth=auth)
    headers = [dict(record.headers).get("traceparent") for record in house.sink.records]
    assert headers == [traceparent.encode(), None]
