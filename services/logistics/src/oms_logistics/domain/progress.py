"""The way of one parcel: what its scans, its dispatch and its cancellation make of it.

Reports come late, twice and out of order. Nothing here depends on the order of arrival: the status is a function of
the set of scans, kept as two marks, the latest scan and the latest turning point (delivery or a step of a return).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

State = Literal["announced", "no_carrier", "open", "delivered", "returned", "cancelled"]
"""`announced`: heard of before it was requested. `no_carrier`: nobody takes it yet. `open`: under way, or soon."""

STATUSES = (
    "picked_up",
    "in_transit",
    "attempt_failed",
    "out_for_delivery",
    "ready_for_pickup",
    "damaged",
    "lost",
    "delivered",
    "refused",
    "returning",
    "returned",
)
"""In the order in which scans of one instant happened. Carriers send no sequence number of their own."""
_RANK = {status: rank for rank, status in enumerate(STATUSES)}
_RETURN = frozenset({"refused", "returning", "returned"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A scan's status and its place in time."""

    status: str
    at: datetime

    def after(self, other: "Mark | None") -> bool:
        return other is None or (self.at, _RANK[self.status]) > (other.at, _RANK[other.status])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a shipment's parcel has come."""

    shipment_id: UUID
    order_id: UUID
    requested: bool = False
    waybill_no: str | None = None
    promised_at: datetime | None = None
    dispatched_at: datetime | None = None
    shipped_weight_g: int | None = None
    cancelled_at: datetime | None = None
    delivered_at: datetime | None = None
    promise_broken_at: datetime | None = None
    last: Mark | None = None
    turn: Mark | None = None
    version: int = 0

    @property
    def mark(self) -> Mark | None:
        """The scan that counts: a delivery stands unless a return follows it, a completed return stands for good."""
        if self.turn is not None and self.turn.status in {"delivered", "returned"}:
            return self.turn
        return self.last

    @property
    def status(self) -> str:
        if (mark := self.mark) is not None:
            return mark.status
        if self.dispatched_at is not None:
            return "dispatched"
        if self.cancelled_at is not None:
            return "cancelled"
        return "label_ready" if self.waybill_no else "created"

    @property
    def moving(self) -> bool:
        """Somebody has seen the goods under way, whatever was cancelled before or after."""
        return self.dispatched_at is not None or self.last is not None

    @property
    def wants_carrier(self) -> bool:
        return self.waybill_no is None and (self.cancelled_at is None or self.moving)

    @property
    def state(self) -> State:
        match self.status:
            case "delivered":
                return "delivered"
            case "returned":
                return "returned"
        if self.cancelled_at is not None and not self.moving:
            return "cancelled"
        if self.waybill_no is None:
            return "no_carrier" if self.requested else "announced"
        return "open"

    @property
    def awaited(self) -> bool:
        """The promise still has to be kept."""
        return self.state == "open" and self.delivered_at is None and self.promise_broken_at is None


def scanned(before: Progress, mark: Mark) -> Progress:
    """The parcel after one more scan; the same object when the scan says nothing new."""
    last = mark if mark.after(before.last) else before.last
    turn = mark if _turns(mark, before.turn) else before.turn
    delivered_at = before.delivered_at
    if delivered_at is None and mark.status == "delivered":
        delivered_at = mark.at
    if last is before.last and turn is before.turn and delivered_at is before.delivered_at:
        return before
    return replace(before, last=last, turn=turn, delivered_at=delivered_at, version=before.version + 1)


def _turns(mark: Mark, turn: Mark | None) -> bool:
    if mark.status not in _RETURN and mark.status != "delivered":
        return False
    if turn is not None and (mark.status == "returned") != (turn.status == "returned"):
        return mark.status == "returned"
    return mark.after(turn)


def dispatched(before: Progress, at: datetime, weight_g: int) -> Progress:
    """The warehouse handed the parcel over; of several reports the first counts."""
    if before.dispatched_at is not None:
        return before
    return replace(before, dispatched_at=at, shipped_weight_g=weight_g, version=before.version + 1)


def cancelled(before: Progress, at: datetime) -> Progress:
    """Nothing of the shipment is left. The waybill is void, unless the goods are seen under way all the same."""
    if before.cancelled_at is not None:
        return before
    return replace(before, cancelled_at=at, version=before.version + 1)


def promise_passed(before: Progress, now: datetime) -> Progress:
    """The promised time is over; unchanged when the parcel arrived or nobody waits for it."""
    if not before.awaited or before.promised_at is None or now < before.promised_at:
        return before
    return replace(before, promise_broken_at=now, version=before.version + 1)


def late_by_s(promised_at: datetime, delivered_at: datetime) -> int:
    """Whole seconds of lateness, zero when the promise was kept."""
    return max(0, int((delivered_at - promised_at).total_seconds()))
