"""Demands and their shipments: loaded whole under one lock per order, saved in a statement per table."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.json import Decoder
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.documents import to_document
from oms_events.runtime.together import Writing
from oms_fulfilment.domain.demand import (
    Demand,
    DemandLine,
    Exclusion,
    Shipment,
    ShipmentLine,
    ShipToPlace,
    Untold,
)

_ship_to = Decoder(ShipToPlace)
_demand_lines = Decoder(tuple[DemandLine, ...])
_excluded = Decoder(tuple[Exclusion, ...])
_shipment_lines = Decoder(tuple[ShipmentLine, ...])
_untold = Decoder(tuple[Untold, ...])

_KNOWN = text("select order_id from demands where order_id = any(cast(:order_ids as uuid[]))")
_LOCK = text(
    """
    select order_id, channel, shop, cast(ship_to as text) as ship_to, tier, ship_by, cast(lines as text) as lines,
           attempt, failures, failure, told, lacking, cast(excluded as text) as excluded
      from demands where order_id = any(cast(:order_ids as uuid[])) order by order_id for update
    """
)
# A statement of its own: after waiting for a lock, one that joined both tables would see shipments as they were.
_SHIPMENTS = text(
    """
    select shipment_id, order_id, decision_id, node, origin_country, planned_on, cast(lines as text) as lines, weight_g,
           state, carrier, service, waybill_no, note, cast(untold as text) as untold, version
      from shipments where order_id = any(cast(:order_ids as uuid[])) order by shipment_id
    """
)
_ORDERS_OF = text("select order_id from shipments where shipment_id = any(cast(:shipment_ids as uuid[]))")
_INSERT_DEMANDS = text(
    """
    insert into demands (order_id, channel, shop, ship_to, tier, ship_by, lines, state, attempt, failures, failure,
                         told, lacking, excluded, created_at, updated_at)
    select order_id, channel, shop, cast(ship_to as jsonb), tier, ship_by, cast(lines as jsonb), state, attempt,
           failures, failure, told, cast(lacking as text[]), cast(excluded as jsonb), :now, :now
      from unnest(cast(:order_ids as uuid[]), cast(:channels as text[]), cast(:shops as text[]),
                  cast(:ship_tos as text[]), cast(:tiers as text[]), cast(:ship_bys as timestamptz[]),
                  cast(:lines as text[]), cast(:states as text[]), cast(:attempts as int[]), cast(:failures as int[]),
                  cast(:failure as text[]), cast(:tolds as text[]), cast(:lackings as text[]),
                  cast(:excludeds as text[]))
           as d(order_id, channel, shop, ship_to, tier, ship_by, lines, state, attempt, failures, failure, told,
                lacking, excluded)
    """
)
_UPDATE_DEMANDS = text(
    """
    update demands set lines = cast(d.lines as jsonb), state = d.state, attempt = d.attempt, failures = d.failures,
           failure = d.failure, told = d.told, lacking = cast(d.lacking as text[]),
           excluded = cast(d.excluded as jsonb), updated_at = :now
      from unnest(cast(:order_ids as uuid[]), cast(:lines as text[]), cast(:states as text[]),
                  cast(:attempts as int[]), cast(:failures as int[]), cast(:failure as text[]), cast(:tolds as text[]),
                  cast(:lackings as text[]), cast(:excludeds as text[]))
           as d(order_id, lines, state, attempt, failures, failure, told, lacking, excluded)
     where demands.order_id = d.order_id
    """
)
_INSERT_SHIPMENTS = text(
    """
    insert into shipments (shipment_id, order_id, decision_id, node, origin_country, planned_on, lines, weight_g, state,
                           carrier, service, waybill_no, note, untold, version, created_at, updated_at)
    select shipment_id, order_id, decision_id, node, origin_country, planned_on, cast(lines as jsonb), weight_g,
           'planned', '', '', '', '', '[]', 1, :now, :now
      from unnest(cast(:shipment_ids as uuid[]), cast(:order_ids as uuid[]), cast(:decision_ids as uuid[]),
                  cast(:nodes as text[]), cast(:countries as text[]), cast(:days as date[]), cast(:lines as text[]),
                  cast(:weights as bigint[]))
           as s(shipment_id, order_id, decision_id, node, origin_country, planned_on, lines, weight_g)
    """
)
# Lines are null where they stayed as they are: most changes are of state, and the lines of a large order are long.
_UPDATE_SHIPMENTS = text(
    """
    update shipments set state = s.state, lines = coalesce(cast(s.lines as jsonb), shipments.lines),
           weight_g = s.weight_g, carrier = s.carrier, service = s.service, waybill_no = s.waybill_no, note = s.note,
           untold = cast(s.untold as jsonb), version = s.version, updated_at = :now,
           released_seq = case when s.waybill_no <> '' and shipments.released_seq is null
                               then nextval('release_numbers') else shipments.released_seq end
      from unnest(cast(:shipment_ids as uuid[]), cast(:states as text[]), cast(:lines as text[]),
                  cast(:weights as bigint[]), cast(:carriers as text[]), cast(:services as text[]),
                  cast(:waybills as text[]), cast(:notes as text[]), cast(:untolds as text[]),
                  cast(:versions as int[]))
           as s(shipment_id, state, lines, weight_g, carrier, service, waybill_no, note, untold, version)
     where shipments.shipment_id = s.shipment_id
    """
)
# Held until commit, so that release numbers become visible in their order: a warehouse that has read up to a number
# never misses a lower one that commits later.
_NUMBER_IN_ORDER = text("select pg_advisory_xact_lock(hashtext('release_numbers'))")
_WAITING_FOR = text(
    "select order_id from demands where state = 'waiting' and lacking && cast(:skus as text[]) order by order_id"
)
_NEW_CANCELLATIONS = text(
    """
    insert into cancellations (cancellation_id, order_id, answered_at)
    select cancellation_id, order_id, :now
      from unnest(cast(:cancellation_ids as uuid[]), cast(:order_ids as uuid[])) as c(cancellation_id, order_id)
     order by cancellation_id
    on conflict do nothing returning cancellation_id
    """
)


async def known(connection: AsyncConnection, order_ids: Collection[UUID]) -> set[UUID]:
    """Those of the orders that are here already."""
    return set((await connection.execute(_KNOWN, {"order_ids": list(order_ids)})).scalars())


async def load(connection: AsyncConnection, order_ids: Iterable[UUID]) -> dict[UUID, Demand]:
    """The demands with all their shipments, locked until the transaction ends."""
    ids = {"order_ids": sorted(set(order_ids))}
    locked = (await connection.execute(_LOCK, ids)).all()
    shipments: dict[UUID, dict[UUID, Shipment]] = {row.order_id: {} for row in locked}
    for row in await connection.execute(_SHIPMENTS, ids):
        shipments[row.order_id][row.shipment_id] = _shipment(row)
    return {row.order_id: _demand(row, shipments[row.order_id]) for row in locked}


async def load_of_shipments(connection: AsyncConnection, shipment_ids: Iterable[UUID]) -> dict[UUID, Demand]:
    """The demands that these shipments belong to; unknown shipments are left out."""
    rows = await connection.execute(_ORDERS_OF, {"shipment_ids": sorted(set(shipment_ids))})
    return await load(connection, rows.scalars())


async def insert(writing: Writing, demands: Sequence[Demand], *, now: datetime) -> None:
    """Store new demands and the shipments planned for them."""
    if not demands:
        return
    parameters = _changing(demands) | {
        "channels": [demand.channel for demand in demands],
        "shops": [demand.shop for demand in demands],
        "ship_tos": [to_document(demand.ship_to) for demand in demands],
        "tiers": [demand.tier for demand in demands],
        "ship_bys": [demand.ship_by for demand in demands],
        "now": now,
    }
    await writing.execute(_INSERT_DEMANDS, parameters)
    await _insert_shipments(writing, [s for demand in demands for s in demand.shipments.values()], now=now)


async def save(
    connection: AsyncConnection,
    writing: Writing,
    before: dict[UUID, Demand],
    after: dict[UUID, Demand],
    *,
    now: datetime,
) -> None:
    """Store what differs between the demands as loaded and as they are now."""
    changed = [demand for order_id, demand in after.items() if demand is not before[order_id]]
    added, updated, resaved = [], [], []
    for demand in changed:
        old = before[demand.order_id]
        if _own_columns(demand) != _own_columns(old):
            resaved.append(demand)
        for shipment_id, shipment in demand.shipments.items():
            if shipment_id not in old.shipments:
                added.append(shipment)
            elif shipment is not old.shipments[shipment_id]:
                updated.append((old.shipments[shipment_id], shipment))
    if resaved:
        await writing.execute(_UPDATE_DEMANDS, _changing(resaved) | {"now": now})
    await _insert_shipments(writing, added, now=now)
    if any(shipment.state == "released" for _, shipment in updated):
        await connection.execute(_NUMBER_IN_ORDER)
    await _update_shipments(writing, updated, now=now)


async def waiting_for(connection: AsyncConnection, skus: Collection[str]) -> list[UUID]:
    """Orders that wait for one of these SKUs."""
    return list((await connection.execute(_WAITING_FOR, {"skus": sorted(skus)})).scalars())


async def new_cancellations(connection: AsyncConnection, asked: dict[UUID, UUID], *, now: datetime) -> set[UUID]:
    """Remember cancellations (id to order) and answer those never seen before."""
    parameters = {"cancellation_ids": list(asked), "order_ids": list(asked.values()), "now": now}
    return set((await connection.execute(_NEW_CANCELLATIONS, parameters)).scalars())


def _own_columns(demand: Demand) -> tuple[object, ...]:
    """What the demand's own row says, besides what never changes."""
    progress = (demand.attempt, demand.failures, demand.failure, demand.told, demand.lacking, demand.excluded)
    return (demand.lines, demand.state, *progress)


def _changing(demands: Sequence[Demand]) -> dict[str, object]:
    return {
        "order_ids": [demand.order_id for demand in demands],
        "lines": [to_document(demand.lines) for demand in demands],
        "states": [demand.state for demand in demands],
        "attempts": [demand.attempt for demand in demands],
        "failures": [demand.failures for demand in demands],
        "failure": [demand.failure for demand in demands],
        "tolds": [demand.told for demand in demands],
        "lackings": [_text_array(demand.lacking) for demand in demands],
        "excludeds": [to_document(demand.excluded) for demand in demands],
    }


async def _insert_shipments(writing: Writing, shipments: Sequence[Shipment], *, now: datetime) -> None:
    if not shipments:
        return
    parameters = {
        "shipment_ids": [shipment.shipment_id for shipment in shipments],
        "order_ids": [shipment.order_id for shipment in shipments],
        "decision_ids": [shipment.decision_id for shipment in shipments],
        "nodes": [shipment.node for shipment in shipments],
        "countries": [shipment.origin_country for shipment in shipments],
        "days": [shipment.planned_on for shipment in shipments],
        "lines": [to_document(shipment.lines) for shipment in shipments],
        "weights": [shipment.weight_g for shipment in shipments],
        "now": now,
    }
    await writing.execute(_INSERT_SHIPMENTS, parameters)


async def _update_shipments(writing: Writing, changed: Sequence[tuple[Shipment, Shipment]], *, now: datetime) -> None:
    if not changed:
        return
    shipments = [shipment for _, shipment in changed]
    parameters = {
        "shipment_ids": [shipment.shipment_id for shipment in shipments],
        "states": [shipment.state for shipment in shipments],
        "lines": [None if shipment.lines is old.lines else to_document(shipment.lines) for old, shipment in changed],
        "weights": [shipment.weight_g for shipment in shipments],
        "carriers": [shipment.carrier for shipment in shipments],
        "services": [shipment.service for shipment in shipments],
        "waybills": [shipment.waybill_no for shipment in shipments],
        "notes": [shipment.note for shipment in shipments],
        "untolds": [to_document(shipment.untold) for shipment in shipments],
        "versions": [shipment.version for shipment in shipments],
        "now": now,
    }
    await writing.execute(_UPDATE_SHIPMENTS, parameters)


def _text_array(texts: Sequence[str]) -> str:
    """A PostgreSQL array literal: unnest cannot take an array of arrays of different lengths."""
    quoted = ('"' + text_.replace("\\", "\\\\").replace('"', '\\"') + '"' for text_ in texts)
    return "{" + ",".join(quoted) + "}"


def _demand(row: Row[tuple[object, ...]], shipments: dict[UUID, Shipment]) -> Demand:
    return Demand(
        row.order_id,
        row.channel,
        row.shop,
        _ship_to.decode(row.ship_to),
        row.tier,
        row.ship_by,
        _demand_lines.decode(row.lines),
        shipments,
        row.attempt,
        row.failures,
        row.failure,
        row.told,
        tuple(row.lacking),
        _excluded.decode(row.excluded) if row.excluded != "[]" else (),
    )


def _shipment(row: Row[tuple[object, ...]]) -> Shipment:
    return Shipment(
        row.shipment_id,
        row.order_id,
        row.decision_id,
        row.node,
        row.origin_country,
        row.planned_on,
        _shipment_lines.decode(row.lines),
        row.weight_g,
        row.state,
        row.carrier,
        row.service,
        row.waybill_no,
        row.note,
        _untold.decode(row.untold) if row.untold != "[]" else (),
        row.version,
    )
