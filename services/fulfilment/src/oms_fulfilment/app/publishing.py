"""Facts of the domain as published events."""

from collections.abc import Iterable

from oms_events.contracts.fulfilment import (
    CancellationAnswered,
    ShipmentAccepted,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
    ShipmentReleased,
    ShipmentRequested,
)
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.envelope import EventMeta
from oms_events.registry import Event
from oms_events.runtime.work import Work
from oms_fulfilment.domain.demand import Demand
from oms_fulfilment.domain.facts import Accepted, Answered, Dispatched, Fact, Rejected, Released, Requested, Stopped
from oms_fulfilment.domain.routing import Units


def publish(work: Work, demand: Demand, facts: Iterable[Fact], cause: EventMeta) -> None:
    """Emit the events that the facts stand for, in their order."""
    for fact in facts:
        sequence = None if isinstance(fact, Answered) else fact.shipment.version
        work.emit(_event(work, demand, fact), cause=cause, sequence=sequence)


def quantities(units: Iterable[Units]) -> tuple[LineQuantity, ...]:
    """Units in the words of the contracts."""
    return tuple([LineQuantity(line_id=unit.line_id, sku=unit.sku, quantity=unit.quantity) for unit in units])


def _event(work: Work, demand: Demand, fact: Fact) -> Event:  # noqa: PLR0911 - one branch for each fact
    if isinstance(fact, Answered):
        return CancellationAnswered(
            order_id=demand.order_id,
            cancellation_id=fact.cancellation_id,
            stopped=quantities(fact.stopped),
            refused=quantities(fact.refused),
        )
    shipment = fact.shipment
    match fact:
        case Requested():
            return _requested(demand, fact)
        case Released():
            return ShipmentReleased(
                order_id=shipment.order_id,
                shipment_id=shipment.shipment_id,
                node=shipment.node,
                lines=quantities(shipment.remaining()),
                carrier=shipment.carrier,
                service=shipment.service,
                waybill_no=shipment.waybill_no,
                released_at=work.now,
            )
        case Accepted():
            return ShipmentAccepted(order_id=shipment.order_id, shipment_id=shipment.shipment_id, node=shipment.node)
        case Rejected():
            return ShipmentRejected(
                order_id=shipment.order_id,
                shipment_id=shipment.shipment_id,
                node=shipment.node,
                lines=quantities(fact.lines),
                reason=fact.reason,
                closed=fact.closed,
            )
        case Dispatched():
            return ShipmentDispatched(
                order_id=shipment.order_id,
                shipment_id=shipment.shipment_id,
                node=shipment.node,
                lines=quantities(fact.lines),
                carrier=shipment.carrier,
                waybill_no=shipment.waybill_no,
                weight_g=fact.weight_g,
                dispatched_at=fact.dispatched_at,
            )
        case Stopped():
            return ShipmentCancelled(
                order_id=shipment.order_id,
                shipment_id=shipment.shipment_id,
                cancellation_id=fact.cancellation_id,
                node=shipment.node,
                lines=quantities(fact.lines),
                closed=shipment.state == "cancelled",
            )


def _requested(demand: Demand, fact: Requested) -> ShipmentRequested:
    shipment, place = fact.shipment, demand.ship_to
    return ShipmentRequested(
        order_id=shipment.order_id,
        shipment_id=shipment.shipment_id,
        node=shipment.node,
        channel=demand.channel,
        shop=demand.shop,
        origin_country=shipment.origin_country,
        lines=quantities(shipment.remaining()),
        weight_g=shipment.weight_g,
        ship_to=Destination(
            country=place.country,
            region=place.region,
            city=place.city,
            postcode=place.postcode,
            receiver_token=place.receiver_token,
        ),
        delivery_tier=demand.tier,
        ship_by=demand.ship_by,
    )
