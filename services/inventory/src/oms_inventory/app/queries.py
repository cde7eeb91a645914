"""What the API answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_inventory.adapters import reading, shelf
from oms_inventory.domain.channel import Shop, shop_limit
from oms_inventory.domain.stock import Pool

Row = dict[str, Any]

_LISTED_DIFFERENCES = 500
_LAST = 2**63 - 1


async def stock_of(connection: AsyncConnection, sku: str) -> Row | None:
    """All four layers of a SKU, with numbers that add up; None when nobody ever stocked or listed it."""
    pools = await _pools(connection, [sku])
    if sku not in pools:
        return None
    pool = pools[sku]
    nodes = await reading.rows(connection, reading.CELLS_OF_SKU, sku=sku)
    shops = await reading.rows(connection, reading.SHOPS_OF_SKU, sku=sku)
    shares = await shelf.load_shares(connection, [sku], [Shop(row["channel"], row["shop"]) for row in shops])
    for row in shops:
        shop = Shop(row["channel"], row["shop"])
        rule = shares.rule(shop, sku)
        row["rule"] = rule._asdict() if rule else None
        row["limit"] = shop_limit(rule, pool_base=pool.base, reserved_by_shop=row["reserved"]) if rule else None
        row["sellable"] = shares.sellable(shop, sku, pool)
    return {
        "sku": sku,
        "on_hand": sum(node["on_hand"] for node in nodes),
        "allocated": sum(node["allocated"] for node in nodes),
        "pool_base": pool.base,
        "reserved": pool.reserved,
        "available": pool.available,
        "nodes": nodes,
        "shops": shops,
    }


async def stock_page(
    connection: AsyncConnection, *, node: str | None, after: tuple[str, str], limit: int
) -> Sequence[Row]:
    """Stock at nodes by SKU and node."""
    return await reading.rows(
        connection, reading.STOCK_PAGE, node=node, after_sku=after[0], after_node=after[1], limit=limit
    )


async def availability(connection: AsyncConnection, shop: Shop, skus: Sequence[str]) -> Sequence[Row]:
    """What a shop may sell of each SKU now; zero of what nobody ever stocked."""
    pools = await _pools(connection, skus)
    shares = await shelf.load_shares(connection, skus, [shop])
    return [{"sku": sku, "sellable": shares.sellable(shop, sku, pools.get(sku, Pool()))} for sku in skus]


async def _pools(connection: AsyncConnection, skus: Sequence[str]) -> dict[str, Pool]:
    found = await reading.rows(connection, reading.POOLS_OF_SKUS, skus=list(skus))
    return {row["sku"]: Pool(row["base"], row["reserved"]) for row in found}


async def reservation(connection: AsyncConnection, order_id: UUID) -> Row | None:
    """What is held for an order, at the pool and at nodes."""
    found = await reading.rows(connection, reading.RESERVATION, order_id=order_id)
    if not found:
        return None
    lines = await reading.rows(connection, reading.RESERVATION_LINES, order_id=order_id)
    allocations = await reading.rows(connection, reading.ALLOCATIONS_OF_ORDER, order_id=order_id)
    return found[0] | {"lines": lines, "allocations": allocations}


async def movements(
    connection: AsyncConnection, sku: str, *, limit: int, after: int = 0, before: int = _LAST
) -> Sequence[Row]:
    """The ledger of a SKU, oldest first."""
    return await reading.rows(connection, reading.MOVEMENTS, sku=sku, after=after, before=before, limit=limit)


async def newest_movements(connection: AsyncConnection, sku: str, *, limit: int, before: int = _LAST) -> Sequence[Row]:
    """The ledger of a SKU, newest first."""
    return await reading.rows(connection, reading.NEWEST_MOVEMENTS, sku=sku, after=0, before=before, limit=limit)


async def waiting_orders(connection: AsyncConnection, *, after: tuple[datetime, UUID], limit: int) -> Sequence[Row]:
    """Orders that wait for stock, oldest first."""
    return await reading.rows(connection, reading.WAITING, after_at=after[0], after_id=after[1], limit=limit)


async def reconcile(connection: AsyncConnection) -> Sequence[Row]:
    """Where balances, ledger and documents disagree; empty when every quantity explains itself.

    It adds up the whole ledger: cheap enough on demand, nothing for a hot path.
    """
    return await reading.rows(connection, reading.DIFFERENCES, limit=_LISTED_DIFFERENCES)


async def summary(connection: AsyncConnection) -> Row:
    """Totals by layer."""
    return (await reading.rows(connection, reading.SUMMARY))[0]
