"""Tells the system what is sold, from where and with whom, before the first order."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from oms_sample.book import Survey
from oms_sample.client import Door, Refused, chunks, segment
from oms_sample.places import shop_of
from oms_sample.synth import CHANNEL, CURRENCY, NODES, Node, World

IMPORT = 1000
"""Items per import, the most that the catalog takes."""
CARRIERS = Path(__file__).parents[3] / "services" / "logistics" / "seeds" / "carriers.json"
VALID_FROM = "2010-01-01T00:00:00Z"

Item = dict[str, Any]


async def load(operator: Door, survey: Survey, world: World) -> list[Item]:
    """Load catalog, nodes and carriers. Returns the listings to map later. Raises Refused and Unavailable."""
    await load_skus(operator, {sku: survey.titles.get(sku, sku) for sku in sorted(survey.demand)}, world)
    at_once: list[Item] = []
    later: list[Item] = []
    for country, code in sorted(survey.listings):
        (later if world.is_mapped_late(country, code) else at_once).append(
            listing(shop_of(country), code, code.upper())
        )
    await map_listings(operator, at_once)
    await _import(
        operator,
        "/v1/prices:batch",
        (
            {"sku": sku, "currency": CURRENCY, "amount_minor": price, "valid_from": VALID_FROM}
            for sku, price in sorted(survey.prices.items())
        ),
    )
    await _import(
        operator,
        "/v1/costs:batch",
        (
            {"sku": sku, "currency": CURRENCY, "amount_minor": world.cost(sku, price), "valid_from": VALID_FROM}
            for sku, price in sorted(survey.prices.items())
        ),
    )
    await load_nodes(operator, NODES)
    await load_carriers(operator)
    return later


async def load_skus(operator: Door, titles: Mapping[str, str], world: World) -> None:
    """One product per SKU: the books know no families."""
    await _import(
        operator, "/v1/products:batch", ({"product_code": sku, "title": title} for sku, title in titles.items())
    )
    await _import(operator, "/v1/skus:batch", (_sku(sku, title, world) for sku, title in titles.items()))


async def map_listings(operator: Door, listings: Iterable[Item]) -> None:
    """Say which SKU each shop's item stands for."""
    await _import(operator, "/v1/listings:batch", listings)


async def load_nodes(operator: Door, nodes: Iterable[Node]) -> None:
    """Define the warehouses."""
    for node in nodes:
        await operator.put(
            f"/v1/nodes/{segment(node.code)}",
            {
                "name": node.name,
                "country": node.country,
                "region": node.region,
                "timezone": node.timezone,
                "daily_capacity": node.daily_capacity,
                "handling_parcel_minor": node.handling_minor,
                "ships_to": node.ships_to,
                "active": True,
            },
        )


async def load_carriers(operator: Door) -> None:
    """Carriers, their services and tariffs: the made-up ones that logistics brings along."""
    await operator.post("/v1/carriers:import", json.loads(CARRIERS.read_text()))


async def carrier_codes(operator: Door) -> list[str]:
    """The carriers that the system knows."""
    return [carrier["carrier"] for carrier in await operator.get("/v1/carriers")]


def listing(shop: str, code: str, sku: str, channel: str = CHANNEL) -> Item:
    """A shop's item and the SKU it stands for."""
    return {"channel": channel, "shop": shop, "listing": code, "sku": sku}


def _sku(sku: str, title: str, world: World) -> Item:
    parcel = world.parcel(sku)
    return {
        "sku": sku,
        "product_code": sku,
        "title": title,
        "weight_g": parcel.weight_g,
        "length_mm": parcel.length_mm,
        "width_mm": parcel.width_mm,
        "height_mm": parcel.height_mm,
    }


async def _import(operator: Door, path: str, items: Iterable[Item]) -> None:
    for chunk in chunks(items, IMPORT):
        answer = await operator.post(path, chunk)
        rejected = [item for item in answer["items"] if item["status"] == "rejected"]
        if rejected:
            raise Refused(f"{path}: {len(rejected)} of {len(chunk)} items rejected, the first: {rejected[0]['errors']}")
