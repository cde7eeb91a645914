"""What a parcel's change means to others: events to publish, waits to begin or end."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from oms_events.contracts.logistics import ParcelTracked, ShipmentDelivered
from oms_events.envelope import EventMeta
from oms_events.runtime.work import Work
from oms_logistics.adapters import parcels
from oms_logistics.domain.progress import Progress, late_by_s

SOURCE = "/oms/logistics"
PROMISE = "promise"
"""Kind of the deadline at which a parcel should have arrived; its key is the shipment."""
RETRY = "carrier"
"""Kind of the deadline at which a shipment without a carrier is tried again; its key is the shipment."""
RETRY_AFTER = timedelta(seconds=60)


def tell(before: Progress, after: Progress, work: Work, *, cause: EventMeta) -> None:
    """Publish what one scan changed."""
    if after.waybill_no is None or after.promised_at is None:
        return
    if after.mark is not None and after.status != before.status:
        tracked = ParcelTracked(
            order_id=after.order_id,
            shipment_id=after.shipment_id,
            waybill_no=after.waybill_no,
            status=after.status,
            occurred_at=after.mark.at,
        )
        work.emit(tracked, cause=cause, sequence=after.version)
    if after.delivered_at is not None and before.delivered_at is None:
        delivered = ShipmentDelivered(
            order_id=after.order_id,
            shipment_id=after.shipment_id,
            waybill_no=after.waybill_no,
            delivered_at=after.delivered_at,
            promised_at=after.promised_at,
            late_by_s=late_by_s(after.promised_at, after.delivered_at),
        )
        work.emit(delivered, cause=cause, sequence=after.version)


def watch(before: Progress, after: Progress, work: Work) -> None:
    """Begin and end the waits that the change calls for."""
    key = str(after.shipment_id)
    if after.awaited and not before.awaited and after.promised_at is not None:
        work.schedule(PROMISE, key, after.promised_at)
    elif before.awaited and not after.awaited:
        work.unschedule(PROMISE, key)
    if after.state == "no_carrier":
        work.schedule(RETRY, key, work.now + RETRY_AFTER)
    elif before.state == "no_carrier":
        work.unschedule(RETRY, key)


async def save(before: Mapping[UUID, Progress], after: Mapping[UUID, Progress], work: Work) -> None:
    """Write the parcels that changed, and look after their waits."""
    changed: Sequence[Progress] = [progress for id_, progress in after.items() if progress is not before[id_]]
    for progress in changed:
        watch(before[progress.shipment_id], progress, work)
    await parcels.save_progress(work.connection, changed, work.now)
