"""Scans: applied to their parcels in the order in which things happened, whatever order they come in."""

from collections.abc import Mapping, Sequence

from oms_events.contracts.intake import TrackingScan, TrackingScanReceived
from oms_events.envelope import Batch, EventMeta, origin
from oms_events.runtime.work import Work
from oms_events.values import derived_id
from oms_logistics.adapters import parcels, scans
from oms_logistics.adapters.scans import Scan
from oms_logistics.app import news
from oms_logistics.domain.progress import Mark, Progress, scanned

Waybill = tuple[str, str]
"""Carrier and waybill number: a number alone does not say whose it is."""
_ADOPT_LIMIT = 1000


async def on_tracking_scan_received(received: Batch[TrackingScanReceived], work: Work) -> None:
    """Move parcels along. A scan seen before is nothing; one of a waybill nobody knows is kept as early."""
    known = await parcels.lock_by_waybill(work.connection, {item.event.scan.waybill_no for item in received})
    arrived: dict[Scan, EventMeta] = {}
    for item in received:
        arrived.setdefault(_scan(item.event.scan, known), item.meta)
    fresh = await scans.add(work.connection, list(arrived), work.now)
    new = [(scan, meta) for scan, meta in arrived.items() if scan.scan_key in fresh and scan.shipment_id is not None]
    await _apply(new, known, work)


async def adopt_early_scans(work: Work) -> None:
    """Periodic: give early scans to parcels whose waybill was assigned in the very moment the scan was stored."""
    await adopt(await scans.matched(work.connection, _ADOPT_LIMIT), work)


async def adopt(waybill_nos: Sequence[str], work: Work) -> None:
    """Apply the early scans of waybills that are known now."""
    claimed = await scans.claim(work.connection, waybill_nos) if waybill_nos else []
    if not claimed:
        return
    known = await parcels.lock_by_waybill(work.connection, {scan.waybill_no for scan in claimed})
    causes = [origin(news.SOURCE, "early-scan", str(scan.scan_key), at=scan.occurred_at) for scan in claimed]
    await _apply(list(zip(claimed, causes, strict=True)), known, work)


def _scan(scan: TrackingScan, known: Mapping[Waybill, Progress]) -> Scan:
    parcel = known.get((scan.carrier, scan.waybill_no))
    said = (scan.carrier, scan.waybill_no, scan.occurred_at.isoformat(), scan.status, scan.carrier_code, scan.place)
    return Scan(
        derived_id("scan", *said, at=scan.occurred_at),
        scan.carrier,
        scan.waybill_no,
        scan.status,
        scan.occurred_at,
        scan.place,
        scan.carrier_code,
        parcel.shipment_id if parcel else None,
    )


async def _apply(new: Sequence[tuple[Scan, EventMeta]], known: Mapping[Waybill, Progress], work: Work) -> None:
    before = {parcel.shipment_id: parcel for parcel in known.values()}
    after = dict(before)
    for scan, cause in new:
        parcel = known[scan.carrier, scan.waybill_no]
        last = after[parcel.shipment_id]
        moved = scanned(last, Mark(scan.status, scan.occurred_at))
        news.tell(last, moved, work, cause=cause)
        after[parcel.shipment_id] = moved
    await news.save(before, after, work)
