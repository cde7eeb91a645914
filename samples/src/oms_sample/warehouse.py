"""A warehouse: takes releases from its feed, accepts or rejects, picks, ships, and reports all of it."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from oms_events.contracts.intake import ReportedParcel, ReportedQuantity, StockReport, WarehouseReport
from oms_sample.carrier import Dock
from oms_sample.client import PAGE, Door, segment
from oms_sample.journal import Journal
from oms_sample.synth import Node, World

IDLE_S = 0.2
"""Pause between two looks at an empty feed: as often as a warehouse could reasonably ask."""

PACKAGING_G = 80

Kind = Literal["accepted", "rejected", "short", "shipped"]
Shipment = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Picked:
    """One line as the picker leaves it."""

    line_id: str
    sku: str
    wanted: int
    found: int


class Warehouse:
    """Plays one node.

    It accepts first, and picks only what the system then lists as accepted: a shipment that was cancelled before
    the acceptance arrived never gets there.
    """

    def __init__(self, node: Node, world: World, door: Door, journal: Journal, dock: Dock) -> None:
        self.node = node
        self._world = world
        self._door = door
        self._journal = journal
        self._dock = dock
        self._cursor: str | None = None
        self._picked: set[str] = set()

    async def receive(self, quantities: dict[str, int], delivery: str) -> None:
        """Put goods on the shelf and report them: the opening stock as snapshots, a later delivery as movements."""
        opening = delivery == "opening"
        for sku, quantity in quantities.items():
            self._journal.put_on_shelf(self.node.code, sku, quantity)
        reports = [
            StockReport(
                node=self.node.code,
                sku=sku,
                report_no=f"{delivery}-{self._world.seed}",
                kind="snapshot" if opening else "movement",
                quantity=quantity,
                reason=delivery,
                occurred_at=datetime.now(UTC),
            )
            for sku, quantity in quantities.items()
        ]
        await self._post("/v1/stock-reports:batch", reports)

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            if not (await self._take_releases() + await self._pick_accepted()):
                await asyncio.sleep(IDLE_S)

    async def _take_releases(self) -> int:
        page = await self._door.get(f"/v1/nodes/{segment(self.node.code)}/releases", cursor=self._cursor, limit=PAGE)
        self._cursor = page["next_cursor"]
        await self._report([self._answer(shipment["shipment_id"]) for shipment in page["items"]])
        return len(page["items"])

    def _answer(self, shipment_id: str) -> WarehouseReport:
        if self._world.dice.happens(self._world.shares.rejected, "rejected", shipment_id):
            self._journal.happened["shipments rejected by the warehouse"] += 1
            return self._say(shipment_id, "rejected", reason="packing line down")
        return self._say(shipment_id, "accepted")

    async def _pick_accepted(self) -> int:
        page = await self._door.get("/v1/shipments", node=self.node.code, state="accepted", limit=PAGE)
        todo = [shipment for shipment in page["items"] if shipment["shipment_id"] not in self._picked]
        self._picked.update(shipment["shipment_id"] for shipment in todo)
        await self._report([report for shipment in todo for report in self._ship(shipment)])
        return len(todo)

    def _ship(self, shipment: Shipment) -> Iterator[WarehouseReport]:
        """Pick what the shipment still wants, and send what was found."""
        shipment_id, found = shipment["shipment_id"], self._pick(shipment)
        if any(line.found < line.wanted for line in found):
            self._journal.happened["shipments the warehouse could not fill"] += 1
            yield self._say(shipment_id, "short", lines=_quantities(found), reason="not found on the shelf")
        sent = [line for line in found if line.found]
        if not sent:
            return
        for line in sent:
            self._journal.ship(shipment["order_id"], line.line_id, self.node.code, line.sku, line.found)
        self._dock.put(shipment["carrier"], shipment["waybill_no"])
        grams = PACKAGING_G + sum(line.found * self._world.parcel(line.sku).weight_g for line in sent)
        parcels = (ReportedParcel(parcel_no="1", weight_g=grams),)
        yield self._say(shipment_id, "shipped", lines=_quantities(sent), parcels=parcels)

    def _pick(self, shipment: Shipment) -> list[Picked]:
        """What the shelves give: sometimes, of one line, less than the system believes."""
        dice, shipment_id = self._world.dice, shipment["shipment_id"]
        found = [Picked(line["line_id"], line["sku"], line["left"], line["left"]) for line in shipment["lines"]]
        found = [line for line in found if line.wanted]
        if found and dice.happens(self._world.shares.short, "short", shipment_id):
            last = found.pop()
            missing = dice.between(1, last.wanted, "missing", shipment_id)
            found.append(replace(last, found=last.wanted - missing))
        return found

    def _say(
        self,
        shipment_id: str,
        kind: Kind,
        *,
        lines: tuple[ReportedQuantity, ...] = (),
        parcels: tuple[ReportedParcel, ...] = (),
        reason: str = "",
    ) -> WarehouseReport:
        return WarehouseReport(
            node=self.node.code,
            shipment_id=UUID(shipment_id),
            report_no=f"{kind}-1",
            kind=kind,
            lines=lines,
            parcels=parcels,
            reason=reason,
            occurred_at=datetime.now(UTC),
        )

    async def _report(self, reports: list[WarehouseReport]) -> None:
        twice = self._world.shares.report_twice
        repeated = [
            report
            for report in reports
            if self._world.dice.happens(twice, "report twice", str(report.shipment_id), report.kind)
        ]
        self._journal.happened["warehouse reports sent twice"] += len(repeated)
        await self._post("/v1/warehouse-reports:batch", [*reports, *repeated])

    async def _post(self, path: str, reports: list[WarehouseReport] | list[StockReport]) -> None:
        answers = await self._door.post_intake(path, reports)
        self._journal.rejected += answers.rejected


def _quantities(lines: Iterable[Picked]) -> tuple[ReportedQuantity, ...]:
    return tuple(ReportedQuantity(line_id=line.line_id, quantity=line.found) for line in lines)
