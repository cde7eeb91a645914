"""What it costs the order path that the back office listens: `python -m bench.listeners [--rounds 2] [--orders N]`.

One system. In turns, the whole path at full speed with the back office standing still and with it running; each second
round the other way round, so that neither the machine's mood nor what is stored already favours one of them. Before
each turn the back office has caught up. `share` is the speed with it over the speed without it; `back_office_cpu_us`
what CPU time it took meanwhile, per order of the path.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from bench import load, results
from bench.bed import BATCH, SKUS, Bed, console, fresh_bed, suspended
from bench.run import Scale
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_local.topology import service_of

BACK_OFFICE = ("settlement", "analytics")
ENOUGH = 0.9


async def compare(bed: Bed, rounds: int, orders: int) -> results.Results:
    """Measure in turns."""
    without: list[float] = []
    together: list[float] = []
    catching_up: list[float] = []
    took: list[float] = []

    async def alone(name: str) -> None:
        with suspended(pid for name, pid in bed.system.pids().items() if service_of(name) in BACK_OFFICE):
            without.append(await _speed(bed, name, orders))
        catching_up.append(await bed.caught_up())

    async def beside(name: str) -> None:
        meter = bed.meter()
        together.append(await _speed(bed, name, orders))
        took.append(sum(spent for process, spent in meter.spent().items() if service_of(process) in BACK_OFFICE))
        await bed.caught_up()

    await _speed(bed, "filling", orders)  # on nearly empty tables the first is faster than any after it
    await bed.caught_up()
    for turn in range(rounds):
        first, second = (beside, alone) if turn % 2 else (alone, beside)
        await first(f"{first.__name__}-{turn}")
        await second(f"{second.__name__}-{turn}")
    return {
        "listeners": {
            "orders": orders,
            "orders_per_s_without": without,
            "orders_per_s_with": together,
            "share": round(statistics.mean(together) / statistics.mean(without), 3),
            "back_office_cpu_us": [round(1e6 * seconds / orders, 1) for seconds in took],
            "catching_up_orders_per_s": [round(orders / seconds, 1) for seconds in catching_up],
        }
    }


async def _speed(bed: Bed, name: str, orders: int) -> float:
    came, seconds = await bed.timed(load.synthetic(name, orders, SKUS, batch=BATCH), ShipmentReleased)
    console.print(f"{name}: {came / seconds:,.1f} orders/s")
    return round(came / seconds, 1)


async def measure(rounds: int, orders: int) -> results.Results:
    """Start, measure, stop."""
    async with fresh_bed() as bed:
        await bed.set_up()
        await bed.caught_up()
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
