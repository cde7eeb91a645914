"""When the system is itself again: everybody answers, and what was there when the fault ended has been worked off."""

import asyncio
import time
from collections.abc import Mapping

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from .auditor import our_partitions
from .rig import RETURN_TIMEOUT_S, WITH_DATABASE, Rig

LOOK_S = 0.25

Promised = Mapping[str, Mapping[str, frozenset[str]]]


class NotRecovered(Exception):
    """The system did not come back by itself. The message says what was still open."""


async def until_recovered(rig: Rig, promised: Promised, timeout: float = RETURN_TIMEOUT_S) -> float:
    """Wait until all servers and services are ready, every outbox row of before is gone and every group has read what
    the topics held; answers the seconds that took. Raises NotRecovered."""
    began = time.monotonic()
    open_ = "broker or database"
    try:
        async with asyncio.timeout(timeout):
            await rig.until_servers_answer(timeout)
            open_ = "services"
            await rig.until_services_ready(timeout)
            # Outboxes first: what leaves them must be read, too.
            while open_ := await _outboxes(rig, time.monotonic() - began):  # noqa: ASYNC110 - others' databases
                await asyncio.sleep(LOOK_S)
            ends = await _ends(rig)
            while open_ := await _unread(rig, promised, ends):  # noqa: ASYNC110 - others' groups
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise NotRecovered(f"after {timeout:g} s still open: {open_}") from None
    return time.monotonic() - began


async def until_quiet(rig: Rig, promised: Promised) -> None:
    """Wait until nothing more comes of what the topics hold, however many services one thing goes through. Raises
    NotRecovered."""
    before, ends = None, await _ends(rig)
    while ends != before:
        await until_recovered(rig, promised)  # all is read, ...
        await until_recovered(rig, promised)  # ... and what that caused has left the outboxes
        before, ends = ends, await _ends(rig)


async def _outboxes(rig: Rig, since_s: float) -> str:
    """Outboxes with rows written before the fault ended."""
    full = []
    for service in WITH_DATABASE:
        try:
            connection = await asyncpg.connect(rig.database_url(service), timeout=5)
            rows = await connection.fetchval(
                "select count(*) from outbox where created_at < clock_timestamp() - make_interval(secs => $1)",
                since_s,
                timeout=5,
            )
            await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            return f"database of {service}: {type(error).__name__}"
        if rows:
            full.append(f"{rows} rows in the outbox of {service}")
    return ", ".join(full)


async def _ends(rig: Rig) -> Mapping[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.system.bootstrap)
    await consumer.start()
    try:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(await our_partitions(rig.system.bootstrap))
        return ends
    finally:
        await consumer.stop()


async def _unread(rig: Rig, promised: Promised, ends: Mapping[TopicPartition, int]) -> str:
    """Groups that have not yet said to have read up to these ends."""
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.system.bootstrap)
    await admin.start()
    try:
        behind = []
        for service, topics in promised.items():
            if not topics:
                continue
            committed = await admin.list_consumer_group_offsets(f"{service}.flow")
            places = [
                f"{one.topic}/{one.partition} {committed[one].offset if one in committed else 'nothing'} of {end}"
                for one, end in ends.items()
                if one.topic in topics and end > (committed[one].offset if one in committed else 0)
            ]
            if places:
                behind.append(f"{service} has read {', '.join(places[:3])}")
        return "; ".join(behind)
    except KafkaError as error:
        return f"broker: {type(error).__name__}"
    finally:
        await admin.close()
