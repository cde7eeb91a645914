"""What of the orders' database is watched from outside."""

from collections.abc import Mapping

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

OPEN_HOLDS = Gauge("oms_orders_open_holds", "Holds that stop an order or a line of it", ["code"])

_OPEN = text("select code, count(*) as holds from holds where state = 'OPEN' group by code")


async def open_holds(connection: AsyncConnection) -> Mapping[tuple[str, ...], int]:
    """Open holds by code; read from the index of open holds alone."""
    return {(row.code,): row.holds for row in await connection.execute(_OPEN)}
