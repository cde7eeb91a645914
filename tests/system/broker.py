"""The memory broker for many groups at once."""

import time
from collections.abc import Sequence

from oms_events.codec import Record
from oms_events.testing.memory_broker import MemoryBroker, MemorySource

_LONGEST_WAIT_MS = 50
"""So long at most nobody notices that the last rebalance is over."""


class Broker(MemoryBroker):
    """Its members say once per fetch that they are idle. Were each to say so again whenever another one does, two idle
    groups would wake each other for ever."""

    def source(self, group: str, topics: Sequence[str], member: str = "") -> "Source":
        found = super().source(group, topics, member)
        return Source(self, found._group, topics, found.name)


class Source(MemorySource):
    """A member that stays idle until records come."""

    async def fetch(self, *, max_records: int, timeout_ms: int) -> Sequence[Record]:
        deadline = time.monotonic() + min(timeout_ms, _LONGEST_WAIT_MS) / 1000
        said = False
        while True:
            records = await super().fetch(max_records=max_records, timeout_ms=0)
            left_s = deadline - time.monotonic()
            self.idle = timeout_ms > 0 and not records and not self._behind()
            if records or left_s <= 0:
                return records
            if self.idle and not said:
                said = True
                await self._broker.announce()
            await self._broker.changed_within(left_s if self.idle else 0.001)
