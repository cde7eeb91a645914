"""Parcels in the database: what was asked for, who takes it, how far it came."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.retry import Transient
from oms_logistics.domain.choice import Bid
from oms_logistics.domain.progress import Mark, Progress
from oms_logistics.domain.waybill import Waybill

_PROGRESS = (
    "shipment_id, order_id, requested_at is not null as requested, waybill_no, promised_at, dispatched_at,"
    " shipped_weight_g, cancelled_at, delivered_at, promise_broken_at, last_status, last_at, turn_status, turn_at,"
    " version"
)
_LOCK = text(
    f"""
    select {_PROGRESS} from parcels where shipment_id = any(cast(:shipment_ids as uuid[]))
     order by shipment_id for update
    """
)
_LOCK_BY_WAYBILL = text(
    f"""
    select carrier, {_PROGRESS} from parcels where waybill_no = any(cast(:waybill_nos as text[]))
     order by shipment_id for update
    """
)
_ANNOUNCE = text(
    """
    insert into parcels (shipment_id, order_id, state, status, version)
    select shipment_id, order_id, 'announced', 'created', 0
      from unnest(cast(:shipment_ids as uuid[]), cast(:order_ids as uuid[])) as n(shipment_id, order_id)
     order by shipment_id
    on conflict (shipment_id) do nothing
    """
)
_LOCK_UNSERVED = text(
    f"""
    select {_PROGRESS}, node, channel, shop, origin_country, cast(ship_to as text) as ship_to,
           ship_to ->> 'country' as country, ship_to ->> 'postcode' as postcode, tier, weight_g
      from parcels where shipment_id = any(cast(:shipment_ids as uuid[])) and state = 'no_carrier'
     order by shipment_id for update
    """
)
_UNSERVED = text("select shipment_id from parcels where state = 'no_carrier'")
_SAVE_PROGRESS = text(
    """
    update parcels
       set state = n.state, status = n.status, dispatched_at = n.dispatched_at, shipped_weight_g = n.shipped_weight_g,
           cancelled_at = n.cancelled_at, delivered_at = n.delivered_at, promise_broken_at = n.promise_broken_at,
           last_status = n.last_status, last_at = n.last_at, turn_status = n.turn_status, turn_at = n.turn_at,
           version = n.version, updated_at = :now
      from unnest(cast(:shipment_id as uuid[]), cast(:state as text[]), cast(:status as text[]),
                  cast(:dispatched_at as timestamptz[]), cast(:shipped_weight_g as int[]),
                  cast(:cancelled_at as timestamptz[]), cast(:delivered_at as timestamptz[]),
                  cast(:promise_broken_at as timestamptz[]), cast(:last_status as text[]),
                  cast(:last_at as timestamptz[]), cast(:turn_status as text[]), cast(:turn_at as timestamptz[]),
                  cast(:version as int[]))
           as n(shipment_id, state, status, dispatched_at, shipped_weight_g, cancelled_at, delivered_at,
                promise_broken_at, last_status, last_at, turn_status, turn_at, version)
     where parcels.shipment_id = n.shipment_id
    """
)
_BOOKED = {
    "shipment_id": "uuid",
    "order_id": "uuid",
    "node": "text",
    "channel": "text",
    "shop": "text",
    "origin_country": "text",
    "ship_to": "text",
    "tier": "text",
    "weight_g": "int",
    "refusal": "text",
    "carrier": "text",
    "service": "text",
    "waybill_serial": "bigint",
    "waybill_no": "text",
    "tariff_version": "int",
    "billable_weight_g": "int",
    "cost_minor": "bigint",
    "currency": "text",
    "options": "text",
    "assigned_at": "timestamptz",
    "promised_at": "timestamptz",
    "state": "text",
    "status": "text",
    "version": "int",
}
"""Columns that a booking writes, and the types they travel as."""
_DOCUMENTS = {"ship_to": "jsonb", "options": "json"}
"""Those that hold JSON. `options` is only kept and shown: nothing looks into it."""


def _save_bookings() -> TextClause:
    columns = ", ".join(_BOOKED)
    arrays = ", ".join(f"cast(:{column} as {type_}[])" for column, type_ in _BOOKED.items())
    values = ", ".join(f"cast({c} as {_DOCUMENTS[c]})" if c in _DOCUMENTS else c for c in _BOOKED)
    assignments = ", ".join(f"{column} = excluded.{column}" for column in _BOOKED if column != "shipment_id")
    return text(
        f"""
        insert into parcels as known ({columns}, requested_at, created_at, updated_at)
        select {values}, cast(:now as timestamptz), cast(:now as timestamptz), cast(:now as timestamptz)
          from unnest({arrays}) as n({columns})
        on conflict (shipment_id) do update
           set {assignments}, updated_at = excluded.updated_at,
               requested_at = coalesce(known.requested_at, excluded.requested_at)
         where known.version = excluded.version - 1
        """
    )


_SAVE_BOOKINGS = _save_bookings()


class Request(NamedTuple):
    """What fulfilment asked for. `ship_to` is the destination as JSON."""

    node: str
    channel: str
    shop: str
    origin_country: str
    country: str
    postcode: str
    ship_to: str
    tier: str
    weight_g: int


class Booking(NamedTuple):
    """The answer to a request: a bid with its waybill, or a refusal, or neither when it was cancelled.

    `progress` is the parcel with the booking, one version after the one that was read. `options` is JSON.
    """

    progress: Progress
    request: Request
    options: str
    currency: str
    refusal: str | None = None
    bid: Bid | None = None
    waybill: Waybill | None = None


async def lock(connection: AsyncConnection, shipment_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """Parcels already heard of, locked until the transaction ends."""
    rows = await connection.execute(_LOCK, {"shipment_ids": list(shipment_ids)})
    return {row.shipment_id: _progress(row) for row in rows}


async def lock_or_announce(connection: AsyncConnection, orders: Mapping[UUID, UUID]) -> dict[UUID, Progress]:
    """Parcels by shipment, locked; those never heard of are begun. `orders` gives each shipment's order."""
    known = await lock(connection, orders)
    if len(known) == len(orders):
        return known
    missing = sorted(orders.keys() - known.keys())
    await connection.execute(_ANNOUNCE, {"shipment_ids": missing, "order_ids": [orders[id_] for id_ in missing]})
    return await lock(connection, orders)


async def lock_by_waybill(connection: AsyncConnection, waybill_nos: Collection[str]) -> dict[tuple[str, str], Progress]:
    """Parcels by carrier and waybill number, locked until the transaction ends."""
    rows = await connection.execute(_LOCK_BY_WAYBILL, {"waybill_nos": list(waybill_nos)})
    return {(row.carrier, row.waybill_no): _progress(row) for row in rows}


async def lock_unserved(
    connection: AsyncConnection, shipment_ids: Collection[UUID]
) -> dict[UUID, tuple[Progress, Request]]:
    """Those of the parcels that still have no carrier, locked until the transaction ends."""
    rows = await connection.execute(_LOCK_UNSERVED, {"shipment_ids": list(shipment_ids)})
    return {
        row.shipment_id: (
            _progress(row),
            Request(
                row.node,
                row.channel,
                row.shop,
                row.origin_country,
                row.country,
                row.postcode,
                row.ship_to,
                row.tier,
                row.weight_g,
            ),
        )
        for row in rows
    }


async def unserved(connection: AsyncConnection) -> list[UUID]:
    """Shipments that no carrier takes."""
    return list((await connection.execute(_UNSERVED)).scalars())


async def save_progress(connection: AsyncConnection, changed: Sequence[Progress], now: datetime) -> None:
    """Write parcels that were locked."""
    if not changed:
        return
    await connection.execute(
        _SAVE_PROGRESS,
        {
            "shipment_id": [p.shipment_id for p in changed],
            "state": [p.state for p in changed],
            "status": [p.status for p in changed],
            "dispatched_at": [p.dispatched_at for p in changed],
            "shipped_weight_g": [p.shipped_weight_g for p in changed],
            "cancelled_at": [p.cancelled_at for p in changed],
            "delivered_at": [p.delivered_at for p in changed],
            "promise_broken_at": [p.promise_broken_at for p in changed],
            "last_status": [p.last.status if p.last else None for p in changed],
            "last_at": [p.last.at if p.last else None for p in changed],
            "turn_status": [p.turn.status if p.turn else None for p in changed],
            "turn_at": [p.turn.at if p.turn else None for p in changed],
            "version": [p.version for p in changed],
            "now": now,
        },
    )


async def save_bookings(connection: AsyncConnection, bookings: Sequence[Booking], now: datetime) -> None:
    """Write the answers to requests. Raises Transient when a shipment was heard of elsewhere meanwhile."""
    if not bookings:
        return
    rows = zip(*(_booked(booking, now) for booking in bookings), strict=True)
    parameters: dict[str, Any] = {column: list(values) for column, values in zip(_BOOKED, rows, strict=True)}
    saved = await connection.execute(_SAVE_BOOKINGS, parameters | {"now": now})
    if saved.rowcount != len(bookings):
        raise Transient("a shipment was changed by somebody else meanwhile")


def _booked(booking: Booking, now: datetime) -> tuple[Any, ...]:
    progress, request, bid = booking.progress, booking.request, booking.bid
    return (
        progress.shipment_id,
        progress.order_id,
        request.node,
        request.channel,
        request.shop,
        request.origin_country,
        request.ship_to,
        request.tier,
        request.weight_g,
        booking.refusal,
        bid.carrier if bid else None,
        bid.service if bid else None,
        booking.waybill.serial if booking.waybill else None,
        progress.waybill_no,
        bid.tariff_version if bid else None,
        bid.billable_g if bid else None,
        bid.cost_minor if bid else None,
        booking.currency if bid else None,
        booking.options,
        now if bid else None,
        progress.promised_at,
        progress.state,
        progress.status,
        progress.version,
    )


def _progress(row: Row[Any]) -> Progress:
    return Progress(
        row.shipment_id,
        row.order_id,
        row.requested,
        row.waybill_no,
        row.promised_at,
        row.dispatched_at,
        row.shipped_weight_g,
        row.cancelled_at,
        row.delivered_at,
        row.promise_broken_at,
        Mark(row.last_status, row.last_at) if row.last_status else None,
        Mark(row.turn_status, row.turn_at) if row.turn_status else None,
        row.version,
    )
