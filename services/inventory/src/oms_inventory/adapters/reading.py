"""What queries read. Nothing here takes a lock."""

from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_inventory.adapters.shelf import MAIN_POOL

POOL = text("select base, reserved from pools where pool = :pool and sku = :sku").bindparams(pool=MAIN_POOL)
CELLS_OF_SKU = text(
    """
    select node, on_hand, allocated, on_hand - allocated as available, safety_stock,
           case when exists (select 1 from pool_nodes where pool = :pool and pool_nodes.node = stock.node)
                then greatest(0, on_hand - allocated - safety_stock) else 0 end as contribution,
           wms_reported, wms_reported_at, wms_difference
      from stock where sku = :sku order by node
    """
).bindparams(pool=MAIN_POOL)
SHOPS_OF_SKU = text(
    """
    with holding as (
        select channel, shop, sum(line.reserved) as reserved
          from reservation_lines line join reservations on reservations.order_id = line.order_id
         where line.reserved > 0 and line.ordered > line.cancelled + line.consumed and line.sku = :sku
         group by channel, shop
    ), listing as (
        select distinct channel, shop from shop_listings where sku = :sku
    )
    select channel, shop, cast(coalesce(holding.reserved, 0) as bigint) as reserved,
           told.sellable as told, told.change_no
      from holding full join listing using (channel, shop)
      left join (select * from channel_stock where sku = :sku) told using (channel, shop)
     order by channel, shop
    """
)
STOCK_PAGE = text(
    """
    select sku, node, on_hand, allocated, on_hand - allocated as available, safety_stock,
           wms_reported, wms_reported_at, wms_difference
      from stock
     where (cast(:node as text) is null or node = :node) and (sku, node) > (:after_sku, :after_node)
     order by sku, node limit :limit
    """
)
POOLS_OF_SKUS = text(
    "select sku, base, reserved from pools where pool = :pool and sku = any(cast(:skus as text[]))"
).bindparams(pool=MAIN_POOL)
RESERVATION = text("select order_id, channel, shop, state, version from reservations where order_id = :order_id")
RESERVATION_LINES = text(
    """
    select line_id, sku, ordered, cancelled, allocated, consumed, reserved
      from reservation_lines where order_id = :order_id order by line_id
    """
)
ALLOCATIONS_OF_ORDER = text(
    """
    select shipment_id, node, line_id, sku, planned, cancelled, rejected, consumed,
           greatest(0, planned - cancelled - rejected - consumed) as open, answer
      from allocations
     where order_id = :order_id order by shipment_id, line_id
    """
)
_MOVEMENTS = """
    select id, sku, node, on_hand, allocated, reserved, on_hand_after, allocated_after, reserved_after, reason,
           event_id, occurred_at, order_id, line_id, shipment_id, document
      from movements where sku = :sku and id > :after and id < :before
"""
MOVEMENTS = text(_MOVEMENTS + " order by id limit :limit")
NEWEST_MOVEMENTS = text(_MOVEMENTS + " order by id desc limit :limit")
WAITING = text(
    """
    select order_id, channel, shop, skus, received_at, retry_at
      from waiting_orders join reservations using (order_id)
     where (received_at, order_id) > (cast(:after_at as timestamptz), cast(:after_id as uuid))
     order by received_at, order_id limit :limit
    """
)
SUMMARY = text(
    """
    select count(*) as skus,
           cast(coalesce(sum(base), 0) as bigint) as pool_base,
           cast(coalesce(sum(reserved), 0) as bigint) as reserved,
           cast(coalesce(sum(greatest(0, base - reserved)), 0) as bigint) as available,
           (select cast(coalesce(sum(on_hand), 0) as bigint) from stock) as on_hand,
           (select cast(coalesce(sum(allocated), 0) as bigint) from stock) as allocated,
           (select count(*) from (
                select sku from pools where pool = :pool and base < reserved
                union select sku from stock where on_hand < allocated) as short) as oversold,
           (select count(*) from waiting_orders) as waiting_orders
      from pools where pool = :pool
    """
).bindparams(pool=MAIN_POOL)
# Balances against the ledger they are the sum of, and against the documents that explain them.
DIFFERENCES = text(
    """
    with ledger as materialized (
        select sku, node, sum(on_hand) as on_hand, sum(allocated) as allocated, sum(reserved) as reserved
          from movements group by sku, node
    ), set_aside as (
        select sku, node, sum(greatest(0, planned - cancelled - rejected - consumed)) as quantity
          from allocations group by sku, node
    ), held as (
        select sku, sum(reserved) as quantity from reservation_lines where reserved > 0 group by sku
    ), held_by_shop as (
        select channel, shop, sku, sum(line.reserved) as quantity
          from reservation_lines line join reservations using (order_id)
         where line.reserved > 0
           and exists (select 1 from channel_rules rule
                        where rule.channel = reservations.channel and rule.shop = reservations.shop
                          and rule.sku in ('', line.sku))
         group by channel, shop, sku
    ), given as (
        select sku, sum(greatest(0, on_hand - allocated - safety_stock)) as quantity
          from stock join pool_nodes using (node) where pool = :pool group by sku
    ), compared as (
        select 'on_hand_ledger' as kind, sku, node, null as detail,
               stock.on_hand as balance, ledger.on_hand as explained
          from stock full join (select * from ledger where node is not null) ledger using (sku, node)
        union all
        select 'allocated_ledger', sku, node, null, stock.allocated, ledger.allocated
          from stock full join (select * from ledger where node is not null) ledger using (sku, node)
        union all
        select 'allocated_shipments', sku, node, null, stock.allocated, set_aside.quantity
          from stock full join set_aside using (sku, node)
        union all
        select 'reserved_ledger', sku, null, null, pools.reserved, summed.reserved
          from (select * from pools where pool = :pool) pools
          full join (select sku, sum(reserved) as reserved from ledger group by sku) summed using (sku)
        union all
        select 'reserved_orders', sku, null, null, pools.reserved, held.quantity
          from (select * from pools where pool = :pool) pools full join held using (sku)
        union all
        select 'pool_base', sku, null, null, pools.base, given.quantity
          from (select * from pools where pool = :pool) pools full join given using (sku)
        union all
        select 'shop_reserved', sku, null, channel || '/' || shop, shop_reserved.reserved, held_by_shop.quantity
          from shop_reserved full join held_by_shop using (channel, shop, sku)
        union all
        select 'dispatched_unallocated', sku, node, cast(shipment_id as text), consumed,
               planned - cancelled - rejected
          from allocations where consumed > greatest(0, planned - cancelled - rejected)
    )
    select kind, sku, node, detail, cast(coalesce(balance, 0) as bigint) as balance,
           cast(coalesce(explained, 0) as bigint) as explained
      from compared where coalesce(balance, 0) <> coalesce(explained, 0)
     order by kind, sku, node, detail limit :limit
    """
).bindparams(pool=MAIN_POOL)


async def rows(connection: AsyncConnection, statement: TextClause, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - values of columns
    """All rows of a statement above."""
    return [dict(row) for row in (await connection.execute(statement, parameters)).mappings()]
