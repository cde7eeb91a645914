"""Writes. One statement per import, whatever its size.

Each answers one row per item, in the order given: `known` tells whether what the item refers to exists,
`version` is the new version of what changed and null where nothing did. Rows are locked in key order, so that two
imports at once cannot deadlock.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, TextClause, text

from oms_catalog.items import BasePrice, Cost, Item, Listing, ListingRef, Product, Sku
from oms_events.runtime.work import Work

_SAVE_PRODUCTS = text(
    """
    with given as (
        select * from unnest(cast(:product_code as text[]), cast(:title as text[]), cast(:category as text[]),
                             cast(:brand as text[]))
          with ordinality as given (product_code, title, category, brand, position)
    ), saved as (
        insert into products as p (product_code, title, category, brand, version, created_at, updated_at)
        select product_code, title, category, brand, 1, cast(:now as timestamptz), cast(:now as timestamptz)
          from given order by product_code collate "C"
        on conflict (product_code) do update
           set title = excluded.title, category = excluded.category, brand = excluded.brand,
               version = p.version + 1, updated_at = excluded.updated_at
         where (p.title, p.category, p.brand) is distinct from (excluded.title, excluded.category, excluded.brand)
        returning product_code, version
    )
    select true as known, saved.version
      from given left join saved using (product_code) order by given.position
    """
)
_SAVE_SKUS = text(
    """
    with given as (
        select sku, product_code, title, barcode, unit, weight_g, length_mm, width_mm, height_mm,
               string_to_array(flags, ',') as flags, active, position
          from unnest(cast(:sku as text[]), cast(:product_code as text[]), cast(:title as text[]),
                      cast(:barcode as text[]), cast(:unit as text[]), cast(:weight_g as integer[]),
                      cast(:length_mm as integer[]), cast(:width_mm as integer[]), cast(:height_mm as integer[]),
                      cast(:flags as text[]), cast(:active as boolean[]))
          with ordinality as given (sku, product_code, title, barcode, unit, weight_g, length_mm, width_mm, height_mm,
                                    flags, active, position)
    ), saved as (
        insert into skus as s (sku, product_code, title, barcode, unit, weight_g, length_mm, width_mm, height_mm,
                               flags, active, version, created_at, updated_at)
        select sku, product_code, given.title, barcode, unit, weight_g, length_mm, width_mm, height_mm,
               flags, active, 1, cast(:now as timestamptz), cast(:now as timestamptz)
          from given join products using (product_code) order by sku collate "C"
        on conflict (sku) do update
           set product_code = excluded.product_code, title = excluded.title, barcode = excluded.barcode,
               unit = excluded.unit, weight_g = excluded.weight_g, length_mm = excluded.length_mm,
               width_mm = excluded.width_mm, height_mm = excluded.height_mm, flags = excluded.flags,
               active = excluded.active, version = s.version + 1, updated_at = excluded.updated_at
         where (s.product_code, s.title, s.barcode, s.unit, s.weight_g, s.length_mm, s.width_mm, s.height_mm,
                s.flags, s.active)
               is distinct from
               (excluded.product_code, excluded.title, excluded.barcode, excluded.unit, excluded.weight_g,
                excluded.length_mm, excluded.width_mm, excluded.height_mm, excluded.flags, excluded.active)
        returning sku, version
    )
    select products.product_code is not null as known, saved.version
      from given left join products using (product_code) left join saved using (sku) order by given.position
    """
)
_SAVE_LISTINGS = text(
    """
    with given as (
        select * from unnest(cast(:channel as text[]), cast(:shop as text[]), cast(:listing as text[]),
                             cast(:sku as text[]))
          with ordinality as given (channel, shop, listing, sku, position)
    ), saved as (
        insert into listings as l (channel, shop, listing, sku, version, created_at, updated_at)
        select channel, shop, listing, sku, 1, cast(:now as timestamptz), cast(:now as timestamptz)
          from given join skus using (sku) order by channel collate "C", shop collate "C", listing collate "C"
        on conflict (channel, shop, listing) do update
           set sku = excluded.sku, version = l.version + 1, updated_at = excluded.updated_at
         where l.sku is distinct from excluded.sku
        returning channel, shop, listing, version
    )
    select skus.sku is not null as known, saved.version
      from given left join skus using (sku) left join saved using (channel, shop, listing) order by given.position
    """
)
_SAVE_PRICES = text(
    """
    with given as (
        select * from unnest(cast(:sku as text[]), cast(:currency as text[]), cast(:amount_minor as bigint[]),
                             cast(:valid_from as timestamptz[]))
          with ordinality as given (sku, currency, amount_minor, valid_from, position)
    ), wanted as (
        -- Without a time of its own a price counts from now; but the price that counts already is no change.
        select sku, currency, given.amount_minor,
               coalesce(given.valid_from,
                        case when p.amount_minor = given.amount_minor then p.valid_from end,
                        cast(:now as timestamptz)) as valid_from
          from given join skus using (sku) left join base_prices p using (sku, currency)
    ), saved as (
        insert into base_prices as p (sku, currency, amount_minor, valid_from, version, created_at, updated_at)
        select sku, currency, amount_minor, valid_from, 1, cast(:now as timestamptz), cast(:now as timestamptz)
          from wanted order by sku collate "C", currency collate "C"
        on conflict (sku, currency) do update
           set amount_minor = excluded.amount_minor, valid_from = excluded.valid_from, version = p.version + 1,
               updated_at = excluded.updated_at
         where (p.amount_minor, p.valid_from) is distinct from (excluded.amount_minor, excluded.valid_from)
        returning sku, currency, amount_minor, valid_from, version, updated_at
    ), remembered as (
        insert into price_history (sku, currency, amount_minor, valid_from, version, set_at)
        select sku, currency, amount_minor, valid_from, version, updated_at from saved
    )
    select skus.sku is not null as known, saved.version, saved.valid_from
      from given left join skus using (sku) left join saved using (sku, currency) order by given.position
    """
)
_SAVE_COSTS = text(
    """
    with given as (
        select * from unnest(cast(:sku as text[]), cast(:currency as text[]), cast(:amount_minor as bigint[]),
                             cast(:valid_from as timestamptz[]))
          with ordinality as given (sku, currency, amount_minor, valid_from, position)
    ), wanted as (
        -- Without a time of its own a cost counts from now; but the cost that counts already is no change.
        select sku, currency, given.amount_minor, position, given.valid_from is null as implied,
               coalesce(given.valid_from,
                        case when counts.amount_minor = given.amount_minor then counts.valid_from end,
                        cast(:now as timestamptz)) as valid_from
          from given join skus using (sku)
          left join lateral (
              select c.amount_minor, c.valid_from from costs c
               where c.sku = given.sku and c.currency = given.currency and c.valid_from <= cast(:now as timestamptz)
               order by c.valid_from desc limit 1) counts on true
    ), saved as (
        insert into costs as c (sku, currency, valid_from, amount_minor, version, created_at, updated_at)
        select distinct on (sku collate "C", currency collate "C", valid_from)
               sku, currency, valid_from, amount_minor, 1, cast(:now as timestamptz), cast(:now as timestamptz)
          from wanted order by sku collate "C", currency collate "C", valid_from, implied
        on conflict (sku, currency, valid_from) do update
           set amount_minor = excluded.amount_minor, version = c.version + 1, updated_at = excluded.updated_at
         where c.amount_minor is distinct from excluded.amount_minor
        returning sku, currency, valid_from, amount_minor, version
    )
    select skus.sku is not null as known, saved.version, saved.valid_from
      from given left join skus using (sku) left join wanted using (position)
      left join saved on saved.sku = wanted.sku and saved.currency = wanted.currency
                     and saved.valid_from = wanted.valid_from and saved.amount_minor = wanted.amount_minor
     order by given.position
    """
)
_UNMAP_LISTING = text(
    """
    with unmapped as (
        update listings set sku = null, version = version + 1, updated_at = :now
         where channel = :channel and shop = :shop and listing = :listing and sku is not null
        returning version
    )
    select (select version from unmapped) as version
      from listings where channel = :channel and shop = :shop and listing = :listing
    """
)


async def save_products(work: Work, products: Sequence[Product]) -> Sequence[Row[Any]]:
    """Create or change products."""
    return await _save(work, _SAVE_PRODUCTS, _columns(products))


async def save_skus(work: Work, skus: Sequence[Sku]) -> Sequence[Row[Any]]:
    """Create or change SKUs of known products."""
    # An array of arrays would have to be rectangular, so each set of flags travels as one text.
    flags = [",".join(sorted(sku.flags)) for sku in skus]
    return await _save(work, _SAVE_SKUS, _columns(skus) | {"flags": flags})


async def save_listings(work: Work, listings: Sequence[Listing]) -> Sequence[Row[Any]]:
    """Map listings to known SKUs."""
    return await _save(work, _SAVE_LISTINGS, _columns(listings))


async def save_prices(work: Work, prices: Sequence[BasePrice]) -> Sequence[Row[Any]]:
    """Set base prices of known SKUs and remember each change. Rows also carry the `valid_from` that was saved."""
    return await _save(work, _SAVE_PRICES, _columns(prices))


async def save_costs(work: Work, costs: Sequence[Cost]) -> Sequence[Row[Any]]:
    """Set costs of known SKUs. Rows also carry the `valid_from` that was saved."""
    return await _save(work, _SAVE_COSTS, _columns(costs))


async def unmap_listing(work: Work, ref: ListingRef) -> Row[Any] | None:
    """Take the SKU away; `version` is null when there was none. None: there is no such listing."""
    return (await work.connection.execute(_UNMAP_LISTING, ref.model_dump() | {"now": work.now})).one_or_none()


async def _save(work: Work, statement: TextClause, columns: dict[str, list[Any]]) -> Sequence[Row[Any]]:
    return (await work.connection.execute(statement, columns | {"now": work.now})).all()


def _columns(items: Sequence[Item]) -> dict[str, list[Any]]:
    """Items as one array per field, under the field's name."""
    return {name: [getattr(item, name) for item in items] for name in type(items[0]).model_fields}
