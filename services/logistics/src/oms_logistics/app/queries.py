"""What the API asks the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PARCEL = (
    "shipment_id, order_id, state, status,"
    " case when turn_status in ('delivered', 'returned') then turn_at else last_at end as status_at,"
    " node, channel, shop, origin_country, ship_to, tier, weight_g, shipped_weight_g, refusal, carrier, service,"
    " waybill_no, tariff_version, billable_weight_g, cost_minor, currency, options, requested_at,"
    " assigned_at, promised_at, dispatched_at, cancelled_at, delivered_at, promise_broken_at, version"
)
_BY_SHIPMENT = text(f"select {_PARCEL} from parcels where shipment_id = :shipment_id")
_BY_WAYBILL = text(f"select {_PARCEL} from parcels where waybill_no = :waybill_no")
_LIST = text(
    f"""
    select {_PARCEL} from parcels
     where (cast(:order_id as uuid) is null or order_id = :order_id)
       and (cast(:state as text) is null or state = :state)
       and shipment_id > :after
     order by shipment_id limit :limit
    """
)
_FEED = text(
    """
    select waybill_serial, waybill_no, shipment_id, order_id, carrier, service, node, origin_country, ship_to,
           weight_g, shipped_weight_g, assigned_at, promised_at, dispatched_at, state, status
      from parcels
     where carrier = :carrier and waybill_serial > :after and waybill_no is not null
       and (cast(:status as text) is null or status = :status)
     order by waybill_serial limit :limit
    """
)
_SUMMARY = text(
    """
    select state, status, count(*) as parcels,
           count(*) filter (where promise_broken_at is not null or delivered_at > promised_at) as late
      from parcels group by state, status order by state, status
    """
)
_COST = text(
    """
    select currency, carrier, service, count(*) as parcels, sum(cost_minor)::bigint as cost_minor
      from parcels where cost_minor is not null and state <> 'cancelled'
     group by currency, carrier, service order by currency, carrier, service
    """
)
_SCANS = text("select count(*) as total, count(*) filter (where shipment_id is null) as early from scans")


async def parcel(connection: AsyncConnection, shipment_id: UUID) -> dict[str, Any] | None:
    """One parcel by its shipment."""
    row = (await connection.execute(_BY_SHIPMENT, {"shipment_id": shipment_id})).one_or_none()
    return dict(row._mapping) if row else None


async def parcel_by_waybill(connection: AsyncConnection, waybill_no: str) -> dict[str, Any] | None:
    """One parcel by its waybill number."""
    row = (await connection.execute(_BY_WAYBILL, {"waybill_no": waybill_no})).one_or_none()
    return dict(row._mapping) if row else None


async def list_parcels(
    connection: AsyncConnection, *, order_id: UUID | None, state: str | None, after: UUID, limit: int
) -> list[dict[str, Any]]:
    """A page of parcels, oldest first."""
    rows = await connection.execute(_LIST, {"order_id": order_id, "state": state, "after": after, "limit": limit})
    return [dict(row._mapping) for row in rows]


async def waybill_feed(
    connection: AsyncConnection, *, carrier: str, status: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """A carrier's waybills after a serial, in the order of assignment, which is the order of commit."""
    rows = await connection.execute(_FEED, {"carrier": carrier, "status": status, "after": after, "limit": limit})
    return [dict(row._mapping) for row in rows]


async def summary(connection: AsyncConnection) -> dict[str, Any]:
    """Parcels by state and status, freight by service, scans."""
    scans = (await connection.execute(_SCANS)).one()
    return {
        "parcels": [dict(row._mapping) for row in await connection.execute(_SUMMARY)],
        "freight": [dict(row._mapping) for row in await connection.execute(_COST)],
        "scans": scans.total,
        "early_scans": scans.early,
    }
