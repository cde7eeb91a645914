"""Warehouse reports: every one is kept with what became of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_KNOWN = text(
    """
    select shipment_id, report_no from warehouse_reports
     where (shipment_id, report_no) in (
           select * from unnest(cast(:shipment_ids as uuid[]), cast(:report_nos as text[])))
    """
)
_INSERT = text(
    """
    insert into warehouse_reports (shipment_id, report_no, node, kind, document, state, reason, received_at)
    select shipment_id, report_no, node, kind, cast(document as jsonb), state, reason, :now
      from unnest(cast(:shipment_ids as uuid[]), cast(:report_nos as text[]), cast(:nodes as text[]),
                  cast(:kinds as text[]), cast(:documents as text[]), cast(:states as text[]), cast(:reasons as text[]))
           as r(shipment_id, report_no, node, kind, document, state, reason)
    """
)
_UNMATCHED = text(
    """
    select shipment_id, cast(document as text) as document from warehouse_reports
     where state = 'unmatched' and shipment_id = any(cast(:shipment_ids as uuid[]))
     order by shipment_id, report_no for update
    """
)
_SETTLE = text(
    """
    update warehouse_reports set state = r.state, reason = r.reason
      from unnest(cast(:shipment_ids as uuid[]), cast(:report_nos as text[]), cast(:states as text[]),
                  cast(:reasons as text[])) as r(shipment_id, report_no, state, reason)
     where warehouse_reports.shipment_id = r.shipment_id and warehouse_reports.report_no = r.report_no
    """
)
_EXPIRE = text(
    """
    update warehouse_reports set state = 'expired', reason = 'the shipment was never released here'
     where state = 'unmatched' and received_at < :before
    """
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A report and what became of it. `document` is the report as received, in JSON."""

    shipment_id: UUID
    report_no: str
    node: str
    kind: str
    document: str
    state: str
    reason: str


async def known(connection: AsyncConnection, wanted: Collection[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    """Those of the reports (shipment and number) that are here already."""
    parameters = {
        "shipment_ids": [shipment_id for shipment_id, _ in wanted],
        "report_nos": [report_no for _, report_no in wanted],
    }
    return {(row.shipment_id, row.report_no) for row in await connection.execute(_KNOWN, parameters)}


async def insert(connection: AsyncConnection, verdicts: Sequence[Verdict], *, now: datetime) -> None:
    """Keep new reports."""
    if verdicts:
        more = {
            "nodes": [verdict.node for verdict in verdicts],
            "kinds": [verdict.kind for verdict in verdicts],
            "documents": [verdict.document for verdict in verdicts],
            "now": now,
        }
        await connection.execute(_INSERT, _settled(verdicts) | more)


async def unmatched(connection: AsyncConnection, shipment_ids: Collection[UUID]) -> list[str]:
    """Reports that came before their shipment was released, as received."""
    rows = await connection.execute(_UNMATCHED, {"shipment_ids": sorted(shipment_ids)})
    return [row.document for row in rows]


async def settle(connection: AsyncConnection, verdicts: Sequence[Verdict]) -> None:
    """Note what became of reports kept earlier."""
    if verdicts:
        await connection.execute(_SETTLE, _settled(verdicts))


async def expire(connection: AsyncConnection, *, before: datetime) -> None:
    """Give up on reports that waited in vain; they stay visible."""
    await connection.execute(_EXPIRE, {"before": before})


def _settled(verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {
        "shipment_ids": [verdict.shipment_id for verdict in verdicts],
        "report_nos": [verdict.report_no for verdict in verdicts],
        "states": [verdict.state for verdict in verdicts],
        "reasons": [verdict.reason for verdict in verdicts],
    }
