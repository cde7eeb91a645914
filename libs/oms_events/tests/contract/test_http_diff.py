"""What may change in the HTTP API and what may not; `docs/compatibility.md` is the policy in words."""

import copy
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from oms_events.schema.http_diff import compare_http

Json = dict[str, Any]

TODAY = date(2026, 3, 2)
LINE: Json = {
    "type": "object",
    "title": "Line",
    "properties": {"sku": {"type": "string", "maxLength": 64}, "quantity": {"type": "integer", "minimum": 1}},
    "required": ["sku", "quantity"],
    "additionalProperties": False,
}
ORDER: Json = {
    "type": "object",
    "title": "Order",
    "properties": {
        "no": {"type": "string", "pattern": "^[A-Z]+$"},
        "tier": {"type": "string", "enum": ["slow", "fast"], "default": "slow"},
        "by": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
        "lines": {"type": "array", "maxItems": 10, "items": {"$ref": "#/components/schemas/Line"}},
        "again": {"anyOf": [{"$ref": "#/components/schemas/Order"}, {"type": "null"}]},
    },
    "required": ["no", "lines"],
}
BASE: Json = {
    "paths": {
        "/v1/orders": {
            "post": {
                "x-roles": ["channel", "operator"],
                "parameters": [{"in": "header", "name": "Key", "required": False, "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
                },
                "responses": {"202": {"content": {"application/json": {"schema": {"type": "object"}}}}},
            },
            "get": {
                "x-roles": ["operator", "viewer"],
                "parameters": [
                    {"in": "query", "name": "state", "schema": {"type": "string", "enum": ["open", "done"]}},
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 500, "default": 50}},
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "properties": {
                                        "items": {"type": "array", "items": {"$ref": "#/components/schemas/View"}},
                                    },
                                    "required": ["items"],
                                }
                            }
                        }
                    }
                },
            },
        },
        "/v1/old": {
            "get": {"deprecated": True, "x-sunset": "2026-03-01", "responses": {"200": {}}},
            "post": {"deprecated": True, "x-sunset": "2026-03-03", "responses": {"200": {}}},
        },
    },
    "components": {
        "schemas": {
            "Line": LINE,
            "Order": ORDER,
            "View": {
                "type": "object",
                "properties": {
                    "no": {"type": "string", "maxLength": 64},
                    "state": {"type": "string", "enum": ["open", "done"]},
                    "count": {"type": "integer"},
                    "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
                },
                "required": ["no", "state"],
            },
        }
    },
}

Change = Callable[[Json], Any]


def schema(name: str, change: Change) -> Change:
    return lambda api: change(api["components"]["schemas"][name])


def prop(name: str, field: str, **rules: Any) -> Change:
    return schema(name, lambda found: found["properties"].setdefault(field, {}).update(rules))


def operation(method: str, change: Change) -> Change:
    return lambda api: change(api["paths"]["/v1/orders"][method])


ALLOWED: dict[str, Change] = {
    "nothing": dict,
    "new path": lambda api: api["paths"].update({"/v1/new": {"get": {"responses": {"200": {}}}}}),
    "new method": lambda api: api["paths"]["/v1/orders"].update({"delete": {"responses": {"204": {}}}}),
    "new role": operation("get", lambda op: op["x-roles"].append("channel")),
    "new optional parameter": operation(
        "get", lambda op: op["parameters"].append({"in": "query", "name": "sort", "schema": {"type": "string"}})
    ),
    "new optional field asked": prop("Order", "note", type="string"),
    "new value taken": prop("Order", "tier", enum=["slow", "fast", "same_day"]),
    "more taken": prop("Order", "lines", maxItems=20),
    "any text taken": schema("Order", lambda order: order["properties"]["no"].pop("pattern")),
    "required field asked no longer": schema("Order", lambda order: order["required"].remove("lines")),
    "null taken": prop("Order", "no", type=["string", "null"]),
    "a number taken": prop("Line", "quantity", type="number"),
    "new field answered": prop("View", "colour", type="string"),
    "new value answered": prop("View", "state", enum=["open", "done", "lost"]),
    "longer text answered": prop("View", "no", maxLength=128),
    "never null any more": prop("View", "at", anyOf=[{"type": "string", "format": "date-time"}]),
    "always there from now on": schema("View", lambda view: view["required"].append("count")),
    "words": lambda api: api["paths"]["/v1/orders"]["get"].update(summary="Other words", description="Other"),
    "new answer": operation("post", lambda op: op["responses"].update({"200": {}})),
    "another name of a part": lambda api: (
        api["components"]["schemas"].update(OrderLine=api["components"]["schemas"].pop("Line")),
        prop("Order", "lines", items={"$ref": "#/components/schemas/OrderLine"})(api),
    ),
    "what was announced is over": lambda api: api["paths"]["/v1/old"].pop("get"),
}

REFUSED: dict[str, tuple[Change, str, str, str]] = {
    "path removed": (lambda api: api["paths"].pop("/v1/orders"), "GET /v1/orders", "", "path removed"),
    "method removed": (
        lambda api: api["paths"]["/v1/orders"].pop("get"),
        "GET /v1/orders",
        "",
        "method removed",
    ),
    "removed before its last day": (
        lambda api: api["paths"]["/v1/old"].pop("post"),
        "POST /v1/old",
        "",
        "method removed",
    ),
    "role removed": (
        operation("post", lambda op: op["x-roles"].remove("channel")),
        "POST /v1/orders",
        "roles",
        "role channel may no longer use it",
    ),
    "parameter removed": (
        operation("get", lambda op: op["parameters"].pop(0)),
        "GET /v1/orders",
        "query state",
        "parameter removed",
    ),
    "parameter renamed": (
        operation("post", lambda op: op["parameters"][0].update({"in": "query"})),
        "POST /v1/orders",
        "header Key",
        "parameter removed",
    ),
    "new required parameter": (
        operation(
            "get",
            lambda op: op["parameters"].append(
                {"in": "query", "name": "shop", "required": True, "schema": {"type": "string"}}
            ),
        ),
        "GET /v1/orders",
        "query shop",
        "parameter added as required",
    ),
    "parameter became required": (
        operation("get", lambda op: op["parameters"][0].update(required=True)),
        "GET /v1/orders",
        "query state",
        "parameter became required",
    ),
    "parameter takes less": (
        operation("get", lambda op: op["parameters"][1]["schema"].update(maximum=100)),
        "GET /v1/orders",
        "query limit",
        "maximum changed from 500 to 100",
    ),
    "parameter means another thing": (
        operation("get", lambda op: op["parameters"][1]["schema"].update(default=10)),
        "GET /v1/orders",
        "query limit",
        "default changed from 50 to 10",
    ),
    "parameter takes fewer values": (
        operation("get", lambda op: op["parameters"][0]["schema"].update(enum=["open"])),
        "GET /v1/orders",
        "query state",
        "value removed: done",
    ),
    "body removed": (operation("post", lambda op: op.pop("requestBody")), "POST /v1/orders", "body", "body removed"),
    "body comes": (
        operation("get", lambda op: op.update(requestBody={"required": True, "content": {}})),
        "GET /v1/orders",
        "body",
        "body added as required",
    ),
    "media type removed": (
        operation("post", lambda op: op["requestBody"].update(content={"text/csv": {}})),
        "POST /v1/orders",
        "body",
        "media type application/json removed",
    ),
    "field asked removed": (
        schema("Order", lambda order: order["properties"].pop("tier")),
        "POST /v1/orders",
        "body.tier",
        "field removed or renamed",
    ),
    "field of a part removed": (
        schema("Line", lambda line: (line["properties"].pop("sku"), line["required"].remove("sku"))),
        "POST /v1/orders",
        "body.lines.[].sku",
        "field removed or renamed",
    ),
    "new required field": (
        schema("Order", lambda order: (prop_of(order, "x", type="string"), order["required"].append("x"))),
        "POST /v1/orders",
        "body.x",
        "field added as required",
    ),
    "field became required": (
        schema("Order", lambda order: order["required"].append("tier")),
        "POST /v1/orders",
        "body.tier",
        "field became required",
    ),
    "narrower type": (
        prop("Line", "quantity", type="string"),
        "POST /v1/orders",
        "body.lines.[].quantity",
        "type changed from integer to string",
    ),
    "value no longer taken": (
        prop("Order", "tier", enum=["slow"]),
        "POST /v1/orders",
        "body.tier",
        "value removed: fast",
    ),
    "list of values comes": (prop("Order", "no", enum=["A"]), "POST /v1/orders", "body.no", "list of values added"),
    "constant comes": (prop("Order", "no", const="A"), "POST /v1/orders", "body.no", "list of values added"),
    "other pattern": (prop("Order", "no", pattern="^[0-9]+$"), "POST /v1/orders", "body.no", "pattern changed"),
    "shorter": (prop("Line", "sku", maxLength=32), "POST /v1/orders", "body.lines.[].sku", "maxLength changed from 64"),
    "bound comes": (prop("Order", "no", minLength=2), "POST /v1/orders", "body.no", "minLength changed from none to 2"),
    "null no longer taken": (
        prop("Order", "by", anyOf=[{"type": "string", "format": "date-time"}]),
        "POST /v1/orders",
        "body.by",
        "null no longer taken",
    ),
    "other format in a choice": (
        prop("Order", "by", anyOf=[{"type": "string", "format": "date"}, {"type": "null"}]),
        "POST /v1/orders",
        "body.by",
        "format changed from date-time to date",
    ),
    "an open object closes": (
        schema("Order", lambda order: order.update(additionalProperties=False)),
        "POST /v1/orders",
        "body.{}",
        "additionalProperties changed",
    ),
    "answer removed": (
        operation("post", lambda op: op.update(responses={"200": {}})),
        "POST /v1/orders",
        "answer 202",
        "answer removed",
    ),
    "field answered removed": (
        schema("View", lambda view: view["properties"].pop("count")),
        "GET /v1/orders",
        "answer 200.items.[].count",
        "field removed or renamed",
    ),
    "field answered may be missing": (
        schema("View", lambda view: view["required"].remove("state")),
        "GET /v1/orders",
        "answer 200.items.[].state",
        "field may now be missing",
    ),
    "other type answered": (
        prop("View", "count", type="string"),
        "GET /v1/orders",
        "answer 200.items.[].count",
        "type changed from integer to string",
    ),
    "a fraction answered": (
        prop("View", "count", type="number"),
        "GET /v1/orders",
        "answer 200.items.[].count",
        "type changed from integer to number",
    ),
    "null answered": (
        prop("View", "no", type=["string", "null"]),
        "GET /v1/orders",
        "answer 200.items.[].no",
        "null is new",
    ),
}


def prop_of(found: Json, field: str, **rules: Any) -> None:
    found["properties"][field] = rules


def changed(change: Change) -> Json:
    api = copy.deepcopy(BASE)
    change(api)
    return api


@pytest.mark.parametrize("name", ALLOWED)
def test_a_change_that_breaks_no_caller_is_allowed(name: str) -> None:
    assert compare_http(BASE, changed(ALLOWED[name]), today=TODAY) == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_change_that_breaks_a_caller_is_refused_by_name_and_place(name: str) -> None:
    change, subject, path, what = REFUSED[name]
    findings = compare_http(BASE, changed(change), today=TODAY)
    found = [finding for finding in findings if (finding.subject, finding.path) == (subject, path)]
    assert len(found) == 1, findings
    assert what in found[0].what
    assert found[0].why
    assert {finding.subject for finding in findings} <= {subject, "POST /v1/orders", "GET /v1/orders"}


def test_an_operation_may_go_only_after_the_day_that_a_release_named() -> None:
    api = changed(lambda api: api["paths"].pop("/v1/old"))
    [finding] = compare_http(BASE, api, today=TODAY)
    assert (finding.subject, finding.why) == ("POST /v1/old", "callers were promised it until 2026-03-03")
    assert compare_http(BASE, api, today=date(2026, 3, 3)) == []


def test_a_sunset_that_no_release_announced_counts_for_nothing() -> None:
    base = changed(lambda api: api["paths"]["/v1/old"]["get"].pop("deprecated"))
    [finding] = compare_http(base, changed(lambda api: api["paths"]["/v1/old"].pop("get")), today=TODAY)
    assert "must mark it deprecated first" in finding.why
