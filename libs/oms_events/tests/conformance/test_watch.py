"""What a process tells its metrics: how far it is behind, what waits in its outbox, which loop is silent."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from aiokafka.errors import KafkaConnectionError
from prometheus_client import REGISTRY

from oms_events.codec import Record
from oms_events.envelope import origin
from oms_events.runtime.deliveries import Delivery
from oms_events.runtime.ports import Partition
from oms_events.runtime.watch import Watch
from oms_events.testing.memory_broker import CALM, MemorySource

from .kit import ONLY_MEMORY, Kit, Noted, Stepped, expected_of, steps_of, until

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def lag(kit: Kit) -> float | None:
    labels = {"group": _group(kit), "topic": Stepped.topic.name}
    return REGISTRY.get_sample_value("oms_consumer_lag_records", labels)


def oldest_s(kit: Kit) -> float:
    age_s = REGISTRY.get_sample_value("oms_consumer_oldest_seconds", {"group": _group(kit)})
    assert age_s is not None
    return age_s


def of_service(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"service": "conformance", **labels}) or 0.0


def _group(kit: Kit) -> str:
    return kit.counting.service(kit.group).group


async def until_lag(kit: Kit, watch: Watch, records: int) -> None:
    async def seen() -> bool:
        await watch.look()
        return lag(kit) == records

    await until(seen)


async def test_a_stuck_consumer_is_behind_by_what_it_has_in_hand_and_by_what_waits(kit: Kit) -> None:
    if kit.memory:
        kit.memory.manners = CALM  # a record sent twice would count twice
    steps = steps_of(counters=6, each=2)
    kit.counting.hold = asyncio.Event()
    async with kit.runtime().running() as runtime:
        watch = runtime._watch()
        await kit.append(steps[0])
        await kit.counting.entered.wait()
        await kit.append(*steps[1:])
        await until_lag(kit, watch, len(steps))
        assert 0 < oldest_s(kit) < 60
        assert 0 < of_service("oms_loop_silent_seconds", loop="consumer") < 60
        kit.counting.hold.set()
        await kit.until_steps(expected_of(steps))
        await until_lag(kit, watch, 0)
        assert oldest_s(kit) == 0


async def test_what_is_left_behind_and_who_clears_it_is_counted(kit: Kit) -> None:
    kit.counting.poison.add(("c0", 0))
    writer = kit.runtime()
    async with writer.transaction() as work:
        work.emit(Noted(counter="c", seq=0), cause=origin("/test", "left", at=NOW))
    await writer.close()
    relayed = of_service("oms_relay_rows_total")
    async with kit.runtime(relay_age_s=3600.0).running() as runtime:
        watch = runtime._watch()
        await kit.append(Stepped(counter="c0", seq=0))

        async def waiting() -> bool:
            await watch.look()
            return of_service("oms_dead_letters_open") == 1 and of_service("oms_outbox_rows") == 1

        await until(waiting)
        assert of_service("oms_outbox_oldest_seconds") > 0
        assert of_service("oms_relay_rows_total") == relayed
    async with kit.runtime().running() as runtime:
        watch = runtime._watch()

        async def cleared() -> bool:
            await watch.look()
            return of_service("oms_outbox_rows") == 0

        await until(cleared)
    assert of_service("oms_relay_rows_total") == relayed + 1
    assert of_service("oms_outbox_oldest_seconds") == 0


class Away(MemorySource):
    """A source whose broker may be away."""

    away = False

    async def behind(self) -> Mapping[Partition, int]:
        if self.away:
            raise KafkaConnectionError("away")
        return {Partition(Stepped.topic.name, 0): 3}


@ONLY_MEMORY
async def test_gauges_stay_as_they_were_while_the_broker_is_away_and_ages_follow_what_is_in_hand(kit: Kit) -> None:
    assert kit.memory is not None
    service = kit.counting.service(kit.group)
    source = Away(kit.memory, kit.memory.source(service.group, [])._group, [], "away", static=False)
    in_hand: list[Delivery] = []
    watch = Watch(service)
    watch.consumer(source, lambda: in_hand)
    await watch.look()
    assert lag(kit) == 3
    first = oldest_s(kit)
    await asyncio.sleep(0.01)  # time itself is what is tested
    await watch.look()
    assert oldest_s(kit) > first, "nobody knows the age of what is not fetched, but it has been seen waiting since then"

    record = Record(Stepped.topic.name, b"c", b"{}", [], 0, 0, int((time.time() - 90) * 1000))
    in_hand.append(Delivery(record, "c", None))
    await watch.look()
    assert lag(kit) == 4
    assert 90 <= oldest_s(kit) < 120

    source.away = True
    in_hand.clear()
    await watch.look()
    assert lag(kit) == 4
