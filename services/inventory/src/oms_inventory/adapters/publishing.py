"""Who lists a SKU, and what shops and fulfilment were told of its stock."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic_core import from_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.documents import to_document
from oms_inventory.adapters.shelf import MAIN_POOL
from oms_inventory.domain.channel import Shop
from oms_inventory.domain.stock import Pool

_SAVE_LISTINGS = text(
    """
    insert into shop_listings (listing_key, channel, shop, sku, sequence)
    select * from unnest(
        cast(:keys as text[]), cast(:channels as text[]), cast(:shops as text[]), cast(:skus as text[]),
        cast(:sequences as bigint[]))
    on conflict (listing_key) do update set sku = excluded.sku, sequence = excluded.sequence
     where shop_listings.sequence <= excluded.sequence
    """
)
_COMPARE_AGAIN = text(
    """
    insert into pools (pool, sku)
    select :pool, sku from unnest(cast(:skus as text[])) as sku order by sku
    on conflict (pool, sku) do update set dirty = true
    """
)
_COMPARE_SHOP_AGAIN = text(
    """
    update pools set dirty = true
     where pool = :pool and sku in (select sku from shop_listings where channel = :channel and shop = :shop)
    """
)
# Those longest not looked at come first, so that a storm on some SKUs does not keep others from being told.
_TAKE_DIRTY = text(
    """
    with page as materialized (
        select sku from pools where pool = :pool and dirty order by compared_at limit :page)
    select pools.sku, base, reserved from pools join page on page.sku = pools.sku
     where pool = :pool order by pools.sku for update of pools
    """
)
_COMPARED = text(
    """
    update pools set dirty = false, compared_at = :now
     where pool = :pool and sku = any(cast(:skus as text[]))
    """
)
_SHOPS = text(
    """
    select distinct listed.sku, listed.channel, listed.shop, told.sellable, told.change_no
      from shop_listings listed
      left join channel_stock told
             on told.sku = listed.sku and told.channel = listed.channel and told.shop = listed.shop
     where listed.sku = any(cast(:skus as text[]))
     order by listed.sku, listed.channel, listed.shop
    """
)
_NODES = text(
    """
    select sku, node, on_hand - allocated as available from stock
     where sku = any(cast(:skus as text[])) order by sku, node
    """
)
_TOLD_NODES = text(
    "select sku, cast(available as text) as available, change_no from node_stock where sku = any(cast(:skus as text[]))"
)
_TELL_SHOPS = text(
    """
    insert into channel_stock (sku, channel, shop, sellable, change_no)
    select * from unnest(
        cast(:skus as text[]), cast(:channels as text[]), cast(:shops as text[]), cast(:sellable as bigint[]),
        cast(:change_nos as bigint[]))
    on conflict (sku, channel, shop) do update set
        sellable = excluded.sellable, change_no = excluded.change_no, updated_at = now()
    """
)
_TELL_NODES = text(
    """
    insert into node_stock (sku, available, change_no)
    select sku, cast(available as jsonb), change_no from unnest(
        cast(:skus as text[]), cast(:available as text[]), cast(:change_nos as bigint[]))
        as told(sku, available, change_no)
    on conflict (sku) do update set
        available = excluded.available, change_no = excluded.change_no, updated_at = now()
    """
)


class Listing(NamedTuple):
    """A shop's item and the SKU it sells, None for none. `sequence` grows with every change of it."""

    key: str
    shop: Shop
    sku: str | None
    sequence: int


class ToldShop(NamedTuple):
    """A shop that lists a SKU, and what it was told last."""

    sku: str
    shop: Shop
    sellable: int | None
    change_no: int


class Nodes(NamedTuple):
    """What nodes can give of a SKU."""

    available: dict[str, int]
    change_no: int


async def save_listings(connection: AsyncConnection, listings: Iterable[Listing]) -> None:
    """Write listings, the newest of each key; an older one than is known changes nothing."""
    newest = {listing.key: listing for listing in listings}.values()
    await connection.execute(
        _SAVE_LISTINGS,
        {
            "keys": [listing.key for listing in newest],
            "channels": [listing.shop.channel for listing in newest],
            "shops": [listing.shop.shop for listing in newest],
            "skus": [listing.sku for listing in newest],
            "sequences": [listing.sequence for listing in newest],
        },
    )


async def compare_again(connection: AsyncConnection, skus: Iterable[str]) -> None:
    """Look at these SKUs in the next round, even those never stocked: zero is worth telling too."""
    await connection.execute(_COMPARE_AGAIN, {"pool": MAIN_POOL, "skus": sorted(set(skus))})


async def compare_shop_again(connection: AsyncConnection, shop: Shop) -> None:
    """Look at everything that a shop lists in the next round."""
    await connection.execute(_COMPARE_SHOP_AGAIN, {"pool": MAIN_POOL, "channel": shop.channel, "shop": shop.shop})


async def take_dirty(connection: AsyncConnection, *, now: datetime, page: int) -> dict[str, Pool]:
    """Pools that changed since they were last compared, locked, and marked as compared."""
    rows = await connection.execute(_TAKE_DIRTY, {"pool": MAIN_POOL, "page": page})
    pools = {sku: Pool(base, reserved) for sku, base, reserved in rows}
    if pools:
        await connection.execute(_COMPARED, {"pool": MAIN_POOL, "skus": list(pools), "now": now})
    return pools


async def told_shops(connection: AsyncConnection, skus: Iterable[str]) -> list[ToldShop]:
    """Shops that list these SKUs."""
    rows = await connection.execute(_SHOPS, {"skus": list(skus)})
    return [ToldShop(sku, Shop(channel, shop), told, no or 0) for sku, channel, shop, told, no in rows]


async def nodes(connection: AsyncConnection, skus: Iterable[str]) -> dict[str, dict[str, int]]:
    """What each node can give of these SKUs now."""
    found: dict[str, dict[str, int]] = {}
    for sku, node, available in await connection.execute(_NODES, {"skus": list(skus)}):
        found.setdefault(sku, {})[node] = max(0, available)
    return found


async def told_nodes(connection: AsyncConnection, skus: Iterable[str]) -> dict[str, Nodes]:
    """What fulfilment was told of these SKUs."""
    rows = await connection.execute(_TOLD_NODES, {"skus": list(skus)})
    return {sku: Nodes(from_json(available), change_no) for sku, available, change_no in rows}


async def tell_shops(connection: AsyncConnection, told: Sequence[ToldShop]) -> None:
    """Note what shops are told."""
    if told:
        await connection.execute(
            _TELL_SHOPS,
            {
                "skus": [item.sku for item in told],
                "channels": [item.shop.channel for item in told],
                "shops": [item.shop.shop for item in told],
                "sellable": [item.sellable for item in told],
                "change_nos": [item.change_no for item in told],
            },
        )


async def tell_nodes(connection: AsyncConnection, told: dict[str, Nodes]) -> None:
    """Note what fulfilment is told."""
    if told:
        await connection.execute(
            _TELL_NODES,
            {
                "skus": list(told),
                "available": [to_document(item.available) for item in told.values()],
                "change_nos": [item.change_no for item in told.values()],
            },
        )
