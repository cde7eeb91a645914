"""Measures the whole system: `python -m bench.run [--json PATH] [--results PATH] [--scale X]`.

Starts a system of its own with fresh data, loads 10,000 SKUs, and measures in this order: the whole path at full
speed, its latency at half of that, the reserving part alone, real sales, one hot SKU, and the doors alone. The
driver, the broker and the database share the cores with the services, and are counted.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console

from bench import load, results, singles
from bench.load import Load
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_events.contracts.intake import StockReport
from oms_events.contracts.inventory import NodeStockChanged, StockReservationRejected, StockReserved
from oms_local.run_folder import throw_away_folder
from oms_local.system import Options, System, running_system
from oms_local.topology import service_of
from oms_sample import hops, masterdata, measure
from oms_sample.book import Book, Sale, Survey
from oms_sample.channel import ORDERS, PAYMENTS
from oms_sample.cli import SLICE
from oms_sample.client import Doors, Pace
from oms_sample.endpoints import Endpoints
from oms_sample.synth import NODES, Shares, World

SKUS = [f"B{number:05}" for number in range(10_000)]
HOT = "HOT"
PLENTY = 1_000_000
DOORS_OPEN = 4
"""Requests in flight."""
BATCH = 250
SMALL_BATCH = 20
"""For latency: an order should not wait for hundreds of others to be encoded with it."""
PATIENCE_S = 30.0
AT_PEACE = Shares(**dict.fromkeys((field for field in Shares.__dataclass_fields__), 0.0))
"""Nothing goes wrong: what is measured is the system, not the play."""

console = Console()


@dataclass(frozen=True, slots=True)
class Scale:
    """How many orders each measurement takes."""

    warm_up: int = 2_000
    whole_path: int = 20_000
    latency_s: float = 30.0
    reserve: int = 10_000
    replay: int = 1_000
    hot: int = 10_000
    single: int = 10_000
    batch: int = 30_000

    def by(self, factor: float) -> "Scale":
        """All of them larger or smaller."""
        return Scale(**{name: type(size)(max(1, size * factor)) for name, size in asdict(self).items()})


class Bench:
    """One running system under load."""

    def __init__(self, system: System, doors: Doors, scale: Scale) -> None:
        self._system = system
        self._doors = doors
        self._scale = scale
        self._endpoints = Endpoints.of(system)

    async def run(self) -> results.Results:
        """All measurements, the door alone last: it leaves a backlog behind."""
        found: results.Results = self._memory("rss_mb_idle")
        await self.set_up()
        found |= await self.whole_path()
        found |= self._memory("rss_mb_load")
        found |= await self._latency(found["whole_path_orders_per_s"] / 2)
        found |= await self._reserve_path()
        found |= await self._replay()
        found |= await self._hot_sku()
        found |= await self._intake()
        return found

    def _memory(self, name: str) -> results.Results:
        by_process = measure.memory_mb(self._endpoints.pids)
        return {name: round(sum(by_process.values()), 1), f"{name}_by_process": by_process}

    async def set_up(self) -> None:
        """Load master data and stock, and let the first orders through."""
        world = World(Survey(), 1, AT_PEACE)
        titles = {sku: f"Bench item {sku}" for sku in [*SKUS, HOT]}
        await masterdata.load_nodes(self._doors.operator, NODES)
        await masterdata.load_carriers(self._doors.operator)
        await masterdata.load_skus(self._doors.operator, titles, world)
        await masterdata.map_listings(
            self._doors.operator, (masterdata.listing(load.SHOP, sku, sku, load.CHANNEL) for sku in titles)
        )
        hot_stock = int(self._scale.hot * 0.8)
        await self._stock({sku: {"GB-LON": PLENTY, "GB-MAN": PLENTY} for sku in SKUS} | {HOT: {"GB-LON": hot_stock}})
        warm_up = load.synthetic("warm-up", self._scale.warm_up, SKUS, batch=BATCH)
        await self._timed(warm_up, ShipmentReleased)

    async def _stock(self, stock: dict[str, dict[str, int]]) -> None:
        """Report it and wait until routing was told of every SKU."""
        now = datetime.now(UTC)
        reports = [
            StockReport(node=node, sku=sku, report_no="bench", kind="snapshot", quantity=quantity, occurred_at=now)
            for sku, nodes in stock.items()
            for node, quantity in nodes.items()
        ]
        async with Watch(self._system.bootstrap, NodeStockChanged) as watch:
            await self._doors.warehouse.post_intake("/v1/stock-reports:batch", reports)
            told = await watch.until((sku.encode() for sku in stock), PATIENCE_S)
        if told < len(stock):
            raise RuntimeError(f"inventory told routing of {told:,} of {len(stock):,} SKUs")

    async def whole_path(self) -> results.Results:
        """Orders a second from the door to the warehouse, and what they cost."""
        orders = load.synthetic("whole", self._scale.whole_path, SKUS, batch=BATCH)
        before = measure.cpu_seconds(self._endpoints.pids)
        came, seconds = await self._timed(orders, ShipmentReleased)
        used = measure.spent(before, measure.cpu_seconds(self._endpoints.pids))
        return {
            "whole_path_orders_per_s": round(came / seconds, 1),
            "whole_path_orders": came,
            "whole_path_cpu_us_per_order": round(1e6 * sum(used.values()) / came, 1),
            "whole_path_cpu_us_per_order_by_process": measure.per_item_us(used, came),
        }

    async def _latency(self, rate: float) -> results.Results:
        count = int(rate * self._scale.latency_s)
        orders = load.synthetic("latency", count, SKUS, batch=SMALL_BATCH)
        since = await hops.ends(self._system.bootstrap)
        posted: dict[bytes, float] = {}
        pace = Pace(rate)
        async with Watch(self._system.bootstrap, ShipmentReleased) as watch:
            async with asyncio.TaskGroup() as group:
                for batch in orders:
                    await pace.pass_on(len(batch.ids))
                    posted.update(dict.fromkeys(batch.ids, time.time()))
                    group.create_task(self._post(batch))
            await watch.until(posted, PATIENCE_S)
        times = [1000 * (at - posted[order]) for order, at in watch.seen.items() if order in posted]
        tape = await hops.read(self._system.bootstrap, since)
        spread = hops.Spread.of(times)
        by_hop = {name: {"p50": hop.p50, "p99": hop.p99} for name, hop in tape.hops().items()}
        return {
            "whole_path_latency_ms": {
                "at_orders_per_s": round(rate, 1),
                "p50": spread.p50,
                "p99": spread.p99,
                "orders": spread.orders,
                "hops": by_hop,
            }
        }

    async def _reserve_path(self) -> results.Results:
        orders = load.synthetic("reserve", self._scale.reserve, SKUS, batch=BATCH, paid=False)
        came, seconds = await self._timed(orders, StockReserved)
        return {"reserve_path_orders_per_s": round(came / seconds, 1), "reserve_path_orders": came}

    async def _replay(self) -> results.Results:
        book = Book(SLICE, self._scale.replay)
        survey = book.survey()
        world = World(survey, 1, AT_PEACE)
        await masterdata.load(self._doors.operator, survey, world)
        await self._stock({sku: world.opening_stock(sku) for sku in survey.demand})
        sales = [entry for entry in book.entries(survey) if isinstance(entry, Sale)]
        orders = [(sale, world.order(sale)) for sale in sales]
        replay = load.encode(((order, world.payment(sale, order)) for sale, order in orders), batch=BATCH // 5)
        came, seconds = await self._timed(replay, ShipmentReleased)
        return {
            "replay_orders_per_s": round(came / seconds, 1),
            "replay_lines_per_s": round(survey.lines * came / len(sales) / seconds, 1),
            "replay_orders": came,
        }

    async def _hot_sku(self) -> results.Results:
        """All want the same SKU, and four of five can have it: reserved must be exactly what there is."""
        orders = load.synthetic("hot", self._scale.hot, [HOT], batch=BATCH, lines=1, paid=False)
        async with Watch(self._system.bootstrap, StockReserved, StockReservationRejected) as watch:
            came, seconds = await self._drive(orders, watch)
        reserved = watch.by_type[StockReserved.type.encode()]
        if reserved != int(self._scale.hot * 0.8):
            raise RuntimeError(f"{reserved:,} of the hot SKU were reserved, {int(self._scale.hot * 0.8):,} were there")
        return {"hot_sku_orders_per_s": round(came / seconds, 1), "hot_sku_orders": came}

    async def _intake(self) -> results.Results:
        """The doors alone: the services stand still meanwhile, and intake goes on without them."""
        alone = load.synthetic("single", self._scale.single, SKUS, batch=1, paid=False)
        key = self._endpoints.keys["channel"]
        with self._services_standing_still():
            prepared = singles.requests(
                self._system.gateway_url, "/v1/orders", key, [batch.orders[1:-1] for batch in alone]
            )
            single = await asyncio.to_thread(singles.send, self._system.gateway_url, prepared, connections=32)
            many = load.synthetic("batch", self._scale.batch, SKUS, batch=BATCH, paid=False)
            began = time.monotonic()
            await self._post_all(many)
            seconds = time.monotonic() - began
        return {
            "intake_single_orders_per_s": single.per_s,
            "intake_batch_orders_per_s": round(load.size(many) / seconds, 1),
        }

    @contextmanager
    def _services_standing_still(self) -> Iterator[None]:
        services = set(self._system.urls) - {"gateway"}
        stopped = [psutil.Process(pid) for name, pid in self._system.pids().items() if service_of(name) in services]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()

    async def _timed(self, orders: Load, *events: type[StockReserved | ShipmentReleased]) -> tuple[int, float]:
        """Send all as fast as they are taken. Returns how many came to the event, and seconds until the last did."""
        async with Watch(self._system.bootstrap, *events) as watch:
            return await self._drive(orders, watch)

    async def _drive(self, orders: Load, watch: Watch) -> tuple[int, float]:
        began = time.time()
        await self._post_all(orders)
        came = await watch.until((order for batch in orders for order in batch.ids), PATIENCE_S)
        if came < load.size(orders):
            console.print(f"[red]only {came:,} of {load.size(orders):,} orders came through")
        return came, max(watch.seen.values()) - began

    async def _post_all(self, orders: Load) -> None:
        left = iter(orders)
        async with asyncio.TaskGroup() as group:
            for _ in range(DOORS_OPEN):
                group.create_task(self._post_each(left))

    async def _post_each(self, left: Iterable[load.Batch]) -> None:
        for batch in left:
            await self._post(batch)

    async def _post(self, batch: load.Batch) -> None:
        await self._doors.channel.post_encoded(ORDERS, batch.orders)
        if batch.payments:
            await self._doors.channel.post_encoded(PAYMENTS, batch.payments)


@asynccontextmanager
async def fresh_system(*, workers: int = 1, partitions: int = 4) -> AsyncIterator[System]:
    """A system with data of its own, thrown away at the end."""
    with throw_away_folder() as folder:
        options = Options(run_dir=folder.path, log_level="WARNING", workers=workers, partitions=partitions)
        async with running_system(options, report=console.print) as system:
            yield system


async def measure_all(scale: Scale) -> results.Results:
    """Start, measure, stop."""
    async with fresh_system() as system, Doors(Endpoints.of(system)) as doors:
        return await Bench(system, doors, scale).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the numbers as JSON")
    parser.add_argument("--results", type=Path, help="add a section to this RESULTS.md")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer orders")
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(measure_all(Scale().by(options.scale)))
    results.show(found, console)
    if options.json:
        options.json.write_text(
            json.dumps({"at": began_at.isoformat(), "machine": results.machine(), **found}, indent=2)
        )
    if options.results:
        with options.results.open("a") as file:
            file.write(results.section(found, began_at))
    return 0


if __name__ == "__main__":
    sys.exit(main())
