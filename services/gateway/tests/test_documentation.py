"""One OpenAPI document, made of what is there; a page that shows it; the doors open to all."""

import json
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI, Query
from prometheus_client import REGISTRY
from pydantic import BaseModel

from oms_events.runtime import problems
from oms_gateway.doors import DOORS, EVENTS
from oms_gateway.openapi import merge

from .conftest import House


class Thing(BaseModel):
    """A thing."""

    name: str
    parts: list["Thing"] = []


@pytest.fixture
def upstream() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/v1/skus/{sku}", responses=problems.RESPONSES)
    async def show_sku(sku: str, q: Annotated[str | None, Query()] = None) -> Thing:
        """One SKU."""
        return Thing(name=sku)

    @app.get("/v1/summary", responses=problems.RESPONSES)
    async def summary() -> Thing:
        """Totals."""
        return Thing(name="all")

    @app.post("/v1/orders/{order_id}:cancel", responses=problems.RESPONSES)
    async def cancel(order_id: str, body: Thing) -> Thing:
        """Cancel it."""
        return body

    @app.get("/v1/internal")
    async def internal() -> Thing:
        """Not for outside."""
        return Thing(name="x")

    return app


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


async def document_of(house: House) -> dict[str, Any]:
    answer = await house.client.get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


async def test_every_reference_leads_somewhere(house: House) -> None:
    document = await document_of(house)
    found = references(document)
    assert found
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


async def test_doors_and_services_stand_side_by_side(house: House) -> None:
    document = await document_of(house)
    paths = document["paths"]
    for door in DOORS:
        assert {"post"} <= paths[door.path].keys()
        assert {"post"} <= paths[f"{door.path}:batch"].keys()
    assert paths["/v1/skus/{sku}"]["get"]["tags"] == ["catalog"]
    assert paths["/v1/orders/{order_id}:cancel"]["post"]["tags"] == ["orders"]
    assert paths["/v1/services/fulfilment/summary"]["get"]["tags"] == ["fulfilment"]
    assert "/v1/internal" not in paths
    assert "/v1/summary" not in paths
    assert any(name.startswith("catalog.Thing") for name in document["components"]["schemas"])
    ids = [op["operationId"] for operations in paths.values() for op in operations.values()]
    assert len(ids) == len(set(ids))
    assert document["components"]["schemas"]["ChannelOrderLine"]["additionalProperties"] is False


async def test_schemathesis_can_read_it(house: House) -> None:
    schema = schemathesis.openapi.from_dict(await document_of(house))
    schema.validate()
    assert {result.ok().label for result in schema.get_all_operations()} >= {
        "POST /v1/orders",
        "GET /v1/skus/{sku}",
    }


def test_a_service_that_is_down_is_left_out_and_named() -> None:
    document = merge({"catalog": None, "orders": {"paths": {}}})
    assert "left out here: catalog" in document["info"]["description"]
    assert "/v1/orders" in document["paths"]


async def test_the_document_is_kept_for_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await document_of(house)

    async def down(*_: Any, **__: Any) -> httpx.Response:
        raise AssertionError("asked again")

    monkeypatch.setattr(house.gateway.api_document._client, "get", down)
    assert await document_of(house) == first


async def test_what_a_door_turns_away_is_counted_by_status(house: House) -> None:
    def refused(status: str) -> float:
        return REGISTRY.get_sample_value("oms_gateway_refused_total", {"door": "orders", "status": status}) or 0.0

    unsigned, unreadable = refused("401"), refused("415")
    await house.client.post("/v1/orders", json={})
    await house.client.post("/v1/orders:batch", content=b"x", headers={"content-type": "text/csv"})
    assert (refused("401") - unsigned, refused("415") - unreadable) == (1, 1)


async def test_health_and_metrics_are_open(house: House) -> None:
    assert (await house.client.get("/livez")).status_code == 200
    while (ready := await house.client.get("/readyz")).json()["reason"] == "the broker was not reached yet":
        pass
    assert ready.status_code == 200
    assert "oms_gateway_items_total" in (await house.client.get("/metrics")).text
    house.gateway.leave()
    leaving = await house.client.get("/readyz")
    assert (leaving.status_code, json.loads(leaving.text)["reason"]) == (503, "stopping")


def test_the_readme_names_the_events_that_go_out() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    section = readme.split("## Events out")[1].split("\n## ")[0]
    rows = {tuple(cell.strip() for cell in row.strip("|").split("|")) for row in section.splitlines() if "oms." in row}
    assert rows == {(event.__name__, event.topic.name) for event in EVENTS}
