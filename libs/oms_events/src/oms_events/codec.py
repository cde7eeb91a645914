"""Events to Kafka records and back: CloudEvents 1.0, Kafka protocol binding.

Writes binary mode (the value is the JSON of the data alone, attributes are `ce_` headers), so that a reader can
route, deduplicate and dead-letter without parsing the value. Reads structured mode too.
Source: CloudEvents specification, Kafka Protocol Binding, version 1.0.2.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from oms_events.envelope import EventMeta, Received
from oms_events.registry import MAX_RECORD_BYTES, Event, model_of, upcast_data

Headers = Sequence[tuple[str, bytes | None]]
"""A header of a foreign producer may have no value."""

Read = Callable[[type[Event], bytes], Event]
"""How a value becomes an event. Raises ValidationError."""

_ATTRIBUTES = ("type", "id", "source", "time", "subject", "correlationid", "causationid", "sequence", "traceparent")
"""Attributes that a reader uses, in structured mode and, below, in binary mode."""
_HEADERS = (*(f"ce_{name}" for name in _ATTRIBUTES[:-1]), "traceparent")
_OURS = "/oms/"
"""How the sources of our own services begin."""
_LEAST_HEADERS = 10
"""Of an event of ours; see `headers_of`."""
_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Record(NamedTuple):
    """What a broker stores. `partition`, `offset` and `timestamp_ms` are known of fetched records only."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int = -1
    offset: int = -1
    timestamp_ms: int = -1


class Undecodable(ValueError):
    """The record is no event that this code can read. The message says why, and never shows the data."""


class UnknownType(Undecodable):
    """No event of this `type` was declared."""

    def __init__(self, type_: str) -> None:
        super().__init__(f"unknown event type {type_}")
        self.type = type_


class RecordTooLarge(ValueError):
    """The encoded event exceeds `MAX_RECORD_BYTES`."""


@cache
def schema_uri(type_: str) -> str:
    """Where the committed JSON Schema of a type stands, relative to `contracts/`."""
    _, service, name, version = type_.split(".")
    return f"events/{service}/{name}.{version}.schema.json"


@cache
def _constant_headers(type_: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """The attributes that all events of a type and source share. The type comes first: readers look for it first."""
    return (
        ("ce_type", type_.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("ce_dataschema", schema_uri(type_).encode()),
        ("content-type", b"application/json"),
    )


@lru_cache(maxsize=64)
def _moment(time: datetime) -> bytes:
    """A time as RFC 3339 has it. All events of a transaction carry the same."""
    return time.isoformat().encode()


def encode(event: Event, meta: EventMeta) -> Record:
    """The event as a record. Raises RecordTooLarge."""
    value = event.__pydantic_serializer__.to_json(event)
    if len(value) > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"{meta.type} of {len(value)} bytes exceeds the limit of {MAX_RECORD_BYTES} bytes")
    return Record(event.topic.name, meta.subject.encode(), value, headers_of(meta))


def headers_of(meta: EventMeta) -> list[tuple[str, bytes]]:
    """The envelope as headers of a record."""
    key = meta.subject.encode()
    headers = [
        *_constant_headers(meta.type, meta.source),
        ("ce_id", meta.id.encode()),
        ("ce_subject", key),
        ("ce_time", _moment(meta.time)),
        ("ce_partitionkey", key),
        ("ce_correlationid", meta.correlationid.encode()),
    ]
    if meta.causationid is not None:
        headers.append(("ce_causationid", meta.causationid.encode()))
    if meta.sequence is not None:
        headers.append(("ce_sequence", b"%d" % meta.sequence))
    if meta.traceparent is not None:
        headers.append(("traceparent", meta.traceparent.encode()))
    return headers


def without_headers(record: Record, meta: EventMeta) -> Record:
    """A record that was read, without its headers where `with_headers` can write them again: those that our own
    services write, and no more of them. They are some forty objects, more than all else of a record together, and
    thousands of records are alive in a batch."""
    if not meta.source.startswith(_OURS) or len(record.headers) != _count_headers(meta):
        return record
    return Record(record.topic, record.key, record.value, (), record.partition, record.offset, record.timestamp_ms)


def with_headers(record: Record, meta: EventMeta) -> Record:
    """A record as it came, after `without_headers`."""
    return record if record.headers else record._replace(headers=headers_of(meta))


def _count_headers(meta: EventMeta) -> int:
    optional = (meta.causationid, meta.sequence, meta.traceparent)
    return _LEAST_HEADERS + len(optional) - optional.count(None)


def type_of(record: Record) -> str | None:
    """The event's type without decoding it; None where only the value can tell (structured mode) or nothing does."""
    for name, value in record.headers:
        if name == "ce_type":
            return (value or b"").decode(errors="replace")
    return None


def check(model: type[Event], value: bytes) -> Event:
    """The event of a value, held against all rules of its contract. Raises ValidationError."""
    return model.__pydantic_validator__.validate_json(value)  # type: ignore[no-any-return]


def decode(record: Record, *, read_ours: Read = check) -> Received[Event]:
    """The event of a record, brought to its current version. Raises Undecodable.

    `read_ours` reads the values that our own services wrote.
    """
    headers = dict(record.headers)
    value: bytes | dict[str, Any]
    if (headers.get("content-type") or b"").startswith(b"application/cloudevents"):
        attributes, value = _structured(record)
        meta = _meta(attributes, _ATTRIBUTES)
    else:
        if record.value is None:
            raise Undecodable("the record has no value")
        meta, value = _meta(headers, _HEADERS), record.value
    model = model_of(meta.type)
    if model is None:
        raise UnknownType(meta.type)
    try:
        if model.type == meta.type and isinstance(value, bytes):
            read = read_ours if meta.source.startswith(_OURS) else check
            event = read(model, value)
        else:
            data = from_json(value) if isinstance(value, bytes) else value
            event = model.model_validate(upcast_data(meta.type, data), strict=False)
    except ValidationError as error:
        raise Undecodable(f"{meta.type} breaks its contract: {_places(error)}") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Undecodable(f"{meta.type} cannot be read: {type(error).__name__}") from None
    return Received(meta, event)


def _places(error: ValidationError) -> str:
    """Where and which rule, without the offending input: that may be personal data."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'data'}: {item['type']}" for item in error.errors(include_input=False)[:5]
    )


def _structured(record: Record) -> tuple[dict[str, bytes | None], dict[str, Any]]:
    try:
        document = from_json(record.value or b"")
    except ValueError:
        raise Undecodable("the structured event is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise Undecodable("the structured event carries no data object")
    data = document.pop("data")
    return {name: str(value).encode() for name, value in document.items() if value is not None}, data


def _meta(headers: Mapping[str, bytes | None], names: Sequence[str]) -> EventMeta:
    """The attributes that a reader uses."""
    try:
        type_, id_, source, at, subject, correlation, causation, sequence, trace = [
            value.decode() if (value := headers.get(name)) is not None else None for name in names
        ]
        if type_ is None or id_ is None or source is None or at is None:
            missing = next(name for name in names if headers.get(name) is None)
            raise Undecodable(f"the CloudEvents attribute {missing.removeprefix('ce_')} is missing")
        id_, time = _id(id_), datetime.fromisoformat(at)
        return EventMeta(
            id_,
            source,
            type_,
            subject or "",
            time if time.tzinfo else time.replace(tzinfo=UTC),
            correlation or id_,
            causation,
            int(sequence) if sequence is not None else None,
            trace,
        )
    except Undecodable:
        raise
    except ValueError as error:
        raise Undecodable(f"a CloudEvents attribute cannot be read: {error}") from None


def _id(said: str) -> str:
    """A UUID in the one form in which ids are compared and kept. Raises ValueError."""
    return said if _ID.fullmatch(said) else str(UUID(said))
