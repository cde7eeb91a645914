"""What each event says of an order: a small document, nothing personal in it."""

from collections.abc import Callable, Mapping
from typing import Any

from oms_analytics.domain.order import Document
from oms_events.contracts.fulfilment import ShipmentCancelled, ShipmentDispatched, ShipmentRejected
from oms_events.contracts.inventory import StockReservationRejected
from oms_events.contracts.logistics import DeliveryPromiseBroken, ShipmentDelivered, WaybillAssigned
from oms_events.contracts.orders import (
    HoldOpened,
    HoldResolved,
    OrderCancelled,
    OrderLinesCancelled,
    OrderPaid,
    OrderPlaced,
)
from oms_events.contracts.settlement import (
    AccrualPosted,
    DifferenceAttributed,
    DifferenceResolved,
    StatementLineMatched,
    WriteOffPosted,
)
from oms_events.contracts.shared import LineQuantity
from oms_events.envelope import Received
from oms_events.registry import Event

Telling = Callable[[Received[Any]], Document | None]


def document_of(received: Received[Event]) -> Document | None:
    """What an event says of its order; None where it says nothing that counts."""
    return _TELL[type(received.event)](received)


def _placed(received: Received[OrderPlaced]) -> Document:
    order = received.event
    return {
        "channel": order.channel,
        "shop": order.shop,
        "currency": order.currency,
        "placed_at": order.placed_at.isoformat(),
        "shipping_minor": order.shipping_minor,
        "lines": [
            [line.line_id, line.sku, line.quantity, line.unit_price_minor, line.discount_minor, line.amount_minor]
            for line in order.lines
        ],
    }


def _paid(received: Received[OrderPaid]) -> Document:
    return {"currency": received.event.currency, "paid_minor": received.event.paid_minor}


def _lines_cancelled(received: Received[OrderLinesCancelled]) -> Document:
    return {"lines": _quantities(received.event.lines), "reason": received.event.reason}


def _cancelled(received: Received[OrderCancelled]) -> Document:
    return {"reason": received.event.reason}


def _hold_opened(received: Received[HoldOpened]) -> Document:
    return {"hold_id": str(received.event.hold_id), "code": received.event.code}


def _hold_resolved(received: Received[HoldResolved]) -> Document:
    hold = received.event
    return {"hold_id": str(hold.hold_id), "code": hold.code, "outcome": hold.outcome}


def _rejected(received: Received[StockReservationRejected]) -> Document:
    return {"skus": [shortage.sku for shortage in received.event.shortages]}


def _waybill(received: Received[WaybillAssigned]) -> Document:
    waybill = received.event
    return {
        "shipment_id": str(waybill.shipment_id),
        "carrier": waybill.carrier,
        "currency": waybill.currency,
        "cost_minor": waybill.cost_minor,
    }


def _dispatched(received: Received[ShipmentDispatched]) -> Document:
    return {"shipment_id": str(received.event.shipment_id), "lines": _quantities(received.event.lines)}


def _called_off(received: Received[ShipmentCancelled | ShipmentRejected]) -> Document | None:
    """A shipment of which something is left keeps its waybill and its price."""
    return {"shipment_id": str(received.event.shipment_id)} if received.event.closed else None


def _delivered(received: Received[ShipmentDelivered]) -> Document:
    return {"shipment_id": str(received.event.shipment_id), "late_by_s": received.event.late_by_s}


def _promise_broken(received: Received[DeliveryPromiseBroken]) -> Document:
    return {"shipment_id": str(received.event.shipment_id)}


def _accrual(received: Received[AccrualPosted]) -> Document:
    accrual = received.event
    return {
        "accrual_id": str(accrual.accrual_id),
        "currency": accrual.currency,
        "basis": accrual.basis,
        "components": [[part.component, part.amount_minor] for part in accrual.components],
    }


def _matched(received: Received[StatementLineMatched]) -> Document:
    matched = received.event
    return {
        "statement_id": str(matched.statement_id),
        "currency": matched.currency,
        "components": [[part.component, part.expected_minor, part.settled_minor] for part in matched.components],
        "answered": True,
        "sequence": received.meta.sequence or 0,
    }


def _difference(received: Received[DifferenceAttributed]) -> Document:
    difference = received.event
    return {
        "statement_id": None if difference.statement_id is None else str(difference.statement_id),
        "currency": difference.currency,
        "components": [[difference.component, difference.expected_minor, difference.settled_minor]],
        "reason": difference.reason,
        # Money that no statement has named is late, and still expected.
        "answered": difference.statement_id is not None,
        "sequence": received.meta.sequence or 0,
    }


def _resolved(received: Received[DifferenceResolved]) -> Document:
    resolved = received.event
    return {"component": resolved.component, "reason": resolved.reason}


def _write_off(received: Received[WriteOffPosted]) -> Document:
    write_off = received.event
    return {
        "write_off_id": str(write_off.write_off_id),
        "currency": write_off.currency,
        "component": write_off.component,
        "amount_minor": write_off.amount_minor,
        "reason": write_off.reason,
    }


def _quantities(lines: tuple[LineQuantity, ...]) -> list[list[Any]]:
    return [[line.line_id, line.quantity] for line in lines]


_TELL: Mapping[type[Event], Telling] = {
    OrderPlaced: _placed,
    OrderPaid: _paid,
    OrderLinesCancelled: _lines_cancelled,
    OrderCancelled: _cancelled,
    HoldOpened: _hold_opened,
    HoldResolved: _hold_resolved,
    StockReservationRejected: _rejected,
    WaybillAssigned: _waybill,
    ShipmentDispatched: _dispatched,
    ShipmentCancelled: _called_off,
    ShipmentRejected: _called_off,
    ShipmentDelivered: _delivered,
    DeliveryPromiseBroken: _promise_broken,
    AccrualPosted: _accrual,
    StatementLineMatched: _matched,
    DifferenceAttributed: _difference,
    DifferenceResolved: _resolved,
    WriteOffPosted: _write_off,
}
FACTS = tuple(_TELL)
"""Events that say something of an order."""
