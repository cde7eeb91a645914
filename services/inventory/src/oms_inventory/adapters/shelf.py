"""The shelf: balances and their ledger, loaded under lock and saved together.

Locks are taken in one order everywhere: orders first, then the channel rules, then pools by SKU. A pool's lock
covers the stock rows and shop counters of its SKU, which nobody changes without it. So a hot SKU is locked once
per batch, and batches wait for each other instead of deadlocking; where several handlers share a transaction, the pools
of all are locked before the first (`lock`). The exceptions are rare, and the runtime repeats the loser: a SKU met for
the first time by two batches at once, whose pool is created after others are locked, and one that an event does not
name but a line stored before.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import Writing
from oms_inventory.domain.channel import ChannelRule, Shop
from oms_inventory.domain.stock import Cell, Movement, Pool, Shares, Stock

MAIN_POOL = "main"
"""The pool of all nodes that serve. Every node joins it with its first stock."""

_RULES = text(
    """
    select channel, shop, sku, percent, plus, minimum, maximum from channel_rules
     where (channel, shop) in (select * from unnest(cast(:channels as text[]), cast(:shops as text[])))
       and (sku = '' or sku = any(cast(:skus as text[])))
    """
)
_SHOP_RESERVED = text(
    """
    select channel, shop, sku, reserved from shop_reserved
     where (channel, shop) in (select * from unnest(cast(:channels as text[]), cast(:shops as text[])))
       and sku = any(cast(:skus as text[]))
    """
)
_LOCK_POOLS = text(
    """
    select sku, base, reserved from pools
     where pool = :pool and sku = any(cast(:skus as text[])) order by sku for update
    """
)
_LOCK_FREE_POOLS = text(
    """
    select sku, base, reserved from pools
     where pool = :pool and sku = any(cast(:skus as text[])) order by sku for update skip locked
    """
)
_CREATE_POOLS = text(
    """
    insert into pools (pool, sku)
    select :pool, sku from unnest(cast(:skus as text[])) as sku order by sku
    on conflict do nothing
    """
)
_CELLS = text(
    """
    select stock.sku, stock.node, on_hand, allocated, safety_stock, wms_reported, wms_reported_at, wms_difference,
           exists (select 1 from pool_nodes where pool = :pool and pool_nodes.node = stock.node) as in_pool
      from unnest(cast(:skus as text[]), cast(:nodes as text[])) as wanted(sku, node)
      join stock on stock.sku = wanted.sku and stock.node = wanted.node
    """
)
_SAVE_POOLS = text(
    """
    update pools set base = saved.base, reserved = saved.reserved, dirty = true
      from unnest(cast(:skus as text[]), cast(:bases as bigint[]), cast(:reserved as bigint[]))
           as saved(sku, base, reserved)
     where pools.pool = :pool and pools.sku = saved.sku
    """
)
_SAVE_CELLS = text(
    """
    insert into stock (sku, node, on_hand, allocated, safety_stock, wms_reported, wms_reported_at, wms_difference)
    select * from unnest(
        cast(:skus as text[]), cast(:nodes as text[]), cast(:on_hand as bigint[]), cast(:allocated as bigint[]),
        cast(:safety_stock as bigint[]), cast(:wms_reported as bigint[]), cast(:wms_reported_at as timestamptz[]),
        cast(:wms_difference as bigint[]))
    on conflict (sku, node) do update set
        on_hand = excluded.on_hand, allocated = excluded.allocated, safety_stock = excluded.safety_stock,
        wms_reported = excluded.wms_reported, wms_reported_at = excluded.wms_reported_at,
        wms_difference = excluded.wms_difference, updated_at = now()
    """
)
_JOIN_POOL = text(
    """
    insert into pool_nodes (pool, node)
    select :pool, node from unnest(cast(:nodes as text[])) as node on conflict do nothing
    """
)
_SAVE_SHOP_RESERVED = text(
    """
    insert into shop_reserved (channel, shop, sku, reserved)
    select * from unnest(
        cast(:channels as text[]), cast(:shops as text[]), cast(:skus as text[]), cast(:reserved as bigint[]))
    on conflict (channel, shop, sku) do update set reserved = excluded.reserved
    """
)
_WRITE_MOVEMENTS = text(
    """
    insert into movements (sku, node, on_hand, allocated, reserved, on_hand_after, allocated_after, reserved_after,
                           reason, event_id, occurred_at, order_id, line_id, shipment_id, document)
    select * from unnest(
        cast(:sku as text[]), cast(:node as text[]), cast(:on_hand as bigint[]), cast(:allocated as bigint[]),
        cast(:reserved as bigint[]), cast(:on_hand_after as bigint[]), cast(:allocated_after as bigint[]),
        cast(:reserved_after as bigint[]), cast(:reason as text[]), cast(:event_id as uuid[]),
        cast(:occurred_at as timestamptz[]), cast(:order_id as uuid[]), cast(:line_id as text[]),
        cast(:shipment_id as uuid[]), cast(:document as text[]))
    """
)


async def load(
    connection: AsyncConnection,
    skus: Collection[str],
    *,
    shops: Collection[Shop] = (),
    cells: Collection[tuple[str, str]] = (),
    create: bool = False,
) -> Stock:
    """The stock of these SKUs, locked. `create` makes pools of SKUs that nobody ever stocked."""
    shares = await load_shares(connection, skus, shops)
    pools = await _lock_pools(connection, skus)
    if create and (missing := set(skus) - pools.keys()):
        await connection.execute(_CREATE_POOLS, {"pool": MAIN_POOL, "skus": list(missing)})
        pools |= await _lock_pools(connection, missing)
    return Stock(pools, await _load_cells(connection, cells), shares)


async def lock(connection: AsyncConnection, skus: Collection[str]) -> None:
    """Lock the pools of all that several handlers of one transaction will load."""
    await load_shares(connection, (), ())  # before any pool, as each of them does
    await _lock_pools(connection, skus)


async def load_free(connection: AsyncConnection, skus: Collection[str], *, shops: Collection[Shop]) -> Stock:
    """Like `load`, for a transaction that holds pools already: what others hold is left out, not waited for."""
    shares = await load_shares(connection, skus, shops)
    rows = await connection.execute(_LOCK_FREE_POOLS, {"pool": MAIN_POOL, "skus": list(skus)})
    return Stock({sku: Pool(base, reserved) for sku, base, reserved in rows}, {}, shares)


async def load_shares(connection: AsyncConnection, skus: Collection[str], shops: Iterable[Shop]) -> Shares:
    """Channel rules, and what shops under a rule have reserved.

    Reading the rules keeps them as they are until this transaction ends: whoever changes one waits for it. That is
    why they are read even when no shop is asked for, and before any pool is locked.
    """
    ordered = list(shops)
    asked = {"channels": [s.channel for s in ordered], "shops": [s.shop for s in ordered], "skus": list(skus)}
    rules = {
        (Shop(channel, shop), sku): ChannelRule(*rule)
        for channel, shop, sku, *rule in await connection.execute(_RULES, asked)
    }
    if not rules:
        return Shares({}, {})
    rows = await connection.execute(_SHOP_RESERVED, asked)
    return Shares(rules, {(Shop(channel, shop), sku): reserved for channel, shop, sku, reserved in rows})


async def _lock_pools(connection: AsyncConnection, skus: Collection[str]) -> dict[str, Pool]:
    rows = await connection.execute(_LOCK_POOLS, {"pool": MAIN_POOL, "skus": list(skus)})
    return {sku: Pool(base, reserved) for sku, base, reserved in rows}


async def _load_cells(connection: AsyncConnection, cells: Collection[tuple[str, str]]) -> dict[tuple[str, str], Cell]:
    if not cells:
        return {}
    skus, nodes = zip(*cells, strict=True)
    rows = await connection.execute(_CELLS, {"pool": MAIN_POOL, "skus": list(skus), "nodes": list(nodes)})
    return {(sku, node): Cell(*values) for sku, node, *values in rows}


async def save(writing: Writing, stock: Stock) -> None:
    """Write what moved: the ledger, and the balances it leads to."""
    touched = {movement.sku for movement in stock.movements} | {sku for sku, _ in stock.recounted}
    if not touched:
        return
    await _save_pools(writing, stock, touched)
    if stock.new_nodes:
        await writing.execute(_JOIN_POOL, {"pool": MAIN_POOL, "nodes": sorted(stock.new_nodes)})
    cells = {(m.sku, m.node) for m in stock.movements if m.node is not None} | stock.recounted
    await _save_cells(writing, stock, cells)
    await _save_shop_reserved(writing, stock.shares)
    if stock.movements:
        columns = zip(*stock.movements, strict=True)
        await writing.execute(_WRITE_MOVEMENTS, dict(zip(Movement._fields, map(list, columns), strict=True)))


async def _save_pools(writing: Writing, stock: Stock, skus: Collection[str]) -> None:
    pools = [stock.pools[sku] for sku in skus]
    await writing.execute(
        _SAVE_POOLS,
        {
            "pool": MAIN_POOL,
            "skus": list(skus),
            "bases": [pool.base for pool in pools],
            "reserved": [pool.reserved for pool in pools],
        },
    )


async def _save_cells(writing: Writing, stock: Stock, keys: Collection[tuple[str, str]]) -> None:
    if not keys:
        return
    cells = [stock.cells[key] for key in keys]
    await writing.execute(
        _SAVE_CELLS,
        {
            "skus": [sku for sku, _ in keys],
            "nodes": [node for _, node in keys],
            "on_hand": [cell.on_hand for cell in cells],
            "allocated": [cell.allocated for cell in cells],
            "safety_stock": [cell.safety_stock for cell in cells],
            "wms_reported": [cell.wms_reported for cell in cells],
            "wms_reported_at": [cell.wms_reported_at for cell in cells],
            "wms_difference": [cell.wms_difference for cell in cells],
        },
    )


async def _save_shop_reserved(writing: Writing, shares: Shares) -> None:
    if not shares.changed:
        return
    keys = sorted(shares.changed)
    await writing.execute(
        _SAVE_SHOP_RESERVED,
        {
            "channels": [shop.channel for shop, _ in keys],
            "shops": [shop.shop for shop, _ in keys],
            "skus": [sku for _, sku in keys],
            "reserved": [shares.reserved[key] for key in keys],
        },
    )
