"""Reads. Lists come in key order, from after a position."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, Table, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_catalog.adapters.tables import base_prices, costs, listings, price_history, products, skus

_SUMMARY = text(
    """
    select (select count(*) from products) as products,
           (select count(*) from skus) as skus,
           (select count(*) from listings where sku is not null) as listings_mapped,
           (select count(*) from listings where sku is null) as listings_unmapped,
           (select count(*) from base_prices) as base_prices,
           (select count(*) from costs) as costs
    """
)


async def list_products(
    connection: AsyncConnection, *, after: Sequence[str] | None, limit: int
) -> Sequence[RowMapping]:
    """Products by code."""
    return await _page(connection, select(products), products, after, limit)


async def find_product(connection: AsyncConnection, code: str) -> RowMapping | None:
    """One product."""
    return await _one(connection, select(products).where(products.c.product_code == code))


async def list_skus(
    connection: AsyncConnection,
    *,
    product_code: str | None,
    barcode: str | None,
    prefix: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """SKUs by code; each filter narrows the list."""
    statement = _where(select(skus), skus, product_code=product_code, barcode=barcode)
    if prefix is not None:
        statement = statement.where(func.starts_with(skus.c.sku, prefix))
    return await _page(connection, statement, skus, after, limit)


async def find_sku(connection: AsyncConnection, sku: str) -> RowMapping | None:
    """One SKU."""
    return await _one(connection, select(skus).where(skus.c.sku == sku))


async def list_listings(
    connection: AsyncConnection,
    *,
    channel: str | None,
    shop: str | None,
    sku: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Listings by channel, shop and listing; each filter narrows the list."""
    statement = _where(select(listings), listings, channel=channel, shop=shop, sku=sku)
    return await _page(connection, statement, listings, after, limit)


async def list_prices(connection: AsyncConnection, *, sku: str) -> Sequence[RowMapping]:
    """A SKU's base prices, by currency."""
    statement = select(base_prices).where(base_prices.c.sku == sku).order_by(base_prices.c.currency)
    return await _all(connection, statement)


async def list_price_history(
    connection: AsyncConnection, *, sku: str, currency: str, before: int | None, limit: int
) -> Sequence[RowMapping]:
    """All that a base price ever was, newest first, from before a version."""
    statement = _where(select(price_history), price_history, sku=sku, currency=currency)
    if before is not None:
        statement = statement.where(price_history.c.version < before)
    statement = statement.order_by(price_history.c.version.desc()).limit(limit)
    return await _all(connection, statement)


async def list_costs(
    connection: AsyncConnection, *, sku: str | None, currency: str | None, after: Sequence[Any] | None, limit: int
) -> Sequence[RowMapping]:
    """Costs by SKU, currency and the time from which they count; each filter narrows the list."""
    return await _page(connection, _where(select(costs), costs, sku=sku, currency=currency), costs, after, limit)


async def summary(connection: AsyncConnection) -> RowMapping:
    """How much of everything there is."""
    return (await connection.execute(_SUMMARY)).mappings().one()


def _where(statement: Select[Any], table: Table, **filters: str | None) -> Select[Any]:
    for name, value in filters.items():
        if value is not None:
            statement = statement.where(table.c[name] == value)
    return statement


async def _page(
    connection: AsyncConnection, statement: Select[Any], table: Table, after: Sequence[Any] | None, limit: int
) -> Sequence[RowMapping]:
    key = table.primary_key.columns
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    return await _all(connection, statement.order_by(*key).limit(limit))


async def _all(connection: AsyncConnection, statement: Select[Any]) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
    return rows


async def _one(connection: AsyncConnection, statement: Select[Any]) -> RowMapping | None:
    row: RowMapping | None = (await connection.execute(statement)).mappings().one_or_none()
    return row
