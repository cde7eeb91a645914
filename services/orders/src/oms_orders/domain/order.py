"""An order as a case: the facts known of it, the holds that stop it, and what was decided.

Facts may come twice, late and in any order. They are recorded first; `progress.settle` then draws every conclusion
that they allow. A conclusion leaves a mark of its own (`released_at`, ...), so it is drawn once.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

Block = Literal["place", "reserve", "release", "ship"]
HoldState = Literal["OPEN", "RESOLVED", "REJECTED", "EXPIRED"]
CancellationState = Literal["requested", "closed"]
Source = Literal["channel", "operator", "hold", "unpaid"]


class Cause(NamedTuple):
    """What a decision follows from: `id` and `at` name it for ever, `now` is when it is handled."""

    id: str
    at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the parcels go. The token stands for the receiver, whom only the channel knows."""

    country: str
    region: str = ""
    city: str = ""
    postcode: str = ""
    receiver_token: str = ""


@dataclass(slots=True)
class Line:
    """A line of the order. `discount_minor` is its own discount and its share of the order's.

    `quantity` is what was sold and never shrinks; what was cancelled, shipped and delivered is counted beside it.
    """

    line_id: str
    listing: str
    sku: str | None
    quantity: int
    unit_price_minor: int
    discount_minor: int
    cancelled: int = 0
    shipped: int = 0
    delivered: int = 0
    changed: bool = False

    @property
    def amount_minor(self) -> int:
        """What the line earns when all of it is sold."""
        return self.quantity * self.unit_price_minor - self.discount_minor

    @property
    def left(self) -> int:
        """How many are still wanted, shipped or not."""
        return self.quantity - self.cancelled


@dataclass(slots=True)
class Hold:
    """Something that stops the order until it is resolved, and what it stops."""

    hold_id: UUID
    line_id: str | None
    code: str
    detail: str
    blocks: tuple[Block, ...]
    auto: bool
    opened_at: datetime
    state: HoldState = "OPEN"
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Payment:
    """Money the channel says the buyer paid. Money in another currency is kept, and does not count."""

    payment_no: str
    currency: str
    amount_minor: int
    paid_at: datetime


@dataclass(slots=True)
class CancelledLine:
    """One line of a cancellation: `asked` = `stopped` + `refused` once it is closed."""

    line_id: str
    asked: int
    stopped: int = 0
    refused: int = 0


@dataclass(slots=True)
class Cancellation:
    """Somebody wants quantities stopped. It stays `requested` while fulfilment is being asked."""

    cancellation_id: UUID
    cancellation_no: str
    source: Source
    reason: str
    requested_at: datetime
    lines: list[CancelledLine]
    state: CancellationState
    closed_at: datetime | None = None
    changed: bool = False


@dataclass(slots=True)
class Shipment:
    """What is known of a shipment's parcels. Its delivery may be told before its dispatch."""

    shipment_id: UUID
    lines: dict[str, int] | None = None
    dispatched_at: datetime | None = None
    delivered_at: datetime | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """The channel's order became ours."""


@dataclass(frozen=True, slots=True)
class Paid:
    """All that is due has been received."""


@dataclass(frozen=True, slots=True)
class Released:
    """The lines may be routed and shipped."""


@dataclass(frozen=True, slots=True)
class HoldOpened:
    """A hold began."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class HoldClosed:
    """A hold ended."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Fulfilment is asked to stop quantities that were released."""

    cancellation: Cancellation
    quantities: dict[str, int]


@dataclass(frozen=True, slots=True)
class LinesCancelled:
    """Quantities are no longer part of the order."""

    cancellation: Cancellation
    quantities: dict[str, int]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nothing is left to ship."""

    reason: str


@dataclass(frozen=True, slots=True)
class Completed:
    """All that was not cancelled has been delivered."""


Decision = Placed | Paid | Released | HoldOpened | HoldClosed | StopAsked | LinesCancelled | Cancelled | Completed


@dataclass(slots=True)
class Order:
    """One order. `placed_at` is the channel's time, `entered_at` ours: since then the other services know of it."""

    order_id: UUID
    channel: str
    shop: str
    channel_order_no: str
    channel_version: int
    received_at: datetime
    placed_at: datetime
    currency: str
    shipping_minor: int
    total_minor: int
    ship_to: Destination
    delivery_tier: str
    ship_by: datetime | None
    buyer_note: str
    paid_minor: int = 0
    reserved: bool = False
    entered_at: datetime | None = None
    paid_at: datetime | None = None
    released_at: datetime | None = None
    cancelled_at: datetime | None = None
    completed_at: datetime | None = None
    version: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    payments: dict[str, Payment] = field(default_factory=dict)
    new_payments: list[Payment] = field(default_factory=list)
    cancellations: dict[str, Cancellation] = field(default_factory=dict)
    shipments: dict[UUID, Shipment] = field(default_factory=dict)
    decided: list[Decision] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        """Cancelled or completed: nothing can happen to it but being told of again."""
        return self.cancelled_at is not None or self.completed_at is not None

    def open_holds(self) -> list[Hold]:
        """What stops the order now."""
        return [hold for hold in self.holds if hold.state == "OPEN"]

    def open_cancellations(self) -> list[Cancellation]:
        """Cancellations that fulfilment has not answered yet."""
        return [one for one in self.cancellations.values() if one.state == "requested"]

    def blocked(self, *steps: Block) -> bool:
        """Whether an open hold blocks one of these steps."""
        return any(hold.state == "OPEN" and not set(steps).isdisjoint(hold.blocks) for hold in self.holds)

    def anything_shipped(self) -> bool:
        """Whether any parcel has left."""
        return any(line.shipped for line in self.lines.values())

    def take_decisions(self) -> list[Decision]:
        """What was decided since last asked."""
        decided, self.decided = self.decided, []
        return decided
