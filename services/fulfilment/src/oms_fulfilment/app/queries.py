"""What fulfilment answers: views of nodes, rules, decisions and shipments."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.contracts.fulfilment import PlanScore
from oms_events.contracts.intake import WarehouseReport
from oms_events.contracts.shared import Words
from oms_events.runtime.http import BY_ID, BY_SERIAL, Page, read_cursor, write_cursor
from oms_events.runtime.problems import not_found
from oms_fulfilment.adapters import views
from oms_fulfilment.app.sourcing import View, scores
from oms_fulfilment.domain.demand import Demand, ShipmentState

ReportState = Literal["applied", "refused", "unmatched", "expired"]

_FIRST = UUID(int=0)
_BY_REPORT = TypeAdapter(tuple[UUID, Words])


class PlannedLine(BaseModel):
    """So many of a SKU from a node."""

    line_id: str
    sku: str
    quantity: int


class PlannedParcel(BaseModel):
    """What one node ships."""

    node: str
    lines: list[PlannedLine]
    weight_g: int


class DecisionView(BaseModel):
    """A routing decision: what was chosen, what it was weighed against, and everything it was based on."""

    decision_id: UUID
    order_id: UUID
    attempt: int
    rule_set: str
    rule_set_version: int
    network_version: int
    inputs: dict[str, Any]
    alternatives: list[PlanScore]
    chosen: list[PlannedParcel]
    reason: str
    decided_at: datetime


class DryRunView(BaseModel):
    """What would be decided now."""

    rule_set: str
    rule_set_version: int
    network_version: int
    currency: str
    alternatives: list[PlanScore]
    chosen: list[PlannedParcel]
    reason: str


class ShipmentLineView(BaseModel):
    """One line's share in a shipment; `left` is what still has to leave."""

    line_id: str
    sku: str
    quantity: int
    cancelled: int
    rejected: int
    shipped: int
    left: int


class ShipmentView(BaseModel):
    """A shipment as it is now."""

    shipment_id: UUID
    order_id: UUID
    decision_id: UUID
    node: str
    state: ShipmentState
    lines: list[ShipmentLineView]
    weight_g: int
    carrier: str
    service: str
    waybill_no: str
    note: str
    version: int
    created_at: datetime
    updated_at: datetime


class ReleaseView(BaseModel):
    """A shipment that the warehouse may pick. The receiver is known by token only."""

    shipment_id: UUID
    order_id: UUID
    node: str
    state: ShipmentState
    lines: list[ShipmentLineView]
    carrier: str
    service: str
    waybill_no: str
    weight_g: int
    version: int
    receiver_token: str


class Releases(BaseModel):
    """News for a warehouse. Ask again with `next_cursor`, which is given even when there was nothing new."""

    items: list[ReleaseView]
    next_cursor: str


class ReportView(BaseModel):
    """A warehouse's report and what became of it."""

    shipment_id: UUID
    report_no: str
    node: str
    kind: str
    state: ReportState
    reason: str
    received_at: datetime
    document: WarehouseReport


class Summary(BaseModel):
    """Fulfilment in numbers."""

    demands: dict[str, int]
    shipments: dict[str, int]
    warehouse_reports: dict[str, int]
    lines_shipped: int
    units_shipped: int
    split_orders: int


async def dry_run(connection: AsyncConnection, demand: Demand, *, rule_set: str, at: datetime) -> DryRunView:
    """Decide as if the demand had just been released; nothing is planned. Raises Problem 404 for the rule set."""
    lines = demand.unplanned()
    try:
        view = await View.load(connection, {line.sku for line in lines}, at=at, rule_set=rule_set)
    except LookupError:
        raise not_found(f"rule set {rule_set}") from None
    decision = view.decide(view.case(demand, lines))
    return DryRunView(
        rule_set=view.rules.name,
        rule_set_version=view.rules.version,
        network_version=view.network.version,
        currency=view.rules.currency,
        alternatives=list(scores(decision.alternatives)),
        chosen=[
            PlannedParcel(
                node=parcel.node,
                lines=[PlannedLine(line_id=u.line_id, sku=u.sku, quantity=u.quantity) for u in parcel.lines],
                weight_g=parcel.weight_g,
            )
            for parcel in decision.parcels
        ],
        reason=decision.reason,
    )


async def list_decisions(
    connection: AsyncConnection, *, order_id: UUID, cursor: str | None, limit: int
) -> Page[DecisionView]:
    """Decisions about an order, the first attempt first."""
    (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
    rows = await views.decisions(connection, order_id=order_id, after=after, limit=limit)
    items = [DecisionView.model_validate(row) for row in rows]
    return Page(items=items, next_cursor=write_cursor(items[-1].attempt) if len(items) == limit else None)


async def list_shipments(
    connection: AsyncConnection,
    *,
    node: str | None,
    state: ShipmentState | None,
    order_id: UUID | None,
    cursor: str | None,
    limit: int,
) -> Page[ShipmentView]:
    """Shipments, the earliest planned first."""
    (after,) = read_cursor(cursor, BY_ID) or (_FIRST,)
    rows = await views.shipments(connection, node=node, state=state, order_id=order_id, after=after, limit=limit)
    items = [shipment_view(row) for row in rows]
    return Page(items=items, next_cursor=write_cursor(items[-1].shipment_id) if len(items) == limit else None)


async def list_releases(connection: AsyncConnection, *, node: str, cursor: str | None, limit: int) -> Releases:
    """What the warehouse has not seen yet, in the order of release."""
    (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
    rows = await views.releases(connection, node=node, after=after, limit=limit)
    items = [ReleaseView.model_validate({**row, "lines": _lines(row)}) for row in rows]
    return Releases(items=items, next_cursor=write_cursor(rows[-1]["released_seq"] if rows else after))


async def list_reports(
    connection: AsyncConnection, *, state: ReportState | None, cursor: str | None, limit: int
) -> Page[ReportView]:
    """Reports by shipment and number."""
    after = read_cursor(cursor, _BY_REPORT) or (_FIRST, "")
    rows = await views.reports(connection, state=state, after=after, limit=limit)
    items = [ReportView.model_validate(row) for row in rows]
    last = write_cursor(items[-1].shipment_id, items[-1].report_no) if len(items) == limit else None
    return Page(items=items, next_cursor=last)


async def summary(connection: AsyncConnection) -> Summary:
    """Fulfilment in numbers."""
    counts = await views.counts(connection)
    lines, units = await views.shipped(connection)
    return Summary(
        demands=counts["demands"],
        shipments=counts["shipments"],
        warehouse_reports=counts["reports"],
        lines_shipped=lines,
        units_shipped=units,
        split_orders=await views.split_orders(connection),
    )


def shipment_view(row: Mapping[str, Any]) -> ShipmentView:
    """A shipment's row for people and warehouses."""
    return ShipmentView.model_validate({**row, "lines": _lines(row)})


def _lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**line, "left": line["quantity"] - line["cancelled"] - line["rejected"] - line["shipped"]}
        for line in row["lines"]
    ]
