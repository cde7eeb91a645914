"""What becomes of a parcel when fulfilment moves, and when a promised time is over."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from oms_events.contracts.fulfilment import ShipmentCancelled, ShipmentDispatched, ShipmentRejected
from oms_events.contracts.logistics import DeliveryPromiseBroken
from oms_events.envelope import Batch
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.work import Work
from oms_logistics.adapters import parcels
from oms_logistics.app import news
from oms_logistics.domain.progress import Progress, cancelled, dispatched, promise_passed

Step = Callable[[Progress], Progress]


async def on_shipment_dispatched(received: Batch[ShipmentDispatched], work: Work) -> None:
    """Note when the parcel was handed over and what it weighs."""

    def hand_over(event: ShipmentDispatched) -> Step:
        return lambda parcel: dispatched(parcel, event.dispatched_at, event.weight_g)

    await _move([(item.event.shipment_id, item.event.order_id, hand_over(item.event)) for item in received], work)


async def on_shipment_cancelled(received: Batch[ShipmentCancelled], work: Work) -> None:
    """Void the waybill once nothing of the shipment is left. A smaller shipment keeps its waybill and its price."""
    await _void([item.event for item in received], work)


async def on_shipment_rejected(received: Batch[ShipmentRejected], work: Work) -> None:
    """Void the waybill when the warehouse ships nothing of it."""
    await _void([item.event for item in received], work)


async def _void(events: Sequence[ShipmentCancelled | ShipmentRejected], work: Work) -> None:
    def void(parcel: Progress) -> Progress:
        return cancelled(parcel, work.now)

    await _move([(event.shipment_id, event.order_id, void) for event in events if event.closed], work)


async def _move(steps: Sequence[tuple[UUID, UUID, Step]], work: Work) -> None:
    """Take each shipment's parcel one step on. One that was never requested is begun, so that the request sees it."""
    if not steps:
        return
    before = await parcels.lock_or_announce(work.connection, {shipment: order for shipment, order, _ in steps})
    after = dict(before)
    for shipment, _, step in steps:
        after[shipment] = step(after[shipment])
    await news.save(before, after, work)


async def break_promises(due: Sequence[Deadline], work: Work) -> None:
    """Say which parcels have not arrived in time."""
    causes = {UUID(deadline.key): deadline.cause(news.SOURCE) for deadline in due}
    before = await parcels.lock(work.connection, causes.keys())
    after = {id_: promise_passed(parcel, work.now) for id_, parcel in before.items()}
    for id_, parcel in after.items():
        if parcel is before[id_]:
            continue
        waybill_no, promised_at = _promise(parcel)
        broken = DeliveryPromiseBroken(
            order_id=parcel.order_id,
            shipment_id=id_,
            waybill_no=waybill_no,
            promised_at=promised_at,
            last_status=parcel.status,
        )
        work.emit(broken, cause=causes[id_], sequence=parcel.version)
    await news.save(before, after, work)


def _promise(parcel: Progress) -> tuple[str, datetime]:
    if parcel.waybill_no is None or parcel.promised_at is None:
        raise ValueError(f"shipment {parcel.shipment_id} has a promise without a waybill")
    return parcel.waybill_no, parcel.promised_at
