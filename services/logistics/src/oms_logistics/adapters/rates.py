"""Carriers, services, tariffs, tiers and waybill pools in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_logistics.adapters.documents import ServiceDocument, TariffDocument
from oms_logistics.domain.waybill import Waybill, waybill

_NEW_EDITION = text("update rate_book set edition = gen_random_uuid() returning currency")
_SET_CURRENCY = text("update rate_book set currency = :currency")
_PREFIXES = text("select carrier, prefix from waybill_pools where carrier = :carrier or prefix = :prefix")
_SAVE_CARRIER = text(
    """
    insert into carriers (carrier, name, active) values (:carrier, :name, :active)
    on conflict (carrier) do update set name = excluded.name, active = excluded.active, updated_at = now()
    """
)
_OPEN_POOL = text(
    "insert into waybill_pools (carrier, prefix) values (:carrier, :prefix) on conflict (carrier) do nothing"
)
_CARRIER_EXISTS = text("select exists (select 1 from carriers where carrier = :carrier)")
_SAVE_SERVICE = text(
    """
    insert into services (carrier, service, document) values (:carrier, :service, cast(:document as jsonb))
    on conflict (carrier, service) do update set document = excluded.document, updated_at = now()
    """
)
_SERVICE_EXISTS = text("select exists (select 1 from services where carrier = :carrier and service = :service)")
_NEWEST_TARIFF = text(
    """
    select version, document = cast(:document as jsonb) as same
      from tariffs where carrier = :carrier and service = :service order by version desc limit 1
    """
)
_ADD_TARIFF = text(
    """
    insert into tariffs (carrier, service, version, document)
    values (:carrier, :service, :version, cast(:document as jsonb))
    """
)
_SAVE_TIER = text(
    """
    insert into delivery_tiers (channel, shop, tier, max_days) values (:channel, :shop, :tier, :max_days)
    on conflict (channel, shop, tier) do update set max_days = excluded.max_days, updated_at = now()
    """
)
_CARRIERS = text(
    """
    select c.carrier, c.name, c.active, p.prefix, p.issued,
           coalesce((select json_object_agg(s.service, s.document order by s.service)
                       from services s where s.carrier = c.carrier), '{}') as services
      from carriers c join waybill_pools p using (carrier) order by c.carrier
    """
)
_TARIFF_VERSIONS = text(
    """
    select carrier, service, version, document, created_at from tariffs
     where (cast(:carrier as text) is null or carrier = :carrier)
       and (cast(:service as text) is null or service = :service)
       and (carrier, service, version) > (:after_carrier, :after_service, :after_version)
     order by carrier, service, version limit :limit
    """
)
_ISSUE = text(
    """
    with locked as (
        select pool.carrier, wanted.numbers
          from waybill_pools pool
          join unnest(cast(:carriers as text[]), cast(:numbers as int[])) as wanted(carrier, numbers) using (carrier)
         order by pool.carrier for update of pool)
    update waybill_pools set issued = issued + locked.numbers from locked
     where waybill_pools.carrier = locked.carrier
    returning waybill_pools.carrier, prefix, issued - locked.numbers as before
    """
)


@dataclass(slots=True)
class Pool:
    """Serial numbers set aside for this transaction."""

    prefix: str
    last: int

    def draw(self) -> Waybill:
        """The next waybill. Raises PoolExhausted."""
        self.last += 1
        return waybill(self.prefix, self.last)


async def new_edition(connection: AsyncConnection) -> str | None:
    """Say that the book changes; answers its currency. Other writers wait until this transaction ends."""
    currency: str | None = (await connection.execute(_NEW_EDITION)).scalar_one()
    return currency


async def set_currency(connection: AsyncConnection, currency: str) -> None:
    await connection.execute(_SET_CURRENCY, {"currency": currency})


async def prefixes(connection: AsyncConnection, carrier: str, prefix: str) -> dict[str, str]:
    """Waybill prefixes by carrier: that of this carrier, and whoever has this prefix."""
    rows = await connection.execute(_PREFIXES, {"carrier": carrier, "prefix": prefix})
    return {row.carrier: row.prefix for row in rows}


async def save_carrier(connection: AsyncConnection, carrier: str, *, name: str, active: bool, prefix: str) -> None:
    await connection.execute(_SAVE_CARRIER, {"carrier": carrier, "name": name, "active": active})
    await connection.execute(_OPEN_POOL, {"carrier": carrier, "prefix": prefix})


async def carrier_exists(connection: AsyncConnection, carrier: str) -> bool:
    return bool((await connection.execute(_CARRIER_EXISTS, {"carrier": carrier})).scalar_one())


async def save_service(connection: AsyncConnection, carrier: str, service: str, document: ServiceDocument) -> None:
    parameters = {"carrier": carrier, "service": service, "document": document.model_dump_json()}
    await connection.execute(_SAVE_SERVICE, parameters)


async def service_exists(connection: AsyncConnection, carrier: str, service: str) -> bool:
    return bool((await connection.execute(_SERVICE_EXISTS, {"carrier": carrier, "service": service})).scalar_one())


async def add_tariff(
    connection: AsyncConnection, carrier: str, service: str, document: TariffDocument
) -> tuple[int, bool]:
    """Store a new version; answers its number and whether it is new: the newest one given again is not."""
    parameters = {"carrier": carrier, "service": service, "document": document.model_dump_json()}
    newest = (await connection.execute(_NEWEST_TARIFF, parameters)).one_or_none()
    if newest is not None and newest.same:
        return newest.version, False
    version = newest.version + 1 if newest else 1
    await connection.execute(_ADD_TARIFF, parameters | {"version": version})
    return version, True


async def save_tier(connection: AsyncConnection, channel: str, shop: str, tier: str, max_days: int) -> None:
    await connection.execute(_SAVE_TIER, {"channel": channel, "shop": shop, "tier": tier, "max_days": max_days})


async def list_carriers(connection: AsyncConnection) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in await connection.execute(_CARRIERS)]


async def list_tariffs(
    connection: AsyncConnection, carrier: str | None, service: str | None, after: tuple[str, str, int], limit: int
) -> list[dict[str, Any]]:
    """A page of tariff versions."""
    parameters = {
        "carrier": carrier,
        "service": service,
        "after_carrier": after[0],
        "after_service": after[1],
        "after_version": after[2],
        "limit": limit,
    }
    return [dict(row._mapping) for row in await connection.execute(_TARIFF_VERSIONS, parameters)]


async def issue(connection: AsyncConnection, numbers: Mapping[str, int]) -> dict[str, Pool]:
    """Set aside so many serial numbers per carrier. The pools stay locked until the transaction ends."""
    if not numbers:
        return {}
    parameters = {"carriers": list(numbers), "numbers": list(numbers.values())}
    return {row.carrier: Pool(row.prefix, row.before) for row in await connection.execute(_ISSUE, parameters)}
