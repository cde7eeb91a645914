"""What it costs the order path that the back office listens: `python -m bench.listeners [--rounds 2] [--orders N]`.

One system. In turns, the whole path at full speed with the back office standing still and with it running, so that the
machine's own mood moves both alike. Before each turn the back office has caught up. `share` is the speed with it over
the speed without it.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench import load, results
from bench.bed import BATCH, SKUS, Bed, console, fresh_bed, suspended
from bench.run import Scale
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_local.topology import service_of

BACK_OFFICE = ("settlement", "analytics")
ENOUGH = 0.9
QUIET_S = 3.0
"""A lag of zero must last so long to count: it is told on a timer."""
CATCH_UP_S = 600.0
LAG_METRIC = "oms_consumer_lag_records"


async def compare(bed: Bed, rounds: int, orders: int) -> results.Results:
    """Measure in turns."""
    without: list[float] = []
    together: list[float] = []
    catching_up: list[float] = []
    for turn in range(rounds):
        with suspended(pid for name, pid in bed.system.pids().items() if service_of(name) in BACK_OFFICE):
            without.append(await _speed(bed, f"without-{turn}", orders))
        catching_up.append(await _caught_up(bed))
        together.append(await _speed(bed, f"with-{turn}", orders))
        await _caught_up(bed)
    return {
        "listeners": {
            "orders": orders,
            "orders_per_s_without": without,
            "orders_per_s_with": together,
            "share": round(statistics.mean(together) / statistics.mean(without), 3),
            "catching_up_orders_per_s": [round(orders / seconds, 1) for seconds in catching_up],
        }
    }


async def _speed(bed: Bed, name: str, orders: int) -> float:
    came, seconds = await bed.timed(load.synthetic(name, orders, SKUS, batch=BATCH), ShipmentReleased)
    console.print(f"{name}: {came / seconds:,.1f} orders/s")
    return round(came / seconds, 1)


async def _caught_up(bed: Bed) -> float:
    """Wait until the back office has handled all there is. Returns the seconds it took. Raises TimeoutError."""
    began = quiet_since = time.monotonic()
    async with asyncio.timeout(CATCH_UP_S), httpx.AsyncClient(timeout=30, trust_env=False) as http:
        while time.monotonic() - quiet_since < QUIET_S:
            await asyncio.sleep(0.5)
            if await _behind(bed, http):
                quiet_since = time.monotonic()
    return max(quiet_since - began, 0.001)


async def _behind(bed: Bed, http: httpx.AsyncClient) -> bool:
    for name in BACK_OFFICE:
        text = (await http.get(f"{bed.system.urls[name]}/metrics")).raise_for_status().text
        lag = [f for f in text_string_to_metric_families(text) if f.name == LAG_METRIC]
        if any(sample.value for family in lag for sample in family.samples):
            return True
    return False


async def measure(rounds: int, orders: int) -> results.Results:
    """Start, measure, stop."""
    async with fresh_bed() as bed:
        await bed.set_up()
        await _caught_up(bed)
        return await compare(bed, rounds, orders)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 1 where the path keeps less than 0.9 of its speed."""
    parser = argparse.ArgumentParser(prog="python -m bench.listeners", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--orders", type=int, default=Scale().whole_path, help="for each measurement")
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(measure(options.rounds, options.orders))
    results.report(found, began_at, options, console, "bench.listeners")
    return 0 if found["listeners"]["share"] >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
