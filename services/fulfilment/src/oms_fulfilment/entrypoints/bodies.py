"""What the API accepts, with its bounds."""

from datetime import time
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from oms_events.contracts.shared import Code, Currency, Instant, Quantity, Text
from oms_events.values import time_zones
from oms_fulfilment.domain.demand import Demand, DemandLine, ShipToPlace
from oms_fulfilment.domain.network import Node


def _timezone(name: str) -> str:
    if name not in time_zones():
        raise ValueError("must be an IANA time zone such as Europe/London")
    return name


Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Region = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Countries = Annotated[tuple[Country, ...], Field(max_length=250)]
Regions = Annotated[tuple[Region, ...], Field(max_length=250)]
Fee = Annotated[int, Field(ge=0, le=1_000_000)]
Days = Annotated[int, Field(ge=0, le=365)]


class Body(BaseModel):
    """Base of request bodies: a field we do not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeBody(Body):
    """A node's properties. Money is in the currency of the rule set."""

    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    country: Country
    region: Region = ""
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_timezone)] = "UTC"
    daily_capacity: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    handling_unit_minor: Annotated[int, Field(ge=0, le=10_000)] = 0
    handling_parcel_minor: Fee = 0
    ships_to: Countries | None = None
    refuses: Annotated[tuple[Literal["large", "hazardous"], ...], Field(max_length=2)] = ()
    cut_off: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "15:00"
    active: bool = True

    def to_node(self, code: str) -> Node:
        """The node with this code."""
        return Node(node=code, **{**self.model_dump(), "cut_off": time.fromisoformat(self.cut_off)})

    @classmethod
    def of_node(cls, stored: dict[str, object]) -> "NodeBody":
        """The body that made a stored node."""
        return cls.model_validate({**stored, "cut_off": str(stored["cut_off"])[:5]})


class ZoneBody(Body):
    """Freight and transit days between places; null matches every place. The first zone that covers a lane counts."""

    name: Text
    domestic: bool = False
    origins: Countries | None = None
    origin_regions: Regions | None = None
    destinations: Countries | None = None
    destination_regions: Regions | None = None
    base_minor: Fee
    per_kg_minor: Fee
    days: Days


class RuleSetBody(Body):
    """A rule set: how plans are weighed. Money in minor units of `currency`."""

    currency: Currency
    max_splits: Annotated[int, Field(ge=1, le=6)] = 4
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    split_penalty_minor: Fee = 0
    lateness_minor_per_day: Fee = 0
    tier_days: Annotated[dict[Code, Days], Field(max_length=50)] = {}
    zones: Annotated[tuple[ZoneBody, ...], Field(min_length=1, max_length=200)]


class DryRunLine(Body):
    """So many of a SKU."""

    sku: Text
    quantity: Quantity


class DryRunBody(Body):
    """An order that might come."""

    lines: Annotated[tuple[DryRunLine, ...], Field(min_length=1, max_length=2000)]
    country: Country
    region: Region = ""
    delivery_tier: Annotated[str, Field(max_length=64)] = "standard"
    ship_by: Instant | None = None
    rule_set: Code = "default"

    def to_demand(self) -> Demand:
        """The order as if it had just been released."""
        return Demand(
            order_id=UUID(int=0),
            channel="",
            shop="",
            ship_to=ShipToPlace(self.country, self.region),
            tier=self.delivery_tier,
            ship_by=self.ship_by,
            lines=tuple(DemandLine(str(no), line.sku, line.quantity) for no, line in enumerate(self.lines, 1)),
            shipments={},
        )
