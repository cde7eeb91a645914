"""What an import says of one product, SKU, listing, base price or cost.

Stricter than the events made of it: an unknown field is refused, and no text may hold control characters.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from oms_events.contracts.catalog import Millimetres, SkuFlag
from oms_events.contracts.shared import Code, Currency, Grams, Instant, Price, Text, Words

Title = Annotated[Words, Field(max_length=256)]
Label = Annotated[Words, Field(max_length=64)]
Unit = Annotated[Words, Field(min_length=1, max_length=16)]


class Item(BaseModel):
    """Base of everything that can be imported."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Product(Item):
    """A product (SPU)."""

    product_code: Text
    title: Title
    category: Label = ""
    brand: Label = ""


class Sku(Item):
    """What is stocked and sold of a product. The product must be known."""

    sku: Text
    product_code: Text
    title: Title
    barcode: Label = ""
    unit: Unit = "piece"
    weight_g: Grams = 0
    length_mm: Millimetres = 0
    width_mm: Millimetres = 0
    height_mm: Millimetres = 0
    flags: Annotated[frozenset[SkuFlag], Field(max_length=6)] = frozenset()
    active: bool = True


class ListingRef(Item):
    """Names a shop's item the way the shop does."""

    channel: Code
    shop: Code
    listing: Text


class Listing(ListingRef):
    """The SKU that a shop's item stands for. The SKU must be known."""

    sku: Text


class BasePrice(Item):
    """The base price of a SKU in one currency; without `valid_from` it counts from now on. The SKU must be known."""

    sku: Text
    currency: Currency
    amount_minor: Price
    valid_from: Instant | None = None


class Cost(Item):
    """What one piece costs us in one currency; without `valid_from` it counts from now on. The SKU must be known."""

    sku: Text
    currency: Currency
    amount_minor: Price
    valid_from: Instant | None = None
