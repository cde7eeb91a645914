"""Events of logistics: the carrier of a shipment and the way of its parcel."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from oms_events.contracts.shared import Code, Currency, Instant, Part, Price, Text
from oms_events.registry import Event, Topic, event

PARCEL = Topic("oms.logistics.parcel.v1", key="order_id")


class CarrierOption(Part):
    """A carrier service that was weighed, and why it lost if it did. No cost: it could not carry the shipment."""

    carrier: Code
    service: Code
    cost_minor: Price | None
    promised_at: Instant | None
    chosen: bool
    reason: str = ""


@event(PARCEL)
class WaybillAssigned(Event):
    """A carrier will take the shipment: for how much, by when, and why this one."""

    order_id: UUID
    shipment_id: UUID
    carrier: Code
    service: Code
    waybill_no: Text
    tariff_version: Text
    billable_weight_g: int
    cost_minor: Price
    currency: Currency
    promised_at: Instant
    options: Annotated[tuple[CarrierOption, ...], Field(max_length=50)] = ()


@event(PARCEL)
class WaybillRefused(Event):
    """No carrier serves the shipment."""

    order_id: UUID
    shipment_id: UUID
    reason: str


@event(PARCEL)
class ParcelTracked(Event):
    """The parcel's state changed."""

    order_id: UUID
    shipment_id: UUID
    waybill_no: Text
    status: str
    occurred_at: Instant


@event(PARCEL)
class ShipmentDelivered(Event):
    """The parcel reached its receiver. `late_by_s` is zero when the promise was kept."""

    order_id: UUID
    shipment_id: UUID
    waybill_no: Text
    delivered_at: Instant
    promised_at: Instant
    late_by_s: int


@event(PARCEL)
class DeliveryPromiseBroken(Event):
    """The promised time passed and the parcel has not arrived."""

    order_id: UUID
    shipment_id: UUID
    waybill_no: Text
    promised_at: Instant
    last_status: str
