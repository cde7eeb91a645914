"""The kinds of faults: what is done to whom, and undone. Each returns once its cause is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from signal import SIGTERM
from typing import get_args

import asyncpg

from oms_events.runtime.crash_points import Point

from . import clock, next_version, small_disk
from .broker import double_partitions, offsets_to_the_beginning
from .rig import AWAY_S, BROKER, CONSUMERS, DATABASE, EVERY_SERVICE, RETURN_TIMEOUT_S, Rig

SLOW_S = 0.2
RESETS = 4
CRASH_TIMEOUT_S = 60.0
CLOCK_TOLERANCE_S = 10.0
CLOCK_STEPS_S = (-3600, -90, 90, 3600)
BUSY_TOPICS = ("oms.orders.order.v1", "oms.inventory.reservation.v1", "oms.intake.channel-order.v1")
ROLL_ORDER = ("inventory", "fulfilment", "logistics", "catalog", "gateway", "orders")
"""Who only reads what changes comes before who writes it."""

Inject = Callable[[Rig, str, Random], Awaitable[None]]


class NotStruck(Exception):
    """A fault could not be injected: the campaign would claim what it did not do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault, and whom it may strike."""

    name: str
    targets: tuple[str, ...]
    inject: Inject
    once: bool = False
    """It changes the system for good, so it can strike only once in a run."""
    portions: int = 1
    """Portions of the load that it takes."""
    obstacle: Callable[[], str | None] = lambda: None
    """Why it cannot be injected on this machine, or None."""


async def kill_service(rig: Rig, service: str, _: Random) -> None:
    """kill -9. The supervisor starts it again."""
    await rig.system.kill(service)


async def freeze_service(rig: Rig, service: str, _: Random) -> None:
    """SIGSTOP for longer than the consumers' session, then SIGCONT: it comes back and believes it never left."""
    with rig.stopped(service):
        await asyncio.sleep(AWAY_S)


async def roll_service(rig: Rig, service: str, _: Random) -> None:
    """SIGTERM, as a deployment does."""
    await rig.system.kill(service, SIGTERM)


async def kill_broker(rig: Rig, _target: str, _: Random) -> None:
    """kill -9 of the only broker."""
    rig.kill_server(BROKER)


async def freeze_broker(rig: Rig, _target: str, _: Random) -> None:
    """SIGSTOP: connections stay open and nothing answers."""
    with rig.stopped(BROKER):
        await asyncio.sleep(AWAY_S)


async def kill_database(rig: Rig, _target: str, _: Random) -> None:
    """kill -9 of the postmaster; its children end when they notice, and the next one must wait for them."""
    rig.kill_server(DATABASE)


async def freeze_database(rig: Rig, _target: str, _: Random) -> None:
    """SIGSTOP for the postmaster and all its backends."""
    with rig.stopped(DATABASE):
        await asyncio.sleep(AWAY_S)


async def terminate_backends(rig: Rig, service: str, _: Random) -> None:
    """The database server ends every session of a service, as a fail-over does."""
    async with _administrator(rig, service) as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", f"oms_{service}"
        )


async def lock_tables(rig: Rig, service: str, _: Random) -> None:
    """Somebody holds the messaging tables of a service locked, as a careless migration does."""
    async with _administrator(rig, service) as connection, connection.transaction():
        await connection.execute("set local lock_timeout = '20s'")
        await connection.execute("lock table inbox, outbox in access exclusive mode")
        await asyncio.sleep(AWAY_S)


async def slow_database(rig: Rig, service: str, _: Random) -> None:
    """Every answer of the database, and every question to it, comes late."""
    async with rig.database_lines[service].slow(SLOW_S):
        await asyncio.sleep(AWAY_S)


async def slow_broker(rig: Rig, service: str, _: Random) -> None:
    """A service's traffic with the broker comes late, in both directions."""
    async with rig.broker_lines[service].slow(SLOW_S):
        await asyncio.sleep(AWAY_S)


async def reset_connections(rig: Rig, service: str, dice: Random) -> None:
    """All connections of a service are reset, several times over a few seconds."""
    for _ in range(RESETS):
        for line in rig.lines(service):
            line.reset()
        await asyncio.sleep(dice.uniform(0.2, 1.5))


async def cut_from_broker(rig: Rig, service: str, _: Random) -> None:
    """No byte passes between a service and the broker for longer than the session; nobody is told."""
    async with rig.broker_lines[service].cut():
        await asyncio.sleep(AWAY_S)


async def cut_from_database(rig: Rig, service: str, _: Random) -> None:
    """No byte passes between a service and its database for longer than the session; nobody is told."""
    async with rig.database_lines[service].cut():
        await asyncio.sleep(AWAY_S)


async def forget_broker_connections(rig: Rig, service: str, _: Random) -> None:
    """Connections to the broker are dead and neither end hears of it, as when a firewall drops its table."""
    rig.broker_lines[service].forget()


async def forget_database_connections(rig: Rig, service: str, _: Random) -> None:
    """Connections to the database are dead and neither end hears of it; new ones work."""
    rig.database_lines[service].forget()


async def fill_disk(rig: Rig, _target: str, _: Random) -> None:
    """The broker's disk is full; then somebody makes room. The broker may die of it; the supervisor restarts it."""
    with small_disk.full(rig.broker_data):
        await asyncio.sleep(AWAY_S)


async def step_clock(rig: Rig, service: str, dice: Random) -> None:
    """The clock of one process jumps by minutes, forwards or back, and later returns."""
    file = rig.folder / f"clock-{service}"
    rig.system.change(service, clock.faked_by(file), once=True)
    await rig.system.kill(service, SIGTERM)
    await rig.system.until_ready(service, RETURN_TIMEOUT_S)
    seconds = dice.choice(CLOCK_STEPS_S)
    clock.step(file, seconds)
    await asyncio.sleep(AWAY_S)
    told = await rig.time_of_day(service)
    if abs((told - datetime.now(UTC)).total_seconds() - seconds) > CLOCK_TOLERANCE_S:
        raise NotStruck(f"{service} says it is {told}: its clock was not stepped by {seconds} s")
    clock.step(file, 0)
    await asyncio.sleep(clock.SEEN_AFTER_S)
    await rig.system.kill(service, SIGTERM)


async def crash_at(rig: Rig, service: str, dice: Random, point: Point) -> None:
    """The process dies at one point between work, database and broker, after passing it a few times."""
    rig.system.change(service, {"OMS_CRASH_AT": f"{point}:{dice.randint(1, 3)}"}, once=True)
    before = rig.pid(service)
    await rig.system.kill(service, SIGTERM)
    async with asyncio.timeout(CRASH_TIMEOUT_S):
        armed = await _until_other_process(rig, service, before)
        rig.load.give_one()  # there must be work to crash at
        await _until_other_process(rig, service, armed)


async def _until_other_process(rig: Rig, service: str, than: int) -> int:
    while (pid := rig.system.pids().get(service, than)) == than:  # noqa: ASYNC110 - the supervisor tells no event
        await asyncio.sleep(0.05)
    return pid


async def reset_group(rig: Rig, service: str, _: Random) -> None:
    """A consumer group is set back to the beginning of all its topics while its service is down."""
    group = f"{service}.flow"
    async with rig.system.held_down(service):
        await asyncio.sleep(AWAY_S)  # a static member is a member until its session ends
        await offsets_to_the_beginning(rig.system.bootstrap, group)


async def add_partitions(rig: Rig, topic: str, _: Random) -> None:
    """A topic gets twice as many partitions: most keys move to another one."""
    await double_partitions(rig.system.bootstrap, topic)


async def deploy(rig: Rig, _target: str, _: Random) -> None:
    """The next version of the contracts is rolled out service by service, those who only read first."""
    code = next_version.write(rig.folder / "next")
    for service in ROLL_ORDER:
        rig.system.change(service, {"PYTHONPATH": str(code)})
        await rig.system.kill(service, SIGTERM)
        await rig.system.until_ready(service, RETURN_TIMEOUT_S)


@contextlib.asynccontextmanager
async def _administrator(rig: Rig, service: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(rig.database_url(service))
    try:
        yield connection
    finally:
        await connection.close()


def _crashes() -> Iterator[Kind]:
    for point in get_args(Point):
        yield Kind(f"crash when {point}", CONSUMERS, partial(crash_at, point=point), portions=2)


KINDS = (
    Kind("service killed", EVERY_SERVICE, kill_service),
    Kind("service frozen", CONSUMERS, freeze_service),
    Kind("service rolled", EVERY_SERVICE, roll_service),
    Kind("broker killed", (BROKER,), kill_broker),
    Kind("broker frozen", (BROKER,), freeze_broker),
    Kind("broker slow", EVERY_SERVICE, slow_broker),
    Kind("broker cut off", EVERY_SERVICE, cut_from_broker),
    Kind("broker connections forgotten", CONSUMERS, forget_broker_connections),
    Kind("broker disk full", (BROKER,), fill_disk, obstacle=small_disk.obstacle),
    Kind("database killed", (DATABASE,), kill_database),
    Kind("database frozen", (DATABASE,), freeze_database),
    Kind("database slow", CONSUMERS, slow_database),
    Kind("database cut off", CONSUMERS, cut_from_database),
    Kind("database connections forgotten", CONSUMERS, forget_database_connections),
    Kind("database sessions ended", CONSUMERS, terminate_backends),
    Kind("database locked", CONSUMERS, lock_tables),
    Kind("connections reset", EVERY_SERVICE, reset_connections),
    Kind("clock stepped", CONSUMERS, step_clock, obstacle=clock.obstacle),
    *_crashes(),
    Kind("consumer group reset", CONSUMERS, reset_group),
    Kind("partitions added", BUSY_TOPICS, add_partitions, once=True),
    Kind("new version deployed", ("all services",), deploy, once=True),
)
