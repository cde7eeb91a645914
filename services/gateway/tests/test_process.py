"""The gateway as a process on a real broker: accepted is durable, and SIGTERM loses nothing."""

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from oms_events.codec import Record, decode
from oms_events.contracts.intake import CHANNEL_ORDER, ChannelOrderReceived
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import ensure_topics
from oms_events.signing import SignedAuth
from oms_gateway import keys
from oms_gateway.doors import EVENTS
from oms_gateway.keys import Role

from .conftest import ROOT_KEY, MakeOrder

pytestmark = pytest.mark.integration


@pytest.fixture
def auth(tmp_path: Path) -> SignedAuth:
    return SignedAuth(
        *keys.issue(tmp_path / "keys.json", ROOT_KEY, name="shop", role=Role.CHANNEL, now=datetime.now(UTC))
    )


@pytest.fixture
async def process(
    kafka_bootstrap: str, auth: SignedAuth, tmp_path: Path, free_port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    topics = list({event.topic.name: event.topic for event in EVENTS}.values())
    await ensure_topics(Broker(kafka_bootstrap), topics, partitions=2)
    environment = os.environ | {
        "OMS_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "OMS_GATEWAY_KEYS_FILE": str(tmp_path / "keys.json"),
        "OMS_GATEWAY_ROOT_KEY": ROOT_KEY,
        "OMS_HTTP_PORT": str(free_port),
    }
    script = Path(sys.executable).with_name("oms-gateway")
    started = await asyncio.create_subprocess_exec(script, "serve", env=environment)
    yield started
    if started.returncode is None:
        started.kill()
        await started.wait()


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def read_order_ids(bootstrap: str, wanted: set[str]) -> set[str]:
    consumer = AIOKafkaConsumer(CHANNEL_ORDER.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: set[str] = set()
    try:
        async with asyncio.timeout(20):
            while missing := wanted - found:
                record = await consumer.getone()
                if record.key.decode() in missing:
                    event = decode(Record(record.topic, record.key, record.value, record.headers)).event
                    assert isinstance(event, ChannelOrderReceived)
                    found.add(str(event.order_id))
    finally:
        await consumer.stop()
    return found


async def test_what_was_accepted_before_and_during_sigterm_is_on_the_topic(
    process: asyncio.subprocess.Process, kafka_bootstrap: str, auth: SignedAuth, free_port: int, order: MakeOrder
) -> None:
    run = uuid.uuid4().hex[:8]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}", auth=auth) as client:
        await until_ready(client)

        async def post(number: int) -> str | None:
            try:
                orders = [order(channel_order_no=f"{run}-{number}-{n}") for n in range(20)]
                answer = await client.post(
                    "/v1/orders:batch", content=json.dumps(orders), headers={"content-type": "application/json"}
                )
            except httpx.TransportError:
                return None
            assert answer.status_code == 202, answer.text
            return json.dumps([item["id"] for item in answer.json()["items"]])

        sending = [asyncio.create_task(post(number)) for number in range(40)]
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*sending)
    assert await asyncio.wait_for(process.wait(), 15) == 0
    accepted = {order_id for answer in answers if answer for order_id in json.loads(answer)}
    assert accepted
    assert await read_order_ids(kafka_bootstrap, accepted) == accepted
