"""Orders worked out, and the roll-ups that they add up to."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.adapters.shares import from_document, to_document
from oms_analytics.domain.shares import (
    HOUR_COLUMNS,
    SHOP_COLUMNS,
    SKU_COLUMNS,
    Numbers,
    OrderProfit,
    Shares,
    ShopDay,
    ShopHour,
    SkuDay,
)
from oms_events.runtime import documents
from oms_events.runtime.together import Writing, together

_TYPES = {"day": "date", "hour": "timestamptz"}

_SHARES = text(
    """
    select cast(order_id as text) as order_id, channel, shop, placed_at, cast(shares as text) as shares
      from order_profits where order_id = any(cast(:order_ids as uuid[]))
    """
)
_SAVE = text(
    """
    insert into order_profits (order_id, channel, shop, currency, placed_at, skus, estimated_minor, accrued_minor,
                               settled_minor, expected_sum_minor, answered_sum_minor, shares)
    select order_id, channel, shop, currency, placed_at, array(select json_array_elements_text(skus)), estimated_minor,
           accrued_minor, settled_minor, expected_sum_minor, answered_sum_minor, shares
      from unnest(cast(:order_ids as uuid[]), cast(:channels as text[]), cast(:shops as text[]),
                  cast(:currencies as text[]), cast(:placed as timestamptz[]), cast(:skus as json[]),
                  cast(:estimated as bigint[]), cast(:accrued as bigint[]), cast(:settled as bigint[]),
                  cast(:expected as bigint[]), cast(:answered as bigint[]), cast(:shares as json[]))
        as given (order_id, channel, shop, currency, placed_at, skus, estimated_minor, accrued_minor, settled_minor,
                  expected_sum_minor, answered_sum_minor, shares)
    on conflict (order_id) do update
       set channel = excluded.channel, shop = excluded.shop, currency = excluded.currency,
           placed_at = excluded.placed_at, skus = excluded.skus, estimated_minor = excluded.estimated_minor,
           accrued_minor = excluded.accrued_minor, settled_minor = excluded.settled_minor,
           expected_sum_minor = excluded.expected_sum_minor, answered_sum_minor = excluded.answered_sum_minor,
           shares = excluded.shares
    """
)


class RollUp(NamedTuple):
    """A table of sums, its key and its columns."""

    table: str
    key: Sequence[str]
    columns: Sequence[str]
    add: TextClause


def _roll_up(table: str, key: Sequence[str], columns: Sequence[str]) -> RollUp:
    arrays = [f"cast(:{name} as {_TYPES.get(name, 'text')}[])" for name in key]
    arrays += [f"cast(:{name} as bigint[])" for name in columns]
    added = ", ".join(f"{name} = known.{name} + excluded.{name}" for name in columns)
    # In the order of the key: two processes that add to the same rows then wait for, not deadlock on, each other.
    statement = f"""
        insert into {table} as known ({", ".join((*key, *columns))})
        select * from unnest({", ".join(arrays)})
        on conflict ({", ".join(key)}) do update set {added}
        """
    return RollUp(table, key, columns, text(statement))


SHOP_DAYS = _roll_up("shop_days", ShopDay._fields, SHOP_COLUMNS)
SKU_DAYS = _roll_up("sku_days", SkuDay._fields, SKU_COLUMNS)
SHOP_HOURS = _roll_up("shop_hours", ShopHour._fields, HOUR_COLUMNS)


async def shares_of(connection: AsyncConnection, order_ids: Collection[str]) -> dict[str, Shares]:
    """What these orders have added to the roll-ups so far; nothing for those that were never worked out."""
    rows = await connection.execute(_SHARES, {"order_ids": list(order_ids)})
    return {row.order_id: from_document(row.shares, row.channel, row.shop, row.placed_at) for row in rows}


async def save(connection: AsyncConnection, orders: Mapping[str, OrderProfit], change: Shares) -> None:
    """Save orders and add what changed to the roll-ups."""
    async with together(connection) as writing:
        if orders:
            await writing.execute(_SAVE, _columns(orders))
        await _add(writing, SHOP_DAYS, change.shop_days)
        await _add(writing, SKU_DAYS, change.sku_days)
        await _add(writing, SHOP_HOURS, change.shop_hours)


async def _add(writing: Writing, roll_up: RollUp, change: Mapping[Any, Numbers]) -> None:
    if not change:
        return
    rows = sorted(change.items())
    keys = zip(*(key for key, _ in rows), strict=True)
    numbers = zip(*(numbers for _, numbers in rows), strict=True)
    columns = zip((*roll_up.key, *roll_up.columns), (*keys, *numbers), strict=True)
    await writing.execute(roll_up.add, {name: list(values) for name, values in columns})


def _columns(orders: Mapping[str, OrderProfit]) -> dict[str, list[Any]]:
    worked_out = list(orders.values())
    return {
        "order_ids": list(orders),
        "channels": [order.channel for order in worked_out],
        "shops": [order.shop for order in worked_out],
        "currencies": [order.currency for order in worked_out],
        "placed": [order.placed_at for order in worked_out],
        # An array of arrays would have to be rectangular.
        "skus": [documents.to_document(order.skus) for order in worked_out],
        "estimated": [order.profits["estimated"] for order in worked_out],
        "accrued": [order.profits["accrued"] for order in worked_out],
        "settled": [order.profits["settled"] for order in worked_out],
        "expected": [order.expected_sum_minor for order in worked_out],
        "answered": [order.answered_sum_minor for order in worked_out],
        "shares": [to_document(order.shares) for order in worked_out],
    }
