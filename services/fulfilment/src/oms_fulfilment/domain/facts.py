"""What happened to a shipment, as the rules say it: each fact becomes one published event."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from oms_fulfilment.domain.demand import Shipment
from oms_fulfilment.domain.routing import Units


@dataclass(frozen=True, slots=True)
class Requested:
    """Allocated: it wants a carrier."""

    shipment: Shipment


@dataclass(frozen=True, slots=True)
class Released:
    """The warehouse may pick it."""

    shipment: Shipment


@dataclass(frozen=True, slots=True)
class Accepted:
    """The warehouse took it on."""

    shipment: Shipment


@dataclass(frozen=True, slots=True)
class Rejected:
    """The warehouse cannot ship these. `closed`: nothing of the shipment has left or will."""

    shipment: Shipment
    lines: tuple[Units, ...]
    reason: str
    closed: bool


@dataclass(frozen=True, slots=True)
class Dispatched:
    """These left the warehouse."""

    shipment: Shipment
    lines: tuple[Units, ...]
    weight_g: int
    dispatched_at: datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """These were cancelled in time."""

    shipment: Shipment
    cancellation_id: UUID
    lines: tuple[Units, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a cancellation."""

    cancellation_id: UUID
    stopped: tuple[Units, ...]
    refused: tuple[Units, ...]


Fact = Requested | Released | Accepted | Rejected | Dispatched | Stopped | Answered
Change = tuple["Shipment", tuple[Fact, ...]]
"""A shipment's next version and what to tell of it."""
