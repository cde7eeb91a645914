"""Carriers, services and tariffs as people write them and as they are stored, and what the rules make of them."""

from datetime import date, time
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from oms_events.contracts.shared import Code, Currency, Grams, Instant, Text
from oms_events.values import time_zones
from oms_logistics.domain.calendar import Calendar
from oms_logistics.domain.choice import CarrierService, TariffVersion
from oms_logistics.domain.tariff import Surcharge, Tariff, WeightPrice, Zone


def _known_timezone(name: str) -> str:
    if name not in time_zones():
        raise ValueError("must be an IANA time zone such as Europe/London")
    return name


def _without_offset(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("must be a local time without an offset")
    return value


Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Countries = Annotated[tuple[Country, ...], Field(max_length=250)]
LocalTime = Annotated[time, AfterValidator(_without_offset)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_timezone)]
Rate = Annotated[int, Field(ge=0, le=10**9)]
"""A price within a tariff, in minor units."""


class Document(BaseModel):
    """Base of what people write: frozen, and strict about names, so that a slip of the pen is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ZoneDocument(Document):
    """Lanes that share a price. Empty lists mean any country; `domestic` wants both ends in one country."""

    name: Code
    origins: Countries = ()
    destinations: Countries = ()
    domestic: bool = False


class WeightBreak(Document):
    """The price up to and including a weight."""

    up_to_g: Annotated[int, Field(ge=1, le=100_000_000)]
    minor: Rate


class PriceDocument(Document):
    """Weight breaks, then so much per further step. Without a step nothing heavier than the last break is carried."""

    breaks: Annotated[tuple[WeightBreak, ...], Field(min_length=1, max_length=100)]
    step_g: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    step_minor: Rate = 0

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for lighter, heavier in zip(self.breaks, self.breaks[1:], strict=False):
            if heavier.up_to_g <= lighter.up_to_g:
                raise ValueError("breaks must ascend by up_to_g")
            if heavier.minor < lighter.minor:
                raise ValueError("a heavier break must not be cheaper")
        return self


class SurchargeDocument(Document):
    """An addition: a fixed part and a share of the freight (1 basis point = 0.01 %), where its conditions hold.

    No condition: always. `destinations` and `postcodes` (prefixes) are alternatives; `over_g` must hold as well.
    """

    name: Code
    minor: Rate = 0
    basis_points: Annotated[int, Field(ge=0, le=100_000)] = 0
    destinations: Countries = ()
    postcodes: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=16)], ...], Field(max_length=1000)] = ()
    over_g: Grams = 0


class TariffDocument(Document):
    """What a service costs. The first zone that covers a lane counts."""

    currency: Currency
    valid_from: Instant
    valid_to: Instant | None = None
    rounding_g: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    minimum_minor: Rate = 0
    volumetric_divisor: Annotated[int, Field(ge=0, le=100_000)] = 0
    zones: Annotated[tuple[ZoneDocument, ...], Field(min_length=1, max_length=100)]
    prices: dict[Code, PriceDocument]
    surcharges: Annotated[tuple[SurchargeDocument, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        zones = {zone.name for zone in self.zones}
        if len(zones) != len(self.zones):
            raise ValueError("zones must have different names")
        if zones != self.prices.keys():
            raise ValueError("prices must name every zone and no other")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("valid_to must be later than valid_from")
        return self

    def rules(self, version: int) -> TariffVersion:
        """The tariff as the rules read it."""
        zones = tuple(Zone(z.name, frozenset(z.origins), frozenset(z.destinations), z.domestic) for z in self.zones)
        prices = {
            name: WeightPrice(
                tuple(b.up_to_g for b in price.breaks),
                tuple(b.minor for b in price.breaks),
                price.step_g,
                price.step_minor,
            )
            for name, price in self.prices.items()
        }
        surcharges = tuple(
            Surcharge(s.name, s.minor, s.basis_points, frozenset(s.destinations), s.postcodes, s.over_g)
            for s in self.surcharges
        )
        tariff = Tariff(zones, prices, self.rounding_g, self.minimum_minor, self.volumetric_divisor, surcharges)
        return TariffVersion(version, tariff, self.valid_from, self.valid_to)


class ServiceDocument(Document):
    """What a carrier offers. No countries means all; `transit_days` are working days by zone of the tariff."""

    name: Text
    active: bool = True
    tiers: Annotated[tuple[Code, ...], Field(min_length=1, max_length=20)]
    countries: Countries = ()
    max_weight_g: Annotated[int, Field(ge=1, le=100_000_000)]
    timezone: TimeZone
    cut_off: LocalTime
    deliver_by: LocalTime = time(20)
    weekdays: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1, max_length=7)] = (
        1,
        2,
        3,
        4,
        5,
    )
    closed: Annotated[tuple[date, ...], Field(max_length=400)] = ()
    transit_days: Annotated[dict[Code, Annotated[int, Field(ge=0, le=90)]], Field(min_length=1, max_length=100)]

    def rules(self, carrier: str, service: str, tariffs: tuple[TariffVersion, ...]) -> CarrierService:
        """The service as the rules read it."""
        calendar = Calendar(
            ZoneInfo(self.timezone), self.cut_off, self.deliver_by, frozenset(self.weekdays), frozenset(self.closed)
        )
        return CarrierService(
            carrier,
            service,
            frozenset(self.tiers),
            frozenset(self.countries),
            self.max_weight_g,
            calendar,
            self.transit_days,
            tariffs,
        )
