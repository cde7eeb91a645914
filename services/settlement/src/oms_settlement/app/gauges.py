"""Figures for Prometheus. Names of this service's metrics live here and nowhere else."""

from prometheus_client import Gauge

from oms_events.runtime.work import Work
from oms_settlement.adapters import queries

CLEAR_RATE = Gauge("oms_settlement_clear_rate", "Share of statement lines that are explained", ["account", "currency"])
OPEN_DIFFERENCES = Gauge("oms_settlement_open_differences", "Differences that wait for somebody", ["reason"])


async def measure(work: Work) -> None:
    """Periodic: look at the totals."""
    for row in await queries.clear_rates(work.connection):
        CLEAR_RATE.labels(row["account"], row["currency"]).set(row["lines_cleared"] / row["lines"])
    OPEN_DIFFERENCES.clear()
    for row in await queries.open_reasons(work.connection):
        OPEN_DIFFERENCES.labels(row["reason"]).set(row["differences"])
