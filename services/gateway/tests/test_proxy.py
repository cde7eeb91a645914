"""What is passed on, to whom, for whom, and what never is."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from oms_gateway import proxy
from oms_gateway.keys import Role
from oms_gateway.routes import ROUTES, find

from .conftest import House


@pytest.fixture
def upstream() -> FastAPI:
    """Answers everything with what it saw; order 1 and shipment 1 belong to somebody."""
    app = FastAPI()

    @app.get("/v1/orders/{order_id}")
    async def order(order_id: str) -> dict[str, str]:
        return {"order_id": order_id, "channel": "web", "shop": "de" if order_id == "1" else "fr"}

    @app.get("/v1/shipments/{shipment_id}")
    async def shipment(shipment_id: str) -> dict[str, str]:
        return {"shipment_id": shipment_id, "node": "HAM"}

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def echo(request: Request) -> Response:
        seen = {
            "host": request.url.hostname,
            "port": request.url.port,
            "method": request.method,
            "raw_path": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "headers": dict(request.headers),
            "body": (await request.body()).decode(),
        }
        return Response(
            json.dumps(seen),
            418 if "teapot" in request.url.path else 200,
            {"x-extra": "kept", "keep-alive": "timeout=9", "server": "secret/1.0"},
            "application/json",
        )

    return app


async def ask(house: House, method: str, path: str, role: Role = Role.OPERATOR, **options: Any) -> httpx.Response:
    options.setdefault("auth", house.auth(role))
    return await house.client.request(method, path, **options)


@pytest.mark.parametrize(
    ("path", "port", "onward"),
    [
        ("/v1/skus/A%2FB", 8081, "/v1/skus/A%2FB"),
        ("/v1/costs", 8081, "/v1/costs"),
        ("/v1/stock/MUG", 8082, "/v1/stock/MUG"),
        ("/v1/orders", 8083, "/v1/orders"),
        ("/v1/nodes/HAM/releases", 8084, "/v1/nodes/HAM/releases"),
        ("/v1/parcels/by-waybill/W1", 8085, "/v1/parcels/by-waybill/W1"),
        ("/v1/statements/1/lines", 8086, "/v1/statements/1/lines"),
        ("/v1/profit/orders", 8087, "/v1/profit/orders"),
        ("/v1/overview", 8087, "/v1/overview"),
        ("/v1/services/orders/summary", 8083, "/v1/summary"),
        ("/v1/services/logistics/dead-letters/7", 8085, "/v1/dead-letters/7"),
    ],
)
async def test_each_path_goes_to_its_owner(house: House, path: str, port: int, onward: str) -> None:
    seen = (await ask(house, "GET", f"{path}?a=1&a=%C3%BC")).json()
    assert (seen["port"], seen["raw_path"], seen["query"]) == (port, onward, "a=1&a=%C3%BC")


async def test_a_command_is_passed_with_its_body_and_who_sent_it(house: House) -> None:
    headers = {
        "content-type": "application/json",
        "x-request-id": "req-1",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        "x-oms-actor": "somebody-else",
        "x-oms-role": "finance",
        "cookie": "c=1",
        "connection": "x-secret",
        "x-secret": "1",
    }
    answer = await ask(house, "POST", "/v1/orders/1:cancel", content=b'{"reason":"x"}', headers=headers)
    seen = answer.json()
    assert seen["body"] == '{"reason":"x"}'
    passed = seen["headers"]
    assert passed["x-oms-actor"] == "operator-0"
    assert passed["x-oms-role"] == "operator"
    assert passed["x-request-id"] == "req-1"
    assert passed["traceparent"] == headers["traceparent"]
    assert not {"cookie", "x-secret", "x-oms-key", "x-oms-signature"} & passed.keys()
    assert answer.headers["x-request-id"] == "req-1"
    assert answer.headers["x-extra"] == "kept"
    assert not {"keep-alive", "server"} & answer.headers.keys()


async def test_a_request_id_is_made_where_none_fits(house: House) -> None:
    answer = await ask(house, "GET", "/v1/skus", headers={"x-request-id": "a b<"})
    assert answer.headers["x-request-id"] == answer.json()["headers"]["x-request-id"] != "a b<"


async def test_the_services_answer_is_passed_back_as_it_is(house: House) -> None:
    assert (await ask(house, "GET", "/v1/skus/teapot")).status_code == 418


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/", "/v1/skusx", "/v1/skus/", "/v1//skus", "/v1/summary", "/v1/dead-letters", "/v2/orders"]
)
async def test_unknown_paths(house: House, path: str) -> None:
    answer = await ask(house, "GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/skus/%2e%2e/orders", "/v1/skus/../dead-letters", "/v1/skus/%2E%2E%2Fsummary"])
async def test_no_way_around_by_dots(house: House, path: str) -> None:
    auth = house.auth(Role.OPERATOR)
    request = httpx.Request("GET", httpx.URL("http://gateway.test").copy_with(raw_path=path.encode()))
    assert (await house.client.send(request, auth=auth)).status_code in {404, 405}


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/v1/services/orders/dead-letters", "gateway.test/v1/orders?"),
        ("/v1/services/orders/dead-letters", "gateway.test/v1/orders#"),
        ("/v1/orders%3F/../services/orders/dead-letters", "gateway.test"),
        ("/v1/orders%0A", "gateway.test"),
    ],
)
async def test_no_way_around_by_host_or_escapes(house: House, path: str, host: str) -> None:
    auth = house.auth(Role.VIEWER)
    url = httpx.URL("http://gateway.test").copy_with(raw_path=path.encode())
    request = httpx.Request("GET", url, headers={"host": host})
    assert (await house.client.send(request, auth=auth)).status_code in {400, 403, 404}


async def test_methods_that_a_path_does_not_take(house: House) -> None:
    answer = await ask(house, "PUT", "/v1/stock/A")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert (await ask(house, "DELETE", "/v1/orders/1")).status_code == 405


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        (Role.VIEWER, "GET", "/v1/movements", 200),
        (Role.VIEWER, "POST", "/v1/stock-adjustments", 403),
        (Role.VIEWER, "POST", "/v1/differences/1:write-off", 403),
        (Role.FINANCE, "POST", "/v1/differences/1:write-off", 200),
        (Role.FINANCE, "GET", "/v1/movements", 200),
        (Role.FINANCE, "POST", "/v1/stock-adjustments", 403),
        (Role.VIEWER, "GET", "/v1/services/orders/dead-letters", 403),
        (Role.VIEWER, "GET", "/v1/services/orders/summary", 200),
        (Role.CHANNEL, "GET", "/v1/orders", 200),
        (Role.CHANNEL, "GET", "/v1/availability", 200),
        (Role.CHANNEL, "GET", "/v1/stock", 403),
        (Role.CHANNEL, "POST", "/v1/orders/1:cancel", 403),
        (Role.WAREHOUSE, "GET", "/v1/nodes/HAM/releases", 200),
        (Role.WAREHOUSE, "GET", "/v1/nodes/HAM", 403),
        (Role.WAREHOUSE, "GET", "/v1/shipments", 200),
        (Role.WAREHOUSE, "GET", "/v1/orders", 403),
        (Role.CARRIER, "GET", "/v1/waybills", 200),
        (Role.CARRIER, "GET", "/v1/shipments", 403),
        (Role.OPERATOR, "PUT", "/v1/carriers/dhl", 200),
    ],
)
async def test_roles(house: House, role: Role, method: str, path: str, status: int) -> None:
    answer = await ask(house, method, path, role)
    assert answer.status_code == status
    if status == 403:
        assert "operator" in answer.json()["detail"]
        assert role.value in answer.json()["detail"]


async def test_every_row_of_the_table_can_be_reached(house: House) -> None:
    for route in ROUTES:
        path = route.path.replace("{order_id}", "1").replace("{node}", "HAM")
        for method in route.methods.split():
            assert find(method, path) is route, f"{method} {path} is taken by an earlier row"


async def test_a_channel_sees_its_own_shops_only(house: House) -> None:
    auth = house.auth(Role.CHANNEL, shops=["web/de"])

    async def status(path: str) -> int:
        return (await ask(house, "GET", path, auth=auth)).status_code

    assert await status("/v1/orders?channel=web&shop=de&state=on_hold") == 200
    assert await status("/v1/orders") == 403
    assert await status("/v1/orders?channel=web") == 403
    assert await status("/v1/orders?channel=web&shop=fr") == 403
    assert await status("/v1/orders?channel=web&shop=de&shop=fr") == 403
    assert await status("/v1/orders/1") == 200
    assert await status("/v1/orders/1/timeline") == 200
    assert await status("/v1/orders/2") == 404
    assert await status("/v1/orders/2/timeline") == 404
    assert await status("/v1/availability?channel=web&shop=de&sku=A&sku=B") == 200
    assert await status("/v1/availability?sku=A") == 403


async def test_a_warehouse_sees_its_own_nodes_only(house: House) -> None:
    own, other = house.auth(Role.WAREHOUSE, nodes=["HAM"]), house.auth(Role.WAREHOUSE, nodes=["LYS"])
    for path in ("/v1/nodes/HAM/releases?cursor=x", "/v1/shipments?node=HAM", "/v1/shipments/1"):
        assert (await ask(house, "GET", path, auth=own)).status_code == 200
        assert (await ask(house, "GET", path, auth=other)).status_code in {403, 404}


class Down(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)


async def test_a_service_that_is_down_is_named(house: House) -> None:
    house.gateway.proxy._client = httpx.AsyncClient(transport=Down())
    answer = await ask(house, "GET", "/v1/stock/A")
    assert answer.status_code == 503
    assert "inventory" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "2"


async def test_an_answer_without_end_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "ANSWER_LIMIT", 10)
    assert (await ask(house, "GET", "/v1/skus")).status_code == 502


async def test_reads_cost_one_token(house: House) -> None:
    auth = house.auth(Role.VIEWER, rate_per_s=0.01, burst=1)
    first = await ask(house, "GET", "/v1/skus", auth=auth)
    assert first.headers["ratelimit"].startswith('"items";r=0')
    assert (await ask(house, "GET", "/v1/skus", auth=auth)).status_code == 429
