"""The rate book: every service on offer with its tariffs, and the tiers' promises, kept in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_logistics.adapters.documents import ServiceDocument, TariffDocument
from oms_logistics.domain.choice import CarrierService, TariffVersion

ANY = "*"

_EDITION = text("select edition, currency from rate_book")
_SERVICES = text(
    """
    select carrier, service, cast(document as text) as document
      from services join carriers using (carrier) where carriers.active order by carrier, service
    """
)
_TARIFFS = text(
    "select carrier, service, version, cast(document as text) as document"
    " from tariffs order by carrier, service, version"
)
_TIERS = text("select channel, shop, tier, max_days from delivery_tiers")

_kept: dict[UUID, "RateBook"] = {}
"""The last edition read. An edition's id is drawn at random, so it never means two different books."""


@dataclass(frozen=True, slots=True)
class RateBook:
    """One edition of the book. All its prices are in `currency`."""

    currency: str
    services: tuple[CarrierService, ...]
    tiers: Mapping[tuple[str, str, str], int]

    def max_days(self, channel: str, shop: str, tier: str) -> int | None:
        """The tier's promise for a shop: its own, else its channel's, else everybody's. None: there is none."""
        for whose in ((channel, shop), (channel, ANY), (ANY, ANY)):
            if (days := self.tiers.get((*whose, tier))) is not None:
                return days
        return None


async def rate_book(connection: AsyncConnection) -> RateBook:
    """The book as it stands: one short statement, unless its edition is new."""
    row = (await connection.execute(_EDITION)).one()
    book = _kept.get(row.edition)
    if book is None:
        book = await _read(connection, row.currency or "")
        _kept.clear()
        _kept[row.edition] = book
    return book


async def _read(connection: AsyncConnection, currency: str) -> RateBook:
    versions: dict[tuple[str, str], list[TariffVersion]] = {}
    for row in await connection.execute(_TARIFFS):
        document = TariffDocument.model_validate_json(row.document)
        versions.setdefault((row.carrier, row.service), []).append(document.rules(row.version))
    services: list[CarrierService] = []
    for row in await connection.execute(_SERVICES):
        offered = ServiceDocument.model_validate_json(row.document)
        if offered.active:
            tariffs = tuple(versions.get((row.carrier, row.service), ()))
            services.append(offered.rules(row.carrier, row.service, tariffs))
    tiers = {(row.channel, row.shop, row.tier): row.max_days for row in await connection.execute(_TIERS)}
    return RateBook(currency, tuple(services), tiers)
