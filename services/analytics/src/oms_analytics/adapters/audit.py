"""What is needed to look over the books, and to write them out."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.adapters.profits import SHOP_DAYS, SHOP_HOURS, SKU_DAYS, RollUp
from oms_analytics.adapters.shares import from_document
from oms_analytics.domain.shares import Shares, ShopDay, ShopHour, SkuDay

_SNAPSHOT = text("set transaction isolation level repeatable read read only")
_ORDERS = text("select count(*) from order_profits")
_DAYS = text(
    """
    select day from shop_days union select day from sku_days
     union select cast(hour at time zone 'UTC' as date) from shop_hours
     union select cast(placed_at at time zone 'UTC' as date) from order_profits
     order by day
    """
)
_ORDERS_OF_DAY = text(
    """
    select cast(order_id as text) as order_id from order_profits
     where placed_at >= cast(:start as timestamptz) and placed_at < cast(:start as timestamptz) + interval '1 day'
     order by order_id
    """
)
_STORED = text(
    """
    select cast(order_id as text) as order_id, channel, shop, placed_at, cast(shares as text) as shares,
           estimated_minor, accrued_minor, settled_minor, expected_sum_minor, answered_sum_minor
      from order_profits where order_id = any(cast(:order_ids as uuid[])) order by order_id
    """
)
_QUEUED = text("select distinct cast(order_id as text) from changed_orders, unnest(order_ids) as order_id")
_PRICES_QUEUED = text("select exists (select 1 from changed_prices)")
_FORGOTTEN = text(
    """
    select cast(order_id as text) from facts
     where kind = 'OrderPlaced' and not exists (select 1 from order_profits where order_id = facts.order_id)
     order by order_id
    """
)
_EMPTY = text(
    """
    truncate facts, changed_orders, changed_prices, order_profits, shop_days, sku_days, shop_hours, holds,
             products, skus, costs, rate_cards
    """
)

_DAY_OF = {SHOP_DAYS.table: "day = :day", SKU_DAYS.table: "day = :day"}
_HOURS_OF_DAY = "cast(hour at time zone 'UTC' as date) = :day"

_EXPORTED: Mapping[str, str] = {
    "orders": """
        select cast(order_id as text) as order_id, channel, shop, currency, placed_at at time zone 'UTC' as placed_at,
               skus, estimated_minor, accrued_minor, settled_minor, expected_sum_minor, answered_sum_minor, shares
          from order_profits order by order_id
        """,
    "holds": "select hold_id, order_id, code, opened_at at time zone 'UTC' as opened_at,"
    " resolved_at at time zone 'UTC' as resolved_at, outcome from holds order by hold_id",
    **{
        roll_up.table: f"select * from {roll_up.table}"
        f" where {' or '.join(f'{column} <> 0' for column in roll_up.columns)} order by {', '.join(roll_up.key)}"
        for roll_up in (SHOP_DAYS, SKU_DAYS)
    },
    SHOP_HOURS.table: f"select hour at time zone 'UTC' as hour, {', '.join((*SHOP_HOURS.key, *SHOP_HOURS.columns)[1:])}"
    f" from {SHOP_HOURS.table} order by {', '.join(SHOP_HOURS.key)}",
    "products": "select * from products order by product_code",
    "skus": "select * from skus order by sku",
    "costs": "select sku, currency, valid_from at time zone 'UTC' as valid_from, amount_minor, version from costs"
    " order by sku, currency, valid_from",
    "rate_cards": "select channel, shop, component, currency, version, valid_from at time zone 'UTC' as valid_from,"
    " rate_ppm, fixed_minor, min_minor, max_minor from rate_cards order by channel, shop, component, currency, version",
}
"""What is known and what follows from it, by table, in an order of its own."""


async def hold_still(connection: AsyncConnection) -> None:
    """Let all that this transaction reads be of one moment."""
    await connection.execute(_SNAPSHOT)


async def empty(connection: AsyncConnection) -> None:
    """Forget everything."""
    await connection.execute(_EMPTY)


async def orders(connection: AsyncConnection) -> int:
    """How many orders are worked out."""
    return int((await connection.execute(_ORDERS)).scalar_one())


async def days(connection: AsyncConnection) -> list[date]:
    """Days of which there is anything."""
    return list((await connection.execute(_DAYS)).scalars())


async def orders_of(connection: AsyncConnection, day: date) -> list[str]:
    """Orders placed on a day."""
    start = datetime.combine(day, time(), UTC)
    return list((await connection.execute(_ORDERS_OF_DAY, {"start": start})).scalars())


async def stored(connection: AsyncConnection, order_ids: Collection[str]) -> dict[str, tuple[Sequence[int], Shares]]:
    """Sums and shares of orders as they are stored."""
    rows = await connection.execute(_STORED, {"order_ids": list(order_ids)})
    return {
        row.order_id: (tuple(row[5:]), from_document(row.shares, row.channel, row.shop, row.placed_at)) for row in rows
    }


async def queued(connection: AsyncConnection) -> frozenset[str]:
    """Orders that are still to be worked out again."""
    return frozenset((await connection.execute(_QUEUED)).scalars())


async def prices_queued(connection: AsyncConnection) -> bool:
    """Whether a cost or a rate changed and its orders have not been looked up yet."""
    return bool((await connection.execute(_PRICES_QUEUED)).scalar_one())


async def forgotten(connection: AsyncConnection) -> list[str]:
    """Orders that were placed and never worked out."""
    return list((await connection.execute(_FORGOTTEN)).scalars())


async def roll_ups_of(connection: AsyncConnection, day: date) -> Shares:
    """What the roll-ups say of a day, without what is zero."""
    shares = Shares.none()
    for roll_up, key, into in (
        (SHOP_DAYS, ShopDay, shares.shop_days),
        (SKU_DAYS, SkuDay, shares.sku_days),
        (SHOP_HOURS, ShopHour, shares.shop_hours),
    ):
        for row in await connection.execute(_rows(roll_up), {"day": day}):
            into[key(*row[: len(roll_up.key)])] = tuple(row[len(roll_up.key) :])  # type: ignore[index]
    return shares.without_zeros()


def _rows(roll_up: RollUp) -> Any:  # noqa: ANN401 - a statement
    where = _DAY_OF.get(roll_up.table, _HOURS_OF_DAY)
    return text(f"select {', '.join((*roll_up.key, *roll_up.columns))} from {roll_up.table} where {where}")


async def rows(connection: AsyncConnection) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Every row of every table with what is known and what follows from it, in an order that only they decide."""
    for table, statement in _EXPORTED.items():
        async with connection.stream(text(statement)) as found:
            async for row in found.mappings():
                yield table, dict(row)
