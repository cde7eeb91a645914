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

_PIECE = 50
"""So many events are encoded together: few enough to be in the cache of the processor still, and enough that the clock
of the stages costs nothing beside them."""


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
        """What is not encoded yet."""
        self._records: list[Record] = []
        self._ordinals: Counter[tuple[str, str]] = Counter()
        """How many events of a type each cause has."""
        self._types: Counter[str] = Counter()
        self._schedule: dict[tuple[str, str], datetime | None] = {}

    def emit(self, event: Event, *, cause: EventMeta, sequence: int | None = None) -> None:
        """Publish an event when this transaction commits. `sequence` is the aggregate's version.

        The id derives from the cause and from how many events of this type it caused before, so a handler
        must emit in an order that its input decides. One that is too large fails the transaction: RecordTooLarge is
        raised here or when the transaction ends.
        """
        self._emitted.append(_Emitted(event, cause, sequence))
        if len(self._emitted) == _PIECE:
            self._encode_emitted()

    def schedule(self, kind: str, key: str, due_at: datetime) -> None:
        """Call the service's deadline handler of that kind at or after `due_at`; the last call per key counts."""
        self._schedule[kind, key] = due_at

    def unschedule(self, kind: str, key: str) -> None:
        """Forget a deadline, if there is one."""
        self._schedule[kind, key] = None

    def encode(self) -> Sequence[Record]:
        """What the outbox must carry, in order of emission. Called by the runtime before it commits. Raises
        RecordTooLarge."""
        self._encode_emitted()
        return self._records

    def _encode_emitted(self) -> None:
        with within("encode"):
            for event, cause, sequence in self._emitted:
                slot = (cause.id, event.type)
                ordinal = self._ordinals[slot]
                meta = caused_by(cause, event, ordinal, source=self._source, now=self.now, sequence=sequence)
                self._ordinals[slot] += 1
                self._types[event.type] += 1
                self._records.append(encode(event, meta))
                if self.trail is not None:
                    self.trail.emitted(cause, event)
        self._emitted.clear()

    def count(self) -> None:
        """Count what was emitted. Called by the runtime, once it has committed."""
        for type_, number in self._types.items():
            EMITTED.labels(type_).inc(number)

    async def save_schedule(self) -> None:
        """Write the deadlines asked for. Called by the runtime, before the outbox row."""
        if self._schedule:
            wanted = [Deadline(kind, key, at) for (kind, key), at in sorted(self._schedule.items()) if at is not None]
            dropped = [slot for slot, at in sorted(self._schedule.items()) if at is None]
            await deadlines.save(self.connection, wanted, dropped)
