"""Orders: table of contents."""

from oms_events.contracts.catalog import ListingMapped, ListingUnmapped
from oms_events.contracts.fulfilment import (
    CancellationAnswered,
    OrderRouted,
    RoutingFailed,
    ShipmentAccepted,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
    ShipmentReleased,
    ShipmentRequested,
)
from oms_events.contracts.intake import (
    ChannelCancellationReceived,
    ChannelOrderReceived,
    ChannelPaymentReceived,
)
from oms_events.contracts.inventory import StockReservationRejected, StockReserved
from oms_events.contracts.logistics import (
    DeliveryPromiseBroken,
    ShipmentDelivered,
    WaybillAssigned,
    WaybillRefused,
)
from oms_events.contracts.orders import (
    CancellationRequested,
    HoldOpened,
    HoldResolved,
    OrderCancelled,
    OrderCompleted,
    OrderLinesCancelled,
    OrderPaid,
    OrderPlaced,
    OrderReleased,
)
from oms_events.runtime.service import Service, at, every, on
from oms_orders.app import handlers, intake
from oms_orders.app.book import UNPAID
from oms_orders.entrypoints.api import router

service = Service(
    "orders",
    consumes=[
        on(ChannelOrderReceived, intake.on_channel_order_received),
        on(ChannelPaymentReceived, handlers.on_channel_payment_received),
        on(ChannelCancellationReceived, handlers.on_channel_cancellation_received),
        on(ListingMapped, handlers.on_listing_mapped),
        on(ListingUnmapped, handlers.on_listing_unmapped),
        on(StockReserved, handlers.on_stock_reserved),
        on(StockReservationRejected, handlers.on_stock_reservation_rejected),
        on(OrderRouted, handlers.on_order_routed),
        on(RoutingFailed, handlers.on_routing_failed),
        on(CancellationAnswered, handlers.on_cancellation_answered),
        on(ShipmentRequested, handlers.on_passing_by),
        on(ShipmentReleased, handlers.on_passing_by),
        on(ShipmentAccepted, handlers.on_passing_by),
        on(ShipmentRejected, handlers.on_passing_by),
        on(ShipmentCancelled, handlers.on_passing_by),
        on(ShipmentDispatched, handlers.on_shipment_dispatched),
        on(WaybillAssigned, handlers.on_waybill_assigned),
        on(WaybillRefused, handlers.on_waybill_refused),
        on(ShipmentDelivered, handlers.on_shipment_delivered),
        on(DeliveryPromiseBroken, handlers.on_passing_by),
    ],
    deadlines=[at(UNPAID, handlers.on_unpaid)],
    jobs=[every(1.0, handlers.place_mapped_orders)],
    produces=[
        OrderPlaced,
        OrderPaid,
        OrderReleased,
        OrderLinesCancelled,
        OrderCancelled,
        OrderCompleted,
        CancellationRequested,
        HoldOpened,
        HoldResolved,
    ],
    api=router,
)
