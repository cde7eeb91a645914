"""The bed on which everything is measured: a system of its own with fresh data, and what drives it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from bench import load, results
from bench.load import Batch, Load
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_events.contracts.intake import StockReport
from oms_events.contracts.inventory import NodeStockChanged, StockReserved
from oms_local.run_folder import throw_away_folder
from oms_local.system import Options, System, running_system
from oms_local.topology import GATEWAY, WITHOUT_PAGES, service_of
from oms_sample import masterdata, measure
from oms_sample.book import Survey
from oms_sample.channel import ORDERS, PAYMENTS
from oms_sample.client import Doors, Pace
from oms_sample.endpoints import Endpoints
from oms_sample.synth import NODES, Shares, World

SKUS = [f"B{number:05}" for number in range(10_000)]
HOT = "HOT"
PLENTY = 1_000_000
DOORS_OPEN = 4
"""Requests in flight."""
BATCH = 250
PATIENCE_S = 30.0
QUIET_S = 3.0
"""A lag of zero must last so long to count: it is told on a timer."""
CATCH_UP_S = 600.0
LAG_METRIC = "oms_consumer_lag_records"
AT_PEACE = Shares(**dict.fromkeys((field for field in Shares.__dataclass_fields__), 0.0))
"""Nothing goes wrong: what is measured is the system, not the play."""

console = Console()


class Meter:
    """What the processes spend from here on."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._pids = endpoints.pids
        self._before = measure.cpu_seconds(self._pids)
        self._began = time.monotonic()

    def spent(self) -> dict[str, float]:
        """CPU seconds by process."""
        return measure.spent(self._before, measure.cpu_seconds(self._pids))

    def cores(self) -> results.Results:
        """Cores kept busy: CPU seconds a second, in all and by process."""
        spent, seconds = self.spent(), time.monotonic() - self._began
        by_process = {name: round(used / seconds, 4) for name, used in spent.items()}
        return {"cores": round(sum(spent.values()) / seconds, 3), "cores_by_process": by_process}

    def per_order(self, orders: int) -> results.Results:
        """Microseconds of CPU per order, in all and by process."""
        spent = self.spent()
        return {
            "cpu_us_per_order": round(1e6 * sum(spent.values()) / orders, 1),
            "cpu_us_per_order_by_process": measure.per_item_us(spent, orders),
        }


class Bed:
    """One running system, and load for it."""

    def __init__(self, system: System, doors: Doors) -> None:
        self.system = system
        self.doors = doors
        self.endpoints = Endpoints.of(system)

    @property
    def metrics_urls(self) -> list[str]:
        """Base URLs of all processes that consume."""
        own = [url for name, url in self.system.urls.items() if name != GATEWAY]
        return [*own, *self.system.worker_urls.values()]

    def meter(self) -> Meter:
        """Begin to count CPU time."""
        return Meter(self.endpoints)

    def memory(self) -> dict[str, float]:
        """MiB by process."""
        return measure.memory_mb(self.endpoints.pids)

    async def set_up(self, *, hot_stock: int = 0, warm_up: int = 2_000) -> None:
        """Load 10,000 SKUs with plenty of stock, and let some orders through."""
        world = World(Survey(), 1, AT_PEACE)
        titles = {sku: f"Bench item {sku}" for sku in [*SKUS, HOT]}
        await masterdata.load_nodes(self.doors.operator, [replace(node, daily_capacity=PLENTY) for node in NODES])
        await masterdata.load_carriers(self.doors.operator)
        await masterdata.load_skus(self.doors.operator, titles, world)
        await masterdata.map_listings(
            self.doors.operator, (masterdata.listing(load.SHOP, sku, sku, load.CHANNEL) for sku in titles)
        )
        await self.stock({sku: {"GB-LON": PLENTY, "GB-MAN": PLENTY} for sku in SKUS} | {HOT: {"GB-LON": hot_stock}})
        await self.timed(load.synthetic("warm-up", warm_up, SKUS, batch=BATCH), ShipmentReleased)

    async def stock(self, stock: Mapping[str, Mapping[str, int]]) -> None:
        """Report it and wait until routing was told of every SKU."""
        now = datetime.now(UTC)
        reports = [
            StockReport(node=node, sku=sku, report_no="bench", kind="snapshot", quantity=quantity, occurred_at=now)
            for sku, nodes in stock.items()
            for node, quantity in nodes.items()
        ]
        async with Watch(self.system.broker, NodeStockChanged) as watch:
            await self.doors.warehouse.post_intake("/v1/stock-reports:batch", reports)
            told = await watch.until((sku.encode() for sku in stock), PATIENCE_S)
        if told < len(stock):
            raise RuntimeError(f"inventory told routing of {told:,} of {len(stock):,} SKUs")

    async def timed(self, orders: Load, *events: type[StockReserved | ShipmentReleased]) -> tuple[int, float]:
        """Send all as fast as they are taken. Returns how many came to the event, and seconds until the last did."""
        async with Watch(self.system.broker, *events) as watch:
            return await self.drive(orders, watch)

    async def drive(self, orders: Load, watch: Watch) -> tuple[int, float]:
        """The same for what somebody watches already."""
        began = time.time()
        await self.post_all(orders)
        came = await watch.until((order for batch in orders for order in batch.ids), PATIENCE_S)
        if came < load.size(orders):
            console.print(f"[red]only {came:,} of {load.size(orders):,} orders came through")
        return came, max(watch.seen.values()) - began

    async def pour(self, batches: Iterable[Batch], rate: float, seconds: float, posted: dict[bytes, float]) -> None:
        """Send `rate` orders a second for so long, or as long as there are some, and note when each was sent: seconds
        since the epoch. Returns when the last request was answered."""
        pace, ends_at = Pace(rate), time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for batch in batches:
                await pace.pass_on(len(batch.ids))
                if time.monotonic() >= ends_at:
                    return
                posted.update(dict.fromkeys(batch.ids, time.time()))
                group.create_task(self.post(batch))

    async def caught_up(self) -> float:
        """Wait until all that is in the topics was handled. Returns the seconds it took. Raises TimeoutError."""
        began = quiet_since = time.monotonic()
        async with asyncio.timeout(CATCH_UP_S), httpx.AsyncClient(timeout=30, trust_env=False) as http:
            while time.monotonic() - quiet_since < QUIET_S:
                await asyncio.sleep(0.5)
                if await self._behind(http):
                    quiet_since = time.monotonic()
        return max(quiet_since - began, 0.001)

    async def _behind(self, http: httpx.AsyncClient) -> bool:
        for url in self.metrics_urls:
            text = (await http.get(f"{url}/metrics")).raise_for_status().text
            lag = [f for f in text_string_to_metric_families(text) if f.name == LAG_METRIC]
            if any(sample.value for family in lag for sample in family.samples):
                return True
        return False

    async def post_all(self, orders: Load) -> None:
        """Send all as fast as they are taken."""
        left = iter(orders)
        async with asyncio.TaskGroup() as group:
            for _ in range(DOORS_OPEN):
                group.create_task(self._post_each(left))

    async def _post_each(self, left: Iterable[Batch]) -> None:
        for batch in left:
            await self.post(batch)

    async def post(self, batch: Batch) -> None:
        """Send some orders and their payments."""
        await self.doors.channel.post_encoded(ORDERS, batch.orders)
        if batch.payments:
            await self.doors.channel.post_encoded(PAYMENTS, batch.payments)

    @contextmanager
    def standing_still(self, *running: str) -> Iterator[None]:
        """All services stand still but the gateway and those named."""
        services = set(self.system.urls) - {GATEWAY, *running}
        with suspended(pid for name, pid in self.system.pids().items() if service_of(name) in services):
            yield


@contextmanager
def suspended(pids: Iterable[int]) -> Iterator[None]:
    """Processes stand still inside this."""
    processes = [psutil.Process(pid) for pid in pids]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@asynccontextmanager
async def fresh_bed(*, workers: int = 1, partitions: int = 4) -> AsyncIterator[Bed]:
    """A system with data of its own, thrown away at the end."""
    with throw_away_folder() as folder:
        options = Options(
            run_dir=folder.path,
            services=WITHOUT_PAGES,
            log_level="WARNING",
            workers=workers,
            partitions=partitions,
        )
        async with running_system(options, report=console.print) as system, Doors(Endpoints.of(system)) as doors:
            yield Bed(system, doors)
