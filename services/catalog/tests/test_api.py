"""Reads, bounds and errors of the HTTP API."""

from typing import Any
from urllib.parse import quote

import pytest

from oms_catalog.entrypoints.api import MAX_ITEMS
from oms_events.testing.scenario import Scenario

ODD_CODES = ["10002", "85123A", "DOT", "a b", "gift_0001_20", "half/half", "{}?#&%", "商品", "🎁"]


@pytest.fixture
async def catalog(scenario: Scenario) -> Scenario:
    await scenario.client.post("/v1/products:batch", json=[{"product_code": code, "title": ""} for code in ODD_CODES])
    await scenario.client.post(
        "/v1/skus:batch",
        json=[
            {"sku": code, "product_code": code, "title": code, "barcode": f"{number:013}"}
            for number, code in enumerate(ODD_CODES)
        ],
    )
    listings = [
        {"channel": channel, "shop": "main", "listing": code, "sku": code}
        for channel in ("shopify", "uci")
        for code in ODD_CODES
    ]
    await scenario.client.post("/v1/listings:batch", json=listings)
    return scenario


async def get(scenario: Scenario, path: str, **params: Any) -> Any:
    response = await scenario.client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def pages(scenario: Scenario, path: str, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    page = await get(scenario, path, **params)
    items += page["items"]
    while page["next_cursor"]:
        page = await get(scenario, path, **params, cursor=page["next_cursor"])
        items += page["items"]
    return items


@pytest.mark.parametrize("code", ODD_CODES)
async def test_any_code_can_be_read_by_its_path(catalog: Scenario, code: str) -> None:
    assert (await get(catalog, f"/v1/skus/{quote(code, safe='')}"))["sku"] == code
    assert (await get(catalog, f"/v1/products/{quote(code, safe='')}"))["product_code"] == code


async def test_lists_come_whole_and_in_key_order_whatever_the_page(catalog: Scenario) -> None:
    assert [item["sku"] for item in await pages(catalog, "/v1/skus", limit=2)] == sorted(ODD_CODES, key=str.encode)
    assert [p["product_code"] for p in await pages(catalog, "/v1/products", limit=4)] == sorted(
        ODD_CODES, key=str.encode
    )
    listings = [(item["channel"], item["listing"]) for item in await pages(catalog, "/v1/listings", limit=5)]
    assert listings == [(c, code) for c in ("shopify", "uci") for code in sorted(ODD_CODES, key=str.encode)]


async def test_skus_are_found_by_product_barcode_and_beginning(catalog: Scenario) -> None:
    assert [item["sku"] for item in await pages(catalog, "/v1/skus", product_code="DOT")] == ["DOT"]
    assert [item["sku"] for item in await pages(catalog, "/v1/skus", barcode="0000000000001")] == ["85123A"]
    assert [item["sku"] for item in await pages(catalog, "/v1/skus", q="gift_")] == ["gift_0001_20"]
    assert await pages(catalog, "/v1/skus", q="%") == []


async def test_listings_are_found_by_channel_shop_and_sku(catalog: Scenario) -> None:
    assert len(await pages(catalog, "/v1/listings", channel="uci", shop="main")) == len(ODD_CODES)
    assert [item["channel"] for item in await pages(catalog, "/v1/listings", sku="DOT")] == ["shopify", "uci"]
    assert await pages(catalog, "/v1/listings", shop="other") == []


async def test_the_summary_counts(catalog: Scenario) -> None:
    await catalog.client.post("/v1/listings:unmap", json={"channel": "uci", "shop": "main", "listing": "DOT"})
    assert await get(catalog, "/v1/summary") == {
        "products": len(ODD_CODES),
        "skus": len(ODD_CODES),
        "listings_mapped": 2 * len(ODD_CODES) - 1,
        "listings_unmapped": 1,
        "base_prices": 0,
        "costs": 0,
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/skus/nothing", 404),
        ("/v1/products/nothing", 404),
        ("/v1/products/" + "x" * 65, 422),
        ("/v1/skus/a%00b", 422),
        ("/v1/skus/", 422),
        ("/v1/skus?q=%00", 422),
        ("/v1/skus?barcode=%00", 422),
        ("/v1/skus?cursor=nonsense", 422),
        ("/v1/skus?cursor=WzFd", 422),
        ("/v1/skus?limit=0", 422),
        ("/v1/listings?channel=%27%20or%201", 422),
        ("/v1/prices", 422),
        ("/v1/prices/history?sku=a&currency=XXX", 422),
        ("/v1/prices/history?sku=a&currency=EUR&cursor=WzFd", 200),
        ("/v1/costs?cursor=WyJBIiwiR0JQIiwieSJd", 422),
        ("/v1/costs?limit=501", 422),
    ],
)
async def test_bad_reads_are_answered_with_a_problem(scenario: Scenario, path: str, status: int) -> None:
    response = await scenario.client.get(path)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"[" + b"1," * MAX_ITEMS + b"1]",
        b"\xff\xfe",
        b"[" + b"9" * 10_000 + b"]",
    ],
)
async def test_a_body_that_is_no_batch_is_refused_as_a_whole(scenario: Scenario, body: bytes) -> None:
    response = await scenario.client.post(
        "/v1/products:batch", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code in {400, 422}, response.text


@pytest.mark.parametrize("depth", [10, 200, 500, 900, 950, 990])
async def test_deep_items_are_refused(scenario: Scenario, depth: int) -> None:
    body = "[" + '{"title":' * depth + "1" + "}" * depth + "]"
    response = await scenario.client.post(
        "/v1/products:batch", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code in {200, 400, 422}
    if response.status_code == 200:
        assert response.json()["items"][0]["status"] == "rejected"


async def test_the_api_documents_its_items(scenario: Scenario) -> None:
    document = await get(scenario, "/openapi.json")
    schema = document["paths"]["/v1/skus:batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["maxItems"] == MAX_ITEMS
    assert schema["items"]["required"] == ["sku", "product_code", "title"]
    assert schema["items"]["additionalProperties"] is False
