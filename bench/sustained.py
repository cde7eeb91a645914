"""Does it keep a rate? `python -m bench.sustained --rate R [--minutes 5]`.

Sends orders at an even pace, in posts as large as those of the whole path and encoded before the clock starts, and
looks once a second how many are on their way: sent, but not yet at the warehouse's door. The rate is kept when the
driver could send it, every order came through, and the line through the second half of what was on its way rises by no
more than one second's worth of orders.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench import load, results
from bench.bed import BATCH, PATIENCE_S, SKUS, Bed, console, fresh_bed
from bench.trend import second_half, slope
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_sample import hops

LOOK_S = 1.0
SENT_SHARE = 0.98


async def sustained(bed: Bed, rate: float, minutes: float) -> results.Results:
    """Load, count, judge."""
    orders = load.synthetic("sustained", round(60 * minutes * rate), SKUS, batch=BATCH)
    posted: dict[bytes, float] = {}
    lag: list[tuple[float, float]] = []
    async with Watch(bed.system.broker, ShipmentReleased) as watch:
        meter = bed.meter()
        counting = asyncio.create_task(_count(posted, watch, lag))
        await bed.pour(orders, rate, 60 * minutes, posted)
        cost = meter.cores()
        counting.cancel()
        came = await watch.until(posted, PATIENCE_S)
    half = second_half(lag)
    rise = slope(half) * (half[-1][0] - half[0][0])
    sent = len(posted) / (60 * minutes)
    kept = sent >= SENT_SHARE * rate and came == len(posted) and rise <= rate
    return {
        "sustained": {
            "rate": rate,
            "minutes": minutes,
            "orders": len(posted),
            "orders_released": came,
            "sent_per_s": round(sent, 1),
            "on_their_way": {
                "mean": round(sum(count for _, count in lag) / len(lag), 1),
                "most": max(count for _, count in lag),
                "last": lag[-1][1],
                "rise_of_second_half": round(rise, 1),
            },
            "latency_ms_by_minute": _by_minute(posted, watch.seen),
            **cost,
            "verdict": "kept" if kept else "not kept",
        }
    }


async def _count(posted: dict[bytes, float], watch: Watch, lag: list[tuple[float, float]]) -> None:
    began, before = time.monotonic(), len(watch.seen)
    while True:
        await asyncio.sleep(LOOK_S)
        lag.append((time.monotonic() - began, float(len(posted) - (len(watch.seen) - before))))


def _by_minute(posted: dict[bytes, float], seen: dict[bytes, float]) -> results.Results:
    began = min(posted.values())
    minutes: dict[int, list[float]] = {}
    for order, at in posted.items():
        if order in seen:
            minutes.setdefault(int((at - began) // 60) + 1, []).append(1000 * (seen[order] - at))
    spreads = {minute: hops.Spread.of(times) for minute, times in sorted(minutes.items())}
    return {str(minute): {"p50": spread.p50, "p99": spread.p99} for minute, spread in spreads.items()}


async def measure(rate: float, minutes: float) -> results.Results:
    """Start, measure, stop."""
    async with fresh_bed() as bed:
        await bed.set_up()
        return await sustained(bed, rate, minutes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 1 where the rate is not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.sustained", description=__doc__)
    parser.add_argument("--rate", type=float, required=True, help="orders a second")
    parser.add_argument("--minutes", type=float, default=5.0)
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(measure(options.rate, options.minutes))
    results.report(found, began_at, options, console, "bench.sustained")
    return 0 if found["sustained"]["verdict"] == "kept" else 1


if __name__ == "__main__":
    sys.exit(main())
