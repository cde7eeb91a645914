"""How long each hop took: read from the topics at the end, as any downstream subscriber could, without a group."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from oms_events.contracts import fulfilment, intake, inventory, logistics, orders
from oms_events.registry import Event
from oms_events.runtime.broker import Broker

_TO_THE_DOOR: tuple[type[Event], ...] = (
    intake.ChannelOrderReceived,
    orders.OrderPlaced,
    inventory.StockReserved,
    orders.OrderReleased,
    fulfilment.OrderRouted,
    inventory.StockAllocated,
    fulfilment.ShipmentRequested,
    logistics.WaybillAssigned,
    fulfilment.ShipmentReleased,
)
"""The events of an order that meets no obstacle, each caused by the one before. All are keyed by the order's id."""
HOPS: tuple[tuple[type[Event], type[Event]], ...] = (
    *itertools.pairwise(_TO_THE_DOOR),
    (fulfilment.ShipmentReleased, fulfilment.ShipmentDispatched),
    (fulfilment.ShipmentReleased, logistics.ShipmentDelivered),
    (logistics.ShipmentDelivered, orders.OrderCompleted),
    (intake.ChannelOrderReceived, fulfilment.ShipmentReleased),
    (intake.ChannelOrderReceived, orders.OrderCompleted),
)
"""Single hops, and two longer ways: to the warehouse's door, and to the end."""
TYPES = {model.type for hop in HOPS for model in hop}
TOPICS = sorted({model.topic.name for hop in HOPS for model in hop})

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
        """Each of `HOPS` by name."""
        named = {f"{start.__name__} -> {end.__name__}": self.spread(start, end) for start, end in HOPS}
        return {name: spread for name, spread in named.items() if spread is not None}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


async def ends(broker: Broker) -> Offsets:
    """Where the topics of the way end now."""
    async with subscriber(broker, *TOPICS) as consumer:
        return dict(await consumer.end_offsets(list(consumer.assignment())))


async def read(broker: Broker, since: Offsets) -> Tape:
    """The way of all orders since those offsets, up to the present end."""
    tape = Tape()
    async with subscriber(broker, *TOPICS) as consumer:
        until = await consumer.end_offsets(list(consumer.assignment()))
        left = {place for place, end in until.items() if end > since.get(place, 0)}
        for place in until:
            consumer.seek(place, since.get(place, 0))
        while left:
            for place, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                for record in records:
                    headers = dict(record.headers)
                    type_ = headers.get("ce_type", b"").decode()
                    if type_ in TYPES:
                        at = datetime.fromisoformat(headers["ce_time"].decode()).timestamp()
                        tape.note(type_, record.key, at)
                if await consumer.position(place) >= until[place]:
                    left.discard(place)
    return tape


def subscriber(broker: Broker, *topics: str) -> AIOKafkaConsumer:
    """A consumer of all partitions, in no group: it takes nothing away from anyone and leaves no trace."""
    return AIOKafkaConsumer(
        *topics,
        **broker.options(),
        enable_auto_commit=False,
        auto_offset_reset="latest",
        max_partition_fetch_bytes=4 << 20,
    )
