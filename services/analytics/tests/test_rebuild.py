"""Everything is read again from Kafka, by one command, and comes to the same to the byte."""

import argparse
import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from oms_analytics.entrypoints import commands
from oms_analytics.service import service
from oms_events.codec import Record, encode
from oms_events.envelope import EventMeta, origin
from oms_events.registry import Event
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import KafkaSink, ensure_topics
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings

from .stories import MARCH, Story, catalog, cost, rate

# On a broker that no other test has written to: a record of theirs that cannot be read would stop the rebuild.
pytestmark = pytest.mark.e2e

MIGRATIONS = Path(__file__).parents[1] / "migrations"
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
PATIENCE_S = 60.0


def lives(dice: random.Random) -> list[Event]:
    """Orders, each told as far as chance will have it."""
    told: list[Event] = [*catalog(), cost("MUG", 400), cost("TEA", 120), cost("TEA", 130, since=MARCH)]
    told += [rate("commission", 150_000), rate("payment_fee", 29_000, fixed=30)]
    for number in range(40):
        story = Story(shop=dice.choice(["uk", "de"]), at=MARCH + timedelta(hours=dice.randrange(-40, 40)))
        steps = [
            story.placed(),
            story.paid(),
            story.hold_opened(story.shipment_id),
            story.hold_resolved(story.shipment_id),
            story.rejected(),
            story.waybill(cost=dice.randrange(900), currency=dice.choice(["GBP", "EUR"])),
            story.cancelled(1, 1),
            story.dispatched({1: 1, 2: 3}),
            story.accrued(goods=story.goods, shipping=story.shipping, commission=-dice.randrange(600)),
            story.delivered(late_by_s=number % 2),
            story.matched(goods=story.goods),
            story.differs("commission", -500, -dice.randrange(600)),
            story.written_off("shipping", -dice.randrange(400)),
        ]
        told += steps[: dice.randrange(len(steps)) + 1]
    return told


def record_of(event: Event, number: int) -> Record:
    cause = origin("/test", str(number), at=NOW)
    meta = EventMeta(cause.id, "/test", event.type, event.key(), NOW + timedelta(seconds=number), cause.id)
    return encode(event, meta)


@pytest.fixture
async def settings(kafka_bootstrap: str, migrated_database: Callable[[Service, Path], str]) -> Settings:
    await ensure_topics(Broker(kafka_bootstrap), service.topics(), partitions=4)
    url = await asyncio.to_thread(migrated_database, service, MIGRATIONS)
    return Settings(kafka_bootstrap=kafka_bootstrap, database_url=SecretStr(url), roles="consumer,deadlines,relay")


async def until_worked_out(runtime: Runtime, facts: int) -> None:
    """Wait until so many facts are known and nothing waits."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with runtime.connection() as connection:
                row = (
                    await connection.execute(
                        text(
                            "select (select count(*) from facts) as facts,"
                            " (select count(*) from changed_orders) + (select count(*) from changed_prices) as waiting"
                        )
                    )
                ).one()
            if row.facts >= facts and not row.waiting:
                return
            await asyncio.sleep(0.1)


async def run(settings: Settings, command: str, capsys: pytest.CaptureFixture[str], *, empty: bool = False) -> str:
    """What a command prints; it must succeed."""
    capsys.readouterr()
    runtime = Runtime(service, settings.model_copy(update={"roles": "relay"}))
    chosen = next(one for one in commands.COMMANDS if one.name == command)
    try:
        assert await chosen.run(runtime, argparse.Namespace(empty=empty, wait=30.0)) == 0
    finally:
        await runtime.close()
    return capsys.readouterr().out


async def test_read_again_from_kafka_everything_is_the_same_to_the_byte(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(20260302)
    told = lives(dice)
    records = [record_of(event, number) for number, event in enumerate(told)]
    sink = KafkaSink(Broker.of(settings), client_id="test")
    await sink.start()
    await (await sink.send([*records, *dice.choices(records, k=50)]))
    await sink.stop()
    about_orders = sum(1 for event in told if getattr(event, "order_id", None) is not None)
    async with Runtime(service, settings).running() as runtime:
        await until_worked_out(runtime, about_orders)
    before = await run(settings, "export", capsys)
    assert before.count('"table":"orders"') >= 40

    await run(settings, "rebuild", capsys, empty=True)
    assert await run(settings, "export", capsys) == before
    await run(settings, "rebuild", capsys)
    assert await run(settings, "export", capsys) == before
    await run(settings, "verify", capsys)
