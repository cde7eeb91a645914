"""Plays a book: every party at once, each through the gateway, until nothing moves any more."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from oms_sample import masterdata
from oms_sample.book import Book, Survey
from oms_sample.carrier import Carrier, Dock
from oms_sample.channel import Channels
from oms_sample.client import BATCH, Doors, Pace
from oms_sample.journal import Journal
from oms_sample.operator import Operator
from oms_sample.progress import UNPAID, Standing, standing
from oms_sample.synth import MAIN_NODE, NODES, Shares, World
from oms_sample.warehouse import Warehouse

LOOK_S = 0.5
QUIET_S = 5.0
"""So long must nothing change before the play is over: a retry that is due soon may still move an order."""
STALL_S = 90.0
"""So long may nothing change while orders are still on their way, before they are called stalled."""

Report = Callable[[str], None]


class Stalled(Exception):
    """The system did not get as far as the play needs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to play. `rate` is orders a second, None is as fast as they are taken."""

    rate: float | None = None
    seed: int = 20101201
    batch: int = BATCH
    """Entries of the book that go out together."""
    shares: Shares = field(default_factory=Shares)


@dataclass(slots=True)
class Played:
    """What the play was. Times are monotonic seconds."""

    survey: Survey
    world: World
    journal: Journal
    dock: Dock
    before: Standing
    began_at: float = 0.0
    posted_at: float = 0.0
    ended_at: float = 0.0
    stalled: bool = False
    standing: Standing = field(default_factory=Standing)


async def prepare(doors: Doors, book: Book, settings: Settings, report: Report, pace: Pace | None = None) -> "Stage":
    """Read the book, load master data, fill the warehouses. Raises BookError, Refused and Unavailable.

    A `pace` of the caller's goes before the settings' rate.
    """
    survey = book.survey()
    report(f"{book.path.name}: {survey.sales:,} sales of {survey.lines:,} lines, {len(survey.demand):,} SKUs")
    world = World(survey, settings.seed, settings.shares)
    before = await standing(doors.operator)
    if before.known:
        report(f"the system knows {before.known:,} orders already: told again they change nothing")
    stage = Stage(
        book,
        doors,
        pace or Pace(settings.rate),
        Played(survey, world, Journal(), Dock(), before),
        report,
        batch=settings.batch,
    )
    await stage.set_up()
    return stage


class Stage:
    """All parties of one play, ready to begin."""

    def __init__(
        self, book: Book, doors: Doors, pace: Pace, played: Played, report: Report, *, batch: int = BATCH
    ) -> None:
        self.played = played
        self._book = book
        self._doors = doors
        self._late_listings: list[masterdata.Item] = []
        self._report = report
        world, journal, dock = played.world, played.journal, played.dock
        self._warehouses = {node.code: Warehouse(node, world, doors.warehouse, journal, dock) for node in NODES}
        self._channels = Channels(world, doors.channel, journal, pace, batch)

    async def set_up(self) -> None:
        """Load master data, report the opening stock and wait until inventory has counted it."""
        played = self.played
        self._late_listings = await masterdata.load(self._doors.operator, played.survey, played.world)
        stock: dict[str, dict[str, int]] = {node.code: {} for node in NODES}
        for sku in sorted(played.survey.demand):
            for node, quantity in played.world.opening_stock(sku).items():
                stock[node][sku] = quantity
        for node, quantities in stock.items():
            await self._warehouses[node].receive(quantities, "opening")
        pieces = sum(sum(quantities.values()) for quantities in stock.values())
        self._report(f"{pieces:,} pieces reported in {len(NODES)} warehouses")
        if not played.before.known:
            await self._until_counted(pieces)

    async def _until_counted(self, pieces: int) -> None:
        give_up_at = time.monotonic() + STALL_S
        while (counted := await self._counted()) != pieces:
            if time.monotonic() > give_up_at:
                raise Stalled(f"inventory counts {counted:,} of {pieces:,} pieces reported")
            await asyncio.sleep(LOOK_S)

    async def _counted(self) -> int:
        summary = await self._doors.operator.get("/v1/services/inventory/summary")
        return int(summary["on_hand"])

    async def play(self) -> Played:
        """Play to the end. Raises Refused and Unavailable."""
        played = self.played
        async with self._at_work():
            played.began_at = time.monotonic()
            await self._channels.send(self._book.entries(played.survey))
            played.posted_at = time.monotonic()
            self._report(f"{len(played.journal.ordered):,} orders sent in {played.posted_at - played.began_at:.1f} s")
            await self._afterwards()
            await self._until_quiet()
        return played

    async def _afterwards(self) -> None:
        """What happens only once all orders are in: forgotten listings are mapped, short SKUs delivered."""
        await masterdata.map_listings(self._doors.operator, self._late_listings)
        delivery = {
            sku: quantity for sku in sorted(self.played.survey.demand) if (quantity := self.played.world.restock(sku))
        }
        await self._warehouses[MAIN_NODE.code].receive(delivery, "delivery")
        self._report(f"{len(self._late_listings)} forgotten listings mapped, {len(delivery)} short SKUs delivered")

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Warehouses, carriers and the operator at work. One that fails ends the play."""
        played, doors = self.played, self._doors
        carriers = [
            Carrier(code, played.world, doors.carrier, played.journal, played.dock)
            for code in await masterdata.carrier_codes(doors.operator)
        ]
        operator = Operator(played.world, doors.operator, played.journal)
        async with asyncio.TaskGroup() as group:
            workers: list[Warehouse | Carrier | Operator] = [*self._warehouses.values(), *carriers, operator]
            players = [group.create_task(worker.work()) for worker in workers]
            yield
            for player in players:
                player.cancel()

    async def _until_quiet(self) -> None:
        """Until every order ended or waits for something that has a name, or nothing has moved for `STALL_S`."""
        played = self.played
        unpaid = len(played.journal.unpaid) + played.before.orders.get(UNPAID, 0)
        said_at = changed_at = time.monotonic()
        while True:
            now, seen = time.monotonic(), await standing(self._doors.operator)
            if seen != played.standing:
                played.standing, changed_at = seen, now
                if now - said_at > 5:
                    said_at = now
                    self._report(", ".join(f"{state} {count:,}" for state, count in sorted(seen.orders.items())))
            played.ended_at = changed_at
            settled = seen.moving(unpaid) == 0 and seen.known >= len(played.journal.ordered)
            if settled and now - changed_at > QUIET_S:
                return
            if now - changed_at > STALL_S:
                played.stalled = True
                self._report(f"stalled: nothing has moved for {STALL_S:.0f} s")
                return
            await asyncio.sleep(LOOK_S)
