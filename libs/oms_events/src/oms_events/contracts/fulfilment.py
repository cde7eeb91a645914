"""Events of fulfilment: how an order was routed, and the life of each shipment."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from oms_events.contracts.shared import (
    Code,
    Currency,
    Destination,
    Grams,
    Instant,
    LineQuantity,
    Minor,
    Part,
    Text,
)
from oms_events.registry import Event, Topic, event

ROUTING = Topic("oms.fulfilment.routing.v1", key="order_id")
SHIPMENT = Topic("oms.fulfilment.shipment.v1", key="order_id")

Lines = Annotated[tuple[LineQuantity, ...], Field(max_length=2000)]


class PlannedShipment(Part):
    """One shipment of a plan."""

    shipment_id: UUID
    node: Code
    lines: Lines


class PlanScore(Part):
    """What a plan would cost, in minor units of the rule set's currency, and why it lost if it did."""

    nodes: tuple[Code, ...]
    total_minor: Minor
    freight_minor: Minor
    handling_minor: Minor
    split_minor: Minor
    lateness_minor: Minor
    chosen: bool
    reason: str = ""


@event(ROUTING)
class OrderRouted(Event):
    """Which node ships which lines, with the plans that were weighed."""

    order_id: UUID
    decision_id: UUID
    attempt: int
    rule_set: str
    currency: Currency
    shipments: tuple[PlannedShipment, ...]
    alternatives: tuple[PlanScore, ...]


@event(ROUTING)
class RoutingFailed(Event):
    """No plan can ship these lines now."""

    order_id: UUID
    decision_id: UUID
    attempt: int
    rule_set: str
    reason: str
    lines: Lines


@event(SHIPMENT)
class ShipmentRequested(Event):
    """Stock is set aside at the node: the shipment wants a carrier."""

    order_id: UUID
    shipment_id: UUID
    node: Code
    channel: Code
    shop: Code
    origin_country: Annotated[str, Field(max_length=2)]
    lines: Lines
    weight_g: Grams
    ship_to: Destination
    delivery_tier: str
    ship_by: Instant | None = None


@event(SHIPMENT)
class ShipmentReleased(Event):
    """The warehouse may pick and pack."""

    order_id: UUID
    shipment_id: UUID
    node: Code
    lines: Lines
    carrier: Code
    service: Code
    waybill_no: Text
    released_at: Instant


@event(SHIPMENT)
class ShipmentAccepted(Event):
    """The warehouse has taken the shipment on."""

    order_id: UUID
    shipment_id: UUID
    node: Code


@event(SHIPMENT)
class ShipmentRejected(Event):
    """The warehouse cannot ship these lines (all, or what it is short of): they go back to be routed elsewhere."""

    order_id: UUID
    shipment_id: UUID
    node: Code
    lines: Lines
    reason: str
    closed: bool
    """True when nothing of the shipment is left."""


@event(SHIPMENT)
class ShipmentDispatched(Event):
    """The parcels left the warehouse."""

    order_id: UUID
    shipment_id: UUID
    node: Code
    lines: Lines
    carrier: Code
    waybill_no: Text
    weight_g: Grams
    dispatched_at: Instant


@event(SHIPMENT)
class ShipmentCancelled(Event):
    """These lines of the shipment were stopped in time."""

    order_id: UUID
    shipment_id: UUID
    cancellation_id: UUID
    node: Code
    lines: Lines
    closed: bool
    """True when nothing of the shipment is left."""


@event(SHIPMENT)
class CancellationAnswered(Event):
    """What became of a requested cancellation of released lines: `stopped` never reached or left a shipment in
    time, `refused` had gone too far."""

    order_id: UUID
    cancellation_id: UUID
    stopped: Lines
    refused: Lines
