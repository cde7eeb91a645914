"""Reads: profit from the roll-ups, orders by what they earned, what a cockpit shows."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.domain.amounts import COMPONENTS, Version
from oms_analytics.domain.shares import SHOP_COLUMNS, SKU_COLUMNS

By = Literal["shop", "channel", "sku", "category", "day"]
Sort = Literal["best", "worst", "name"]

_PROFIT = " + ".join(f"{component}_minor" for component in COMPONENTS)


class _Axis(NamedTuple):
    """What rows stand for: where they come from and what names them."""

    source: str
    names: Mapping[str, str]
    columns: Sequence[str]


_OF_SHOPS = "shop_days days"
_OF_SKUS = "sku_days days left join skus using (sku) left join products using (product_code)"
_AXES: Mapping[By, _Axis] = {
    "shop": _Axis(_OF_SHOPS, {"channel": "channel", "shop": "shop"}, SHOP_COLUMNS),
    "channel": _Axis(_OF_SHOPS, {"channel": "channel"}, SHOP_COLUMNS),
    "day": _Axis(_OF_SHOPS, {"day": "day"}, SHOP_COLUMNS),
    "sku": _Axis(
        _OF_SKUS,
        {"sku": "sku", "title": "coalesce(skus.title, '')", "category": "coalesce(products.category, '')"},
        SKU_COLUMNS,
    ),
    "category": _Axis(_OF_SKUS, {"category": "coalesce(products.category, '')"}, SKU_COLUMNS),
}
_RANGE = """
    days.version = :version and day >= :first and day <= :last
    and (cast(:currency as text) is null or currency = :currency)
    and (cast(:channel as text) is null or channel = :channel)
    and (cast(:shop as text) is null or shop = :shop)
"""


def _rows_statement(axis: _Axis, sort: Sort) -> TextClause:
    names = ", ".join(f"{expression} as {name}" for name, expression in axis.names.items())
    sums = ", ".join(f"cast(sum(days.{column}) as bigint) as {column}" for column in axis.columns)
    ordered = {"best": "profit_minor desc", "worst": "profit_minor", "name": "currency"}[sort]
    return text(
        f"""
        with sums as (
            select currency, {names}, {sums} from {axis.source} where {_RANGE}
             group by currency, {", ".join(axis.names.values())})
        select *, {_PROFIT} as profit_minor, count(*) over () as rows_found
          from sums order by {ordered}, currency, {", ".join(axis.names)} limit :limit
        """
    )


_ROWS = {(by, sort): _rows_statement(axis, sort) for by, axis in _AXES.items() for sort in ("best", "worst", "name")}
_SUMS = text(
    f"""
    with sums as (
        select currency, {", ".join(f"cast(sum({column}) as bigint) as {column}" for column in SHOP_COLUMNS)}
          from shop_days days where {_RANGE} group by currency)
    select *, {_PROFIT} as profit_minor from sums order by currency
    """
)
_WAITING = text("select exists (select 1 from changed_orders) or exists (select 1 from changed_prices)")


def _orders_statement(version: Version) -> TextClause:
    profit = f"{version}_minor"
    return text(
        f"""
        select order_id, channel, shop, currency, placed_at, estimated_minor, accrued_minor, settled_minor,
               expected_sum_minor, answered_sum_minor
          from order_profits
         where currency = :currency and ({profit}, order_id) > (:after_minor, :after_id)
           and placed_at >= :placed_from and placed_at < :placed_to
           and (cast(:channel as text) is null or channel = :channel)
           and (cast(:shop as text) is null or shop = :shop)
         order by {profit}, order_id limit :limit
        """
    )


_ORDERS: Mapping[Version, TextClause] = {
    "estimated": _orders_statement("estimated"),
    "accrued": _orders_statement("accrued"),
    "settled": _orders_statement("settled"),
}
_FACTS = text(
    """
    select event_id, kind, occurred_at, document from facts where order_id = :order_id
     order by occurred_at, event_id
    """
)
_NAMES = text(
    """
    select sku, title, coalesce(category, '') as category from skus left join products using (product_code)
     where sku = any(cast(:skus as text[]))
    """
)
_KNOWN = text("select min(placed_at) as first, max(placed_at) as last from order_profits")
_COUNTED = """
    sum(orders) as orders, sum(cancelled_orders) as cancelled_orders, sum(units) as units,
    sum(sales_minor) as sales_minor, sum(shipments) as shipments, sum(delivered) as delivered, sum(late) as late,
    sum(rejections) as rejections
"""
_COUNTS = text(
    f"select currency, {_COUNTED} from shop_hours where hour >= :start and hour < :end group by currency order by 1"
)
_SERIES = text(
    """
    select date_trunc(:unit, hour, 'UTC') as at, currency, sum(orders) as orders, sum(units) as units,
           sum(sales_minor) as sales_minor
      from shop_hours where hour >= :start and hour < :end group by 1, 2 order by 1, 2
    """
)
_PROFITS = text(
    f"""
    select currency, version, sum({_PROFIT}) as profit_minor, sum(expected_sum_minor) as expected_sum_minor,
           sum(answered_sum_minor) as answered_sum_minor
      from shop_days where day >= :first and day <= :last group by currency, version
    """
)
_TOP_SKUS = text(
    f"""
    with sums as (
        select currency, sku, sum(units) as units, sum(goods_minor + merchant_discount_minor) as sales_minor,
               sum({_PROFIT}) as profit_minor
          from sku_days where version = 'estimated' and day >= :first and day <= :last group by currency, sku),
    ranked as (select *, row_number() over (partition by currency order by profit_minor desc, sku) as rank from sums)
    select currency, sku, coalesce(title, '') as title, units, sales_minor, profit_minor
      from ranked left join skus using (sku) where rank <= :limit order by currency, rank
    """
)
_OPEN_HOLDS = text(
    """
    select code, count(*) as open from holds where resolved_at is null and opened_at is not null
     group by code order by code
    """
)
# How many were open at the beginning, and what came and went each hour since.
_HOLDS_BEFORE = text(
    """
    select (select count(*) from holds where opened_at < :start)
           - (select count(*) from holds where resolved_at < :start and opened_at is not null) as open
    """
)
_HOLDS_MOVED = text(
    """
    select at, sum(step) as step
      from (select date_trunc('hour', opened_at, 'UTC') as at, 1 as step from holds where opened_at >= :start
             union all
            select date_trunc('hour', resolved_at, 'UTC'), -1 from holds
             where resolved_at >= :start and opened_at is not null) as moves
     group by at order by at
    """
)


class Range(NamedTuple):
    """Of what profit is asked for. Both days belong to it."""

    version: Version
    first: date
    last: date
    currency: str | None
    channel: str | None
    shop: str | None


async def profit_rows(
    connection: AsyncConnection, by: By, range_: Range, *, sort: Sort, limit: int
) -> Sequence[RowMapping]:
    """Profit by shop, channel, SKU, category or day; each row also carries how many there are."""
    parameters = range_._asdict() | {"limit": limit}
    return (await connection.execute(_ROWS[by, sort], parameters)).mappings().all()


async def profit_sums(connection: AsyncConnection, range_: Range) -> Sequence[RowMapping]:
    """Profit of all of it, by currency."""
    return (await connection.execute(_SUMS, range_._asdict())).mappings().all()


async def waiting(connection: AsyncConnection) -> bool:
    """Whether something is known that no sum knows yet."""
    return bool((await connection.execute(_WAITING)).scalar_one())


async def list_orders(
    connection: AsyncConnection, version: Version, parameters: Mapping[str, Any]
) -> Sequence[RowMapping]:
    """A page of orders, the worst first."""
    return (await connection.execute(_ORDERS[version], parameters)).mappings().all()


async def list_facts(connection: AsyncConnection, order_id: UUID) -> Sequence[RowMapping]:
    """What was said of an order, by time."""
    return (await connection.execute(_FACTS, {"order_id": order_id})).mappings().all()


async def names_of(connection: AsyncConnection, skus: Sequence[str]) -> dict[str, RowMapping]:
    """Title and category of SKUs."""
    return {row["sku"]: row for row in (await connection.execute(_NAMES, {"skus": list(skus)})).mappings()}


async def known_range(connection: AsyncConnection) -> tuple[datetime | None, datetime | None]:
    """When the first and the last known order were placed."""
    row = (await connection.execute(_KNOWN)).one()
    return row.first, row.last


async def counts(connection: AsyncConnection, start: datetime, end: datetime) -> Sequence[RowMapping]:
    """Orders, units, sales, deliveries by currency."""
    return (await connection.execute(_COUNTS, {"start": start, "end": end})).mappings().all()


async def series(
    connection: AsyncConnection, start: datetime, end: datetime, unit: Literal["hour", "day"]
) -> Sequence[RowMapping]:
    """Orders, units and sales by hour or day."""
    return (await connection.execute(_SERIES, {"start": start, "end": end, "unit": unit})).mappings().all()


async def profits(connection: AsyncConnection, first: date, last: date) -> Sequence[RowMapping]:
    """Profit by currency and version."""
    return (await connection.execute(_PROFITS, {"first": first, "last": last})).mappings().all()


async def top_skus(connection: AsyncConnection, first: date, last: date, *, limit: int) -> Sequence[RowMapping]:
    """SKUs with the highest estimated profit, for each currency."""
    return (await connection.execute(_TOP_SKUS, {"first": first, "last": last, "limit": limit})).mappings().all()


async def open_holds(connection: AsyncConnection) -> Sequence[RowMapping]:
    """How many holds are open now, by code."""
    return (await connection.execute(_OPEN_HOLDS)).mappings().all()


async def holds_since(connection: AsyncConnection, start: datetime) -> tuple[int, Mapping[datetime, int]]:
    """How many were open at a time, and by how many that changed in each hour since."""
    before = (await connection.execute(_HOLDS_BEFORE, {"start": start})).scalar_one()
    return before, {row.at: int(row.step) for row in await connection.execute(_HOLDS_MOVED, {"start": start})}
