"""Changes to carriers, services, tariffs and tiers. Each is safe to repeat."""

from typing import Annotated

from pydantic import Field

from oms_events.contracts.shared import Code, Text
from oms_events.runtime.problems import FieldError, Problem, not_found
from oms_events.runtime.work import Work
from oms_logistics.adapters import parcels, rates
from oms_logistics.adapters.documents import Document, ServiceDocument, TariffDocument
from oms_logistics.app import news

TierScope = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]*)$")]
"""A channel or shop by its code, or `*` for all."""


class CarrierDocument(Document):
    """A carrier. The prefix begins its waybill numbers and never changes."""

    name: Text
    active: bool = True
    waybill_prefix: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class TierDocument(Document):
    """A delivery tier's promise, in working days of the carrier."""

    max_days: Annotated[int, Field(ge=0, le=90)]


class ImportedService(ServiceDocument):
    """A service with its code and its tariff."""

    service: Code
    tariff: TariffDocument | None = None


class ImportedCarrier(CarrierDocument):
    """A carrier with its code and its services."""

    carrier: Code
    services: Annotated[tuple[ImportedService, ...], Field(max_length=50)] = ()


class ImportedTier(TierDocument):
    """A delivery tier of a shop, a channel, or everybody (`*`)."""

    channel: TierScope
    shop: TierScope
    tier: Code


class ImportDocument(Document):
    """Carriers with services and tariffs, and delivery tiers, all at once."""

    note: Annotated[str, Field(max_length=1000)] = ""
    carriers: Annotated[tuple[ImportedCarrier, ...], Field(max_length=100)] = ()
    delivery_tiers: Annotated[tuple[ImportedTier, ...], Field(max_length=500)] = ()


async def put_carrier(work: Work, carrier: str, document: CarrierDocument) -> None:
    """Create or change a carrier. Raises Problem 409 when the prefix is another's, or was another."""
    await _change_book(work)
    await _put_carrier(work, carrier, document)


async def put_service(work: Work, carrier: str, service: str, document: ServiceDocument) -> None:
    """Create or change a service. Raises Problem 404 when the carrier does not exist."""
    await _change_book(work)
    if not await rates.carrier_exists(work.connection, carrier):
        raise not_found(f"carrier {carrier}")
    await rates.save_service(work.connection, carrier, service, document)


async def add_tariff(work: Work, carrier: str, service: str, document: TariffDocument) -> tuple[int, bool]:
    """Add a tariff version; answers its number and whether it is new: the newest given again is not.

    Raises Problem 404 when the service does not exist, 409 when the currency is not that of the rate book.
    """
    currency = await _change_book(work)
    if not await rates.service_exists(work.connection, carrier, service):
        raise not_found(f"service {carrier} {service}")
    return await _add_tariff(work, carrier, service, document, currency)


async def put_tier(work: Work, channel: str, shop: str, tier: str, document: TierDocument) -> None:
    """Set the promise of a tier."""
    await _change_book(work)
    await rates.save_tier(work.connection, channel, shop, tier, document.max_days)


async def import_book(work: Work, document: ImportDocument) -> int:
    """Put everything of a document; answers how many tariff versions are new. Raises Problem as the others do."""
    currency = await _change_book(work)
    added = 0
    for carrier in document.carriers:
        await _put_carrier(work, carrier.carrier, carrier)
        for service in carrier.services:
            offered = ServiceDocument(**service.model_dump(exclude={"service", "tariff"}))
            await rates.save_service(work.connection, carrier.carrier, service.service, offered)
            if service.tariff is not None:
                _, new = await _add_tariff(work, carrier.carrier, service.service, service.tariff, currency)
                currency = service.tariff.currency
                added += new
    for tier in document.delivery_tiers:
        await rates.save_tier(work.connection, tier.channel, tier.shop, tier.tier, tier.max_days)
    return added


async def _change_book(work: Work) -> str | None:
    """Begin a new edition, which may serve shipments that nobody took: they are tried again at once."""
    currency = await rates.new_edition(work.connection)
    for shipment_id in await parcels.unserved(work.connection):
        work.schedule(news.RETRY, str(shipment_id), work.now)
    return currency


async def _put_carrier(work: Work, carrier: str, document: CarrierDocument) -> None:
    taken = await rates.prefixes(work.connection, carrier, document.waybill_prefix)
    if taken.get(carrier, document.waybill_prefix) != document.waybill_prefix:
        raise _conflict("waybill_prefix", "immutable", f"is {taken[carrier]} and cannot change")
    if taken.keys() - {carrier}:
        raise _conflict("waybill_prefix", "unique", "belongs to another carrier")
    await rates.save_carrier(
        work.connection, carrier, name=document.name, active=document.active, prefix=document.waybill_prefix
    )


async def _add_tariff(
    work: Work, carrier: str, service: str, document: TariffDocument, currency: str | None
) -> tuple[int, bool]:
    if currency is None:
        await rates.set_currency(work.connection, document.currency)
    elif document.currency != currency:
        raise _conflict("currency", "same_currency", f"must be {currency}: prices of one rate book are compared")
    return await rates.add_tariff(work.connection, carrier, service, document)


def _conflict(field: str, rule: str, detail: str) -> Problem:
    return Problem(409, f"{field}: {detail}", errors=[FieldError(field=field, rule=rule, detail=detail)])
