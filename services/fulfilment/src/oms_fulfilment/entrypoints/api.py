"""The HTTP side of fulfilment: nodes, rules, decisions and why, shipments, the warehouses' feeds."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from oms_events.runtime.http import Cursor, Limit, Page
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import not_found
from oms_fulfilment.adapters import sourcing, views
from oms_fulfilment.app import queries
from oms_fulfilment.app.queries import (
    DecisionView,
    DryRunView,
    Releases,
    ReportState,
    ReportView,
    ShipmentView,
    Summary,
)
from oms_fulfilment.domain.demand import ShipmentState
from oms_fulfilment.entrypoints.bodies import DryRunBody, NodeBody, RuleSetBody

_CODE = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
NodeCode = Annotated[str, Path(min_length=1, max_length=64, pattern=_CODE)]
RuleSetName = Annotated[str, Path(min_length=1, max_length=64, pattern=_CODE)]
NodeFilter = Annotated[str | None, Query(min_length=1, max_length=64, pattern=_CODE)]


class NodeView(NodeBody):
    """A node."""

    node: str


class RuleSetView(BaseModel):
    """The active version of a rule set."""

    name: str
    version: int
    active_from: datetime
    document: RuleSetBody


def router(runtime: Runtime) -> APIRouter:
    """All routes of the service."""
    routes = APIRouter(prefix="/v1")
    routes.include_router(_nodes(runtime))
    routes.include_router(_rules(runtime))
    routes.include_router(_decisions(runtime))
    routes.include_router(_shipments(runtime))
    return routes


def _node_view(stored: dict[str, object]) -> NodeView:
    body = {name: value for name, value in stored.items() if name != "node"}
    return NodeView(node=str(stored["node"]), **NodeBody.of_node(body).model_dump())


def _nodes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/nodes", tags=["nodes"])

    @router.get("")
    async def list_nodes() -> list[NodeView]:
        """All nodes by code."""
        async with runtime.connection() as connection:
            return [_node_view(dict(node)) for node in await views.nodes(connection)]

    @router.get("/{node}")
    async def show_node(node: NodeCode) -> NodeView:
        """One node."""
        async with runtime.connection() as connection:
            found = next((known for known in await views.nodes(connection) if known["node"] == node), None)
        if found is None:
            raise not_found(f"node {node}")
        return _node_view(dict(found))

    @router.put("/{node}")
    async def put_node(node: NodeCode, body: NodeBody) -> NodeView:
        """Add a node or replace its properties. Decisions already made keep the network they were made with."""
        async with runtime.transaction() as work:
            await sourcing.put_node(work.connection, body.to_node(node), now=work.now)
        return NodeView(node=node, **body.model_dump())

    @router.get("/{node}/releases")
    async def list_releases(node: NodeCode, limit: Limit = 100, cursor: Cursor = None) -> Releases:
        """The warehouse's feed: shipments it may pick, in the order of release. Each is listed once."""
        async with runtime.connection() as connection:
            return await queries.list_releases(connection, node=node, cursor=cursor, limit=limit)

    return router


def _rules(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["rules"])

    @router.get("/rule-sets")
    async def list_rule_sets() -> list[RuleSetView]:
        """The active version of every rule set."""
        async with runtime.connection() as connection:
            return [RuleSetView.model_validate(row) for row in await views.rule_sets(connection)]

    @router.get("/rule-sets/{name}")
    async def show_rule_set(name: RuleSetName) -> RuleSetView:
        """The active version of one rule set."""
        async with runtime.connection() as connection:
            rows = await views.rule_sets(connection, name=name)
        if not rows:
            raise not_found(f"rule set {name}")
        return RuleSetView.model_validate(rows[0])

    @router.post("/rule-sets/{name}/versions", status_code=201)
    async def add_rule_set_version(name: RuleSetName, body: RuleSetBody) -> RuleSetView:
        """A new version, active at once. Orders are routed by the rule set `default`; others serve dry runs."""
        async with runtime.transaction() as work:
            version = await sourcing.add_rules(work.connection, name, body.model_dump_json(), now=work.now)
        return RuleSetView(name=name, version=version, active_from=work.now, document=body)

    return router


def _decisions(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["decisions"])

    @router.post("/routing:dry-run")
    async def dry_run_routing(body: DryRunBody) -> DryRunView:
        """Where an order would ship from now, and why. Changes nothing."""
        async with runtime.transaction() as work:
            return await queries.dry_run(work.connection, body.to_demand(), rule_set=body.rule_set, at=work.now)

    @router.get("/decisions")
    async def list_decisions(order_id: UUID, limit: Limit = 50, cursor: Cursor = None) -> Page[DecisionView]:
        """Decisions about an order, the first attempt first."""
        async with runtime.connection() as connection:
            return await queries.list_decisions(connection, order_id=order_id, cursor=cursor, limit=limit)

    @router.get("/decisions/{decision_id}")
    async def show_decision(decision_id: UUID) -> DecisionView:
        """One decision with its inputs and every alternative that was weighed."""
        async with runtime.connection() as connection:
            row = await views.decision(connection, decision_id)
        if row is None:
            raise not_found(f"decision {decision_id}")
        return DecisionView.model_validate(row)

    return router


def _shipments(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["shipments"])

    @router.get("/shipments")
    async def list_shipments(
        node: NodeFilter = None,
        state: ShipmentState | None = None,
        order_id: UUID | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[ShipmentView]:
        """Shipments, the earliest planned first."""
        async with runtime.connection() as connection:
            return await queries.list_shipments(
                connection, node=node, state=state, order_id=order_id, cursor=cursor, limit=limit
            )

    @router.get("/shipments/{shipment_id}")
    async def show_shipment(shipment_id: UUID) -> ShipmentView:
        """One shipment with its lines as they are now."""
        async with runtime.connection() as connection:
            row = await views.shipment(connection, shipment_id)
        if row is None:
            raise not_found(f"shipment {shipment_id}")
        return queries.shipment_view(row)

    @router.get("/warehouse-reports")
    async def list_warehouse_reports(
        state: ReportState | None = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[ReportView]:
        """What warehouses reported, and what became of it: `unmatched` waits for its shipment, `refused` says why."""
        async with runtime.connection() as connection:
            return await queries.list_reports(connection, state=state, cursor=cursor, limit=limit)

    @router.get("/summary")
    async def show_summary() -> Summary:
        """Fulfilment in numbers."""
        async with runtime.connection() as connection:
            return await queries.summary(connection)

    return router
