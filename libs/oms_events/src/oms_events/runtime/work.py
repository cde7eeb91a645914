"""One transaction of a service: the connection, the clock, and what it wants published or remembered."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.codec import Record, encode
from oms_events.envelope import EventMeta, caused_by
from oms_events.registry import Event
from oms_events.runtime import deadlines
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.stages import within
from oms_events.runtime.telemetry import EMITTED
from oms_events.runtime.trail import Trail


class _Emitted(NamedTuple):
    event: Event
    cause: EventMeta
    sequence: int | None


class Work:
    """What a handler works with. It never commits, publishes or retries: the runtime does.

    Everything emitted or scheduled becomes part of the one transaction; nothing of it happens if that fails.
    """

    def __init__(self, connection: AsyncConnection, *, source: str, now: datetime, trail: Trail | None = None) -> None:
        self.connection = connection
        self.now = now
        self.trail = trail
        """What the transaction's spans are made of; None when tracing is off."""
        self._source = source
        self._emitted: list[_Emitted] = []
        self._schedule: dict[tuple[str, str], datetime | None] = {}

    def emit(self, event: Event, *, cause: EventMeta, sequence: int | None = None) -> None:
        """Publish an event when this transaction commits. `sequence` is the aggregate's version.

        The id derives from the cause and from how many events of this type it caused before, so a handler
        must emit in an order that its input decides. One that is too large fails the transaction.
        """
        self._emitted.append(_Emitted(event, cause, sequence))

    def schedule(self, kind: str, key: str, due_at: datetime) -> None:
        """Call the service's deadline handler of that kind at or after `due_at`; the last call per key counts."""
        self._schedule[kind, key] = due_at

    def unschedule(self, kind: str, key: str) -> None:
        """Forget a deadline, if there is one."""
        self._schedule[kind, key] = None

    def encode(self) -> Sequence[Record]:
        """What the outbox must carry, in order of emission. Called by the runtime, once, before it commits.

        All at once: told apart one by one, the clock of the stages would cost as much as encoding. Raises
        RecordTooLarge.
        """
        ordinals: Counter[tuple[str, str]] = Counter()
        records = []
        with within("encode"):
            for event, cause, sequence in self._emitted:
                slot = (cause.id, event.type)
                meta = caused_by(cause, event, ordinals[slot], source=self._source, now=self.now, sequence=sequence)
                ordinals[slot] += 1
                records.append(encode(event, meta))
                if self.trail is not None:
                    self.trail.emitted(cause, event)
        return records

    def count(self) -> None:
        """Count what was emitted. Called by the runtime, once it has committed."""
        for type_, number in Counter([emitted.event.type for emitted in self._emitted]).items():
            EMITTED.labels(type_).inc(number)

    async def save_schedule(self) -> None:
        """Write the deadlines asked for. Called by the runtime, before the outbox row."""
        if self._schedule:
            wanted = [Deadline(kind, key, at) for (kind, key), at in sorted(self._schedule.items()) if at is not None]
            dropped = [slot for slot, at in sorted(self._schedule.items()) if at is None]
            await deadlines.save(self.connection, wanted, dropped)
