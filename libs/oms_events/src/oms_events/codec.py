"""Events to Kafka records and back: CloudEvents 1.0, Kafka protocol binding.

Writes binary mode (the value is the JSON of the data alone, attributes are `ce_` headers), so that a reader can
route, deduplicate and dead-letter without parsing the value. Reads structured mode too.
Source: CloudEvents specification, Kafka Protocol Binding, version 1.0.2.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from oms_events.envelope import EventMeta, Received
from oms_events.registry import MAX_RECORD_BYTES, Event, current_type, model_of, upcast_data

Headers = Sequence[tuple[str, bytes]]

_CONTENT_TYPE = ("content-type", b"application/json")
_SPECVERSION = ("ce_specversion", b"1.0")
_READ = {
    "traceparent": "traceparent",
    **{
        name: f"ce_{name}"
        for name in ("id", "source", "type", "subject", "time", "sequence", "correlationid", "causationid")
    },
}
"""Attributes that a reader uses, and their headers in binary mode."""


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


class RecordTooLarge(ValueError):
    """The encoded event exceeds `MAX_RECORD_BYTES`."""


@cache
def schema_uri(type_: str) -> str:
    """Where the committed JSON Schema of a type stands, relative to `contracts/`."""
    _, service, name, version = type_.split(".")
    return f"events/{service}/{name}.{version}.schema.json"


def encode(event: Event, meta: EventMeta) -> Record:
    """The event as a record. Raises RecordTooLarge."""
    value = event.__pydantic_serializer__.to_json(event)
    if len(value) > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"{meta.type} of {len(value)} bytes exceeds the limit of {MAX_RECORD_BYTES} bytes")
    key = event.key().encode()
    headers = [
        _CONTENT_TYPE,
        _SPECVERSION,
        ("ce_id", str(meta.id).encode()),
        ("ce_source", meta.source.encode()),
        ("ce_type", meta.type.encode()),
        ("ce_subject", meta.subject.encode()),
        ("ce_time", meta.time.isoformat().encode()),
        ("ce_dataschema", schema_uri(meta.type).encode()),
        ("ce_partitionkey", key),
        ("ce_correlationid", meta.correlationid.encode()),
    ]
    if meta.causationid is not None:
        headers.append(("ce_causationid", meta.causationid.encode()))
    if meta.sequence is not None:
        headers.append(("ce_sequence", str(meta.sequence).encode()))
    if meta.traceparent is not None:
        headers.append(("traceparent", meta.traceparent.encode()))
    return Record(event.topic.name, key, value, headers)


def type_of(record: Record) -> str | None:
    """The event's type without decoding it; None where only the value can tell (structured mode) or nothing does."""
    for name, value in record.headers:
        if name == "ce_type":
            return value.decode(errors="replace")
    return None


def decode(record: Record) -> Received[Event]:
    """The event of a record, brought to its current version. Raises Undecodable."""
    headers = dict(record.headers)
    structured = headers.get("content-type", b"").startswith(b"application/cloudevents")
    attributes, value = _structured(record) if structured else _binary(headers, record.value)
    meta = _meta(attributes)
    model = model_of(meta.type)
    if model is None:
        raise Undecodable(f"unknown event type {meta.type}")
    try:
        if current_type(meta.type) == meta.type and isinstance(value, bytes):
            event = model.model_validate_json(value)
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


def _binary(headers: Mapping[str, bytes], value: bytes | None) -> tuple[dict[str, str], bytes]:
    if value is None:
        raise Undecodable("the record has no value")
    return {
        name: headers[header].decode(errors="replace") for name, header in _READ.items() if header in headers
    }, value


def _structured(record: Record) -> tuple[dict[str, str], dict[str, Any]]:
    try:
        document = from_json(record.value or b"")
    except ValueError:
        raise Undecodable("the structured event is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise Undecodable("the structured event carries no data object")
    data = document.pop("data")
    return {name: str(value) for name, value in document.items() if value is not None}, data


def _meta(attributes: Mapping[str, str]) -> EventMeta:
    try:
        type_, id_ = attributes["type"], attributes["id"]
        time = datetime.fromisoformat(attributes["time"])
        sequence = attributes.get("sequence")
        return EventMeta(
            id=UUID(id_),
            source=attributes["source"],
            type=type_,
            subject=attributes.get("subject", ""),
            time=time if time.tzinfo else time.replace(tzinfo=UTC),
            correlationid=attributes.get("correlationid", id_),
            causationid=attributes.get("causationid"),
            sequence=int(sequence) if sequence is not None else None,
            traceparent=attributes.get("traceparent"),
        )
    except KeyError as error:
        raise Undecodable(f"the CloudEvents attribute {error.args[0]} is missing") from None
    except ValueError as error:
        raise Undecodable(f"a CloudEvents attribute cannot be read: {error}") from None
