"""Watches the end of a topic for orders that got there: what any downstream subscriber sees."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Self

from oms_events.registry import Event
from oms_events.runtime.broker import Broker
from oms_sample.hops import subscriber


class Watch:
    """Notes when each order first came to one of some events of a topic. An async context."""

    def __init__(self, broker: Broker, *events: type[Event]) -> None:
        self._topic = events[0].topic.name
        self._types = {event.type.encode() for event in events}
        self._broker = broker
        self.seen: dict[bytes, float] = {}
        """By order id: seconds since the epoch, as the record's producer stamped it."""
        self.by_type: dict[bytes, int] = dict.fromkeys(self._types, 0)

    async def __aenter__(self) -> Self:
        self._consumer = subscriber(self._broker, self._topic)
        await self._consumer.start()
        await self._consumer.seek_to_end()
        for place in self._consumer.assignment():
            await self._consumer.position(place)  # seeking is lazy: a record sent from now on must count
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await self._consumer.stop()

    async def until(self, ids: Iterable[bytes], patience_s: float) -> int:
        """Wait for all of these orders, or until none has come for `patience_s`. Returns how many came."""
        wanted = set(ids)
        missing = wanted - self.seen.keys()
        known, moved_at = len(self.seen), time.monotonic()
        while missing and time.monotonic() - moved_at <= patience_s:
            await asyncio.sleep(0.05)
            if (count := len(self.seen)) > known:
                # Only what is new is looked at: what the watch costs is counted with what is watched.
                missing.difference_update(islice(reversed(self.seen), count - known))
                known, moved_at = count, time.monotonic()
        return len(wanted) - len(missing)

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    type_ = next((value for name, value in record.headers if name == "ce_type"), b"")
                    if type_ in self._types and record.key not in self.seen:
                        self.seen[record.key] = record.timestamp / 1000
                        self.by_type[type_] += 1
