"""What of the database of analytics is watched from outside."""

from collections.abc import Mapping

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WAITING = Gauge("oms_analytics_waiting", "What is known and in no sum yet", ["what"])

_WAITING = text(
    """
    select (select coalesce(sum(cardinality(order_ids)), 0) from changed_orders) as orders,
           (select count(*) from changed_prices) as prices
    """
)


async def waiting(connection: AsyncConnection) -> Mapping[tuple[str, ...], int]:
    """Orders (one that is in the queue twice counts twice) and prices that are to be worked out again."""
    row = (await connection.execute(_WAITING)).one()
    return {("orders",): row.orders, ("prices",): row.prices}
