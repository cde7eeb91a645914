"""Events as other services would send them, with what does not matter filled in."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from oms_events.contracts.catalog import ListingMapped, listing_key
from oms_events.contracts.fulfilment import (
    OrderRouted,
    PlannedShipment,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
)
from oms_events.contracts.intake import StockReport, StockReportReceived
from oms_events.contracts.orders import OrderCancelled, OrderLine, OrderLinesCancelled, OrderPlaced
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.testing.scenario import START

_numbers = count(1)


def an_id() -> UUID:
    """An id that nobody used before."""
    return UUID(int=next(_numbers) << 64 | 0x8000_0000_0000_0000)


def lines(*wanted: tuple[str, int]) -> tuple[LineQuantity, ...]:
    """Lines numbered from 1."""
    return tuple(LineQuantity(line_id=str(i), sku=sku, quantity=n) for i, (sku, n) in enumerate(wanted, 1))


def counted(
    sku: str,
    quantity: int,
    *,
    node: str = "N1",
    at: datetime = START - timedelta(days=1),
    report_no: str | None = None,
    movement: bool = False,
) -> StockReportReceived:
    """A warehouse reports a snapshot, or a movement."""
    report = StockReport(
        node=node,
        sku=sku,
        report_no=report_no or f"R{next(_numbers)}",
        kind="movement" if movement else "snapshot",
        quantity=quantity,
        occurred_at=at,
    )
    return StockReportReceived(sku=sku, report=report)


def placed(*wanted: tuple[str, int], order_id: UUID | None = None, shop: str = "S1") -> OrderPlaced:
    """A channel's order for so many of each SKU."""
    order_lines = tuple(
        OrderLine(
            line_id=line.line_id,
            listing=line.sku,
            sku=line.sku,
            quantity=line.quantity,
            unit_price_minor=100,
            discount_minor=0,
            amount_minor=100 * line.quantity,
        )
        for line in lines(*wanted)
    )
    order_id = order_id or an_id()
    return OrderPlaced(
        order_id=order_id,
        channel="web",
        shop=shop,
        channel_order_no=str(order_id),
        placed_at=START,
        currency="EUR",
        lines=order_lines,
        shipping_minor=0,
        total_minor=100,
        ship_to=Destination(country="DE"),
        delivery_tier="standard",
    )


def cancelled(order_id: UUID, *wanted: tuple[str, int], cancellation_id: UUID | None = None) -> OrderLinesCancelled:
    """Quantities taken out of an order."""
    return OrderLinesCancelled(
        order_id=order_id, cancellation_id=cancellation_id or an_id(), lines=lines(*wanted), reason="test"
    )


def order_cancelled(order_id: UUID) -> OrderCancelled:
    """Nothing left to ship."""
    return OrderCancelled(order_id=order_id, reason="test")


def routed(order_id: UUID, *wanted: tuple[str, int], shipment_id: UUID | None = None, node: str = "N1") -> OrderRouted:
    """A plan of one shipment."""
    return plan(order_id, [(shipment_id or an_id(), node, lines(*wanted))])


def plan(order_id: UUID, shipments: Sequence[tuple[UUID, str, tuple[LineQuantity, ...]]]) -> OrderRouted:
    """A plan of some shipments."""
    return OrderRouted(
        order_id=order_id,
        decision_id=an_id(),
        attempt=1,
        rule_set="default",
        currency="EUR",
        shipments=tuple(PlannedShipment(shipment_id=s, node=node, lines=part) for s, node, part in shipments),
        alternatives=(),
    )


def dispatched(
    order_id: UUID, shipment_id: UUID, *wanted: tuple[str, int], node: str = "N1", at: datetime = START
) -> ShipmentDispatched:
    """Parcels left."""
    return ShipmentDispatched(
        order_id=order_id,
        shipment_id=shipment_id,
        node=node,
        lines=lines(*wanted),
        carrier="dhl",
        waybill_no="W1",
        weight_g=1,
        dispatched_at=at,
    )


def shipment_cancelled(
    order_id: UUID, shipment_id: UUID, *wanted: tuple[str, int], cancellation_id: UUID | None = None
) -> ShipmentCancelled:
    """Lines stopped in time."""
    return ShipmentCancelled(
        order_id=order_id,
        shipment_id=shipment_id,
        cancellation_id=cancellation_id or an_id(),
        node="N1",
        lines=lines(*wanted),
        closed=True,
    )


def shipment_rejected(order_id: UUID, shipment_id: UUID, *wanted: tuple[str, int]) -> ShipmentRejected:
    """Lines the warehouse will not ship."""
    return ShipmentRejected(
        order_id=order_id, shipment_id=shipment_id, node="N1", lines=lines(*wanted), reason="short", closed=True
    )


def listed(sku: str, *, shop: str = "S1", listing: str | None = None) -> ListingMapped:
    """A shop sells a SKU."""
    name = listing or f"item-{sku}"
    return ListingMapped(listing_key=listing_key("web", shop, name), channel="web", shop=shop, listing=name, sku=sku)
