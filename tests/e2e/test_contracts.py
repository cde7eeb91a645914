"""What a subscriber relies on: every record of a run is what its committed schema and CloudEvents say it is.

Reads the topics as a stranger would: a plain consumer, the schemas as files, a validator and a CloudEvents SDK that
share no code with ours.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from cloudevents.core.bindings import kafka
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator

from oms_events.contracts.intake import (
    ChannelCancellation,
    ChannelOrder,
    ChannelOrderLine,
    ChannelPayment,
    StockReport,
)
from oms_events.contracts.shared import Destination
from oms_sample.book import Book
from oms_sample.cli import SLICE
from oms_sample.client import Doors
from oms_sample.endpoints import Endpoints
from oms_sample.play import Settings, prepare
from oms_sample.synth import Shares

from .conftest import SystemOf

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CONTRACTS = Path(__file__).parents[2] / "contracts"
SALES = 60
OFTEN = Shares(
    buyer_note=0.1,
    unpaid=0.05,
    early_payment=0.1,
    unmapped=0.02,
    mismatch=0.1,
    repeated=0.1,
    short_stock=0.05,
    rejected=0.1,
    short=0.1,
    report_twice=0.1,
    failed_attempt=0.1,
)
"""What goes wrong goes wrong often: each sort of trouble has events of its own."""
COVERED = {
    "oms.catalog": "BasePriceSet ListingMapped ListingUnmapped ProductDefined SkuDefined",
    "oms.intake": "ChannelCancellationReceived ChannelOrderReceived ChannelPaymentReceived StockReportReceived"
    " TrackingScanReceived WarehouseReportReceived",
    "oms.orders": "CancellationRequested HoldOpened HoldResolved OrderCancelled OrderCompleted OrderLinesCancelled"
    " OrderPaid OrderPlaced OrderReleased",
    "oms.inventory": "ChannelStockChanged NodeStockChanged StockAllocated StockConsumed StockReleased"
    " StockReservationRejected StockReserved",
    "oms.fulfilment": "CancellationAnswered OrderRouted ShipmentAccepted ShipmentCancelled ShipmentDispatched"
    " ShipmentRejected ShipmentReleased ShipmentRequested",
    "oms.logistics": "ParcelTracked ShipmentDelivered WaybillAssigned WaybillRefused",
}
"""What a run must have shown, or this test would prove less than it seems to. The rest (a routing or an allocation that
fails, a promise that is broken) takes luck or days; it is checked whenever it comes."""
CHANNEL, SHOP, NODE, CURRENCY = "strange", "main", "GB-LON", "GBP"
WEIGHTS_G = {"LIGHT": 500, "TOO-HEAVY": 50_000_000}
PATIENCE_S = 30.0
NOW = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as a stranger finds it."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]

    def text(self, name: str) -> str:
        return self.headers[name].decode()


async def everything(bootstrap: str) -> list[Stored]:
    """All records of all topics of the system."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = [topic for topic in await admin.list_topics() if topic.startswith("oms.")]
    await admin.close()
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[Stored] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [Stored(r.topic, r.key, r.value, dict(r.headers)) for r in records]
        return found
    finally:
        await consumer.stop()


async def loose_ends(doors: Doors) -> None:
    """What the play does not come to: an order cancelled when it is with the warehouse, a parcel that no carrier takes,
    and a listing taken back."""
    products = [{"product_code": sku, "title": sku} for sku in WEIGHTS_G]
    skus = [{"sku": sku, "product_code": sku, "title": sku, "weight_g": grams} for sku, grams in WEIGHTS_G.items()]
    await doors.operator.post("/v1/products:batch", products)
    await doors.operator.post("/v1/skus:batch", skus)
    listings = [{"channel": CHANNEL, "shop": SHOP, "listing": sku, "sku": sku} for sku in WEIGHTS_G]
    await doors.operator.post("/v1/listings:batch", listings)
    stock = [
        StockReport(node=NODE, sku=sku, report_no="1", kind="snapshot", quantity=5, occurred_at=NOW)
        for sku in WEIGHTS_G
    ]
    await doors.warehouse.post_intake("/v1/stock-reports:batch", stock)
    orders = [order_of(sku) for sku in WEIGHTS_G]
    await doors.channel.post_intake("/v1/orders:batch", orders)
    await doors.channel.post_intake("/v1/payments:batch", [payment_of(order) for order in orders])
    async with asyncio.timeout(PATIENCE_S):
        while not await is_released(doors, orders[0]):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.2)
    cancellation = ChannelCancellation(
        channel=CHANNEL, shop=SHOP, channel_order_no="LIGHT", cancellation_no="1", requested_at=NOW
    )
    await doors.channel.post_intake("/v1/cancellations:batch", [cancellation])
    await doors.operator.post("/v1/listings:unmap", {"channel": CHANNEL, "shop": SHOP, "listing": "LIGHT"})


def order_of(sku: str) -> ChannelOrder:
    return ChannelOrder(
        channel=CHANNEL,
        shop=SHOP,
        channel_order_no=sku,
        placed_at=NOW,
        currency=CURRENCY,
        lines=(ChannelOrderLine(line_no="1", listing=sku, quantity=1, unit_price_minor=1000),),
        total_minor=1000,
        ship_to=Destination(country="GB", region="England", city="London", postcode="SE1 1AB", receiver_token="t"),
    )


def payment_of(order: ChannelOrder) -> ChannelPayment:
    return ChannelPayment(
        channel=CHANNEL,
        shop=SHOP,
        channel_order_no=order.channel_order_no,
        payment_no="1",
        currency=CURRENCY,
        amount_minor=order.total_minor,
        paid_at=NOW,
    )


async def is_released(doors: Doors, order: ChannelOrder) -> bool:
    """Whether the warehouse has been told of an order."""
    releases = await doors.warehouse.get(f"/v1/nodes/{NODE}/releases", limit=500)
    return any(shipment["order_id"] == str(order.order_id) for shipment in releases["items"])


async def until_told(bootstrap: str, types: set[str]) -> list[Stored]:
    """All records, once every type is among them or nothing more can be hoped for."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        records = await everything(bootstrap)
        if types <= types_of(records) or time.monotonic() > give_up_at:
            return records


def types_of(records: Iterable[Stored]) -> set[str]:
    return {record.text("ce_type") for record in records}


def committed_types() -> dict[str, str]:
    """Files of the schemas by the types that they describe."""
    files = (CONTRACTS / "events").glob("*/*.schema.json")
    return {
        f"oms.{path.parent.name}.{path.name.removesuffix('.schema.json')}": path.relative_to(CONTRACTS).as_posix()
        for path in files
    }


@cache
def contract(file: str) -> tuple[dict[str, Any], Draft202012Validator]:
    """A committed schema and its validator, formats included: a checker that lacks one would find all in order."""
    schema: dict[str, Any] = json.loads((CONTRACTS / file).read_text())
    Draft202012Validator.check_schema(schema)
    checker = Draft202012Validator.FORMAT_CHECKER
    assert set(formats(schema)) <= checker.checkers.keys()
    return schema, Draft202012Validator(schema, format_checker=checker)


def formats(schema: Any) -> Iterable[str]:
    """The formats that a schema names."""
    if isinstance(schema, dict):
        if isinstance(schema.get("format"), str):
            yield schema["format"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from formats(part)


def faults(record: Stored, files: Mapping[str, str]) -> list[str]:
    """Where a record is not what was promised."""
    if (type_ := record.text("ce_type")) not in files:
        return [f"{type_}: nobody knows this type"]
    file = files[type_]
    schema, validator = contract(file)
    data = json.loads(record.value)
    found = [f"{type_}: {error.json_path}: {error.message}" for error in validator.iter_errors(data)]
    try:
        event = kafka.from_binary(kafka.KafkaMessage(dict(record.headers), record.key, record.value), JSONFormat())
    except CloudEventValidationError as refusal:
        return [*found, f"{type_}: {refusal}"]
    key = record.key.decode()
    promised = {
        "dataschema": (event.get_dataschema(), file),
        "topic": (record.topic, schema["x-topic"]),
        "key": (key, str(data.get(schema["x-key"]))),
        "ce_partitionkey": (record.text("ce_partitionkey"), key),
        "subject": (event.get_subject(), key),
        "specversion": (event.get_specversion(), "1.0"),
        "content-type": (event.get_datacontenttype(), "application/json"),
        "data": (event.get_data(), data),
        "time": (Draft202012Validator.FORMAT_CHECKER.conforms(record.text("ce_time"), "date-time"), True),
    }
    return found + [
        f"{type_}: {what} is {is_!r}, not {should!r}" for what, (is_, should) in promised.items() if is_ != should
    ]


def told_differently(records: Iterable[Stored]) -> list[str]:
    """Ids that stand for more than one event. A repetition has the same id and says the same."""
    contents: defaultdict[str, set[tuple[str, str, bytes, bytes]]] = defaultdict(set)
    for record in records:
        contents[record.text("ce_id")].add((record.topic, record.text("ce_type"), record.key, record.value))
    return [id_ for id_, said in contents.items() if len(said) > 1]


async def test_every_record_of_a_run_keeps_its_contract(system_of: SystemOf) -> None:
    covered = {f"{service}.{name}.v1" for service, names in COVERED.items() for name in names.split()}
    async with system_of() as system:
        async with Doors(Endpoints.of(system)) as doors:
            stage = await prepare(doors, Book(SLICE, SALES), Settings(shares=OFTEN), report=print)
            played = await stage.play()
            await loose_ends(doors)
        records = await until_told(system.bootstrap, covered)

    assert not played.stalled
    assert len(records) > 20 * SALES
    files = committed_types()
    assert [fault for record in records for fault in faults(record, files)] == []
    assert told_differently(records) == []
    assert covered - types_of(records) == set()


ORDER = "8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11"
KEPT = Stored(
    topic="oms.orders.order.v1",
    key=ORDER.encode(),
    value=json.dumps({"order_id": ORDER, "reason": "not paid in time"}).encode(),
    headers={
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"0194c1f0-5d0e-8c3b-9a53-0d6f2a6e7b11",
        "ce_source": b"/oms/orders",
        "ce_type": b"oms.orders.OrderCancelled.v1",
        "ce_subject": ORDER.encode(),
        "ce_time": b"2026-03-02T09:00:00.123456+00:00",
        "ce_dataschema": b"events/orders/OrderCancelled.v1.schema.json",
        "ce_partitionkey": ORDER.encode(),
    },
)
BROKEN = {
    "unknown type": {"ce_type": b"oms.orders.OrderForgotten.v1"},
    "schema of another": {"ce_dataschema": b"events/orders/OrderPaid.v1.schema.json"},
    "other partition key": {"ce_partitionkey": b"17"},
    "other subject": {"ce_subject": b"17"},
    "time without a zone": {"ce_time": b"2026-03-02T09:00:00"},
    "time without seconds": {"ce_time": b"2026-03-02T09:00+00:00"},
    "content of another type": {"content-type": b"text/plain"},
}


def test_a_record_that_keeps_its_promises_has_no_fault() -> None:
    assert faults(KEPT, committed_types()) == []


@pytest.mark.parametrize("how", BROKEN)
def test_a_header_that_breaks_a_promise_is_found(how: str) -> None:
    assert faults(replace(KEPT, headers=dict(KEPT.headers) | BROKEN[how]), committed_types()) != []


def test_data_key_and_topic_that_break_a_promise_are_found() -> None:
    for changed in (
        {"value": json.dumps({"order_id": ORDER}).encode()},
        {"value": json.dumps({"order_id": "17", "reason": "no id"}).encode()},
        {"value": json.dumps({"order_id": ORDER, "reason": 17}).encode()},
        {"key": b"17"},
        {"topic": "oms.orders.refund.v1"},
    ):
        assert faults(replace(KEPT, **changed), committed_types()) != []


def test_one_id_that_stands_for_two_events_is_found() -> None:
    assert told_differently([KEPT, KEPT]) == []
    assert told_differently([KEPT, replace(KEPT, value=b"{}")]) == [KEPT.text("ce_id")]
