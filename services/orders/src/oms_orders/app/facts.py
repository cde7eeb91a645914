"""What each event says about an order, handed to the rule that knows what follows.

The same table serves an event that comes in time and one that came before its order and had to wait.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from oms_events.contracts.fulfilment import (
    CancellationAnswered,
    OrderRouted,
    RoutingFailed,
    ShipmentDispatched,
)
from oms_events.contracts.intake import ChannelCancellationReceived, ChannelPaymentReceived
from oms_events.contracts.inventory import StockReservationRejected, StockReserved
from oms_events.contracts.logistics import ShipmentDelivered, WaybillAssigned, WaybillRefused
from oms_events.registry import Event
from oms_orders.domain import cancellation, progress
from oms_orders.domain.cancellation import Wish
from oms_orders.domain.order import Cancellation, Cause, Order, Payment

E = TypeVar("E", bound=Event)
Detail = dict[str, Any]
"""What the timeline says of an event: small, and nothing personal."""

_SHOWN = ("shipment_id", "node", "carrier", "service", "waybill_no", "reason", "promised_at", "last_status", "closed")


def tell(order: Order, event: Event, cause: Cause) -> Detail:
    """Let an order know of an event. Answers what its timeline should say of it."""
    return _TELL[type(event)](order, event, cause)


def _payment(order: Order, event: ChannelPaymentReceived, cause: Cause) -> Detail:
    told = event.payment
    payment = Payment(told.payment_no, told.currency, told.amount_minor, told.paid_at)
    detail: Detail = {
        "payment_no": told.payment_no,
        "amount_minor": told.amount_minor,
        "currency": told.currency,
    }
    return _noted(detail, progress.pay(order, payment, cause))


def _cancellation(order: Order, event: ChannelCancellationReceived, cause: Cause) -> Detail:
    told = event.cancellation
    quantities: dict[str, int] = {}
    for line in told.lines:
        quantities[line.line_no] = quantities.get(line.line_no, 0) + line.quantity
    wish = Wish(told.cancellation_no, "channel", told.reason, told.requested_at, quantities)
    known = told.cancellation_no in order.cancellations
    detail = cancellation_detail(cancellation.cancel(order, wish, cause))
    return _noted(detail, "known already" if known else "")


def cancellation_detail(one: Cancellation) -> Detail:
    """What the timeline says of a cancellation."""
    detail: Detail = {"cancellation_no": one.cancellation_no}
    if stopped := {line.line_id: line.stopped for line in one.lines if line.stopped}:
        detail["stopped"] = stopped
    if refused := {line.line_id: line.refused for line in one.lines if line.refused}:
        detail["refused"] = refused
    return detail


def _reserved(order: Order, _: StockReserved, cause: Cause) -> Detail:
    return _noted({}, progress.reserve(order, cause))


def _short(order: Order, event: StockReservationRejected, cause: Cause) -> Detail:
    short = {shortage.sku: [shortage.requested, shortage.available] for shortage in event.shortages[:20]}
    text = ", ".join(f"{sku}: {available} of {requested}" for sku, (requested, available) in short.items())
    progress.report_shortage(order, text, cause)
    return {"short": short}


def _routed(order: Order, event: OrderRouted, cause: Cause) -> Detail:
    progress.clear_obstacle(order, "NO_ROUTE", "fulfilment", cause)
    return timeline_detail(event)


def _unroutable(order: Order, event: RoutingFailed, cause: Cause) -> Detail:
    progress.report_obstacle(order, "NO_ROUTE", event.reason, cause)
    return {"attempt": event.attempt, "reason": event.reason}


def _waybill(order: Order, event: WaybillAssigned, cause: Cause) -> Detail:
    progress.clear_obstacle(order, "NO_CARRIER", "logistics", cause)
    return timeline_detail(event)


def _no_waybill(order: Order, event: WaybillRefused, cause: Cause) -> Detail:
    progress.report_obstacle(order, "NO_CARRIER", event.reason, cause)
    return {"shipment_id": event.shipment_id, "reason": event.reason}


def _dispatched(order: Order, event: ShipmentDispatched, cause: Cause) -> Detail:
    quantities: dict[str, int] = {}
    for line in event.lines:
        quantities[line.line_id] = quantities.get(line.line_id, 0) + line.quantity
    note = progress.dispatch(order, event.shipment_id, quantities, event.dispatched_at, cause)
    detail: Detail = {
        "shipment_id": event.shipment_id,
        "node": event.node,
        "carrier": event.carrier,
        "waybill_no": event.waybill_no,
        "lines": quantities,
    }
    return _noted(detail, note)


def _delivered(order: Order, event: ShipmentDelivered, _: Cause) -> Detail:
    note = progress.deliver(order, event.shipment_id, event.delivered_at)
    return _noted({"shipment_id": event.shipment_id, "late_by_s": event.late_by_s}, note)


def _answered(order: Order, event: CancellationAnswered, cause: Cause) -> Detail:
    for one in order.cancellations.values():
        if one.cancellation_id == event.cancellation_id:
            stopped = {line.line_id: line.quantity for line in event.stopped}
            note = cancellation.answer(order, one.cancellation_no, stopped, cause)
            return _noted(cancellation_detail(one), note)
    return {"cancellation_id": event.cancellation_id, "note": "nothing of the kind was asked"}


def timeline_detail(event: Event) -> Detail:
    """What the timeline says of an event that only passes by: its plain members, or how the order is split."""
    if isinstance(event, OrderRouted):
        nodes = {str(shipment.shipment_id): shipment.node for shipment in event.shipments}
        return {"attempt": event.attempt, "rule_set": event.rule_set, "nodes": nodes}
    return {name: getattr(event, name) for name in _shown_of(type(event))}


@cache
def _shown_of(kind: type[Event]) -> tuple[str, ...]:
    """Those members worth showing that events of this kind have."""
    return tuple(name for name in _SHOWN if name in kind.model_fields)


def _noted(detail: Detail, note: str) -> Detail:
    if note:
        detail["note"] = note
    return detail


_TELL: Mapping[type[Event], Callable[[Order, Any, Cause], Detail]] = {
    ChannelPaymentReceived: _payment,
    ChannelCancellationReceived: _cancellation,
    StockReserved: _reserved,
    StockReservationRejected: _short,
    OrderRouted: _routed,
    RoutingFailed: _unroutable,
    WaybillAssigned: _waybill,
    WaybillRefused: _no_waybill,
    ShipmentDispatched: _dispatched,
    ShipmentDelivered: _delivered,
    CancellationAnswered: _answered,
}
