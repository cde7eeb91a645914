"""Scans in the database. One without a shipment is early: no parcel has its waybill yet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ADD = text(
    """
    insert into scans
        (scan_key, carrier, waybill_no, shipment_id, status, occurred_at, place, carrier_code, received_at)
    select scan_key, carrier, waybill_no, shipment_id, status, occurred_at, place, carrier_code,
           cast(:now as timestamptz)
      from unnest(cast(:scan_keys as uuid[]), cast(:carriers as text[]), cast(:waybill_nos as text[]),
                  cast(:shipment_ids as uuid[]), cast(:statuses as text[]), cast(:occurred_ats as timestamptz[]),
                  cast(:places as text[]), cast(:carrier_codes as text[]))
           as s(scan_key, carrier, waybill_no, shipment_id, status, occurred_at, place, carrier_code)
     order by scan_key
    on conflict (scan_key) do nothing
    returning scan_key
    """
)
_CLAIM = text(
    """
    update scans set shipment_id = parcels.shipment_id from parcels
     where scans.shipment_id is null and scans.waybill_no = any(cast(:waybill_nos as text[]))
       and parcels.waybill_no = scans.waybill_no and parcels.carrier = scans.carrier
    returning scans.scan_key, scans.carrier, scans.waybill_no, scans.status, scans.occurred_at, scans.place,
              scans.carrier_code, scans.shipment_id
    """
)
_MATCHED = text(
    """
    select scans.waybill_no from scans join parcels on parcels.waybill_no = scans.waybill_no
     where scans.shipment_id is null and parcels.carrier = scans.carrier limit :limit
    """
)
_OF_SHIPMENT = text(
    """
    select scan_key, status, occurred_at, place, carrier_code, received_at from scans
     where waybill_no = (select waybill_no from parcels where shipment_id = :shipment_id)
       and shipment_id = :shipment_id
     order by occurred_at, scan_key limit :limit
    """
)
_EARLY = text(
    """
    select scan_key, carrier, waybill_no, status, occurred_at, place, carrier_code, received_at from scans
     where shipment_id is null and scan_key > :after order by scan_key limit :limit
    """
)


@dataclass(frozen=True, slots=True)
class Scan:
    """A carrier's scan; `scan_key` derives from all it says."""

    scan_key: UUID
    carrier: str
    waybill_no: str
    status: str
    occurred_at: datetime
    place: str
    carrier_code: str
    shipment_id: UUID | None


async def add(connection: AsyncConnection, scans: Sequence[Scan], now: datetime) -> frozenset[UUID]:
    """Store scans; answers the keys of those never seen before."""
    rows = await connection.execute(
        _ADD,
        {
            "scan_keys": [scan.scan_key for scan in scans],
            "carriers": [scan.carrier for scan in scans],
            "waybill_nos": [scan.waybill_no for scan in scans],
            "shipment_ids": [scan.shipment_id for scan in scans],
            "statuses": [scan.status for scan in scans],
            "occurred_ats": [scan.occurred_at for scan in scans],
            "places": [scan.place for scan in scans],
            "carrier_codes": [scan.carrier_code for scan in scans],
            "now": now,
        },
    )
    return frozenset(rows.scalars())


async def claim(connection: AsyncConnection, waybill_nos: Collection[str]) -> list[Scan]:
    """Give early scans to the parcels that now have their waybills; answers them, oldest first."""
    rows = await connection.execute(_CLAIM, {"waybill_nos": list(waybill_nos)})
    claimed = [Scan(**row._mapping) for row in rows]
    return sorted(claimed, key=lambda scan: (scan.occurred_at, scan.scan_key))


async def matched(connection: AsyncConnection, limit: int) -> list[str]:
    """Waybills of early scans that a parcel has by now."""
    return sorted(set((await connection.execute(_MATCHED, {"limit": limit})).scalars()))


async def of_shipment(connection: AsyncConnection, shipment_id: UUID, limit: int) -> list[dict[str, Any]]:
    """A parcel's scans in the order in which they happened."""
    rows = await connection.execute(_OF_SHIPMENT, {"shipment_id": shipment_id, "limit": limit})
    return [dict(row._mapping) for row in rows]


async def early(connection: AsyncConnection, after: UUID, limit: int) -> list[dict[str, Any]]:
    """A page of scans that no parcel is known for."""
    rows = await connection.execute(_EARLY, {"after": after, "limit": limit})
    return [dict(row._mapping) for row in rows]
