"""What real processes tell of a real order book: a whole trace of every order, and nothing about the person behind it.

On the way one service is killed between its commit and the broker, and one event becomes a dead letter and is replayed.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from oms_events.contracts.shared import Destination
from oms_events.testing.collector import Collector, Span, collecting, orphans, roots
from oms_local.system import System
from oms_sample import audit, synth
from oms_sample.book import Book, Sale
from oms_sample.cli import SLICE
from oms_sample.client import Doors
from oms_sample.endpoints import Endpoints
from oms_sample.play import Settings, prepare
from oms_sample.synth import Shares, World

from .conftest import SystemOf

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SALES = 40
NOTE = "Ring Ottoline Quark on 07700 900123, 9 Okapi Lane"
CITY = "Quaggaville"
TOKEN = "tok-zanzibar-"
TELLING = (re.escape(NOTE), "Ottoline", r"(?<![\w.])900123(?!\w)", "Okapi", CITY, TOKEN)
"""Patterns of what tells of a buyer. The six digits may well be part of an id, of a longer number or of a second."""
CRASHING = "orders"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buyers whose names, places and words are found again wherever they are."""
    invented = World.destination

    def destination(world: World, sale: Sale) -> Destination:
        real = invented(world, sale)
        return real.model_copy(update={"city": CITY, "receiver_token": TOKEN + real.receiver_token})

    monkeypatch.setattr(World, "destination", destination)
    monkeypatch.setattr(synth, "_NOTES", (NOTE,))


async def _dead_letter_and_replay(system: System, doors: Doors) -> None:
    """Fulfilment's database refuses shipments, until an event has become a dead letter; then it is mended."""
    database = await asyncpg.connect(system.database_urls["fulfilment"].replace("+asyncpg", ""))
    await database.execute("alter table shipments add constraint unlucky check (false) not valid")
    letters: list[dict[str, object]] = []
    while not letters:
        await asyncio.sleep(0.1)
        letters = (await doors.operator.get("/v1/services/fulfilment/dead-letters"))["items"]
    await database.execute("alter table shipments drop constraint unlucky")
    await database.close()
    open_: list[dict[str, object]] = letters
    while open_:
        for letter in open_:
            await doors.operator.post(f"/v1/services/fulfilment/dead-letters/{letter['id']}:replay", {})
        await asyncio.sleep(1.5)
        open_ = (await doors.operator.get("/v1/services/fulfilment/dead-letters"))["items"]


async def _arm(system: System) -> int:
    """Let a service die as soon as it has committed something and published nothing of it.

    The first to be committed are orders that came by the broker, which has them again for the next process to tell of.
    Nobody repeats a command or a deadline: their spans would be lost with the process.
    """
    system.change(CRASHING, {"OMS_CRASH_AT": "committed:1"}, once=True)
    await system.kill(CRASHING, signal.SIGTERM)
    await system.until_ready(CRASHING)
    return system.pids()[CRASHING]


async def _metrics(system: System) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        return "".join([(await http.get(f"{url}/metrics")).text for url in system.urls.values()])


async def _everything_told(collector: Collector) -> None:
    told = -1
    async with asyncio.timeout(20):
        while told != (told := collector.told()):  # noqa: ASYNC110 - other processes tell no event
            await asyncio.sleep(1.5)


def _names(spans: list[Span]) -> set[str]:
    return {f"{span.service} {span.name}" for span in spans}


async def test_orders_are_told_as_whole_traces_and_nobody_is_named(
    system_of: SystemOf, collector: Collector, tmp_path: Path
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url}
    async with system_of(environment=environment, log_level="DEBUG", log_format="json") as system:
        async with Doors(Endpoints.of(system)) as doors:
            shares = Shares(buyer_note=0.2)
            stage = await prepare(doors, Book(SLICE, SALES), Settings(rate=20, shares=shares), report=print)
            armed = await _arm(system)
            replaying = asyncio.create_task(_dead_letter_and_replay(system, doors))
            played = await stage.play()
            await replaying
            seen = await audit.all_orders(doors.operator)
            verdict = audit.judge(played.journal, await audit.inspect(doors.operator, seen))
            assert system.pids()[CRASHING] != armed, "nobody crashed"
            completed = [order["order_id"] async for order in doors.operator.pages("/v1/orders", state="completed")]
            metrics = await _metrics(system)
        await _everything_told(collector)
    assert verdict.sound, verdict
    assert len(completed) > SALES / 2

    for order_id in completed:
        spans = collector.trace_of(order_id)
        assert len({span.trace_id for span in spans}) == 1, order_id
        assert orphans(spans) == [], order_id
        assert {span.service for span in roots(spans)} == {"oms-gateway"}
        assert {
            "oms-gateway send ChannelOrderReceived",
            "oms-orders process ChannelOrderReceived",
            "oms-inventory process OrderPlaced",
            "oms-fulfilment process OrderReleased",
            "oms-inventory process OrderRouted",
            "oms-logistics process ShipmentRequested",
            "oms-fulfilment process WarehouseReportReceived",
            "oms-logistics process TrackingScanReceived",
            "oms-orders process ShipmentDelivered",
            "oms-orders send OrderCompleted",
        } <= _names(spans)
    left_behind = [span for span in collector.spans() if span.attributes.get("oms.published_by") == "relay"]
    assert "oms-orders send OrderPlaced" in _names(left_behind), "it died of something else"
    dead = [span for span in collector.spans() if span.failed and span.kind == "consumer"]
    assert {span.service for span in dead} == {"oms-fulfilment"}

    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir() if path.name != "postgres.log")
    assert "became a dead letter" in logs
    for place, said in {"logs": logs, "metrics": metrics, "spans": collector.raw().decode(errors="replace")}.items():
        assert said
        assert [pattern for pattern in TELLING if re.search(pattern, said)] == [], place
