"""Shipments' allocations, and cancellations already applied."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import Writing
from oms_inventory.domain.allocation import Allocation, Shipment

_LOAD = text(
    """
    select shipment_id, node, line_id, sku, planned, cancelled, rejected, consumed, answer
      from allocations
     where order_id = any(cast(:order_ids as uuid[])) and shipment_id = any(cast(:shipment_ids as uuid[]))
     order by shipment_id, line_id
    """
)
_SAVE = text(
    """
    insert into allocations (shipment_id, line_id, order_id, node, sku, planned, cancelled, rejected, consumed, answer)
    select * from unnest(
        cast(:shipment_ids as uuid[]), cast(:line_ids as text[]), cast(:order_ids as uuid[]), cast(:nodes as text[]),
        cast(:skus as text[]), cast(:planned as bigint[]), cast(:cancelled as bigint[]), cast(:rejected as bigint[]),
        cast(:consumed as bigint[]), cast(:answers as text[]))
    on conflict (order_id, shipment_id, line_id) do update set
        node = excluded.node, planned = excluded.planned, cancelled = excluded.cancelled, rejected = excluded.rejected,
        consumed = excluded.consumed, answer = excluded.answer
    """
)
_FRESH_CANCELLATIONS = text(
    """
    insert into cancellations (subject_id, cancellation_id)
    select * from unnest(cast(:subject_ids as uuid[]), cast(:cancellation_ids as uuid[]))
    on conflict do nothing
    returning subject_id, cancellation_id
    """
)


async def load(connection: AsyncConnection, spoken: Iterable[Shipment]) -> dict[UUID, Shipment]:
    """The shipments with what is known of their lines. Their orders' locks cover them.

    A shipment stays at the node where its stock was bound, whatever node a later event names.
    """
    shipments = {shipment.shipment_id: shipment for shipment in spoken}
    order_ids = list({shipment.order_id for shipment in shipments.values()})
    rows = await connection.execute(_LOAD, {"order_ids": order_ids, "shipment_ids": list(shipments)})
    for shipment_id, node, line_id, *values in rows:
        allocation = Allocation(line_id, *values)
        shipments[shipment_id].lines[line_id] = allocation
        if allocation.planned or allocation.consumed:
            shipments[shipment_id].node = node
    return shipments


async def save(writing: Writing, shipments: Iterable[Shipment]) -> None:
    """Write the lines that changed."""
    lines = [(shipment, line) for shipment in shipments for line in shipment.changed.values()]
    if lines:
        await writing.execute(
            _SAVE,
            {
                "shipment_ids": [shipment.shipment_id for shipment, _ in lines],
                "line_ids": [line.line_id for _, line in lines],
                "order_ids": [shipment.order_id for shipment, _ in lines],
                "nodes": [shipment.node for shipment, _ in lines],
                "skus": [line.sku for _, line in lines],
                "planned": [line.planned for _, line in lines],
                "cancelled": [line.cancelled for _, line in lines],
                "rejected": [line.rejected for _, line in lines],
                "consumed": [line.consumed for _, line in lines],
                "answers": [line.answer for _, line in lines],
            },
        )


async def fresh_cancellations(
    connection: AsyncConnection, cancellations: Sequence[tuple[UUID, UUID]]
) -> set[tuple[UUID, UUID]]:
    """Mark cancellations of orders or shipments as applied; answers those that were not before."""
    parameters = {
        "subject_ids": [subject for subject, _ in cancellations],
        "cancellation_ids": [cancellation for _, cancellation in cancellations],
    }
    rows = await connection.execute(_FRESH_CANCELLATIONS, parameters)
    return {(subject, cancellation) for subject, cancellation in rows}
