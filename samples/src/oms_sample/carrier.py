"""A carrier: learns of parcels from its waybill feed, gets them at the warehouse's dock, and reports its scans."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from oms_events.contracts.intake import TrackingScan
from oms_sample.client import PAGE, Door
from oms_sample.journal import Journal
from oms_sample.synth import World

IDLE_S = 0.2


class Dock:
    """Where warehouses put parcels for carriers: the one thing of the play that no message carries."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)

    def put(self, carrier: str, waybill_no: str) -> None:
        self._waiting[carrier].add(waybill_no)

    def collect(self, carrier: str, announced: set[str]) -> list[str]:
        """Take the parcels that the carrier was told of."""
        taken = self._waiting[carrier] & announced
        self._waiting[carrier] -= taken
        return sorted(taken)

    def unannounced(self) -> list[str]:
        """Waybills of parcels that no carrier knows of."""
        return sorted(f"{carrier} {waybill}" for carrier, waiting in self._waiting.items() for waybill in waiting)


class Carrier:
    """Plays one carrier. A day's journey takes a second; scans may come twice, late and in the wrong order."""

    def __init__(self, code: str, world: World, door: Door, journal: Journal, dock: Dock) -> None:
        self.code = code
        self._world = world
        self._door = door
        self._journal = journal
        self._dock = dock
        self._cursor: str | None = None
        self._announced: set[str] = set()

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            heard = await self._read_feed()
            parcels = self._dock.collect(self.code, self._announced)
            self._announced.difference_update(parcels)
            scans = [scan for waybill_no in parcels for scan in self._journey(waybill_no)]
            answers = await self._door.post_intake("/v1/tracking-scans:batch", scans)
            self._journal.rejected += answers.rejected
            if not heard and not parcels:
                await asyncio.sleep(IDLE_S)

    async def _read_feed(self) -> bool:
        page = await self._door.get("/v1/waybills", carrier=self.code, cursor=self._cursor, limit=PAGE)
        self._announced.update(item["waybill_no"] for item in page["items"])
        self._cursor = page["next_cursor"]
        return bool(page["items"])

    def _journey(self, waybill_no: str) -> list[TrackingScan]:
        scans = list(self._scans(waybill_no))
        dice, shares, happened = self._world.dice, self._world.shares, self._journal.happened
        if dice.happens(shares.scan_twice, "scan twice", waybill_no):
            happened["scans sent twice"] += 1
            scans.append(dice.pick(scans, "which twice", waybill_no))
        if dice.happens(shares.scan_order, "scan order", waybill_no):
            happened["parcels whose scans came out of order"] += 1
            scans.reverse()
        return scans

    def _scans(self, waybill_no: str) -> Iterator[TrackingScan]:
        way: list[Any] = ["picked_up", "in_transit", "out_for_delivery", "delivered"]
        if self._world.dice.happens(self._world.shares.failed_attempt, "failed attempt", waybill_no):
            self._journal.happened["parcels not delivered at the first attempt"] += 1
            way[3:3] = ["attempt_failed", "out_for_delivery"]
        collected_at = datetime.now(UTC)
        for step, status in enumerate(way):
            yield TrackingScan(
                carrier=self.code,
                waybill_no=waybill_no,
                status=status,
                occurred_at=collected_at + timedelta(milliseconds=step),
                place="depot" if step < len(way) - 1 else "front door",
            )
