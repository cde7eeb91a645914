"""Orders all the way: the warehouse accepts and ships what was released, the carrier delivers it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic_core import from_json

from bench import load
from bench.bed import BATCH, PATIENCE_S, SKUS, Bed
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentAccepted, ShipmentDispatched, ShipmentReleased
from oms_events.contracts.intake import ReportedParcel, ReportedQuantity, TrackingScan, WarehouseReport
from oms_events.contracts.orders import OrderCompleted
from oms_events.registry import Event
from oms_events.runtime.broker import Broker
from oms_sample import hops

Shipment = dict[str, Any]


class Incomplete(Exception):
    """Orders got stuck on their way."""


async def complete(bed: Bed, name: str, orders: int) -> list[str]:
    """Let so many orders through to their end. Returns their ids. Raises Incomplete."""
    broker = bed.system.broker
    since = await hops.ends(broker)
    sent = load.synthetic(name, orders, SKUS, batch=BATCH)
    await bed.timed(sent, ShipmentReleased)
    shipments = await _released(broker, since)
    ids = [id_ for batch in sent for id_ in batch.ids]
    async with Watch(broker, ShipmentAccepted) as watch:
        await _report(bed, [_said(shipment, "accepted") for shipment in shipments])
        await _until(watch, ids, ShipmentAccepted)
    async with Watch(broker, ShipmentDispatched) as watch:
        await _report(bed, [_said(shipment, "shipped") for shipment in shipments])
        await _until(watch, ids, ShipmentDispatched)
    async with Watch(broker, OrderCompleted) as watch:
        scans = [scan for shipment in shipments for scan in _scans(shipment)]
        await bed.doors.carrier.post_intake("/v1/tracking-scans:batch", scans)
        await _until(watch, ids, OrderCompleted)
    return [id_.decode() for id_ in ids]


async def _until(watch: Watch, ids: Sequence[bytes], event: type[Event]) -> None:
    came = await watch.until(ids, PATIENCE_S)
    if came < len(ids):
        raise Incomplete(f"{came:,} of {len(ids):,} orders came to {event.__name__}")


async def _report(bed: Bed, reports: Sequence[WarehouseReport]) -> None:
    await bed.doors.warehouse.post_intake("/v1/warehouse-reports:batch", reports)


def _said(shipment: Shipment, kind: Literal["accepted", "shipped"]) -> WarehouseReport:
    shipped = kind == "shipped"
    lines = (ReportedQuantity(line_id=line["line_id"], quantity=line["quantity"]) for line in shipment["lines"])
    return WarehouseReport(
        node=shipment["node"],
        shipment_id=UUID(shipment["shipment_id"]),
        report_no=f"{kind}-1",
        kind=kind,
        lines=tuple(lines) if shipped else (),
        parcels=(ReportedParcel(parcel_no="1", weight_g=900),) if shipped else (),
        occurred_at=datetime.now(UTC),
    )


def _scans(shipment: Shipment) -> list[TrackingScan]:
    at = datetime.now(UTC)
    return [
        TrackingScan.model_validate(
            {
                "carrier": shipment["carrier"],
                "waybill_no": shipment["waybill_no"],
                "status": status,
                "occurred_at": at + timedelta(milliseconds=step),
                "place": "depot",
            }
        )
        for step, status in enumerate(("picked_up", "in_transit", "out_for_delivery", "delivered"))
    ]


async def _released(broker: Broker, since: hops.Offsets) -> list[Shipment]:
    """What the warehouse would be told."""
    shipments: dict[str, Shipment] = {}
    async with hops.subscriber(broker, ShipmentReleased.topic.name) as consumer:
        left = dict(await consumer.end_offsets(list(consumer.assignment())))
        for place in left:
            consumer.seek(place, since.get(place, 0))
        while left:
            for records in (await consumer.getmany(*left, timeout_ms=500)).values():
                for record in records:
                    if dict(record.headers)["ce_type"] == ShipmentReleased.type.encode():
                        shipment = from_json(record.value)
                        shipments[shipment["shipment_id"]] = shipment
            for place in list(left):
                if await consumer.position(place) >= left[place]:
                    del left[place]
    return list(shipments.values())
