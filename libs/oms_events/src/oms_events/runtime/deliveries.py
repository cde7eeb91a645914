"""What a consumer has in hand: records that were fetched and read, and the order in which handlers get them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oms_events.codec import Record, Undecodable, with_headers
from oms_events.envelope import Received
from oms_events.registry import Event
from oms_events.runtime.service import Handler


class Delivery(NamedTuple):
    """A record with what it says, or why it says nothing."""

    record: Record
    """Without headers where these can be written again; see `whole`."""
    key: str
    """The key that later records wait for, should this one become a dead letter."""
    received: Received[Event] | None
    error: Undecodable | None = None

    def whole(self) -> Record:
        """The record as it came."""
        return self.record if self.received is None else with_headers(self.record, self.received.meta)


@dataclass(frozen=True, slots=True)
class Catch:
    """What a fetch brought: deliveries for this service, and the next offset of each partition. All belong to one
    generation: once it is over they are read again by whoever owns them then."""

    generation: int
    deliveries: list[Delivery] = field(default_factory=list)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)


def waves(
    deliveries: Sequence[Delivery], handlers: Mapping[str, Handler]
) -> list[tuple[Handler, list[Received[Event]]]]:
    """Group a batch into as few runs of one handler as keep each key's events in order.

    An event joins the earliest run of its handler that is not before the run of its key's previous event.
    """
    runs: list[tuple[Handler, list[Received[Event]]]] = []
    by_handler: dict[Handler, list[int]] = {}
    last: dict[str, int] = {}
    for delivery in deliveries:
        received = delivery.received
        assert received is not None
        handler, floor = handlers[received.event.type], last.get(delivery.key, 0)
        places = by_handler.setdefault(handler, [])
        place = next((i for i in places if i >= floor), None)
        if place is None:
            place = len(runs)
            runs.append((handler, []))
            places.append(place)
        runs[place][1].append(received)
        last[delivery.key] = place
    return runs
