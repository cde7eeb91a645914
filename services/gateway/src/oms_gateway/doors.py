"""What may enter, and by which door. One row per kind of document; everything else about a door follows from it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from oms_events.contracts.intake import (
    ChannelCancellation,
    ChannelCancellationReceived,
    ChannelOrder,
    ChannelOrderReceived,
    ChannelPayment,
    ChannelPaymentReceived,
    ChannelRef,
    StatementReceived,
    StockReport,
    StockReportReceived,
    TrackingScan,
    TrackingScanReceived,
    WarehouseReport,
    WarehouseReportReceived,
)
from oms_events.contracts.shared import Part
from oms_events.registry import Event
from oms_gateway.keys import Key, Role

P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class Door(Generic[P]):
    """`POST path` takes one document, `POST path:batch` up to 500.

    `at` is the document's own time: the event's id begins with it, so that the same document gives the same id.
    `scope` names the field a key's scope is about; `allows` judges it.
    """

    path: str
    says: str
    part: type[P]
    event: type[Event]
    role: Role
    wrap: Callable[[P], Event]
    at: Callable[[P], datetime]
    status_path: str
    scope: str
    allows: Callable[[Key, P], bool]

    @property
    def name(self) -> str:
        return self.path.removeprefix("/v1/")

    def status_url(self, subject: str) -> str:
        """Where to see what became of it."""
        return self.status_path + quote(subject, safe="")


def _sells(key: Key, ref: ChannelRef) -> bool:
    return key.may_sell_at(ref.channel, ref.shop)


DOORS: tuple[Door[Any], ...] = (
    Door(
        "/v1/orders",
        "An order, or a newer version of one",
        ChannelOrder,
        ChannelOrderReceived,
        Role.CHANNEL,
        wrap=lambda order: ChannelOrderReceived(order_id=order.order_id, order=order),
        at=lambda order: order.placed_at,
        status_path="/v1/orders/",
        scope="shop",
        allows=_sells,
    ),
    Door(
        "/v1/payments",
        "Money that a buyer paid for an order",
        ChannelPayment,
        ChannelPaymentReceived,
        Role.CHANNEL,
        wrap=lambda payment: ChannelPaymentReceived(order_id=payment.order_id, payment=payment),
        at=lambda payment: payment.paid_at,
        status_path="/v1/orders/",
        scope="shop",
        allows=_sells,
    ),
    Door(
        "/v1/cancellations",
        "A wish to cancel lines of an order, or all of it",
        ChannelCancellation,
        ChannelCancellationReceived,
        Role.CHANNEL,
        wrap=lambda wish: ChannelCancellationReceived(order_id=wish.order_id, cancellation=wish),
        at=lambda wish: wish.requested_at,
        status_path="/v1/orders/",
        scope="shop",
        allows=_sells,
    ),
    Door(
        "/v1/warehouse-reports",
        "What a warehouse did with a shipment released to it",
        WarehouseReport,
        WarehouseReportReceived,
        Role.WAREHOUSE,
        wrap=lambda report: WarehouseReportReceived(shipment_id=report.shipment_id, report=report),
        at=lambda report: report.occurred_at,
        status_path="/v1/shipments/",
        scope="node",
        allows=lambda key, report: key.may_use_node(report.node),
    ),
    Door(
        "/v1/stock-reports",
        "Stock of one SKU in one warehouse: the whole quantity, or a change",
        StockReport,
        StockReportReceived,
        Role.WAREHOUSE,
        wrap=lambda report: StockReportReceived(sku=report.sku, report=report),
        at=lambda report: report.occurred_at,
        status_path="/v1/stock/",
        scope="node",
        allows=lambda key, report: key.may_use_node(report.node),
    ),
    Door(
        "/v1/tracking-scans",
        "A carrier's scan of a parcel",
        TrackingScan,
        TrackingScanReceived,
        Role.CARRIER,
        wrap=lambda scan: TrackingScanReceived(waybill_no=scan.waybill_no, scan=scan),
        at=lambda scan: scan.occurred_at,
        status_path="/v1/parcels/by-waybill/",
        scope="carrier",
        allows=lambda key, scan: key.may_use_carrier(scan.carrier),
    ),
)

EVENTS: tuple[type[Event], ...] = (*(door.event for door in DOORS), StatementReceived)
"""All that the gateway appends: the doors' documents, and the files that are handed in."""
