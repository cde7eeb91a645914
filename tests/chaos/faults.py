"""The kinds of faults: what is done to whom, and undone. Each returns once its cause is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from signal import SIGTERM

from .rig import AWAY_S, BROKER, CONSUMERS, DATABASE, EVERY_SERVICE, Rig

Inject = Callable[[Rig, str, Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault, and whom it may strike."""

    name: str
    targets: tuple[str, ...]
    inject: Inject
    once: bool = False
    """It changes the system for good, so it can strike only once in a run."""


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


KINDS = (
    Kind("service killed", EVERY_SERVICE, kill_service),
    Kind("service frozen", CONSUMERS, freeze_service),
    Kind("service rolled", EVERY_SERVICE, roll_service),
    Kind("broker killed", (BROKER,), kill_broker),
    Kind("broker frozen", (BROKER,), freeze_broker),
    Kind("database killed", (DATABASE,), kill_database),
)
