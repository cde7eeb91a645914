"""Measures whether workers help: `python -m bench.scale --workers 1,2,4 --partitions 12 [--orders N] [--json PATH]`.

For each number of workers: a system of its own with fresh data, the whole path at full speed, and meanwhile what the
cores and the database's sessions do. Then says where it stops scaling, and what was short at that point.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Self

import asyncpg
import psutil
from rich.table import Table

from bench import results
from bench.bed import console, fresh_bed
from bench.path import whole_path
from bench.run import Scale
from oms_local.topology import service_of

LOOK_S = 0.1
WORTH_IT = 1.1
"""A step that brings less than this does not count as scaling."""
BUSY = 0.9
"""From this share on the cores are what is short."""
_SESSIONS = """
    select coalesce(wait_event_type || ':' || wait_event, 'on a core') as what, count(*) as sessions
      from pg_stat_activity
     where backend_type = 'client backend' and state = 'active' and pid <> pg_backend_pid() group by 1
"""
_LONGEST_LIST = 5


class Sampled:
    """Looks at cores and database sessions every `LOOK_S`. An async context."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._looks = 0
        self._sessions: Counter[str] = Counter()
        self._cores: list[float] = []

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._url)
        psutil.cpu_percent()  # the first answer means nothing; the next counts from here
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await self._connection.close()

    @property
    def cores_busy(self) -> float:
        """Share of all cores, 0 to 1."""
        return round(sum(self._cores) / max(1, len(self._cores)) / 100, 2)

    @property
    def sessions(self) -> dict[str, float]:
        """How many database sessions at a time waited for what, or ran; the most frequent first."""
        return {what: round(count / max(1, self._looks), 2) for what, count in self._sessions.most_common()}

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for row in await self._connection.fetch(_SESSIONS):
                self._sessions[row["what"]] += row["sessions"]
            self._cores.append(psutil.cpu_percent())
            self._looks += 1


@dataclass(frozen=True, slots=True)
class Step:
    """One number of workers, measured."""

    workers: int
    orders_per_s: float
    cpu_us_per_order: float
    by_service: Mapping[str, float]
    """Microseconds of CPU per order; a service's processes together."""
    cores_busy: float
    sessions: Mapping[str, float] = field(default_factory=dict)

    def short_of(self) -> str:
        """What was short: cores, or what most sessions of the database waited for."""
        if self.cores_busy >= BUSY:
            return f"cores ({self.cores_busy:.0%} busy)"
        waits = [what for what in self.sessions if what != "on a core"]
        most = f", most waiting for {waits[0]}" if waits else ""
        return f"sessions of the database that wait{most} (cores {self.cores_busy:.0%} busy)"


async def measure(workers: int, partitions: int, orders: int) -> Step:
    """Start, measure, stop."""
    async with fresh_bed(workers=workers, partitions=partitions) as bed:
        await bed.set_up()
        async with Sampled(bed.system.platform.postgres.url()) as sampled:
            found = await whole_path(bed, orders)
    by_service: Counter[str] = Counter()
    for process, spent in found["whole_path_cpu_us_per_order_by_process"].items():
        by_service[service_of(process)] += spent
    return Step(
        workers=workers,
        orders_per_s=found["whole_path_orders_per_s"],
        cpu_us_per_order=found["whole_path_cpu_us_per_order"],
        by_service={name: round(spent, 1) for name, spent in by_service.items()},
        cores_busy=sampled.cores_busy,
        sessions=sampled.sessions,
    )


def verdict(steps: Sequence[Step]) -> str:
    """Where it stops scaling, and why."""
    for before, after in pairwise(steps):
        if after.orders_per_s < WORTH_IT * before.orders_per_s:
            gain = after.orders_per_s / before.orders_per_s
            return (
                f"stops at {before.workers} workers: {after.workers} bring {gain:.2f} times as much. "
                f"Short at {before.workers}: {before.short_of()}. At {after.workers}: {after.short_of()}."
            )
    last = steps[-1]
    if len(steps) == 1:
        return f"{last.workers} workers alone tell nothing of scaling; short: {last.short_of()}"
    return f"still scales at {last.workers} workers; short of {last.short_of()}"


def show(steps: Sequence[Step]) -> None:
    """Print a column per number of workers."""
    table = Table("what", *(f"{step.workers} workers" for step in steps))
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("orders/s", *(f"{step.orders_per_s:,.1f}" for step in steps))
    table.add_row("times as much", *(f"{step.orders_per_s / steps[0].orders_per_s:.2f}" for step in steps))
    table.add_row("cores busy", *(f"{step.cores_busy:.0%}" for step in steps))
    table.add_row("CPU us per order", *(f"{step.cpu_us_per_order:,.1f}" for step in steps))
    for service in steps[0].by_service:
        table.add_row(f"  {service}", *(f"{step.by_service.get(service, 0.0):,.1f}" for step in steps))
    table.add_row("database sessions at a time", *("" for _ in steps))
    for what in dict.fromkeys(what for step in steps for what in list(step.sessions)[:_LONGEST_LIST]):
        table.add_row(f"  {what}", *(f"{step.sessions.get(what, 0.0):.2f}" for step in steps))
    console.print(table)
    console.print(verdict(steps))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--workers", default="1,2,4", help="numbers of workers per service (default: 1,2,4)")
    parser.add_argument("--partitions", type=int, default=12, help="of every topic (default: 12)")
    parser.add_argument("--orders", type=int, default=Scale().whole_path, help="for each measurement")
    parser.add_argument("--json", type=Path, help="write the numbers as JSON")
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    numbers = [int(number) for number in options.workers.split(",")]
    steps: list[Step] = []
    for number in numbers:
        steps.append(asyncio.run(measure(number, options.partitions, options.orders)))
        console.print(f"{number} workers: {steps[-1].orders_per_s:,.1f} orders/s, {steps[-1].short_of()}")
    show(steps)
    if options.json:
        told = {
            "at": began_at.isoformat(),
            "machine": results.machine(),
            "partitions": options.partitions,
            "orders": options.orders,
            "steps": [asdict(step) for step in steps],
            "verdict": verdict(steps),
        }
        options.json.write_text(json.dumps(told, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
