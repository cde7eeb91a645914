"""What a carrier charges: zones, weight breaks, rounding, minimum, volumetric weight, surcharges.

Money is in minor units of the tariff's currency, weight in grams, volume in cubic centimetres.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Lane:
    """From where to where. An empty `postcode` matches no postcode rule."""

    origin: str
    destination: str
    postcode: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    """Lanes that share a price. Empty sets mean any country; `domestic` wants both ends in one country."""

    name: str
    origins: frozenset[str] = frozenset()
    destinations: frozenset[str] = frozenset()
    domestic: bool = False

    def covers(self, lane: Lane) -> bool:
        return (
            (not self.domestic or lane.origin == lane.destination)
            and (not self.origins or lane.origin in self.origins)
            and (not self.destinations or lane.destination in self.destinations)
        )


@dataclass(frozen=True, slots=True)
class WeightPrice:
    """Price by billable weight: a table of breaks, then so much per further step.

    First weight and continued weight is the table of one break. `up_to_g` ascends, `minor` never falls.
    Without `step_g` nothing heavier than the last break is carried.
    """

    up_to_g: tuple[int, ...]
    minor: tuple[int, ...]
    step_g: int = 0
    step_minor: int = 0

    def of(self, weight_g: int) -> int | None:
        """The price, or None for a weight beyond the table."""
        at = bisect_left(self.up_to_g, weight_g)
        if at < len(self.minor):
            return self.minor[at]
        if not self.step_g:
            return None
        return self.minor[-1] + -(-(weight_g - self.up_to_g[-1]) // self.step_g) * self.step_minor


@dataclass(frozen=True, slots=True)
class Surcharge:
    """An addition to the freight: a fixed part and a share of the freight, where its conditions hold.

    No condition: always. `destinations` and `postcodes` (prefixes) are alternatives: a remote area is often both.
    """

    name: str
    minor: int = 0
    basis_points: int = 0
    destinations: frozenset[str] = frozenset()
    postcodes: tuple[str, ...] = ()
    over_g: int = 0

    def of(self, freight_minor: int, lane: Lane, weight_g: int) -> int:
        """The amount, zero where it does not apply. Shares are rounded half up."""
        if self.over_g and weight_g <= self.over_g:
            return 0
        if (self.destinations or self.postcodes) and not self._reaches(lane):
            return 0
        return self.minor + (freight_minor * self.basis_points + 5_000) // 10_000

    def _reaches(self, lane: Lane) -> bool:
        return lane.destination in self.destinations or bool(
            self.postcodes and lane.postcode.startswith(self.postcodes)
        )


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of what a carrier's service costs. The first zone that covers a lane counts."""

    zones: tuple[Zone, ...]
    prices: Mapping[str, WeightPrice]
    rounding_g: int
    minimum_minor: int = 0
    volumetric_divisor: int = 0
    """Cubic centimetres that weigh one kilogram; zero when volume does not count."""
    surcharges: tuple[Surcharge, ...] = ()


class Rating(NamedTuple):
    """What a consignment costs, and how that came about."""

    zone: str
    billable_g: int
    freight_minor: int
    surcharges: tuple[tuple[str, int], ...]
    total_minor: int


def zone_of(zones: Sequence[Zone], lane: Lane) -> str | None:
    """The name of the first zone that covers the lane."""
    for zone in zones:
        if zone.covers(lane):
            return zone.name
    return None


def billable_weight(tariff: Tariff, weight_g: int, volume_cm3: int) -> int:
    """The heavier of real and volumetric weight, rounded up to the tariff's step; at least one step."""
    heavier = weight_g
    if tariff.volumetric_divisor:
        heavier = max(weight_g, -(-volume_cm3 * 1000 // tariff.volumetric_divisor))
    return max(1, -(-heavier // tariff.rounding_g)) * tariff.rounding_g


def rate(tariff: Tariff, lane: Lane, weight_g: int, volume_cm3: int = 0) -> Rating | str:
    """The price of a consignment, or why the tariff has none."""
    zone = zone_of(tariff.zones, lane)
    if zone is None:
        return f"no zone for {lane.origin}-{lane.destination}"
    billable_g = billable_weight(tariff, weight_g, volume_cm3)
    listed = tariff.prices[zone].of(billable_g)
    if listed is None:
        return f"{billable_g} g is beyond the last weight break"
    freight = max(tariff.minimum_minor, listed)
    extra = tuple((s.name, amount) for s in tariff.surcharges if (amount := s.of(freight, lane, billable_g)))
    return Rating(zone, billable_g, freight, extra, freight + sum(amount for _, amount in extra))
