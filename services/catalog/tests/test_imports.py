"""Bulk imports: what each item is answered, what is published, and what is not."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oms_events.contracts.catalog import (
    BasePriceSet,
    CostSet,
    ListingMapped,
    ListingUnmapped,
    ProductDefined,
    SkuDefined,
)
from oms_events.testing.scenario import START, Scenario

JSON = {"content-type": "application/json"}
MUG = {"product_code": "P-MUG", "title": "Mug"}
RED_MUG = {"sku": "85123A", "product_code": "P-MUG", "title": "Red mug", "weight_g": 310, "flags": ["gift", "batch"]}
LISTING = {"channel": "uci", "shop": "united-kingdom", "listing": "85123A", "sku": "85123A"}


async def post(scenario: Scenario, what: str, *items: Any) -> list[dict[str, Any]]:
    # Escaped by hand: the client's own JSON cannot carry half a surrogate pair.
    response = await scenario.client.post(f"/v1/{what}:batch", content=json.dumps(items), headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()["items"]


async def statuses(scenario: Scenario, what: str, *items: Any) -> list[str]:
    return [answer["status"] for answer in await post(scenario, what, *items)]


async def given_sku(scenario: Scenario) -> None:
    await post(scenario, "products", MUG)
    await post(scenario, "skus", RED_MUG)
    await scenario.published()


async def test_a_product_is_created_then_unchanged_then_updated(scenario: Scenario) -> None:
    assert await statuses(scenario, "products", MUG) == ["created"]
    assert await scenario.published() == [ProductDefined(product_code="P-MUG", title="Mug")]
    assert await statuses(scenario, "products", MUG) == ["unchanged"]
    assert await scenario.published() == []
    assert await statuses(scenario, "products", MUG | {"brand": "Acme"}) == ["updated"]
    assert await scenario.published() == [ProductDefined(product_code="P-MUG", title="Mug", brand="Acme")]


async def test_a_sku_is_published_with_all_it_has(scenario: Scenario) -> None:
    await post(scenario, "products", MUG)
    await scenario.published()
    assert await statuses(scenario, "skus", RED_MUG) == ["created"]
    assert await scenario.published() == [
        SkuDefined(
            sku="85123A", product_code="P-MUG", title="Red mug", weight_g=310, flags=("batch", "gift"), active=True
        )
    ]


async def test_the_order_of_flags_means_nothing(scenario: Scenario) -> None:
    await given_sku(scenario)
    assert await statuses(scenario, "skus", RED_MUG | {"flags": ["batch", "gift", "gift"]}) == ["unchanged"]
    assert await statuses(scenario, "skus", RED_MUG | {"flags": []}) == ["updated"]
    assert await statuses(scenario, "skus", RED_MUG | {"flags": []}) == ["unchanged"]


async def test_one_bad_item_does_not_stop_the_others(scenario: Scenario) -> None:
    answers = await post(
        scenario,
        "products",
        {"product_code": "A", "title": "A"},
        {"product_code": "B", "title": "x" * 257},
        {"product_code": "C", "title": "C", "colour": "red"},
        "not an object",
        {"product_code": "E", "title": "zero\x00byte"},
        {"product_code": "F", "title": "half \ud83d a smile"},
        {"product_code": "G", "title": "🎁 naïve 商品"},
    )
    assert [answer["status"] for answer in answers] == ["created", *["rejected"] * 5, "created"]
    assert [answer["index"] for answer in answers] == list(range(7))
    assert answers[1]["errors"][0] | {"detail": ""} == {"field": "title", "rule": "string_too_long", "detail": ""}
    assert answers[2]["errors"][0]["field"] == "colour"
    assert answers[2]["errors"][0]["rule"] == "extra_forbidden"
    assert answers[4]["errors"][0]["field"] == "title"
    assert [event.key() for event in await scenario.published()] == ["A", "G"]


@pytest.mark.parametrize("weight", ["310", True, 1.5, -1, 10**30, None])
async def test_a_number_must_be_a_number(scenario: Scenario, weight: Any) -> None:
    await post(scenario, "products", MUG)
    [answer] = await post(scenario, "skus", RED_MUG | {"weight_g": weight})
    assert answer["status"] == "rejected"
    assert answer["errors"][0]["field"] == "weight_g"


async def test_what_is_named_twice_in_one_request_is_refused_twice(scenario: Scenario) -> None:
    answers = await post(scenario, "products", MUG, {"product_code": "OTHER", "title": ""}, MUG | {"title": "Cup"})
    assert [answer["status"] for answer in answers] == ["rejected", "created", "rejected"]
    assert answers[0]["errors"][0]["field"] == "product_code"
    assert answers[0]["errors"][0]["rule"] == "unique"


@pytest.mark.parametrize(
    ("what", "item", "field"),
    [
        ("skus", RED_MUG, "product_code"),
        ("listings", LISTING, "sku"),
        ("prices", {"sku": "85123A", "currency": "GBP", "amount_minor": 255}, "sku"),
        ("costs", {"sku": "85123A", "currency": "GBP", "amount_minor": 255}, "sku"),
    ],
)
async def test_what_refers_to_something_unknown_is_refused(
    scenario: Scenario, what: str, item: dict[str, Any], field: str
) -> None:
    [answer] = await post(scenario, what, item)
    assert (answer["status"], answer["errors"][0]["field"], answer["errors"][0]["rule"]) == ("rejected", field, "known")
    assert await scenario.published() == []


async def test_a_listing_is_mapped_moved_unmapped_and_mapped_again(scenario: Scenario) -> None:
    await given_sku(scenario)
    await post(scenario, "skus", RED_MUG | {"sku": "gift_0001_20"})
    await scenario.published()
    key = "uci/united-kingdom/85123A"
    ref = {name: LISTING[name] for name in ("channel", "shop", "listing")}

    assert await statuses(scenario, "listings", LISTING) == ["created"]
    assert await statuses(scenario, "listings", LISTING) == ["unchanged"]
    assert await statuses(scenario, "listings", LISTING | {"sku": "gift_0001_20"}) == ["updated"]
    assert (await scenario.client.post("/v1/listings:unmap", json=ref)).json() == {"status": "updated"}
    assert (await scenario.client.post("/v1/listings:unmap", json=ref)).json() == {"status": "unchanged"}
    assert await statuses(scenario, "listings", LISTING | {"sku": "gift_0001_20"}) == ["updated"]

    mapped = ListingMapped(listing_key=key, **LISTING)
    moved = ListingMapped(listing_key=key, **(LISTING | {"sku": "gift_0001_20"}))
    assert await scenario.published() == [mapped, moved, ListingUnmapped(listing_key=key, **ref), moved]
    [view] = (await scenario.client.get("/v1/listings", params={"sku": "gift_0001_20"})).json()["items"]
    assert view["version"] == 4


async def test_a_listing_nobody_mapped_cannot_be_unmapped(scenario: Scenario) -> None:
    response = await scenario.client.post("/v1/listings:unmap", json={"channel": "a", "shop": "b", "listing": "c"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_price_counts_from_now_unless_it_says_otherwise(scenario: Scenario) -> None:
    await given_sku(scenario)
    price = {"sku": "85123A", "currency": "GBP", "amount_minor": 255}
    assert await statuses(scenario, "prices", price, price | {"currency": "EUR"}) == ["created", "created"]
    published = await scenario.published()
    assert published[0] == BasePriceSet(
        price_key="85123A/GBP", sku="85123A", currency="GBP", amount_minor=255, valid_from=START
    )

    scenario.now += timedelta(days=1)
    assert await statuses(scenario, "prices", price) == ["unchanged"]
    assert await scenario.published() == []
    assert await statuses(scenario, "prices", price | {"valid_from": "2026-05-01T00:00:00+02:00"}) == ["updated"]
    assert await statuses(scenario, "prices", price | {"valid_from": "2026-04-30T22:00:00Z"}) == ["unchanged"]
    [moved] = await scenario.published()
    assert isinstance(moved, BasePriceSet)
    assert moved.valid_from == datetime(2026, 4, 30, 22, tzinfo=UTC)


async def test_a_price_remembers_all_it_was(scenario: Scenario) -> None:
    await given_sku(scenario)
    for amount in (255, 199, 255):
        scenario.now += timedelta(days=1)
        await post(scenario, "prices", {"sku": "85123A", "currency": "GBP", "amount_minor": amount})
    history = {"sku": "85123A", "currency": "GBP", "limit": 2}
    first = (await scenario.client.get("/v1/prices/history", params=history)).json()
    rest = (await scenario.client.get("/v1/prices/history", params=history | {"cursor": first["next_cursor"]})).json()
    amounts = [(past["version"], past["amount_minor"]) for past in first["items"] + rest["items"]]
    assert amounts == [(3, 255), (2, 199), (1, 255)]
    current = (await scenario.client.get("/v1/prices", params={"sku": "85123A"})).json()["items"]
    assert [(price["currency"], price["amount_minor"], price["version"]) for price in current] == [("GBP", 255, 3)]


async def test_a_cost_counts_from_a_time_on_and_can_be_corrected(scenario: Scenario) -> None:
    await given_sku(scenario)
    cost = {"sku": "85123A", "currency": "GBP", "amount_minor": 120}
    january = cost | {"amount_minor": 100, "valid_from": "2026-01-01T00:00:00Z"}
    assert await statuses(scenario, "costs", january, cost) == ["created", "created"]
    assert await scenario.published() == [
        CostSet(
            cost_key=f"85123A/GBP/{moment.isoformat()}",
            sku="85123A",
            currency="GBP",
            amount_minor=amount,
            valid_from=moment,
        )
        for amount, moment in ((100, datetime(2026, 1, 1, tzinfo=UTC)), (120, START))
    ]
    scenario.now += timedelta(days=1)
    assert await statuses(scenario, "costs", cost) == ["unchanged"]
    assert await statuses(scenario, "costs", january | {"amount_minor": 95}) == ["updated"]
    [corrected] = await scenario.published()
    assert isinstance(corrected, CostSet)
    assert (corrected.amount_minor, corrected.cost_key) == (95, "85123A/GBP/2026-01-01T00:00:00+00:00")
    listed = {"sku": "85123A", "limit": 1}
    first = (await scenario.client.get("/v1/costs", params=listed)).json()
    rest = (await scenario.client.get("/v1/costs", params=listed | {"cursor": first["next_cursor"]})).json()
    assert [(item["amount_minor"], item["version"]) for item in first["items"] + rest["items"]] == [(95, 2), (120, 1)]


async def test_a_cost_said_to_go_on_does_not_hide_its_correction(scenario: Scenario) -> None:
    await given_sku(scenario)
    cost = {"sku": "85123A", "currency": "GBP", "amount_minor": 120}
    await post(scenario, "costs", cost)
    await scenario.published()
    corrected = cost | {"amount_minor": 130, "valid_from": START.isoformat()}
    assert await statuses(scenario, "costs", cost, corrected) == ["unchanged", "updated"]
    assert [event.amount_minor for event in await scenario.published() if isinstance(event, CostSet)] == [130]


@pytest.mark.parametrize("moment", ["yesterday", "2026-05-01T00:00:00", "0001-01-01T00:00:00+14:00", 17, None])
async def test_a_time_that_is_no_instant_is_refused_or_left_to_the_clock(scenario: Scenario, moment: Any) -> None:
    await given_sku(scenario)
    price = {"sku": "85123A", "currency": "GBP", "amount_minor": 255, "valid_from": moment}
    [answer] = await post(scenario, "prices", price)
    assert answer["status"] == ("created" if moment is None else "rejected")


async def test_imports_at_once_neither_deadlock_nor_lose_a_change(scenario: Scenario) -> None:
    codes = [f"P{number:03}" for number in range(200)]

    async def import_all(title: str, order: int) -> list[str]:
        return await statuses(
            scenario, "products", *({"product_code": code, "title": title} for code in codes[::order])
        )

    answers = await asyncio.gather(import_all("forwards", 1), import_all("backwards", -1))
    assert sorted({status for answer in answers for status in answer}) == ["created", "updated"]
    published = await scenario.published()
    assert len(published) == 400
    newest = {event.key(): event for event in published}
    listed = (await scenario.client.get("/v1/products", params={"limit": 500})).json()["items"]
    assert {item["product_code"]: item["title"] for item in listed} == {
        key: event.title for key, event in newest.items() if isinstance(event, ProductDefined)
    }
    assert {item["version"] for item in listed} == {2}


async def test_events_carry_the_version_as_sequence_and_the_request_as_cause(scenario: Scenario) -> None:
    await post(scenario, "products", MUG)
    await post(scenario, "products", MUG | {"title": "Cup"}, {"product_code": "P-2", "title": ""})
    await scenario.runtime.publisher.drain()
    headers = [dict(record.headers) for record in scenario._sink.records]
    assert [header["ce_sequence"] for header in headers] == [b"1", b"2", b"1"]
    assert headers[0]["ce_correlationid"] != headers[1]["ce_correlationid"] == headers[2]["ce_correlationid"]
    assert {header["ce_source"] for header in headers} == {b"/oms/catalog"}
