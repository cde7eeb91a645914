"""Table of contents of the logistics service."""

from oms_events.contracts.fulfilment import ShipmentCancelled, ShipmentDispatched, ShipmentRejected, ShipmentRequested
from oms_events.contracts.intake import TrackingScanReceived
from oms_events.contracts.logistics import (
    DeliveryPromiseBroken,
    ParcelTracked,
    ShipmentDelivered,
    WaybillAssigned,
    WaybillRefused,
)
from oms_events.runtime.service import Service, at, every, on
from oms_logistics.app.assignment import on_shipment_requested, retry
from oms_logistics.app.handlers import (
    break_promises,
    on_shipment_cancelled,
    on_shipment_dispatched,
    on_shipment_rejected,
)
from oms_logistics.app.news import PROMISE, RETRY
from oms_logistics.app.tracking import adopt_early_scans, on_tracking_scan_received
from oms_logistics.entrypoints.api import router

service = Service(
    "logistics",
    consumes=[
        on(ShipmentRequested, on_shipment_requested),
        on(ShipmentDispatched, on_shipment_dispatched),
        on(ShipmentCancelled, on_shipment_cancelled),
        on(ShipmentRejected, on_shipment_rejected),
        on(TrackingScanReceived, on_tracking_scan_received),
    ],
    deadlines=[at(PROMISE, break_promises), at(RETRY, retry)],
    jobs=[every(30.0, adopt_early_scans)],
    produces=[WaybillAssigned, WaybillRefused, ParcelTracked, ShipmentDelivered, DeliveryPromiseBroken],
    api=router,
)
