"""SQL of the queries."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Rows = Sequence[Mapping[str, Any]]

_NETWORK = text("select nodes from networks order by version desc limit 1")
_RULE_SETS = text(
    """
    select distinct on (name) name, version, document, active_from from rule_sets
     where (cast(:name as text) is null or name = :name) order by name, version desc
    """
)
_DECISIONS = text(
    """
    select decision_id, order_id, attempt, rule_set, rule_set_version, network_version, inputs, alternatives,
           chosen, reason, decided_at
      from decisions where order_id = :order_id and attempt > :after order by attempt limit :limit
    """
)
_DECISION = text(
    """
    select decision_id, order_id, attempt, rule_set, rule_set_version, network_version, inputs, alternatives,
           chosen, reason, decided_at
      from decisions where decision_id = :decision_id
    """
)
_SHIPMENT_COLUMNS = """
    shipment_id, order_id, decision_id, node, state, lines, weight_g, carrier, service, waybill_no, note, version,
    created_at, updated_at
"""
_SHIPMENTS = text(
    f"""
    select {_SHIPMENT_COLUMNS} from shipments
     where shipment_id > :after
       and (cast(:node as text) is null or node = :node)
       and (cast(:state as text) is null or state = :state)
       and (cast(:order_id as uuid) is null or order_id = :order_id)
     order by shipment_id limit :limit
    """
)
_SHIPMENT = text(f"select {_SHIPMENT_COLUMNS} from shipments where shipment_id = :shipment_id")
_RELEASES = text(
    """
    select s.released_seq, s.shipment_id, s.order_id, s.node, s.state, s.lines, s.carrier, s.service, s.waybill_no,
           s.weight_g, s.version, d.ship_to ->> 'receiver_token' as receiver_token
      from shipments as s join demands as d on d.order_id = s.order_id
     where s.node = :node and s.released_seq > :after and s.state in ('released', 'accepted', 'dispatched')
     order by s.released_seq limit :limit
    """
)
_REPORTS = text(
    """
    select shipment_id, report_no, node, kind, document, state, reason, received_at from warehouse_reports
     where (shipment_id, report_no) > (:shipment_id, :report_no) and (cast(:state as text) is null or state = :state)
     order by shipment_id, report_no limit :limit
    """
)
_COUNTS = text(
    """
    select 'shipments' as what, state, count(*) as rows from shipments group by state
    union all select 'demands', state, count(*) from demands group by state
    union all select 'reports', state, count(*) from warehouse_reports group by state
    """
)
_SHIPPED = text(
    """
    select count(*) as lines, coalesce(sum(cast(line ->> 'shipped' as bigint)), 0) as units
      from shipments, jsonb_array_elements(lines) as line
     where state = 'dispatched' and cast(line ->> 'shipped' as bigint) > 0
    """
)
_SPLIT_ORDERS = text(
    """
    select count(*) from (
        select 1 from shipments where state not in ('rejected', 'cancelled') group by order_id having count(*) > 1) as s
    """
)


async def nodes(connection: AsyncConnection) -> Rows:
    """All nodes by code."""
    return list((await connection.execute(_NETWORK)).scalar_one())


async def rule_sets(connection: AsyncConnection, *, name: str | None = None) -> Rows:
    """The active version of every rule set, or of one."""
    return [row._asdict() for row in await connection.execute(_RULE_SETS, {"name": name})]


async def decisions(connection: AsyncConnection, *, order_id: UUID, after: int, limit: int) -> Rows:
    """Decisions about an order, in their order."""
    parameters = {"order_id": order_id, "after": after, "limit": limit}
    return [row._asdict() for row in await connection.execute(_DECISIONS, parameters)]


async def decision(connection: AsyncConnection, decision_id: UUID) -> Mapping[str, Any] | None:
    """One decision."""
    row = (await connection.execute(_DECISION, {"decision_id": decision_id})).one_or_none()
    return None if row is None else row._asdict()


async def shipments(
    connection: AsyncConnection,
    *,
    node: str | None,
    state: str | None,
    order_id: UUID | None,
    after: UUID,
    limit: int,
) -> Rows:
    """Shipments, the earliest planned first."""
    parameters = {"node": node, "state": state, "order_id": order_id, "after": after, "limit": limit}
    return [row._asdict() for row in await connection.execute(_SHIPMENTS, parameters)]


async def shipment(connection: AsyncConnection, shipment_id: UUID) -> Mapping[str, Any] | None:
    """One shipment."""
    row = (await connection.execute(_SHIPMENT, {"shipment_id": shipment_id})).one_or_none()
    return None if row is None else row._asdict()


async def releases(connection: AsyncConnection, *, node: str, after: int, limit: int) -> Rows:
    """Shipments released to a node after a release number, in the order of release."""
    parameters = {"node": node, "after": after, "limit": limit}
    return [row._asdict() for row in await connection.execute(_RELEASES, parameters)]


async def reports(connection: AsyncConnection, *, state: str | None, after: tuple[UUID, str], limit: int) -> Rows:
    """Warehouse reports by shipment and number."""
    parameters = {"state": state, "shipment_id": after[0], "report_no": after[1], "limit": limit}
    return [row._asdict() for row in await connection.execute(_REPORTS, parameters)]


async def counts(connection: AsyncConnection) -> dict[str, dict[str, int]]:
    """How many shipments, demands and reports there are in each state."""
    by_state: dict[str, dict[str, int]] = {"shipments": {}, "demands": {}, "reports": {}}
    for row in await connection.execute(_COUNTS):
        by_state[row.what][row.state] = row.rows
    return by_state


async def shipped(connection: AsyncConnection) -> tuple[int, int]:
    """Lines and units that have left."""
    row = (await connection.execute(_SHIPPED)).one()
    return row.lines, int(row.units)


async def split_orders(connection: AsyncConnection) -> int:
    """Orders that travel in more than one shipment."""
    return int((await connection.execute(_SPLIT_ORDERS)).scalar_one())
