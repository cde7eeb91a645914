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
from oms_events.runtime.service import Service, at, every, gauge, on
from oms_orders.adapters.gauges import OPEN_HOLDS, open_holds
from oms_orders.app.book import UNPAID
from oms_orders.app.handlers import on_listing_mapped, on_listing_unmapped, on_news, on_unpaid, place_mapped_orders
from oms_orders.entrypoints.api import router

service = Service(
    "orders",
    consumes=[
        on(ChannelOrderReceived, on_news),
        on(ChannelPaymentReceived, on_news),
        on(ChannelCancellationReceived, on_news),
        on(StockReserved, on_news),
        on(StockReservationRejected, on_news),
        on(OrderRouted, on_news),
        on(RoutingFailed, on_news),
        on(CancellationAnswered, on_news),
        on(ShipmentRequested, on_news),
        on(ShipmentReleased, on_news),
        on(ShipmentAccepted, on_news),
        on(ShipmentRejected, on_news),
        on(ShipmentCancelled, on_news),
        on(ShipmentDispatched, on_news),
        on(WaybillAssigned, on_news),
        on(WaybillRefused, on_news),
        on(ShipmentDelivered, on_news),
        on(DeliveryPromiseBroken, on_news),
        on(ListingMapped, on_listing_mapped, projection=True),
        on(ListingUnmapped, on_listing_unmapped, projection=True),
    ],
    deadlines=[at(UNPAID, on_unpaid)],
    gauges=[gauge(OPEN_HOLDS, open_holds)],
    jobs=[every(1.0, place_mapped_orders)],
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
