"""Products, SKUs, costs and rate cards: one statement each, and an older version never replaces a newer one."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.domain.prices import Cost, Prices, Rate
from oms_events.contracts.catalog import CostSet, ProductDefined, SkuDefined
from oms_events.contracts.settlement import RateCardSet
from oms_events.envelope import EventMeta, Received

_SAVE_PRODUCTS = text(
    """
    insert into products as known (product_code, category, version)
    select * from unnest(cast(:product_code as text[]), cast(:category as text[]), cast(:version as int[]))
    on conflict (product_code) do update set category = excluded.category, version = excluded.version
     where known.version < excluded.version
    """
)
_SAVE_SKUS = text(
    """
    insert into skus as known (sku, product_code, title, version)
    select * from unnest(cast(:sku as text[]), cast(:product_code as text[]), cast(:title as text[]),
                         cast(:version as int[]))
    on conflict (sku) do update
       set product_code = excluded.product_code, title = excluded.title, version = excluded.version
     where known.version < excluded.version
    """
)
_SAVE_COSTS = text(
    """
    with saved as (
        insert into costs as known (sku, currency, valid_from, amount_minor, version)
        select * from unnest(cast(:sku as text[]), cast(:currency as text[]), cast(:valid_from as timestamptz[]),
                             cast(:amount_minor as bigint[]), cast(:version as int[]))
        on conflict (sku, currency, valid_from) do update
           set amount_minor = excluded.amount_minor, version = excluded.version
         where known.version < excluded.version
        returning sku, valid_from)
    insert into changed_prices (sku, valid_from) select sku, min(valid_from) from saved group by sku
    """
)
_SAVE_RATE_CARDS = text(
    """
    with saved as (
        insert into rate_cards (channel, shop, component, currency, version, valid_from, rate_ppm, fixed_minor,
                                min_minor, max_minor)
        select * from unnest(cast(:channel as text[]), cast(:shop as text[]), cast(:component as text[]),
                             cast(:currency as text[]), cast(:version as text[]), cast(:valid_from as timestamptz[]),
                             cast(:rate_ppm as int[]), cast(:fixed_minor as bigint[]), cast(:min_minor as bigint[]),
                             cast(:max_minor as bigint[]))
        on conflict do nothing
        returning channel, shop, valid_from)
    insert into changed_prices (channel, shop, valid_from)
    select channel, shop, min(valid_from) from saved group by channel, shop
    """
)
_COSTS = text("select sku, currency, valid_from, amount_minor from costs where sku = any(cast(:skus as text[]))")
_RATES = text(
    """
    select channel, shop, component, currency, version, valid_from, rate_ppm, fixed_minor, min_minor, max_minor
      from rate_cards where channel = any(cast(:channels as text[]))
    """
)
_SUMMARY = text(
    """
    select (select count(*) from order_profits) as orders, (select count(*) from facts) as facts,
           (select coalesce(sum(cardinality(order_ids)), 0) from changed_orders) as changed_orders,
           (select count(*) from skus) as skus, (select count(*) from costs) as costs,
           (select count(*) from rate_cards) as rate_cards
    """
)


def version_of(meta: EventMeta) -> int:
    """Which of several versions of one thing this is: the higher counts."""
    return meta.sequence or 0


async def save_products(connection: AsyncConnection, defined: Sequence[Received[ProductDefined]]) -> None:
    await connection.execute(_SAVE_PRODUCTS, _columns(defined, "product_code", "category"))


async def save_skus(connection: AsyncConnection, defined: Sequence[Received[SkuDefined]]) -> None:
    await connection.execute(_SAVE_SKUS, _columns(defined, "sku", "product_code", "title"))


async def save_costs(connection: AsyncConnection, costs: Sequence[Received[CostSet]]) -> None:
    """Save costs and note which are news."""
    await connection.execute(_SAVE_COSTS, _columns(costs, "sku", "currency", "valid_from", "amount_minor"))


async def save_rate_cards(connection: AsyncConnection, cards: Sequence[RateCardSet]) -> None:
    """Save rate cards and note which are news: a version that is known never changes."""
    names = ("channel", "shop", "component", "currency", "version", "valid_from", "rate_ppm", "fixed_minor")
    columns = {name: [getattr(card, name) for card in cards] for name in (*names, "min_minor", "max_minor")}
    await connection.execute(_SAVE_RATE_CARDS, columns)


async def prices(connection: AsyncConnection, skus: Collection[str], channels: Collection[str]) -> Prices:
    """What these SKUs ever cost and these channels ever charged."""
    costs = await connection.execute(_COSTS, {"skus": list(skus)})
    rates = await connection.execute(_RATES, {"channels": list(channels)})
    return Prices([Cost(*row) for row in costs], [Rate(*row) for row in rates])


async def summary(connection: AsyncConnection) -> RowMapping:
    return (await connection.execute(_SUMMARY)).mappings().one()


def _columns(received: Sequence[Received[Any]], *names: str) -> dict[str, list[Any]]:
    """One array per field, and the versions."""
    columns = {name: [getattr(item.event, name) for item in received] for name in names}
    return columns | {"version": [version_of(item.meta) for item in received]}
