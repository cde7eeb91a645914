"""How long one event takes at low load: from the commit that caused it until the next service has handled it.

The evidence is in the topics. A record is stamped by its producer right after the transaction that caused it; the
event that the next service makes of it is stamped right after that service's commit. `to_handling` ends earlier, where
the next service's transaction begins, which is the time that the event itself carries.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from bench import load, results
from bench.bed import SKUS, Bed
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_events.runtime.broker import Broker
from oms_sample import hops

PER_S = 2.0
HOPS = hops.HOPS[:8]
"""The single hops to the warehouse's door."""


class Stamp(NamedTuple):
    """When an event's transaction began, and when it had been committed. Seconds since the epoch."""

    began: float
    committed: float


async def one_event(bed: Bed, seconds: float) -> results.Results:
    """A few orders, one at a time."""
    since = await hops.ends(bed.system.broker)
    posted: dict[bytes, float] = {}
    async with Watch(bed.system.broker, ShipmentReleased) as watch:
        await bed.pour(load.paced("alone", PER_S, seconds, SKUS), PER_S, seconds, posted)
        await watch.until(posted, 10.0)
    stamps = await _stamps(bed.system.broker, since)
    handling: dict[str, list[float]] = {}
    handled: dict[str, list[float]] = {}
    for start, end in HOPS:
        name = f"{start.__name__} -> {end.__name__}"
        pairs = [(stamps[start.type, order], stamps.get((end.type, order))) for order in posted]
        handling[name] = [1000 * (end.began - start.committed) for start, end in pairs if end]
        handled[name] = [1000 * (end.committed - start.committed) for start, end in pairs if end]
    return {"orders": len(posted), "to_handling_ms": _spreads(handling), "to_handled_ms": _spreads(handled)}


def _spreads(times: Mapping[str, list[float]]) -> results.Results:
    """Over all hops, then each hop."""
    overall = hops.Spread.of([time for hop in times.values() for time in hop])
    spreads = {name: hops.Spread.of(hop) for name, hop in times.items() if hop}
    return {
        "p50": overall.p50,
        "p99": overall.p99,
        "hops": {name: {"p50": spread.p50, "p99": spread.p99} for name, spread in spreads.items()},
    }


async def _stamps(broker: Broker, since: hops.Offsets) -> dict[tuple[str, bytes], Stamp]:
    """By type and order, the first of each."""
    stamps: dict[tuple[str, bytes], Stamp] = {}
    async with hops.subscriber(broker, *hops.TOPICS) as consumer:
        until = await consumer.end_offsets(list(consumer.assignment()))
        left = {place for place, end in until.items() if end > since.get(place, 0)}
        for place in until:
            consumer.seek(place, since.get(place, 0))
        while left:
            for place, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                for record in records:
                    headers = dict(record.headers)
                    began = datetime.fromisoformat(headers["ce_time"].decode()).timestamp()
                    stamp = Stamp(began, record.timestamp / 1000)
                    stamps.setdefault((headers["ce_type"].decode(), record.key), stamp)
                if await consumer.position(place) >= until[place]:
                    left.discard(place)
    return stamps
