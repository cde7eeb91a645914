"""The subscribers in other languages read what the system writes: nothing is lost, twice is once."""

import asyncio
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from tests.operations.guarded import WAYS, Guarded, guarded_kafka

from oms_events.codec import Record, encode
from oms_events.contracts.orders import ORDER, OrderLine, OrderPaid, OrderPlaced
from oms_events.contracts.shared import Destination
from oms_events.envelope import EventMeta
from oms_events.registry import Event
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import ensure_topics
from oms_events.values import derived_text, order_id

from .languages import LANGUAGES, Command, Language, ToolMissing

# A cold start builds the Go program, which takes a busy machine a minute.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PATIENCE_S = 60.0


def meta_of(event: Event, name: str) -> EventMeta:
    id_ = derived_text("subscriber test", name, at=AT)
    return EventMeta(id_, "/oms/orders", event.type, event.key(), AT, correlationid=id_)


@dataclass
class Shop:
    """A shop of one test: its orders as records, and the lines that a subscriber should print of them."""

    GROUPS: ClassVar[str] = "t"
    """How the codes of shops begin, and so the groups of their subscribers."""

    code: str = field(default_factory=lambda: f"{Shop.GROUPS}{secrets.token_hex(6)}")
    sold: int = 0

    def sell(self, count: int) -> tuple[list[Record], list[str]]:
        records: list[Record] = []
        lines: list[str] = []
        for number in range(self.sold, self.sold + count):
            placed = self._placed(number)
            records.append(encode(placed, meta_of(placed, f"{self.code}-{number}")))
            lines.append(
                f"{placed.order_id} web/{self.code} A-{number} {len(placed.lines)} lines {placed.total_minor} EUR"
            )
        self.sold += count
        return records, lines

    def _placed(self, number: int) -> OrderPlaced:
        lines = tuple(
            OrderLine(
                line_id=str(line),
                listing="MUG-Ä☃",
                sku="MUG-RED",
                quantity=2,
                unit_price_minor=500,
                discount_minor=0,
                amount_minor=1000,
            )
            for line in range(1 + number % 3)
        )
        return OrderPlaced(
            order_id=order_id("web", self.code, f"A-{number}"),
            channel="web",
            shop=self.code,
            channel_order_no=f"A-{number}",
            placed_at=AT + timedelta(seconds=number),
            currency="EUR",
            lines=lines,
            shipping_minor=number,
            total_minor=1000 * len(lines) + number,
            ship_to=Destination(country="DE"),
            delivery_tier="standard",
        )


def strangers(shop: Shop) -> list[Record]:
    """What a subscriber must step over: another event, a type of tomorrow, a tombstone, a record of nobody."""
    paid = OrderPaid(order_id=order_id("web", shop.code, "A-0"), currency="EUR", paid_minor=1, paid_at=AT)
    other = encode(paid, meta_of(paid, f"{shop.code}-paid"))
    tomorrow = [(name, b"oms.orders.OrderDreamt.v1" if name == "ce_type" else value) for name, value in other.headers]
    return [
        other,
        other._replace(headers=tomorrow),
        Record(ORDER.name, other.key, None, ()),
        Record(ORDER.name, other.key, b"no JSON at all", ()),
    ]


async def _send(bootstrap: str, records: Sequence[Record]) -> None:
    await ensure_topics(Broker(bootstrap), [ORDER], partitions=4, replication=1)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for record in records:
            await producer.send(record.topic, record.value, record.key, headers=list(record.headers))
        await producer.flush()
    finally:
        await producer.stop()


def send(bootstrap: str, records: Sequence[Record]) -> None:
    asyncio.run(_send(bootstrap, records))


class Running:
    """A subscriber at work."""

    def __init__(self, command: Command, broker: Mapping[str, str], group: str) -> None:
        environment = {**os.environ, **broker, "OMS_GROUP": group}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._collect, args=(stream, into), daemon=True)
            for stream, into in ((self.process.stdout, self._lines), (self.process.stderr, self._errors))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _collect(stream: Iterator[str], into: list[str]) -> None:
        for line in stream:
            into.append(line.rstrip("\n"))  # noqa: PERF401 - it is looked at while it grows

    def lines(self, shop: Shop) -> list[str]:
        """What it printed of one shop: the broker may hold orders of other tests."""
        return [line for line in list(self._lines) if f" web/{shop.code} " in line]

    def wait_until(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not enough():
            said = "\n".join(self._errors)
            assert self.process.poll() is None, f"it ended: {said}"
            assert time.monotonic() < deadline, f"it printed {len(self._lines)} lines and no more: {said}"
            time.sleep(0.05)

    def end(self, how: signal.Signals) -> int:
        """Its exit code. What it printed is complete afterwards."""
        self.process.send_signal(how)
        code = self.process.wait(20)
        for reader in self._readers:
            reader.join(5)
        return code


Start = Callable[[str], Running]


@pytest.fixture(scope="session", params=LANGUAGES, ids=lambda language: language.name)
def command(request: pytest.FixtureRequest) -> Command:
    language: Language = request.param
    try:
        return language.ready()
    except ToolMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def start(command: Command, kafka_bootstrap: str) -> Iterator[Start]:
    started: list[Running] = []

    def starting(group: str) -> Running:
        started.append(Running(command, {"OMS_KAFKA_BOOTSTRAP": kafka_bootstrap}, group))
        return started[-1]

    yield starting
    for running in started:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> AsyncIterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    async with guarded_kafka(folder, pytestconfig.rootpath / ".cache", groups=Shop.GROUPS) as kafka:
        yield kafka


def test_every_order_is_printed_once_and_strangers_are_stepped_over(start: Start, kafka_bootstrap: str) -> None:
    shop = Shop()
    records, expected = shop.sell(60)
    send(kafka_bootstrap, [*strangers(shop), *records, *strangers(shop), *records])  # twice: a producer may repeat
    running = start(shop.code)
    running.wait_until(lambda: len(running.lines(shop)) >= len(expected))
    assert running.end(signal.SIGTERM) == 0
    assert sorted(running.lines(shop)) == sorted(expected)


def test_nothing_is_lost_or_told_again_when_it_is_stopped_and_started(start: Start, kafka_bootstrap: str) -> None:
    shop = Shop()
    records, expected = shop.sell(40)
    send(kafka_bootstrap, records)
    first = start(shop.code)
    first.wait_until(lambda: len(first.lines(shop)) >= len(expected))
    assert first.end(signal.SIGTERM) == 0
    later, expected_later = shop.sell(40)
    send(kafka_bootstrap, later)
    second = start(shop.code)
    second.wait_until(lambda: len(second.lines(shop)) >= len(expected_later))
    assert second.end(signal.SIGTERM) == 0
    assert sorted(first.lines(shop)) == sorted(expected)
    assert sorted(second.lines(shop)) == sorted(expected_later)


def test_nothing_is_lost_when_it_is_killed_in_the_middle(start: Start, kafka_bootstrap: str) -> None:
    shop = Shop()
    records, expected = shop.sell(3000)
    send(kafka_bootstrap, records)
    first = start(shop.code)
    first.wait_until(lambda: len(first.lines(shop)) > 0)
    first.end(signal.SIGKILL)
    later, expected_later = shop.sell(40)  # the first may have printed all before these
    send(kafka_bootstrap, later)
    expected += expected_later
    second = start(shop.code)
    second.wait_until(lambda: {*first.lines(shop), *second.lines(shop)} >= set(expected))
    assert second.end(signal.SIGTERM) == 0
    printed = {*first.lines(shop), *second.lines(shop)}
    assert printed >= set(expected)
    # What the first printed last may be cut off in the middle of a line; nothing else is there that should not be.
    assert all(any(line.startswith(cut) for line in expected) for cut in printed - set(expected))


@pytest.mark.parametrize("way", WAYS)
def test_a_broker_that_asks_who_comes_lets_it_in(way: str, command: Command, guarded: Guarded) -> None:
    shop = Shop()
    records, expected = shop.sell(3)
    send(guarded.plain, records)
    running = Running(command, WAYS[way](guarded), shop.code)
    try:
        running.wait_until(lambda: len(running.lines(shop)) >= len(expected))
    finally:
        running.end(signal.SIGTERM)
    assert sorted(running.lines(shop)) == sorted(expected)
