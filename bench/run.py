"""Measures the whole system: `python -m bench.run [--only NAME,...] [--json PATH] [--results PATH] [--scale X]`.

Starts a system of its own with fresh data, loads 10,000 SKUs, and takes the measurements named, or all, in the order
of `MEASUREMENTS`. The driver, the broker and the database share the cores with the services, and are counted.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from bench import load, results, singles
from bench.bare import floor
from bench.bed import AT_PEACE, BATCH, HOT, SKUS, Bed, console, fresh_bed
from bench.one_event import one_event
from bench.paced import idle, paced
from bench.path import whole_path
from bench.relay import relay
from bench.watch import Watch
from oms_events.contracts.fulfilment import ShipmentReleased
from oms_events.contracts.inventory import StockReservationRejected, StockReserved
from oms_sample import hops, masterdata
from oms_sample.book import Book, Sale
from oms_sample.cli import SLICE
from oms_sample.synth import World


@dataclass(frozen=True, slots=True)
class Scale:
    """How many orders each measurement takes."""

    warm_up: int = 2_000
    bare: int = 30_000
    whole_path: int = 20_000
    idle_s: float = 30.0
    latency_s: float = 30.0
    reserve: int = 10_000
    replay: int = 1_000
    hot: int = 10_000
    relay: int = 50_000
    single: int = 10_000
    batch: int = 30_000

    def by(self, factor: float) -> "Scale":
        """All of them larger or smaller."""
        return Scale(**{name: type(size)(max(1, size * factor)) for name, size in asdict(self).items()})


class Bench:
    """The measurements of one running system."""

    def __init__(self, bed: Bed, scale: Scale) -> None:
        self._bed = bed
        self._scale = scale
        self._full_speed = 0.0
        """Orders a second on the whole path, once known."""

    async def run(self, names: Sequence[str]) -> results.Results:
        """Those named."""
        found: results.Results = self._memory("rss_mb_idle")
        await self._bed.set_up(hot_stock=int(self._scale.hot * 0.8), warm_up=self._scale.warm_up)
        for name in names:
            began = time.monotonic()
            found |= await MEASUREMENTS[name](self)
            console.print(f"{name}: measured in {time.monotonic() - began:.0f} s")
        return found

    def _memory(self, name: str) -> results.Results:
        by_process = self._bed.memory()
        return {name: round(sum(by_process.values()), 1), f"{name}_by_process": by_process}

    async def idle(self) -> results.Results:
        return {"idle": await idle(self._bed, self._scale.idle_s)}

    async def whole_path(self) -> results.Results:
        """The bare pipeline right before and right after, on the same broker and database: the machine's own mood
        moves both alike."""
        before = await self._bare()
        again = load.synthetic("awake", self._scale.warm_up, SKUS, batch=BATCH)
        await self._bed.timed(again, ShipmentReleased)  # who stood still for long must join its group again
        found = await self._whole_path()
        found |= self._memory("rss_mb_load")
        after = await self._bare()
        bare = (before.orders_per_s + after.orders_per_s) / 2
        return found | {
            "bare_pipeline_orders_per_s": round(bare, 1),
            "bare_pipeline": {"before": asdict(before), "after": asdict(after)},
            "whole_path_to_bare": round(self._full_speed / bare, 3),
        }

    async def _bare(self) -> floor.Floor:
        platform = self._bed.system.platform
        with self._bed.standing_still():
            return await floor.run(
                platform.bootstrap, platform.postgres.url(), orders=self._scale.bare, pids=platform.pids
            )

    async def _whole_path(self) -> results.Results:
        found = await whole_path(self._bed, self._scale.whole_path)
        self._full_speed = found["whole_path_orders_per_s"]
        return found

    async def paced(self) -> results.Results:
        """At two low rates."""
        return {f"paced_{rate}": await paced(self._bed, rate, self._scale.latency_s) for rate in (50, 250)}

    async def latency(self) -> results.Results:
        """At half of full speed, which is measured first where it is not known."""
        found = {} if self._full_speed else await self._whole_path()
        half = await paced(self._bed, self._full_speed / 2, self._scale.latency_s)
        return found | {"whole_path_latency_ms": half}

    async def one_event(self) -> results.Results:
        return {"one_event": await one_event(self._bed, self._scale.latency_s)}

    async def reserve_path(self) -> results.Results:
        orders = load.synthetic("reserve", self._scale.reserve, SKUS, batch=BATCH, paid=False)
        came, seconds = await self._bed.timed(orders, StockReserved)
        return {"reserve_path_orders_per_s": round(came / seconds, 1), "reserve_path_orders": came}

    async def replay(self) -> results.Results:
        """Real sales."""
        book = Book(SLICE, self._scale.replay)
        survey = book.survey()
        world = World(survey, 1, AT_PEACE)
        await masterdata.load(self._bed.doors.operator, survey, world)
        await self._bed.stock({sku: world.opening_stock(sku) for sku in survey.demand})
        sales = [entry for entry in book.entries(survey) if isinstance(entry, Sale)]
        orders = [(sale, world.order(sale)) for sale in sales]
        replay = load.encode(((order, world.payment(sale, order)) for sale, order in orders), batch=BATCH // 5)
        came, seconds = await self._bed.timed(replay, ShipmentReleased)
        return {
            "replay_orders_per_s": round(came / seconds, 1),
            "replay_lines_per_s": round(survey.lines * came / len(sales) / seconds, 1),
            "replay_orders": came,
        }

    async def hot_sku(self) -> results.Results:
        """All want the same SKU, and four of five can have it: reserved must be exactly what there is."""
        orders = load.synthetic("hot", self._scale.hot, [HOT], batch=BATCH, lines=1, paid=False)
        async with Watch(self._bed.system.broker, StockReserved, StockReservationRejected) as watch:
            came, seconds = await self._bed.drive(orders, watch)
        reserved = watch.by_type[StockReserved.type.encode()]
        if reserved != int(self._scale.hot * 0.8):
            raise RuntimeError(f"{reserved:,} of the hot SKU were reserved, {int(self._scale.hot * 0.8):,} were there")
        return {"hot_sku_orders_per_s": round(came / seconds, 1), "hot_sku_orders": came}

    async def relay(self) -> results.Results:
        return await relay(self._bed, self._scale.relay)

    async def intake(self) -> results.Results:
        """The doors alone: the services stand still meanwhile, and intake goes on without them. An answer means that
        the broker has the order."""
        url, key = self._bed.system.gateway_url, self._bed.endpoints.keys["channel"]
        alone = load.synthetic("single", self._scale.single, SKUS, batch=1, paid=False)
        many = load.synthetic("batch", self._scale.batch, SKUS, batch=BATCH, paid=False)
        with self._bed.standing_still():
            prepared = singles.requests(url, "/v1/orders", key, [batch.orders[1:-1] for batch in alone])
            meter = self._bed.meter()
            single = await asyncio.to_thread(singles.send, url, prepared, connections=32)
            single_cost = meter.per_order(single.accepted)
            meter, began = self._bed.meter(), time.monotonic()
            await self._bed.post_all(many)
            seconds = time.monotonic() - began
            batch_cost = meter.per_order(load.size(many))
        spread = hops.Spread.of(single.times_ms)
        return {
            "intake_single_orders_per_s": single.per_s,
            "intake_single_ms": {"p50": spread.p50, "p99": spread.p99},
            "intake_single_cpu_us_per_order": single_cost["cpu_us_per_order"],
            "intake_batch_orders_per_s": round(load.size(many) / seconds, 1),
            "intake_batch_cpu_us_per_order": batch_cost["cpu_us_per_order"],
        }


MEASUREMENTS: Mapping[str, Callable[[Bench], Awaitable[results.Results]]] = {
    "idle": Bench.idle,
    "one-event": Bench.one_event,
    "whole-path": Bench.whole_path,
    "paced": Bench.paced,
    "latency": Bench.latency,
    "reserve": Bench.reserve_path,
    "replay": Bench.replay,
    "hot-sku": Bench.hot_sku,
    "relay": Bench.relay,
    "intake": Bench.intake,  # last: it leaves a backlog behind
}


def _named(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(MEASUREMENTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    return [name for name in MEASUREMENTS if name in names]


async def measure(scale: Scale, names: Sequence[str]) -> results.Results:
    """Start, measure, stop."""
    async with fresh_bed() as bed:
        return await Bench(bed, scale).run(names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument(
        "--only", type=_named, default=list(MEASUREMENTS), help=f"some of {', '.join(MEASUREMENTS)}, by commas"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer orders")
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(measure(Scale().by(options.scale), options.only))
    results.report(found, began_at, options, console, "bench.run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
