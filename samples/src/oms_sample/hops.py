"""How long each hop took: read from the topics at the end, as any downstream subscriber could, without a group."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from oms_events.contracts import fulfilment, intake, inventory, logistics, orders
from oms_events.registry import Event

WAY: tuple[type[Event], ...] = (
    intake.ChannelOrderReceived,
    orders.OrderPlaced,
    inventory.StockReserved,
    orders.OrderReleased,
    fulfilment.OrderRouted,
    inventory.StockAllocated,
    fulfilment.ShipmentRequested,
    logistics.WaybillAssigned,
    fulfilment.ShipmentReleased,
    fulfilment.ShipmentDispatched,
    logistics.ShipmentDelivered,
    orders.OrderCompleted,
)
"""The events of an order that meets no obstacle, in order. All are keyed by the order's id."""
SPANS = (
    (intake.ChannelOrderReceived, fulfilment.ShipmentReleased),
    (intake.ChannelOrderReceived, orders.OrderCompleted),
)
"""Longer ways: to the warehouse's door, and to the end."""

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds."""

    p50: float
    p99: float
    orders: int

    @classmethod
    def of(cls, times: Sequence[float]) -> "Spread":
        """Of one or more times."""
        return cls(round(percentile(times, 0.5), 1), round(percentile(times, 0.99), 1), len(times))


@dataclass(slots=True)
class Tape:
    """When each order first came to each event of the way: seconds since the epoch, by type and order."""

    first: dict[str, dict[bytes, float]] = field(default_factory=dict)

    def note(self, type_: str, order: bytes, at: float) -> None:
        times = self.first.setdefault(type_, {})
        if at < times.get(order, math.inf):
            times[order] = at

    def spread(self, start: type[Event], end: type[Event]) -> Spread | None:
        """From one event to another, over the orders that came to both; None where there is none."""
        starts, ends = self.first.get(start.type, {}), self.first.get(end.type, {})
        times = [1000 * (at - starts[order]) for order, at in ends.items() if order in starts]
        return Spread.of(times) if times else None

    def hops(self) -> dict[str, Spread]:
        """Each hop of the way, and the longer spans, by name."""
        pairs: list[tuple[type[Event], type[Event]]] = [*itertools.pairwise(WAY), *SPANS]
        named = {f"{start.__name__} -> {end.__name__}": self.spread(start, end) for start, end in pairs}
        return {name: spread for name, spread in named.items() if spread is not None}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


async def ends(bootstrap: str) -> Offsets:
    """Where the topics of the way end now."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        return await _ends(consumer)


async def read(bootstrap: str, since: Offsets) -> Tape:
    """The way of all orders since those offsets, up to the present end."""
    tape = Tape()
    types = {model.type.encode() for model in WAY}
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=4 << 20
    ) as consumer:
        until = await _ends(consumer)
        left = {place for place, end in until.items() if end > since.get(place, 0)}
        consumer.assign(list(left))
        for place in left:
            consumer.seek(place, since.get(place, 0))
        while left:
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("ce_type") in types:
                        at = datetime.fromisoformat(headers["ce_time"].decode()).timestamp()
                        tape.note(headers["ce_type"].decode(), record.key, at)
                if await consumer.position(place) >= until[place]:
                    left.discard(place)
                    consumer.pause(place)
    return tape


async def _ends(consumer: AIOKafkaConsumer) -> Offsets:
    names = {model.topic.name for model in WAY}
    await consumer.topics()  # a metadata refresh: without it an unknown topic has no partitions
    places = [
        TopicPartition(name, partition)
        for name in sorted(names)
        for partition in consumer.partitions_for_topic(name) or ()
    ]
    return dict(await consumer.end_offsets(places))
