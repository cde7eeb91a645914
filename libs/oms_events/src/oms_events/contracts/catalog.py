"""Events of the catalog. Its topics are compacted: a new service reads the whole catalog from them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from oms_events.contracts.shared import Code, Currency, Grams, Instant, Price, Text
from oms_events.registry import Event, Topic, event

PRODUCT = Topic("oms.catalog.product.v1", key="product_code", cleanup="compact")
SKU = Topic("oms.catalog.sku.v1", key="sku", cleanup="compact")
LISTING = Topic("oms.catalog.listing.v1", key="listing_key", cleanup="compact")
COST = Topic("oms.catalog.cost.v1", key="cost_key", cleanup="compact")
PRICE = Topic("oms.catalog.price.v1", key="price_key", cleanup="compact")

SkuFlag = Literal["large", "hazardous", "virtual", "gift", "batch", "serial"]
Millimetres = Annotated[int, Field(ge=0, le=100_000)]


@event(PRODUCT)
class ProductDefined(Event):
    """A product (SPU) exists with these properties; the newest one counts."""

    product_code: Text
    title: Annotated[str, Field(max_length=256)]
    category: Annotated[str, Field(max_length=64)] = ""
    brand: Annotated[str, Field(max_length=64)] = ""


@event(SKU)
class SkuDefined(Event):
    """A SKU exists with these properties; the newest one counts."""

    sku: Text
    product_code: Text
    title: Annotated[str, Field(max_length=256)]
    barcode: Annotated[str, Field(max_length=64)] = ""
    unit: Annotated[str, Field(max_length=16)] = "piece"
    weight_g: Grams = 0
    length_mm: Millimetres = 0
    width_mm: Millimetres = 0
    height_mm: Millimetres = 0
    flags: tuple[SkuFlag, ...] = ()
    active: bool = True


@event(LISTING)
class ListingMapped(Event):
    """A shop's item sells this SKU."""

    listing_key: str
    channel: Code
    shop: Code
    listing: Text
    sku: Text


@event(LISTING)
class ListingUnmapped(Event):
    """A shop's item no longer stands for any SKU; its orders are held."""

    listing_key: str
    channel: Code
    shop: Code
    listing: Text


@event(PRICE)
class BasePriceSet(Event):
    """The base price of a SKU in one currency."""

    price_key: str
    sku: Text
    currency: Currency
    amount_minor: Price
    valid_from: Instant


@event(COST)
class CostSet(Event):
    """What one piece of a SKU costs us from a time on, in one currency. Its time is part of its key: compaction keeps
    every cost that ever counted, and a correction takes the place of what it corrects."""

    cost_key: str
    sku: Text
    currency: Currency
    amount_minor: Price
    valid_from: Instant


def listing_key(channel: str, shop: str, listing: str) -> str:
    """Key of a shop's item in the listing topic."""
    return f"{channel}/{shop}/{listing}"


def price_key(sku: str, currency: str) -> str:
    """Key of a SKU's base price in the price topic."""
    return f"{sku}/{currency}"


def cost_key(sku: str, currency: str, valid_from: datetime) -> str:
    """Key of a SKU's cost from a time on in the cost topic."""
    return f"{sku}/{currency}/{valid_from.astimezone(UTC).isoformat()}"
