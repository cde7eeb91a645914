"""Which carrier service takes a consignment: of those that can, the ones that keep the promise; of these, the cheapest.

Every option is kept with the reason why it won or lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from oms_logistics.domain.calendar import Calendar, Promise
from oms_logistics.domain.tariff import Lane, Tariff, rate

MAX_COST_MINOR = 10**12


@dataclass(frozen=True, slots=True)
class TariffVersion:
    """A tariff and when it is in force: from `valid_from`, until `valid_to` if there is one."""

    version: int
    tariff: Tariff
    valid_from: datetime
    valid_to: datetime | None

    def in_force(self, now: datetime) -> bool:
        return self.valid_from <= now and (self.valid_to is None or now < self.valid_to)


@dataclass(frozen=True, slots=True)
class CarrierService:
    """What a carrier offers. No countries means all; `tariffs` ascend by version."""

    carrier: str
    service: str
    tiers: frozenset[str]
    countries: frozenset[str]
    max_weight_g: int
    calendar: Calendar
    transit_days: Mapping[str, int]
    tariffs: tuple[TariffVersion, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A service as it stands at one moment: its newest tariff in force, and a promise per zone."""

    service: CarrierService
    tariff: TariffVersion | None
    promises: Mapping[str, Promise]


@dataclass(frozen=True, slots=True)
class Consignment:
    """What wants a carrier. `max_days` is the tier's promise in working days; None when the tier has none."""

    lane: Lane
    tier: str
    max_days: int | None
    weight_g: int
    volume_cm3: int = 0


class Bid(NamedTuple):
    """A service that can carry the consignment: for how much, by when."""

    carrier: str
    service: str
    tariff_version: int
    billable_g: int
    cost_minor: int
    promised_at: datetime
    lead_days: int


class Option(NamedTuple):
    """A service that was weighed, and why it won or lost. Without a bid it cannot carry the consignment."""

    carrier: str
    service: str
    bid: Bid | None
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The winning bid, if anybody can carry the consignment, and every option by carrier and service code."""

    winner: Bid | None
    options: Sequence[Option]


def on_offer(services: Sequence[CarrierService], now: datetime) -> list[Offer]:
    """What the services offer at this moment, by carrier and service code. Made once for a whole batch."""
    return [
        Offer(
            service,
            next((version for version in reversed(service.tariffs) if version.in_force(now)), None),
            {zone: service.calendar.promise(now, days) for zone, days in service.transit_days.items()},
        )
        for service in sorted(services, key=lambda service: (service.carrier, service.service))
    ]


def choose(offers: Sequence[Offer], wanted: Consignment) -> Choice:
    """Weigh every offer. Ties go to the earlier carrier and service code.

    Where nobody keeps the tier's promise the soonest is taken: waiting for a carrier would break it too.
    """
    answers = [_bid(offer, wanted) for offer in offers]
    able = [answer for answer in answers if isinstance(answer, Bid)]
    limit = wanted.max_days
    punctual = able if limit is None else [bid for bid in able if bid.lead_days <= limit]
    winner = min(punctual, key=_price) if punctual else min(able, key=_arrival, default=None)
    options = [
        Option(offer.service.carrier, offer.service.service, answer, _verdict(answer, winner, limit))
        if isinstance(answer, Bid)
        else Option(offer.service.carrier, offer.service.service, None, answer)
        for offer, answer in zip(offers, answers, strict=True)
    ]
    return Choice(winner, options)


def _bid(offer: Offer, wanted: Consignment) -> Bid | str:
    """What a service bids, or why it does not."""
    service = offer.service
    if (obstacle := _obstacle(service, wanted)) is not None:
        return obstacle
    if offer.tariff is None:
        return "has no tariff in force"
    rating = rate(offer.tariff.tariff, wanted.lane, wanted.weight_g, wanted.volume_cm3)
    if isinstance(rating, str):
        return rating
    promise = offer.promises.get(rating.zone)
    if promise is None:
        return f"has no transit time for zone {rating.zone}"
    if rating.total_minor > MAX_COST_MINOR:
        return "costs more than can be booked"
    return Bid(
        service.carrier,
        service.service,
        offer.tariff.version,
        rating.billable_g,
        rating.total_minor,
        promise.promised_at,
        promise.lead_days,
    )


def _obstacle(service: CarrierService, wanted: Consignment) -> str | None:
    if wanted.tier not in service.tiers:
        return f"does not serve {wanted.tier}"
    if service.countries and wanted.lane.destination not in service.countries:
        return f"does not deliver to {wanted.lane.destination}"
    if wanted.weight_g > service.max_weight_g:
        return f"carries up to {service.max_weight_g} g, not {wanted.weight_g} g"
    return None


def _price(bid: Bid) -> tuple[int, str, str]:
    return bid.cost_minor, bid.carrier, bid.service


def _arrival(bid: Bid) -> tuple[datetime, int, str, str]:
    return bid.promised_at, *_price(bid)


def _verdict(bid: Bid, winner: Bid | None, limit: int | None) -> str:
    if winner is None:
        return ""
    late = limit is not None and bid.lead_days > limit
    if bid is winner:
        return f"soonest, though {bid.lead_days} days instead of {limit}" if late else "cheapest that keeps the promise"
    if late:
        return f"takes {bid.lead_days} days instead of {limit}"
    dearer = bid.cost_minor - winner.cost_minor
    return f"dearer by {dearer}" if dearer else "same price, later in the order of codes"
