"""Cancelling: at once while the order is ours, by asking fulfilment once it was released."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from oms_events.values import derived_id
from oms_orders.domain.holds import close_hold
from oms_orders.domain.order import (
    Cancellation,
    CancelledLine,
    Cause,
    Hold,
    LinesCancelled,
    Order,
    Source,
    StopAsked,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants what cancelled: no quantities means all that is left. The number makes it one wish for ever."""

    cancellation_no: str
    source: Source
    reason: str
    requested_at: datetime
    quantities: Mapping[str, int]


def cancel(order: Order, wish: Wish, cause: Cause) -> Cancellation:
    """Cancel what can still be cancelled; more than is left is refused. The same wish again changes nothing."""
    known = order.cancellations.get(wish.cancellation_no)
    if known is not None:
        return known
    cancellation = Cancellation(
        derived_id("cancellation", str(order.order_id), wish.cancellation_no, at=wish.requested_at),
        wish.cancellation_no,
        wish.source,
        wish.reason,
        wish.requested_at,
        _bounded(order, wish),
        state="requested",
        changed=True,
    )
    order.cancellations[wish.cancellation_no] = cancellation
    granted = {line.line_id: line.asked - line.refused for line in cancellation.lines if line.asked > line.refused}
    if granted and order.released_at is not None:
        order.decided.append(StopAsked(cancellation, granted))
    else:
        _close(order, cancellation, granted, cause)
    return cancellation


def answer(order: Order, cancellation_no: str, stopped: Mapping[str, int], cause: Cause) -> str:
    """Fulfilment has stopped these quantities; the rest of what was asked had gone too far."""
    cancellation = order.cancellations[cancellation_no]
    if cancellation.state == "closed":
        return "known already"
    asked = {line.line_id: line.asked - line.refused for line in cancellation.lines}
    taken = {line_id: min(quantity, asked.get(line_id, 0)) for line_id, quantity in stopped.items()}
    _close(order, cancellation, {line_id: quantity for line_id, quantity in taken.items() if quantity > 0}, cause)
    return ""


def _bounded(order: Order, wish: Wish) -> list[CancelledLine]:
    pending: dict[str, int] = {}
    for cancellation in order.open_cancellations():
        for line in cancellation.lines:
            pending[line.line_id] = pending.get(line.line_id, 0) + line.asked - line.refused
    free = {
        line.line_id: max(0, line.left - line.shipped - pending.get(line.line_id, 0)) for line in order.lines.values()
    }
    wanted = wish.quantities or {line_id: quantity for line_id, quantity in free.items() if quantity}
    return [
        CancelledLine(line_id, quantity, refused=max(0, quantity - free.get(line_id, 0)))
        for line_id, quantity in wanted.items()
    ]


def _close(order: Order, cancellation: Cancellation, stopped: Mapping[str, int], cause: Cause) -> None:
    for asked in cancellation.lines:
        asked.stopped = stopped.get(asked.line_id, 0)
        asked.refused = asked.asked - asked.stopped
        if asked.stopped:
            line = order.lines[asked.line_id]
            line.cancelled += asked.stopped
            line.changed = True
    cancellation.state, cancellation.closed_at, cancellation.changed = "closed", cause.now, True
    # Nobody else knows the lines of an order that was not placed: it is placed later with what is left, if any.
    if stopped and order.entered_at is not None:
        order.decided.append(LinesCancelled(cancellation, dict(stopped)))


def reject_hold(order: Order, hold: Hold, by: str, note: str, cause: Cause) -> None:
    """What the hold warned of is so: the order is not to be shipped."""
    close_hold(order, hold, "REJECTED", by, cause, note=note)
    cancel(order, Wish(f"hold:{hold.hold_id}", "hold", f"hold {hold.code} rejected", cause.now, {}), cause)
