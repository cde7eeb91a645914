"""Reads, commands and bounds of the HTTP API."""

from datetime import timedelta

import pytest

from .stories import HAM, LON, MAN, open_nodes, plan, released, stock, uid

RULES = {"currency": "GBP", "zones": [{"name": "all", "base_minor": 100, "per_kg_minor": 0, "days": 1}]}


async def test_nodes_are_put_and_read(scenario):
    await open_nodes(scenario)
    body = {"country": "FR", "cut_off": "12:30", "ships_to": ["FR", "BE"], "daily_capacity": 7, "name": "Lyon"}
    put = await scenario.client.put("/v1/nodes/FR-LYS", json=body)
    assert put.json() == (await scenario.client.get("/v1/nodes/FR-LYS")).json()
    assert put.json()["cut_off"] == "12:30"
    assert [node["node"] for node in (await scenario.client.get("/v1/nodes")).json()] == [HAM, "FR-LYS", LON, MAN]
    assert (await scenario.client.get("/v1/nodes/XX")).status_code == 404


async def test_the_same_node_again_makes_no_new_network(scenario):
    await open_nodes(scenario)
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=1))
    await plan(scenario, A=1)
    page = (await scenario.client.get("/v1/decisions", params={"order_id": str(uid("order"))})).json()
    assert page["items"][0]["network_version"] == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "country"),
        ({"country": "GBR"}, "country"),
        ({"country": "GB", "timezone": "Mars/Base"}, "timezone"),
        ({"country": "GB", "cut_off": "24:00"}, "cut_off"),
        ({"country": "GB", "daily_capacity": -1}, "daily_capacity"),
        ({"country": "GB", "refuses": ["gift"]}, "refuses"),
        ({"country": "GB", "name": "a\x00b"}, "name"),
        ({"country": "GB", "colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_node_names_its_field(scenario, body, field):
    response = await scenario.client.put("/v1/nodes/N", json=body)
    assert response.status_code == 422
    assert field in response.json()["errors"][0]["field"]


async def test_a_new_rule_set_version_counts_at_once(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5, GB_MAN=5))
    added = await scenario.client.post("/v1/rule-sets/default/versions", json=RULES)
    assert (added.status_code, added.json()["version"]) == (201, 2)
    assert (await scenario.client.get("/v1/rule-sets/default")).json() == added.json()
    (routed,) = await scenario.when(released(A=1))
    assert (routed.rule_set, routed.currency) == ("default/2", "GBP")
    assert routed.alternatives[0].freight_minor == 100
    assert (await scenario.client.get("/v1/rule-sets/none")).status_code == 404
    wrong = await scenario.client.post("/v1/rule-sets/default/versions", json=RULES | {"zones": []})
    assert wrong.status_code == 422


async def test_a_dry_run_decides_like_the_real_thing_and_changes_nothing(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=1, GB_MAN=1))
    body = {"lines": [{"sku": "A", "quantity": 1}], "country": "GB"}
    dry = (await scenario.client.post("/v1/routing:dry-run", json=body)).json()
    again = (await scenario.client.post("/v1/routing:dry-run", json=body)).json()
    assert dry == again
    (routed,) = await scenario.when(released(A=1))
    assert [parcel["node"] for parcel in dry["chosen"]] == [s.node for s in routed.shipments]
    assert dry["alternatives"] == [a.model_dump(mode="json") for a in routed.alternatives]
    unknown = await scenario.client.post("/v1/routing:dry-run", json=body | {"rule_set": "none"})
    assert unknown.status_code == 404


async def test_every_decision_about_an_order_can_be_read(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=1))
    await scenario.when(released(A=2))
    await scenario.advance(timedelta(seconds=2))
    await scenario.given(stock("A", 2, GB_LON=2))
    await scenario.advance(timedelta(seconds=0))
    params = {"order_id": str(uid("order")), "limit": 1}
    first = (await scenario.client.get("/v1/decisions", params=params)).json()
    assert (first["items"][0]["reason"], first["items"][0]["chosen"]) == ("2 of A wanted, 1 in reach", [])
    second = (await scenario.client.get("/v1/decisions", params=params | {"cursor": first["next_cursor"]})).json()
    decision = second["items"][0]
    assert decision["chosen"][0]["node"] == LON
    assert decision["inputs"]["items"]["A"]["available"] == {LON: 2}
    assert (await scenario.client.get(f"/v1/decisions/{decision['decision_id']}")).json() == decision
    assert (await scenario.client.get(f"/v1/decisions/{uid('none')}")).status_code == 404


async def test_shipments_are_listed_page_by_page(scenario):
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=9))
    for name in range(3):
        await plan(scenario, name, A=1)
    seen, cursor = [], None
    while True:
        params = {"node": LON, "state": "planned", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await scenario.client.get("/v1/shipments", params=params)).json()
        seen += [item["order_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(str(uid(name)) for name in range(3))
    of_one = (await scenario.client.get("/v1/shipments", params={"order_id": str(uid(1))})).json()
    assert [item["order_id"] for item in of_one["items"]] == [str(uid(1))]
    assert (await scenario.client.get(f"/v1/shipments/{uid('none')}")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1/shipments?cursor=!!",
        "/v1/shipments?cursor=WyJhIl0",
        "/v1/shipments?state=lost",
        "/v1/nodes/N/releases?cursor=Wy0xXQ",
        "/v1/warehouse-reports?cursor=WyIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiLCJcdWQ4MDAiXQ",
        "/v1/decisions",
        "/v1/decisions/1",
        "/v1/nodes/%00",
    ],
)
async def test_what_cannot_be_meant_is_refused(scenario, path):
    response = await scenario.client.get(path)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
