"""Commands: bulk imports that say what is, item by item, and the end of a listing.

An import is a PUT in bulk: the same value again changes nothing and publishes nothing.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Row

from oms_catalog.adapters import repositories
from oms_catalog.items import BasePrice, Cost, Item, Listing, ListingRef, Product, Sku
from oms_events.contracts.catalog import (
    BasePriceSet,
    CostSet,
    ListingMapped,
    ListingUnmapped,
    ProductDefined,
    SkuDefined,
    cost_key,
    listing_key,
    price_key,
)
from oms_events.envelope import EventMeta
from oms_events.registry import Event
from oms_events.runtime.problems import FieldError, field_errors
from oms_events.runtime.work import Work

T = TypeVar("T", bound=Item)
Status = Literal["created", "updated", "unchanged", "rejected"]


class ItemAnswer(BaseModel):
    """What became of one item. `index` is its place in the request, from zero."""

    index: int
    status: Status
    errors: list[FieldError] = []


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of import. `key` names the fields that identify an item, `reference` the one that must be known."""

    item: type[T]
    key: tuple[str, ...]
    save: Callable[[Work, Sequence[T]], Awaitable[Sequence[Row[Any]]]]
    event: Callable[[T, Row[Any]], Event]
    reference: str = ""

    def identity(self, item: T) -> tuple[object, ...]:
        """What makes two items the same thing."""
        return tuple(getattr(item, name) for name in self.key)


def _product_defined(product: Product, _: Row[Any]) -> ProductDefined:
    return ProductDefined(**product.model_dump())


def _sku_defined(sku: Sku, _: Row[Any]) -> SkuDefined:
    return SkuDefined(**sku.model_dump(exclude={"flags"}), flags=tuple(sorted(sku.flags)))


def _listing_mapped(listing: Listing, _: Row[Any]) -> ListingMapped:
    key = listing_key(listing.channel, listing.shop, listing.listing)
    return ListingMapped(listing_key=key, **listing.model_dump())


def _base_price_set(price: BasePrice, saved: Row[Any]) -> BasePriceSet:
    key = price_key(price.sku, price.currency)
    return BasePriceSet(price_key=key, **price.model_dump(exclude={"valid_from"}), valid_from=saved.valid_from)


def _cost_set(cost: Cost, saved: Row[Any]) -> CostSet:
    key = cost_key(cost.sku, cost.currency, saved.valid_from)
    return CostSet(cost_key=key, **cost.model_dump(exclude={"valid_from"}), valid_from=saved.valid_from)


PRODUCTS = Kind(Product, ("product_code",), repositories.save_products, _product_defined)
SKUS = Kind(Sku, ("sku",), repositories.save_skus, _sku_defined, reference="product_code")
LISTINGS = Kind(Listing, ("channel", "shop", "listing"), repositories.save_listings, _listing_mapped, reference="sku")
PRICES = Kind(BasePrice, ("sku", "currency"), repositories.save_prices, _base_price_set, reference="sku")
COSTS = Kind(Cost, ("sku", "currency", "valid_from"), repositories.save_costs, _cost_set, reference="sku")


async def import_items(kind: Kind[T], given: Sequence[Any], cause: EventMeta, work: Work) -> list[ItemAnswer]:
    """Save what is valid, publish what changed, and answer each item. One bad item does not stop the others."""
    answers: dict[int, ItemAnswer] = {}
    items: dict[int, T] = {}
    for index, document in enumerate(given):
        try:
            items[index] = _read(kind, document)
        except ValidationError as error:
            answers[index] = _rejected(index, field_errors(error.errors(include_url=False, include_input=False)))
    for index in list(_repeated(kind, items)):
        del items[index]
        detail = "named more than once in this request: which one counts cannot be told"
        answers[index] = _rejected(index, [FieldError(field=kind.key[-1], rule="unique", detail=detail)])
    saved = await kind.save(work, list(items.values())) if items else []
    for (index, item), row in zip(items.items(), saved, strict=True):
        answers[index] = _answer(kind, index, row)
        if row.version is not None:
            work.emit(kind.event(item, row), cause=cause, sequence=row.version)
    return [answers[index] for index in range(len(given))]


async def unmap_listing(ref: ListingRef, cause: EventMeta, work: Work) -> Status | None:
    """Let a shop's item stand for no SKU any more. None: nobody ever mapped it."""
    row = await repositories.unmap_listing(work, ref)
    if row is None or row.version is None:
        return None if row is None else "unchanged"
    key = listing_key(ref.channel, ref.shop, ref.listing)
    work.emit(ListingUnmapped(listing_key=key, **ref.model_dump()), cause=cause, sequence=row.version)
    return "updated"


def _read(kind: Kind[T], document: object) -> T:
    # Through JSON again, because only there strict mode still takes times from text, and "1" or true is no number.
    return kind.item.model_validate_json(json.dumps(document), strict=True)


def _repeated(kind: Kind[T], items: dict[int, T]) -> Iterator[int]:
    counts = Counter(kind.identity(item) for item in items.values())
    return (index for index, item in items.items() if counts[kind.identity(item)] > 1)


def _answer(kind: Kind[T], index: int, row: Row[Any]) -> ItemAnswer:
    if not row.known:
        detail = "no such thing in the catalog: import it first"
        return _rejected(index, [FieldError(field=kind.reference, rule="known", detail=detail)])
    if row.version is None:
        return ItemAnswer(index=index, status="unchanged")
    return ItemAnswer(index=index, status="created" if row.version == 1 else "updated")


def _rejected(index: int, errors: list[FieldError]) -> ItemAnswer:
    return ItemAnswer(index=index, status="rejected", errors=errors)
