"""Kafka that asks who comes: a service gets in by each way that there is, and says what is wrong where it does not."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from oms_events.codec import encode
from oms_events.contracts.intake import ChannelOrder, ChannelOrderLine, ChannelOrderReceived
from oms_events.contracts.orders import ORDER
from oms_events.contracts.shared import Destination
from oms_events.envelope import EventMeta
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import KafkaSink, require_topics
from oms_events.runtime.service import Service
from oms_events.runtime.settings import SettingRefused, Settings
from oms_local.ports import Ports
from oms_orders.service import service

from .conftest import ROOT
from .guarded import PASSWORD, WAYS, Guarded, guarded_kafka

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

FOLDER = ROOT / "services" / "orders" / "migrations"
NO_FURTHER_S = 10.0
"""Well below the time for which a broker that is away is waited for."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> AsyncIterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    async with guarded_kafka(folder, pytestconfig.rootpath / ".cache", groups="orders.") as kafka:
        code, said = await command(
            "oms-events",
            "topics",
            "--bootstrap",
            kafka.login,
            "--partitions",
            "2",
            environment=kafka.with_login("SCRAM-SHA-512"),
        )
        assert (code, "oms.orders.order.v1" in said) == (0, True), said
        yield kafka


@pytest.fixture(scope="module")
def database(migrated_database: Callable[[Service, Path], str]) -> str:
    return migrated_database(service, FOLDER)


@pytest.mark.parametrize("way", WAYS)
async def test_a_service_reads_and_writes(way: str, guarded: Guarded, database: str) -> None:
    environment = WAYS[way](guarded) | {"OMS_DATABASE_URL": database, "OMS_LOG_LEVEL": "DEBUG"}
    received = order(str(list(WAYS).index(way)))
    async with serving(environment) as process:
        await tell(guarded, received)
        await until_answered(guarded, received)
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert '"serving"' in said
    assert PASSWORD not in said


REFUSALS: Mapping[str, tuple[Callable[[Guarded], dict[str, str]], str]] = {
    "a wrong password, SCRAM": (
        lambda kafka: kafka.with_login("SCRAM-SHA-512", OMS_KAFKA_PASSWORD="made-up"),
        "OMS_KAFKA_USERNAME, OMS_KAFKA_PASSWORD: 127.0.0.1:",
    ),
    "a wrong password, PLAIN": (
        lambda kafka: kafka.with_login("PLAIN", OMS_KAFKA_PASSWORD="made-up"),
        "OMS_KAFKA_USERNAME, OMS_KAFKA_PASSWORD: 127.0.0.1:",
    ),
    "an unknown name": (
        lambda kafka: kafka.with_login("SCRAM-SHA-512", OMS_KAFKA_USERNAME="nobody"),
        "OMS_KAFKA_USERNAME, OMS_KAFKA_PASSWORD: 127.0.0.1:",
    ),
    "a mechanism that is not taken": (
        lambda kafka: kafka.with_login("SCRAM-SHA-256"),
        "OMS_KAFKA_SASL_MECHANISM: 127.0.0.1:",
    ),
    "another authority": (
        lambda kafka: kafka.with_login("PLAIN", OMS_KAFKA_CA_FILE=kafka.file("other-ca.pem")),
        "OMS_KAFKA_CA_FILE: the certificate of 127.0.0.1:",
    ),
    "no authority but the system's": (
        lambda kafka: kafka.with_login("PLAIN", OMS_KAFKA_CA_FILE=""),
        "OMS_KAFKA_CA_FILE: the certificate of 127.0.0.1:",
    ),
    "another name than the certificate's": (
        lambda kafka: kafka.with_login("PLAIN", OMS_KAFKA_BOOTSTRAP=kafka.login.replace("127.0.0.1", "localhost")),
        "OMS_KAFKA_BOOTSTRAP: localhost:",
    ),
    "no certificate of ours": (
        lambda kafka: kafka.with_certificate(OMS_KAFKA_CERT_FILE="", OMS_KAFKA_KEY_FILE=""),
        "OMS_KAFKA_CERT_FILE, OMS_KAFKA_KEY_FILE: 127.0.0.1:",
    ),
    "a stranger's certificate": (
        lambda kafka: kafka.with_certificate(
            OMS_KAFKA_CERT_FILE=kafka.file("stranger.crt"), OMS_KAFKA_KEY_FILE=kafka.file("stranger.key")
        ),
        "OMS_KAFKA_CERT_FILE, OMS_KAFKA_KEY_FILE: 127.0.0.1:",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_who_is_refused_hears_which_setting_to_look_at(
    why: str, guarded: Guarded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made, expected = REFUSALS[why]
    for name, value in made(guarded).items():
        monkeypatch.setenv(name, value)
    began = time.monotonic()
    with pytest.raises(SettingRefused) as refused:
        await require_topics(Broker.of(Settings()), [ORDER.name])
    assert str(refused.value).startswith(expected)
    assert time.monotonic() - began < NO_FURTHER_S
    for secret in (PASSWORD, "made-up"):
        assert secret not in str(refused.value) + caplog.text


@pytest.mark.parametrize(
    ("why", "action"),
    [
        ("a wrong password, SCRAM", ["check", "--wait", "60"]),
        ("another authority", ["serve"]),
        ("a stranger's certificate", ["serve"]),
    ],
)
async def test_a_refused_service_ends_at_once(why: str, action: list[str], guarded: Guarded, database: str) -> None:
    made, expected = REFUSALS[why]
    environment = made(guarded) | {"OMS_DATABASE_URL": database, "OMS_HTTP_PORT": str(Ports().draw())}
    async with asyncio.timeout(30):
        code, said = await command("oms-orders", *action, environment=environment)
    assert code == 2
    assert f"oms-orders: {expected}" in said
    assert "made-up" not in said
    assert PASSWORD not in said


async def test_who_speaks_without_encryption_to_one_that_wants_it_is_told_so(guarded: Guarded, database: str) -> None:
    """It may as well be a broker that is just starting: waiting goes on."""
    environment = {"OMS_KAFKA_BOOTSTRAP": guarded.login, "OMS_DATABASE_URL": database}
    code, said = await command("oms-orders", "check", environment=environment)
    assert code == 1
    assert '"OMS_KAFKA_SECURITY": "PLAINTEXT"' in said


# --- players ----------------------------------------------------------------------------------------------------


def order(number: str) -> ChannelOrderReceived:
    told = ChannelOrder(
        channel="web",
        shop="main",
        channel_order_no=number,
        placed_at=datetime.now(UTC),
        currency="EUR",
        lines=(ChannelOrderLine(line_no="1", listing="MUG", quantity=1, unit_price_minor=500),),
        total_minor=500,
        ship_to=Destination(country="DE"),
    )
    return ChannelOrderReceived(order_id=told.order_id, order=told)


async def tell(guarded: Guarded, received: ChannelOrderReceived) -> None:
    sink = KafkaSink(Broker(guarded.plain), client_id="channel")
    id_, at = str(uuid4()), datetime.now(UTC)
    meta = EventMeta(id_, "/test", received.type, received.key(), at, correlationid=id_)
    await (await sink.send([encode(received, meta)]))
    await sink.stop()


async def until_answered(guarded: Guarded, received: ChannelOrderReceived) -> None:
    """Wait for an event of this order that the orders service published."""
    consumer = AIOKafkaConsumer(ORDER.name, **Broker(guarded.plain).options(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while (await consumer.getone()).key != received.key().encode():
                pass
    finally:
        await consumer.stop()


async def started(script: str, *arguments: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name(script),
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def command(script: str, *arguments: str, environment: Mapping[str, str]) -> tuple[int | None, str]:
    """Exit code, and all that was said."""
    process = await started(script, *arguments, environment=environment)
    try:
        said = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, said


@asynccontextmanager
async def serving(environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The orders service, told to stop at the end."""
    process = await started("oms-orders", "serve", environment={**environment, "OMS_HTTP_PORT": str(Ports().draw())})
    try:
        yield process
    except BaseException:
        if process.returncode is None:
            process.kill()
        print((await process.communicate())[0].decode())
        raise
    process.send_signal(signal.SIGTERM)
