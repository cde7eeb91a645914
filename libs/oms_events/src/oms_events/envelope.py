"""The envelope of an event: CloudEvents 1.0 attributes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from oms_events.registry import Event
from oms_events.values import derived_text

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


# Tuples, not frozen dataclasses: one of each is made for every event of every hop, at a third of the cost.
class EventMeta(NamedTuple):
    """CloudEvents attributes plus the extensions this system uses.

    `id` is a UUID as text; `subject` is the event's key; `sequence` is the aggregate's version where it has one;
    `correlationid` is the event that began the whole chain, `causationid` the one handled when this was emitted;
    `traceparent` is W3C trace context.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    correlationid: str
    causationid: str | None = None
    sequence: int | None = None
    traceparent: str | None = None


class Received(NamedTuple, Generic[E_co]):
    """An event as a handler gets it."""

    meta: EventMeta
    event: E_co


Batch = Sequence[Received[E]]
"""What a handler is given: one or more events of one type, each key's in order."""


def origin(source: str, *identity: str, at: datetime, traceparent: str | None = None) -> EventMeta:
    """A cause that is no event itself (a request, a deadline, a job): the same identity is the same cause."""
    cause = derived_text(source, *identity, at=at)
    return EventMeta(cause, source, "", "/".join(identity), at, cause, traceparent=traceparent)


def caused_by(
    cause: EventMeta, event: Event, ordinal: int, *, source: str, now: datetime, sequence: int | None = None
) -> EventMeta:
    """The envelope of an event emitted while handling `cause`.

    Its id derives from the cause, the type and the ordinal, so that handling the cause again, after a crash
    or on a second delivery, gives the same event, which every inbox then knows.
    """
    return EventMeta(
        derived_text(cause.id, event.type, str(ordinal), at=cause.time),
        source,
        event.type,
        event.key(),
        now,
        cause.correlationid,
        cause.id,
        sequence,
        cause.traceparent,
    )
