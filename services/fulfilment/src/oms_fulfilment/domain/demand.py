"""What is to be shipped of an order, and the shipments that do it. Quantities decide; every state follows from them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, NamedTuple
from uuid import UUID

from oms_fulfilment.domain.routing import Units

DemandState = Literal["waiting", "routed", "done"]
ShipmentState = Literal["planned", "allocated", "released", "accepted", "dispatched", "rejected", "cancelled"]


@dataclass(frozen=True, slots=True)
class ShipToPlace:
    """Where the order goes. The token stands for the receiver."""

    country: str
    region: str = ""
    city: str = ""
    postcode: str = ""
    receiver_token: str = ""


@dataclass(frozen=True, slots=True)
class ShipmentLine:
    """One line's share in a shipment, and what became of it."""

    line_id: str
    sku: str
    quantity: int
    cancelled: int = 0
    rejected: int = 0
    shipped: int = 0

    @property
    def left(self) -> int:
        return self.quantity - self.cancelled - self.rejected - self.shipped

    @property
    def kept(self) -> int:
        """What this shipment covers of the line: shipped or still to be."""
        return self.quantity - self.cancelled - self.rejected


@dataclass(frozen=True, slots=True)
class Untold:
    """A cancellation that inventory will be told of once it has allocated the shipment."""

    cancellation_id: UUID
    lines: tuple[Units, ...]


class Shipment(NamedTuple):
    """One node's part of an order."""

    shipment_id: UUID
    order_id: UUID
    decision_id: UUID
    node: str
    origin_country: str
    planned_on: date
    """Day of the node whose capacity it uses."""
    lines: tuple[ShipmentLine, ...]
    weight_g: int
    state: ShipmentState = "planned"
    carrier: str = ""
    service: str = ""
    waybill_no: str = ""
    note: str = ""
    """Why it does not go on, for people."""
    untold: tuple[Untold, ...] = ()
    version: int = 1

    @property
    def is_empty(self) -> bool:
        """Nothing left to ship."""
        return not any(line.left for line in self.lines)

    @property
    def at_warehouse(self) -> bool:
        """The warehouse may know of it, so that its reports count."""
        return self.state not in {"planned", "allocated"}

    def remaining(self) -> tuple[Units, ...]:
        """What is left to ship, line by line."""
        return tuple([Units(line.line_id, line.sku, left) for line in self.lines if (left := line.left)])

    def changed(self, **changes: object) -> "Shipment":
        """The next version of the shipment."""
        return self._replace(version=self.version + 1, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DemandLine:
    """A line of the released order."""

    line_id: str
    sku: str
    ordered: int
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A node that is not to be tried again for a SKU: until the next try (`inventory`) or for good (`warehouse`)."""

    node: str
    sku: str
    by: Literal["inventory", "warehouse"]


class Demand(NamedTuple):
    """An order as fulfilment sees it."""

    order_id: UUID
    channel: str
    shop: str
    ship_to: ShipToPlace
    tier: str
    ship_by: datetime | None
    lines: tuple[DemandLine, ...]
    shipments: Mapping[UUID, Shipment]
    attempt: int = 0
    """Decisions made."""
    failures: int = 0
    """Tries in a row that came to nothing."""
    failure: str = ""
    """Why the last try failed."""
    told: str = ""
    """The failure that was published last; empty when none stands."""
    lacking: tuple[str, ...] = ()
    """SKUs whose arrival is worth another try."""
    excluded: tuple[Exclusion, ...] = ()

    @property
    def state(self) -> DemandState:
        """`waiting` while something is in no shipment, `done` when all that was not cancelled has left.

        No shipment ever covers more of a line than is wanted of it, so the totals decide.
        """
        wanted = sum([line.ordered - line.cancelled for line in self.lines])
        kept = shipped = 0
        for shipment in self.shipments.values():
            for line in shipment.lines:
                kept += line.quantity - line.cancelled - line.rejected
                shipped += line.shipped
        if kept < wanted:
            return "waiting"
        return "done" if shipped == kept else "routed"

    def unplanned(self) -> tuple[Units, ...]:
        """What no shipment covers."""
        covered: dict[str, int] = {}
        for shipment in self.shipments.values():
            for line in shipment.lines:
                covered[line.line_id] = covered.get(line.line_id, 0) + line.kept
        return tuple(
            Units(line.line_id, line.sku, open_)
            for line in self.lines
            if (open_ := line.ordered - line.cancelled - covered.get(line.line_id, 0)) > 0
        )

    def with_shipments(self, *shipments: Shipment) -> "Demand":
        """The demand with these shipments added or replaced."""
        return self._replace(shipments={**self.shipments, **{s.shipment_id: s for s in shipments}})

    def excluding(self, node: str, skus: Iterable[str], by: Literal["inventory", "warehouse"]) -> "Demand":
        """The demand, not to be tried at the node for these SKUs."""
        added = (Exclusion(node, sku, by) for sku in skus)
        return self._replace(excluded=tuple(dict.fromkeys((*self.excluded, *added))))


def given_back(before: Demand, after: Demand) -> Counter[tuple[str, str]]:
    """Units by node and SKU that left a shipment without being shipped: they lie at the node again."""
    back: Counter[tuple[str, str]] = Counter()
    for shipment_id, old in before.shipments.items():
        new = after.shipments[shipment_id]
        if new.lines is not old.lines:
            for was, now in zip(old.lines, new.lines, strict=True):
                back[old.node, was.sku] += was.kept - now.kept
    return +back


def closed_unshipped(before: Demand, after: Demand) -> list[Shipment]:
    """Shipments that ended without leaving: they use no capacity any more."""
    return [
        shipment
        for shipment_id, shipment in after.shipments.items()
        if shipment.state in {"rejected", "cancelled"}
        and shipment_id in before.shipments
        and before.shipments[shipment_id].state != shipment.state
    ]


def take(lines: Sequence[ShipmentLine], units: Mapping[str, int], column: str) -> tuple[ShipmentLine, ...]:
    """The lines with so many more of each counted as `cancelled`, `rejected` or `shipped`."""
    return tuple(
        replace(line, **{column: getattr(line, column) + units[line.line_id]}) if units.get(line.line_id) else line
        for line in lines
    )
