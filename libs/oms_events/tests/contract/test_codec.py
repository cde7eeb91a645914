"""Records as they travel: our own round trip, the CloudEvents SDK as a second opinion, and what is refused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from oms_events import registry
from oms_events.codec import (
    Record,
    RecordTooLarge,
    Undecodable,
    check,
    decode,
    encode,
    schema_uri,
    type_of,
    with_headers,
    without_headers,
)
from oms_events.contracts.orders import HoldOpened, OrderCancelled, OrderPaid
from oms_events.envelope import EventMeta
from oms_events.registry import MAX_RECORD_BYTES, Event, Topic, event, events, upcast
from oms_events.runtime.trusted import trust

ORDER = UUID("8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11")
META = EventMeta(
    id="0194c1f0-5d0e-8c3b-9a53-0d6f2a6e7b11",
    source="/oms/orders",
    type=OrderCancelled.type,
    subject=str(ORDER),
    time=datetime(2026, 3, 2, 9, 0, 0, 123456, UTC),
    correlationid="0194c1f0-0000-8c3b-9a53-0d6f2a6e7b11",
    causationid="0194c1f0-1111-8c3b-9a53-0d6f2a6e7b11",
    sequence=7,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
CANCELLED = OrderCancelled(order_id=ORDER, reason="not paid in time: 50 € 🎁")


def meta_of(model: Event) -> EventMeta:
    return META._replace(type=model.type, subject=model.key())


def as_message(record: Record) -> kafka.KafkaMessage:
    assert record.value is not None
    return kafka.KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value)


def as_record(message: kafka.KafkaMessage) -> Record:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return Record("any", key, message.value, list(message.headers.items()))


def official(model: Event, meta: EventMeta) -> CloudEvent:
    """The event as the SDK's user would write it."""
    attributes = {
        "id": meta.id,
        "source": meta.source,
        "type": meta.type,
        "subject": meta.subject,
        "time": meta.time,
        "datacontenttype": "application/json",
        "dataschema": schema_uri(meta.type),
        "partitionkey": model.key(),
        "correlationid": meta.correlationid,
        "causationid": meta.causationid,
        "sequence": str(meta.sequence),
    }
    return CloudEvent(attributes, json.loads(model.model_dump_json()))


def changed(record: Record, **changes: bytes | None) -> Record:
    """The record with some `ce_` headers replaced, or left out where None."""
    headers = {name: value for name, value in record.headers if name.removeprefix("ce_") not in changes}
    headers |= {f"ce_{name}": value for name, value in changes.items() if value is not None}
    return record._replace(headers=list(headers.items()))


def structured(document: object) -> Record:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Record("any", None, body, [("content-type", b"application/cloudevents+json; charset=UTF-8")])


DOCUMENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": str(META.id),
    "source": META.source,
    "type": META.type,
    "time": "2026-03-02T09:00:00.123456Z",
    "data": {"order_id": str(ORDER), "reason": "structured"},
}


# --- round trips ------------------------------------------------------------------------------------------------


def test_every_example_comes_back_as_it_went(example: Any) -> None:
    model = events()[registry.current_type(example.type)].model_validate(example.data)
    record = encode(model, meta_of(model))
    assert (record.topic, record.key) == (model.topic.name, model.key().encode())
    received = decode(record)
    assert received.event == model
    assert type(received.event) is type(model)
    assert received.meta == meta_of(model)


def test_what_we_wrote_is_read_as_anybodys(example: Any) -> None:
    model = events()[registry.current_type(example.type)].model_validate(example.data)
    record = encode(model, meta_of(model))
    assert decode(record, read_ours=trust) == decode(record)


@pytest.mark.parametrize("missing", [(), ("causationid",), ("sequence",), ("causationid", "sequence", "traceparent")])
def test_our_headers_are_let_go_of_and_written_again(missing: tuple[str, ...]) -> None:
    meta = META._replace(**dict.fromkeys(missing))
    record = encode(CANCELLED, meta)._replace(partition=2, offset=17, timestamp_ms=5)
    light = without_headers(record, decode(record).meta)
    assert light == record._replace(headers=())
    assert with_headers(light, decode(record).meta) == record


@pytest.mark.parametrize(
    "record",
    [
        encode(CANCELLED, META._replace(source="/shop")),
        changed(encode(CANCELLED, META), newer=b"1"),
        changed(encode(CANCELLED, META), correlationid=None),
        structured(DOCUMENT | {"source": "/oms/orders"}),
    ],
    ids=["of others", "one more than we know", "one less", "structured"],
)
def test_headers_that_we_would_not_write_are_kept(record: Record) -> None:
    meta = decode(record).meta
    assert without_headers(record, meta) is record
    assert with_headers(record, meta) is record


def test_the_official_sdk_reads_what_we_write(example: Any) -> None:
    model = events()[registry.current_type(example.type)].model_validate(example.data)
    meta = meta_of(model)
    read = kafka.from_binary(as_message(encode(model, meta)), JSONFormat())
    assert read.get_specversion() == "1.0"
    assert (read.get_id(), read.get_source(), read.get_type()) == (meta.id, meta.source, meta.type)
    assert (read.get_subject(), read.get_time()) == (meta.subject, meta.time)
    assert (read.get_datacontenttype(), read.get_dataschema()) == ("application/json", schema_uri(meta.type))
    assert read.get_extension("partitionkey") == model.key()
    assert read.get_extension("correlationid") == meta.correlationid
    assert read.get_extension("causationid") == meta.causationid
    assert read.get_extension("sequence") == str(meta.sequence)
    assert type(model).model_validate(read.get_data()) == model


def test_we_read_what_the_official_sdk_writes(example: Any) -> None:
    model = events()[registry.current_type(example.type)].model_validate(example.data)
    meta = meta_of(model)._replace(traceparent=None)
    for write in (kafka.to_binary, kafka.to_structured):
        received = decode(as_record(write(official(model, meta), JSONFormat())))
        assert received.event == model
        assert received.meta == meta


def test_attributes_that_an_event_lacks_are_not_written() -> None:
    bare = META._replace(causationid=None, sequence=None, traceparent=None)
    record = encode(CANCELLED, bare)
    assert {name for name, _ in record.headers} == {
        "content-type",
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_dataschema",
        "ce_partitionkey",
        "ce_correlationid",
    }
    assert decode(record).meta == bare


def test_the_type_is_known_without_decoding() -> None:
    assert type_of(encode(CANCELLED, META)) == "oms.orders.OrderCancelled.v1"
    assert type_of(structured(DOCUMENT)) is None
    assert type_of(Record("any", None, b"", [])) is None


def test_a_time_keeps_its_instant_whatever_its_offset() -> None:
    record = changed(encode(CANCELLED, META), time=b"2026-03-02T17:00:00.123456+08:00")
    assert decode(record).meta.time == META.time
    plain = changed(encode(CANCELLED, META), time=b"2026-03-02T09:00:00")
    assert decode(plain).meta.time == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_an_event_that_began_a_chain_correlates_to_itself() -> None:
    record = changed(encode(CANCELLED, META), correlationid=None, causationid=None)
    assert decode(record).meta.correlationid == str(META.id)
    assert decode(record).meta.causationid is None


def test_fields_of_a_newer_producer_are_ignored() -> None:
    record = encode(CANCELLED, META)
    newer = json.loads(record.value or b"") | {"refund": {"minor": 1}}
    assert decode(record._replace(value=json.dumps(newer).encode())).event == CANCELLED


def test_an_event_larger_than_a_record_is_refused_before_it_is_sent() -> None:
    detail = "x" * MAX_RECORD_BYTES
    with pytest.raises(RecordTooLarge, match=str(MAX_RECORD_BYTES)):
        encode(HoldOpened(order_id=ORDER, hold_id=ORDER, code="CUSTOM", blocks=(), detail=detail), META)


# --- structured mode ----------------------------------------------------------------------------------------------


def test_structured_mode_is_read() -> None:
    received = decode(structured(DOCUMENT | {"sequence": 3, "subject": "s"}))
    assert received.event == OrderCancelled(order_id=ORDER, reason="structured")
    assert (received.meta.sequence, received.meta.subject, received.meta.time) == (3, "s", META.time)


def test_an_attribute_that_is_null_is_an_attribute_left_out() -> None:
    received = decode(structured(DOCUMENT | {"subject": None, "sequence": None, "causationid": None}))
    assert (received.meta.subject, received.meta.sequence, received.meta.causationid) == ("", None, None)


# --- what cannot be read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (changed(encode(CANCELLED, META), type=None), "attribute type is missing"),
        (changed(encode(CANCELLED, META), id=None), "attribute id is missing"),
        (changed(encode(CANCELLED, META), source=None), "attribute source is missing"),
        (changed(encode(CANCELLED, META), time=None), "attribute time is missing"),
        (changed(encode(CANCELLED, META), id=b"17"), "cannot be read"),
        (changed(encode(CANCELLED, META), id=b"\xff\xfe"), "cannot be read"),
        (changed(encode(CANCELLED, META), time=b"yesterday"), "cannot be read"),
        (changed(encode(CANCELLED, META), sequence=b"first"), "cannot be read"),
        (changed(encode(CANCELLED, META), type=b"oms.orders.OrderForgotten.v1"), "unknown event type"),
        (changed(encode(CANCELLED, META), type=b"nonsense"), "unknown event type"),
        (encode(CANCELLED, META)._replace(value=None), "no value"),
        (encode(CANCELLED, META)._replace(value=b""), "breaks its contract"),
        (encode(CANCELLED, META)._replace(value=b"{"), "breaks its contract"),
        (encode(CANCELLED, META)._replace(value=b"[]"), "breaks its contract"),
        (encode(CANCELLED, META)._replace(value=b"{}"), "order_id: missing; reason: missing"),
        (encode(CANCELLED, META)._replace(value=b"[" * 100_000), "breaks its contract"),
        (encode(CANCELLED, META)._replace(value=b'{"order_id":"\xff"}'), "breaks its contract"),
        (Record("any", None, b"{}", []), "attribute type is missing"),
        (structured(b"{"), "not JSON"),
        (structured(b"\xff"), "not JSON"),
        (structured(b"[" * 100_000), "not JSON"),
        (structured([]), "no data object"),
        (structured({"id": "1"}), "no data object"),
        (structured(DOCUMENT | {"data": "text"}), "no data object"),
        (structured(DOCUMENT | {"data_base64": "e30=", "data": None}), "no data object"),
        (structured(DOCUMENT | {"id": None}), "attribute id is missing"),
        (structured(DOCUMENT | {"type": 7}), "unknown event type"),
        (structured(DOCUMENT | {"data": {"order_id": 1}}), "breaks its contract"),
        (structured(DOCUMENT)._replace(value=None), "not JSON"),
    ],
)
def test_what_is_no_event_of_ours_is_refused_with_a_reason(record: Record, why: str) -> None:
    for read_ours in (check, trust):
        with pytest.raises(Undecodable, match=why):
            decode(record, read_ours=read_ours)


def test_rules_are_held_against_others_events_and_the_shape_against_ours() -> None:
    paid = OrderPaid(order_id=ORDER, currency="EUR", paid_minor=1, paid_at=META.time)
    record = encode(paid, meta_of(paid))
    assert record.value is not None
    unheard_of = record._replace(value=record.value.replace(b"EUR", b"XXE"))
    event = decode(unheard_of, read_ours=trust).event
    assert isinstance(event, OrderPaid)
    assert (event.currency, event.paid_at) == ("XXE", paid.paid_at)
    for others in (changed(unheard_of, source=b"/elsewhere"), changed(unheard_of, source=b"oms/orders")):
        with pytest.raises(Undecodable, match="currency: value_error"):
            decode(others, read_ours=trust)
    shapeless = record._replace(value=record.value.replace(b'"paid_minor":1', b'"paid_minor":"much"'))
    with pytest.raises(Undecodable, match="paid_minor: int_parsing"):
        decode(shapeless, read_ours=trust)


def test_a_refusal_never_shows_the_data() -> None:
    secret = "Jane Doe, 1 Main Street"
    for data in ({"order_id": secret}, {"order_id": str(ORDER), "reason": [secret]}, secret):
        with pytest.raises(Undecodable) as refused:
            decode(encode(CANCELLED, META)._replace(value=json.dumps(data).encode()))
        assert secret not in str(refused.value)
        assert refused.value.__cause__ is None


# --- upcasters ----------------------------------------------------------------------------------------------------

THING = Topic("oms.test.thing.v1", key="name")


@pytest.fixture
def thing() -> Iterator[type[Event]]:
    """An event in its third version, and how the two before are read; forgotten after the test."""
    before = dict(registry._events), dict(registry._upcasts)

    @event(THING, version=3)
    class ThingDoneV3(Event):
        name: str
        count: int
        unit: str

    @upcast("oms.test.ThingDone.v1", "oms.test.ThingDone.v2")
    def _counted(data: dict[str, Any]) -> dict[str, Any]:
        return {"name": data["title"], "count": int(data.get("count", 1))}

    @upcast("oms.test.ThingDone.v2", "oms.test.ThingDone.v3")
    def _measured(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"unit": "piece"}

    yield ThingDoneV3
    for table, was in zip((registry._events, registry._upcasts), before, strict=True):
        table.clear()
        table.update(was)


def old_thing(version: int, data: object) -> Record:
    headers = dict(encode(CANCELLED, META).headers) | {"ce_type": f"oms.test.ThingDone.v{version}".encode()}
    return Record(THING.name, None, json.dumps(data).encode(), list(headers.items()))


@pytest.mark.parametrize(
    ("version", "data", "expected"),
    [
        (1, {"title": "a"}, {"name": "a", "count": 1, "unit": "piece"}),
        (1, {"title": "a", "count": "5"}, {"name": "a", "count": 5, "unit": "piece"}),
        (2, {"name": "a", "count": 2}, {"name": "a", "count": 2, "unit": "piece"}),
        (3, {"name": "a", "count": 2, "unit": "box"}, {"name": "a", "count": 2, "unit": "box"}),
    ],
)
def test_old_versions_are_read_as_the_newest(
    thing: type[Event], version: int, data: dict[str, Any], expected: dict[str, Any]
) -> None:
    received = decode(old_thing(version, data))
    assert received.event == thing.model_validate(expected)
    assert received.meta.type == f"oms.test.ThingDone.v{version}", "the envelope says what was received"


def test_structured_records_of_old_versions_are_upcast_too(thing: type[Event]) -> None:
    document = DOCUMENT | {"type": "oms.test.ThingDone.v1", "data": {"title": "a"}}
    assert decode(structured(document)).event == thing.model_validate({"name": "a", "count": 1, "unit": "piece"})


@pytest.mark.parametrize(
    "data", [{}, {"title": "a", "count": "many"}, [], "text", 7, None, {"title": "a", "count": {}}]
)
def test_old_data_that_an_upcaster_cannot_read_is_undecodable(thing: type[Event], data: object) -> None:
    with pytest.raises(Undecodable, match=r"oms\.test\.ThingDone\.v1"):
        decode(old_thing(1, data))


def test_the_newest_version_carries_its_number_in_the_type(thing: type[Event]) -> None:
    assert thing.type == "oms.test.ThingDone.v3"
    assert schema_uri(thing.type) == "events/test/ThingDone.v3.schema.json"


def test_a_type_cannot_be_declared_twice(thing: type[Event]) -> None:
    class ThingDoneV3(Event):
        name: str

    with pytest.raises(ValueError, match="declared twice"):
        event(THING, version=3)(ThingDoneV3)


def test_times_of_any_offset_are_written_as_one_instant() -> None:
    meta = META._replace(time=META.time.astimezone(timezone(timedelta(hours=8))))
    assert decode(encode(CANCELLED, meta)).meta.time == META.time
