"""What of settlement's database is watched from outside."""

from collections.abc import Mapping

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CLEAR_RATE = Gauge("oms_settlement_clear_rate", "Share of statement lines that are explained", ["account", "currency"])
OPEN_DIFFERENCES = Gauge("oms_settlement_open_differences", "Differences that wait for somebody", ["reason"])

_LINES = text(
    """
    select account, currency, sum(lines_cleared)::float8 / sum(lines)::float8 as rate
      from component_totals group by account, currency having sum(lines) > 0
    """
)
_OPEN = text("select reason, count(*) as differences from differences where state = 'open' group by reason")


async def clear_rates(connection: AsyncConnection) -> Mapping[tuple[str, ...], float]:
    """The share of lines that are explained, by account and currency; read from the kept totals."""
    return {(row.account, row.currency): row.rate for row in await connection.execute(_LINES)}


async def open_differences(connection: AsyncConnection) -> Mapping[tuple[str, ...], int]:
    """Open differences by reason; read from the index of open differences alone."""
    return {(row.reason,): row.differences for row in await connection.execute(_OPEN)}
