"""The catalog's HTTP API: imports in bulk, reads by key, filter and page."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, TypeAdapter, WithJsonSchema
from sqlalchemy import RowMapping

from oms_catalog.adapters import views
from oms_catalog.app.imports import (
    COSTS,
    LISTINGS,
    PRICES,
    PRODUCTS,
    SKUS,
    ItemAnswer,
    Kind,
    Status,
    import_items,
    unmap_listing,
)
from oms_catalog.items import BasePrice, Cost, Label, Listing, ListingRef, Product, Sku
from oms_events.contracts.catalog import SkuFlag
from oms_events.contracts.shared import Code, Currency, Instant, Text, Words
from oms_events.envelope import EventMeta, origin
from oms_events.runtime.http import BY_NAME, BY_SERIAL, Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import not_found
from oms_events.runtime.work import Work

MAX_ITEMS = 1000
_BY_LISTING = TypeAdapter(tuple[Words, Words, Words])
_BY_COST = TypeAdapter(tuple[Words, Words, Instant])

# Items are read one by one, so that a bad one is answered by itself; the schemas here are for the reader of the API.
_Bulk = Body(min_length=1, max_length=MAX_ITEMS)
Products = Annotated[list[Annotated[Any, WithJsonSchema(Product.model_json_schema())]], _Bulk]
Skus = Annotated[list[Annotated[Any, WithJsonSchema(Sku.model_json_schema())]], _Bulk]
Listings = Annotated[list[Annotated[Any, WithJsonSchema(Listing.model_json_schema())]], _Bulk]
Costs = Annotated[list[Annotated[Any, WithJsonSchema(Cost.model_json_schema())]], _Bulk]
Prices = Annotated[list[Annotated[Any, WithJsonSchema(BasePrice.model_json_schema())]], _Bulk]


class ImportAnswer(BaseModel):
    """One answer per item, in the order of the request."""

    items: list[ItemAnswer]


class UnmapAnswer(BaseModel):
    """`unchanged` when the listing was unmapped before."""

    status: Status


class Stored(BaseModel):
    """What every stored thing has. `version` counts its changes."""

    version: int
    created_at: datetime
    updated_at: datetime


class ProductView(Stored):
    """A product (SPU)."""

    product_code: str
    title: str
    category: str
    brand: str


class SkuView(Stored):
    """A SKU. Weight in grams, size in millimetres."""

    sku: str
    product_code: str
    title: str
    barcode: str
    unit: str
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    flags: list[SkuFlag]
    active: bool


class ListingView(Stored):
    """A shop's item and the SKU it stands for; null when unmapped."""

    channel: str
    shop: str
    listing: str
    sku: str | None


class PriceView(Stored):
    """A base price, in the currency's smallest unit."""

    sku: str
    currency: str
    amount_minor: int
    valid_from: datetime


class CostView(Stored):
    """What one piece costs us from a time on, in the currency's smallest unit."""

    sku: str
    currency: str
    amount_minor: int
    valid_from: datetime


class PastPriceView(BaseModel):
    """What a base price was set to, and when."""

    sku: str
    currency: str
    amount_minor: int
    valid_from: datetime
    version: int
    set_at: datetime


class Summary(BaseModel):
    """How much of everything there is."""

    products: int
    skus: int
    listings_mapped: int
    listings_unmapped: int
    base_prices: int
    costs: int


V = TypeVar("V", bound=BaseModel)


def _page(
    view: type[V], rows: Sequence[RowMapping], limit: int, position: Callable[[V], Sequence[str | int | datetime]]
) -> Page[V]:
    items = [view.model_validate(row) for row in rows]
    return Page(items=items, next_cursor=write_cursor(*position(items[-1])) if len(items) == limit else None)


def router(runtime: Runtime) -> APIRouter:
    """The routes of the catalog."""
    routes = APIRouter(prefix="/v1")
    _products(routes, runtime)
    _skus(routes, runtime)
    _listings(routes, runtime)
    _prices(routes, runtime)
    _costs(routes, runtime)

    @routes.get("/summary", tags=["summary"])
    async def show_summary() -> Summary:
        """How many products, SKUs, listings and base prices there are."""
        async with runtime.connection() as connection:
            return Summary.model_validate(await views.summary(connection))

    return routes


async def _import(runtime: Runtime, kind: Kind[Any], items: list[Any]) -> ImportAnswer:
    async with runtime.transaction() as work:
        return ImportAnswer(items=await import_items(kind, items, _cause(runtime, work), work))


def _cause(runtime: Runtime, work: Work) -> EventMeta:
    """Each request is a cause of its own: the same import may come twice, and mean a change both times."""
    return origin(runtime.service.source, "import", uuid4().hex, at=work.now)


def _products(routes: APIRouter, runtime: Runtime) -> None:
    @routes.post("/products:batch", tags=["products"])
    async def import_products(items: Products) -> ImportAnswer:
        """Create or change products. One bad item does not stop the others."""
        return await _import(runtime, PRODUCTS, items)

    @routes.get("/products", tags=["products"])
    async def list_products(limit: Limit = 50, cursor: Cursor = None) -> Page[ProductView]:
        """Products by code."""
        after = read_cursor(cursor, BY_NAME)
        async with runtime.connection() as connection:
            rows = await views.list_products(connection, after=after, limit=limit)
        return _page(ProductView, rows, limit, lambda last: [last.product_code])

    @routes.get("/products/{code:path}", tags=["products"])
    async def show_product(code: Annotated[Text, Path()]) -> ProductView:
        """One product. A slash in the code may stand as it is or encoded."""
        async with runtime.connection() as connection:
            row = await views.find_product(connection, code)
        if row is None:
            raise not_found(f"product {code}")
        return ProductView.model_validate(row)


def _skus(routes: APIRouter, runtime: Runtime) -> None:
    @routes.post("/skus:batch", tags=["SKUs"])
    async def import_skus(items: Skus) -> ImportAnswer:
        """Create or change SKUs of known products. One bad item does not stop the others."""
        return await _import(runtime, SKUS, items)

    @routes.get("/skus", tags=["SKUs"])
    async def list_skus(
        product_code: Annotated[Text | None, Query()] = None,
        barcode: Annotated[Label | None, Query()] = None,
        q: Annotated[Text | None, Query(description="Beginning of the SKU's code")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[SkuView]:
        """SKUs by code; each filter narrows the list."""
        after = read_cursor(cursor, BY_NAME)
        async with runtime.connection() as connection:
            rows = await views.list_skus(
                connection, product_code=product_code, barcode=barcode, prefix=q, after=after, limit=limit
            )
        return _page(SkuView, rows, limit, lambda last: [last.sku])

    @routes.get("/skus/{sku:path}", tags=["SKUs"])
    async def show_sku(sku: Annotated[Text, Path()]) -> SkuView:
        """One SKU. A slash in the code may stand as it is or encoded."""
        async with runtime.connection() as connection:
            row = await views.find_sku(connection, sku)
        if row is None:
            raise not_found(f"SKU {sku}")
        return SkuView.model_validate(row)


def _listings(routes: APIRouter, runtime: Runtime) -> None:
    @routes.post("/listings:batch", tags=["listings"])
    async def import_listings(items: Listings) -> ImportAnswer:
        """Map shops' items to known SKUs. One bad item does not stop the others."""
        return await _import(runtime, LISTINGS, items)

    @routes.post("/listings:unmap", tags=["listings"])
    async def unmap(ref: ListingRef) -> UnmapAnswer:
        """Let a shop's item stand for no SKU any more. Its new orders are held until it is mapped again."""
        async with runtime.transaction() as work:
            status = await unmap_listing(ref, _cause(runtime, work), work)
        if status is None:
            raise not_found(f"listing {ref.channel}/{ref.shop}/{ref.listing}")
        return UnmapAnswer(status=status)

    @routes.get("/listings", tags=["listings"])
    async def list_listings(
        channel: Annotated[Code | None, Query()] = None,
        shop: Annotated[Code | None, Query()] = None,
        sku: Annotated[Text | None, Query()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[ListingView]:
        """Listings by channel, shop and listing; each filter narrows the list."""
        after = read_cursor(cursor, _BY_LISTING)
        async with runtime.connection() as connection:
            rows = await views.list_listings(connection, channel=channel, shop=shop, sku=sku, after=after, limit=limit)
        return _page(ListingView, rows, limit, lambda last: [last.channel, last.shop, last.listing])


def _prices(routes: APIRouter, runtime: Runtime) -> None:
    @routes.post("/prices:batch", tags=["prices"])
    async def import_prices(items: Prices) -> ImportAnswer:
        """Set base prices of known SKUs. One bad item does not stop the others."""
        return await _import(runtime, PRICES, items)

    @routes.get("/prices", tags=["prices"])
    async def list_prices(sku: Annotated[Text, Query()]) -> Page[PriceView]:
        """A SKU's base prices, by currency, all on one page."""
        async with runtime.connection() as connection:
            rows = await views.list_prices(connection, sku=sku)
        return Page(items=[PriceView.model_validate(row) for row in rows])

    @routes.get("/prices/history", tags=["prices"])
    async def list_price_history(
        sku: Annotated[Text, Query()],
        currency: Annotated[Currency, Query()],
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[PastPriceView]:
        """All that a base price ever was, newest first."""
        (before,) = read_cursor(cursor, BY_SERIAL) or (None,)
        async with runtime.connection() as connection:
            rows = await views.list_price_history(connection, sku=sku, currency=currency, before=before, limit=limit)
        return _page(PastPriceView, rows, limit, lambda last: [last.version])


def _costs(routes: APIRouter, runtime: Runtime) -> None:
    @routes.post("/costs:batch", tags=["costs"])
    async def import_costs(items: Costs) -> ImportAnswer:
        """Set what one piece of known SKUs costs from a time on. One bad item does not stop the others."""
        return await _import(runtime, COSTS, items)

    @routes.get("/costs", tags=["costs"])
    async def list_costs(
        sku: Annotated[Text | None, Query()] = None,
        currency: Annotated[Currency | None, Query()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[CostView]:
        """Costs by SKU, currency and the time from which they count; each filter narrows the list."""
        after = read_cursor(cursor, _BY_COST)
        async with runtime.connection() as connection:
            rows = await views.list_costs(connection, sku=sku, currency=currency, after=after, limit=limit)
        return _page(CostView, rows, limit, lambda last: [last.sku, last.currency, last.valid_from])
