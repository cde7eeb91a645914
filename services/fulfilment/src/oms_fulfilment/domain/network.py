"""Nodes that can ship, and the rule set that weighs them. Both are immutable versions: a decision names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

GUARDED_FLAGS = frozenset({"large", "hazardous"})
"""SKU flags that a node may refuse."""


@dataclass(frozen=True, slots=True)
class Node:
    """A place that ships. Money is in the rule set's currency."""

    node: str
    country: str
    name: str = ""
    region: str = ""
    timezone: str = "UTC"
    daily_capacity: int | None = None
    """Shipments a local day; None is no limit."""
    handling_unit_minor: int = 0
    handling_parcel_minor: int = 0
    ships_to: tuple[str, ...] | None = None
    """Countries; None is everywhere."""
    refuses: tuple[str, ...] = ()
    """SKU flags that may not be shipped from here."""
    cut_off: time = time(15, 0)
    """Local time until which an order still leaves on the same day."""
    active: bool = True

    def today(self, at: datetime) -> date:
        """The node's own calendar day."""
        return at.astimezone(ZoneInfo(self.timezone)).date()

    def leaves_at(self, at: datetime) -> datetime:
        """When a shipment planned now leaves: the next cut-off."""
        local = at.astimezone(ZoneInfo(self.timezone))
        day = local.date() if local.time() <= self.cut_off else local.date() + timedelta(days=1)
        return datetime.combine(day, self.cut_off, tzinfo=local.tzinfo)


@dataclass(frozen=True, slots=True)
class Network:
    """All nodes as they were at one time, in the order of their codes."""

    version: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """What freight costs and how long it takes between places. None matches every place."""

    name: str
    base_minor: int
    per_kg_minor: int
    days: int
    domestic: bool = False
    """Only where origin and destination are one country."""
    origins: tuple[str, ...] | None = None
    origin_regions: tuple[str, ...] | None = None
    destinations: tuple[str, ...] | None = None
    destination_regions: tuple[str, ...] | None = None

    def covers(self, node: Node, country: str, region: str) -> bool:
        """Whether a parcel from the node to this place travels in the zone."""
        return (
            (not self.domestic or node.country == country)
            and (self.origins is None or node.country in self.origins)
            and (self.origin_regions is None or node.region in self.origin_regions)
            and (self.destinations is None or country in self.destinations)
            and (self.destination_regions is None or region in self.destination_regions)
        )

    def freight_minor(self, weight_g: int) -> int:
        """Freight of one parcel, rounded up."""
        return self.base_minor - (-weight_g * self.per_kg_minor // 1000)


@dataclass(frozen=True, slots=True)
class Rules:
    """One version of a rule set."""

    name: str
    version: int
    currency: str
    zones: tuple[Zone, ...]
    """The first that covers a lane counts."""
    max_splits: int
    """Most shipments of one plan."""
    max_attempts: int
    """Refusals by inventory in a row until the order waits before it is routed again."""
    split_penalty_minor: int
    lateness_minor_per_day: int
    tier_days: Mapping[str, int]
    """Days until arrival that each delivery tier allows."""

    def zone(self, node: Node, country: str, region: str) -> Zone | None:
        """The zone of a lane, or None when the node has no way there."""
        return next((zone for zone in self.zones if zone.covers(node, country, region)), None)
