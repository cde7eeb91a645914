"""Steady load for long: does memory stay flat? `python -m bench.soak [--minutes 10] [--rate 100]`.

Looks at the memory of each process every ten seconds and fits a line through the second half. A process is flat when
that line rises by less than 2 % of its memory, or less than a mebibyte, over that half. Database and broker are told
of but not judged: both grow until they have touched all that their settings give them (shared buffers, the heap). Nor
is the driver, which keeps notes of its own.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bench import load, results
from bench.bed import PATIENCE_S, SKUS, Bed, console, fresh_bed
from bench.trend import second_half, slope
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_sample.measure import PLAYER

EVERY_S = 10.0
FLAT_SHARE, FLAT_MB = 0.02, 1.0
NOT_JUDGED = frozenset({"postgres", "kafka", PLAYER})

Samples = Sequence[tuple[float, Mapping[str, float]]]
"""Seconds since the start, and MiB by process."""


async def soak(bed: Bed, minutes: float, rate: float) -> results.Results:
    """Load, look, judge."""
    posted: dict[bytes, float] = {}
    samples: list[tuple[float, Mapping[str, float]]] = []
    async with Watch(bed.system.broker, ShipmentReleased) as watch:
        meter = bed.meter()
        looking = asyncio.create_task(_look(bed, samples))
        await bed.pour(load.endless("soak", rate, SKUS), rate, 60 * minutes, posted)
        cost = meter.cores()
        looking.cancel()
        came = await watch.until(posted, PATIENCE_S)
    return {
        "soak": {
            "minutes": minutes,
            "rate": rate,
            "orders": len(posted),
            "orders_released": came,
            **cost,
            **judge(samples, rate),
        }
    }


async def _look(bed: Bed, samples: list[tuple[float, Mapping[str, float]]]) -> None:
    began = time.monotonic()
    while True:
        samples.append((time.monotonic() - began, await asyncio.to_thread(bed.memory)))
        await asyncio.sleep(EVERY_S)


def judge(samples: Samples, rate: float) -> results.Results:
    """A line for each process, and whether all that are judged are flat."""
    by_process = {name: _line([(at, mb[name]) for at, mb in samples if name in mb], rate) for name in samples[-1][1]}
    growing = sorted(name for name, line in by_process.items() if not line["flat"] and name not in NOT_JUDGED)
    return {"memory": by_process, "verdict": f"growing: {', '.join(growing)}" if growing else "flat"}


def _line(points: Sequence[tuple[float, float]], rate: float) -> results.Results:
    half = second_half(points)
    per_s = slope(half)
    rise = per_s * (half[-1][0] - half[0][0])
    mean = sum(mb for _, mb in half) / len(half)
    return {
        "first_mb": points[0][1],
        "middle_mb": half[0][1],
        "last_mb": points[-1][1],
        "mb_per_hour": round(3600 * per_s, 1),
        "bytes_per_order": round(per_s * 2**20 / rate, 1),
        "flat": rise < max(FLAT_MB, FLAT_SHARE * mean),
    }


async def measure(minutes: float, rate: float) -> results.Results:
    """Start, measure, stop."""
    async with fresh_bed() as bed:
        await bed.set_up()
        return await soak(bed, minutes, rate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 1 where memory grows."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0, help="orders a second")
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(measure(options.minutes, options.rate))
    results.report(found, began_at, options, console, "bench.soak")
    return 0 if found["soak"]["verdict"] == "flat" else 1


if __name__ == "__main__":
    sys.exit(main())
