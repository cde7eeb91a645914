"""Load at a given pace: what it keeps busy, and how long an order takes from its POST to the warehouse's door."""

import asyncio

from bench import load, results
from bench.bed import PATIENCE_S, SKUS, Bed
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_sample import hops

SETTLE_S = 5.0
"""After load: offsets are committed, rows are swept, and then nothing is left to do."""


async def idle(bed: Bed, seconds: float) -> results.Results:
    """What a system costs that nobody uses."""
    await bed.caught_up()
    await asyncio.sleep(SETTLE_S)
    meter = bed.meter()
    await asyncio.sleep(seconds)
    return meter.cores()


async def paced(bed: Bed, rate: float, seconds: float) -> results.Results:
    """Orders at an even pace, by a system that has nothing else to do."""
    await bed.caught_up()
    since = await hops.ends(bed.system.broker)
    orders = load.paced(f"paced-{rate:.0f}", rate, seconds, SKUS)
    posted: dict[bytes, float] = {}
    async with Watch(bed.system.broker, ShipmentReleased) as watch:
        meter = bed.meter()
        await bed.pour(orders, rate, seconds, posted)
        cost = meter.cores()
        await watch.until(posted, PATIENCE_S)
    times = [1000 * (at - posted[order]) for order, at in watch.seen.items() if order in posted]
    spread = hops.Spread.of(times)
    tape = await hops.read(bed.system.broker, since)
    by_hop = {name: {"p50": hop.p50, "p99": hop.p99} for name, hop in tape.hops().items()}
    return {
        "at_orders_per_s": round(rate, 1),
        "p50": spread.p50,
        "p99": spread.p99,
        "orders": spread.orders,
        **cost,
        "hops": by_hop,
    }
