"""How an order gets on: facts are recorded, then `settle` draws every conclusion that they allow, once.

The two are apart so that facts that came before their order are all heard before anything is concluded.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from oms_orders.domain.holds import close_holds, open_hold
from oms_orders.domain.order import (
    Cancelled,
    Cause,
    Completed,
    Order,
    Paid,
    Payment,
    Placed,
    Released,
    Shipment,
)
from oms_orders.domain.pricing import due_of

_SHIPPING_HOLDS = frozenset({"NO_ROUTE", "NO_CARRIER"})


def settle(order: Order, cause: Cause) -> None:
    """Draw every conclusion that the facts allow. Doing it again changes nothing."""
    if not order.closed and _nothing_left(order):
        if order.open_cancellations():
            return
        _close_as_cancelled(order, cause)
    if order.cancelled_at is not None:
        # The money goes back, and both ways stand in the statements of the channel.
        if order.paid_at is None and order.paid_minor >= order.total_minor > 0:
            _take_as_paid(order, cause)
        return
    if order.closed:
        return
    if order.entered_at is None:
        if order.blocked("place"):
            return
        order.entered_at = cause.now
        order.decided.append(Placed())
    if order.paid_at is None and order.paid_minor >= due_of(order):
        _take_as_paid(order, cause)
    if _releasable(order):
        order.released_at = cause.now
        order.decided.append(Released())
    if _delivered(order):
        order.completed_at = cause.now
        close_holds(order, "EXPIRED", "completed", cause)
        order.decided.append(Completed())


def _nothing_left(order: Order) -> bool:
    return not order.anything_shipped() and all(line.left <= 0 for line in order.lines.values())


def _take_as_paid(order: Order, cause: Cause) -> None:
    order.paid_at = cause.now
    order.decided.append(Paid())


def _close_as_cancelled(order: Order, cause: Cause) -> None:
    order.cancelled_at = cause.now
    close_holds(order, "EXPIRED", "cancelled", cause)
    reasons = [one.reason or f"cancelled by {one.source}" for one in order.cancellations.values()]
    order.decided.append(Cancelled(reasons[-1] if reasons else "nothing left"))


def _releasable(order: Order) -> bool:
    return (
        order.released_at is None
        and order.paid_at is not None
        and order.reserved
        and not order.blocked("place", "reserve", "release")
    )


def _delivered(order: Order) -> bool:
    # Only what we released can have been shipped: a delivery that is known before the release waits for it, so
    # that the order's own events keep one order.
    return (
        order.released_at is not None
        and not order.open_cancellations()
        and all(line.delivered >= max(line.left, line.shipped) for line in order.lines.values())
    )


def pay(order: Order, payment: Payment, cause: Cause) -> str:
    """Count money once. Answers what is worth noting about it."""
    if payment.payment_no in order.payments:
        return "known already"
    order.payments[payment.payment_no] = payment
    order.new_payments.append(payment)
    if payment.currency != order.currency:
        if not order.closed:
            open_hold(order, "AMOUNT_MISMATCH", f"paid in {payment.currency}, sold in {order.currency}", cause)
        return "another currency: kept, not counted"
    order.paid_minor += payment.amount_minor
    if order.cancelled_at is not None:
        return "after the cancellation: to be refunded"
    excess = order.paid_minor - due_of(order)
    return f"overpaid by {excess}" if excess > 0 else ""


def reserve(order: Order, cause: Cause) -> str:
    """All lines have stock."""
    if order.cancelled_at is not None:
        return "after the cancellation: inventory gives it back"
    order.reserved = True
    close_holds(order, "RESOLVED", "inventory", cause, codes=frozenset({"STOCK_SHORT"}))
    return ""


def report_shortage(order: Order, detail: str, cause: Cause) -> None:
    """Stock is short. Said late, after it was reserved, it is no news."""
    if not order.closed and not order.reserved:
        open_hold(order, "STOCK_SHORT", detail, cause)


def report_obstacle(order: Order, code: str, detail: str, cause: Cause) -> None:
    """No node or no carrier can take it. Said of an order that has shipped, it is no news."""
    if not order.closed and not _shipped(order):
        open_hold(order, code, detail, cause)


def clear_obstacle(order: Order, code: str, by: str, cause: Cause) -> None:
    """A node or a carrier takes it after all."""
    close_holds(order, "RESOLVED", by, cause, codes=frozenset({code}))


def dispatch(order: Order, shipment_id: UUID, quantities: Mapping[str, int], at: datetime, cause: Cause) -> str:
    """Parcels left with these quantities; if they are known to have arrived, they are delivered as well."""
    shipment = _shipment(order, shipment_id)
    if shipment.lines is not None:
        return "known already"
    shipment.lines, shipment.dispatched_at, shipment.changed = dict(quantities), at, True
    for line_id, quantity in quantities.items():
        if line_id in order.lines:
            line = order.lines[line_id]
            line.shipped += quantity
            line.delivered += quantity if shipment.delivered_at is not None else 0
            line.changed = True
    if order.holds and _shipped(order):
        close_holds(order, "RESOLVED", "shipped", cause, codes=_SHIPPING_HOLDS)
    return "after the cancellation" if order.cancelled_at is not None else ""


def deliver(order: Order, shipment_id: UUID, at: datetime) -> str:
    """A shipment arrived. What was in it may be told later."""
    shipment = _shipment(order, shipment_id)
    if shipment.delivered_at is not None:
        return "known already"
    shipment.delivered_at, shipment.changed = at, True
    if shipment.lines is None:
        return "before its dispatch was known"
    for line_id, quantity in shipment.lines.items():
        if line_id in order.lines:
            line = order.lines[line_id]
            line.delivered += quantity
            line.changed = True
    return ""


def _shipment(order: Order, shipment_id: UUID) -> Shipment:
    shipment = order.shipments.get(shipment_id)
    if shipment is None:
        shipment = order.shipments[shipment_id] = Shipment(shipment_id)
    return shipment


def _shipped(order: Order) -> bool:
    return order.anything_shipped() and all(line.shipped >= line.left for line in order.lines.values())
