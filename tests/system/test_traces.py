"""One order is one trace: through the gateway, every service and the broker, and whatever comes in between."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import text

from oms_events.contract import Contract
from oms_events.runtime.tracing import Tracing, order_trace_id
from oms_events.signing import SignedAuth
from oms_events.testing.collector import Collector, Span, collecting, orphans, roots
from oms_gateway import keys
from oms_gateway.doors import DOORS
from oms_gateway.entrypoints.app import build_app
from oms_gateway.gateway import Gateway
from oms_gateway.keys import Role
from oms_gateway.settings import GatewaySettings

from .conftest import OutsideOf
from .players import LONDON, Outside, Shipment, counted, ident, order, payment, report, scans
from .system import PATIENCE_S

pytestmark = pytest.mark.integration

ROOT_KEY = "0123456789abcdef" * 4
_DOORS = {door.part: door for door in DOORS}
HOPS = {
    ("oms-gateway", "send ChannelOrderReceived"),
    ("oms-orders", "process ChannelOrderReceived"),
    ("oms-orders", "send OrderPlaced"),
    ("oms-inventory", "process OrderPlaced"),
    ("oms-orders", "process StockReserved"),
    ("oms-orders", "process ChannelPaymentReceived"),
    ("oms-orders", "send OrderReleased"),
    ("oms-fulfilment", "process OrderReleased"),
    ("oms-inventory", "process OrderRouted"),
    ("oms-fulfilment", "process StockAllocated"),
    ("oms-logistics", "process ShipmentRequested"),
    ("oms-fulfilment", "process WaybillAssigned"),
    ("oms-fulfilment", "process WarehouseReportReceived"),
    ("oms-inventory", "process ShipmentDispatched"),
    ("oms-logistics", "process TrackingScanReceived"),
    ("oms-logistics", "send ShipmentDelivered"),
    ("oms-orders", "process ShipmentDelivered"),
    ("oms-orders", "send OrderCompleted"),
}


class Front:
    """A gateway before the system: what is said goes through its doors."""

    def __init__(self, outside: Outside, http: httpx.AsyncClient, auth: httpx.Auth) -> None:
        self.outside = outside
        self._http = http
        self._auth = auth

    async def post(self, path: str, body: object, **headers: str) -> Any:
        answer = await self._http.post(
            path, content=to_json(body), headers={"content-type": "application/json", **headers}, auth=self._auth
        )
        assert answer.is_success, answer.text
        return answer.json()

    async def say(self, *parts: Contract, **headers: str) -> None:
        for part in parts:
            await self.post(_DOORS[type(part)].path, part, **headers)
        await self.outside.system.calm()

    async def ask(self, path: str, **headers: str) -> httpx.Response:
        return await self._http.get(path, headers=headers, auth=self._auth)

    async def deliver(self, shipment: Shipment) -> None:
        await self.say(report(shipment, "accepted"), report(shipment, "shipped"))
        await self.say(*scans(shipment))


@asynccontextmanager
async def front(outside: Outside, folder: Path, tracing: Tracing) -> AsyncIterator[Front]:
    urls: dict[str, Any] = {f"{name}_url": f"http://{name}.test" for name in outside.system.doors}
    settings = GatewaySettings(
        gateway_keys_file=folder / "keys.json",
        gateway_root_key=SecretStr(ROOT_KEY),
        kafka_bootstrap="unused:1",
        **urls,
    )
    now = outside.system.now
    key, secret = keys.issue(settings.gateway_keys_file, ROOT_KEY, name="all", role=Role.OPERATOR, now=now)
    mounts = {f"http://{name}.test": door for name, door in outside.system.doors.items()}
    gateway = Gateway(
        settings,
        sink=outside.system.broker.sink(),
        client=httpx.AsyncClient(mounts=mounts),
        clock=lambda: outside.system.now,
        tracing=tracing,
    )
    auth = SignedAuth(key, secret, clock=now.timestamp)
    transport = httpx.ASGITransport(build_app(gateway))
    async with gateway.running(), httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as http:
        yield Front(outside, http, auth)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traces(collector: Collector, sampling: None) -> Callable[[str], Tracing]:
    """The tracing of each service."""
    made: dict[str, Tracing] = {}

    def of(service: str) -> Tracing:
        return made.setdefault(service, Tracing(service, OTLPSpanExporter(endpoint=collector.url)))

    return of


@pytest.fixture
def sampling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard settings of the sampler, where a test gives them."""
    given: tuple[str, str] | None = getattr(request, "param", None)
    if given is not None:
        name, argument = given
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)


class Traced:
    """A system that is watched."""

    def __init__(self, front: Front, collector: Collector, tracings: list[Tracing]) -> None:
        self.front = front
        self.outside = front.outside
        self.collector = collector
        self._tracings = tracings

    async def told(self) -> list[Span]:
        """Every span so far."""
        for tracing in self._tracings:
            await tracing.flush()
        return self.collector.spans()

    async def trace(self, order_id: UUID) -> list[Span]:
        """The one trace of an order."""
        await self.told()
        spans = self.collector.trace_of(order_id)
        assert len({span.trace_id for span in spans}) == 1
        return spans


@pytest_asyncio.fixture
async def traced(
    outside_of: OutsideOf, tmp_path: Path, collector: Collector, traces: Callable[[str], Tracing]
) -> AsyncIterator[Traced]:
    names = ("gateway", "catalog", "inventory", "orders", "fulfilment", "logistics")
    outside = await outside_of(tracing_of=traces)
    await outside.open_shop("A", "B")
    await outside.say(*counted(LONDON, A=10, B=10))
    async with front(outside, tmp_path, traces("gateway")) as doors:
        yield Traced(doors, collector, [traces(name) for name in names])


async def _play(traced: Traced, no: str, **headers: str) -> list[Span]:
    """A whole order, without incident, and its trace."""
    ordered = order(no, a=2, b=1)
    await traced.front.say(ordered, payment(ordered), **headers)
    await traced.front.deliver(await traced.outside.shipment(no))
    assert await traced.outside.state(no) == "completed"
    return await traced.trace(ident(no))


def _steps(spans: Iterable[Span]) -> Counter[tuple[str, str]]:
    return Counter((span.service, span.name) for span in spans)


async def test_an_order_is_one_trace_from_the_request_to_the_delivery(traced: Traced) -> None:
    spans = await _play(traced, "1")
    assert spans[0].trace_id == f"{order_trace_id(ident('1')):032x}"
    assert _steps(spans).keys() >= HOPS
    assert _steps(roots(spans)) == {("oms-gateway", "POST /v1/orders"): 1, ("oms-gateway", "POST /v1/payments"): 1}
    assert orphans(spans) == []
    messages = traced.outside.system.story(ident("1"))
    sent = Counter(span.name.removeprefix("send ") for span in spans if span.name.startswith("send "))
    assert sent == messages
    assert not [span for span in spans if span.failed or span.ended_ns < span.started_ns]


async def test_spans_name_nobody(traced: Traced) -> None:
    await _play(traced, "1")
    told = traced.collector.raw().decode(errors="replace")
    assert str(ident("1")) in told
    destination = order("1", a=1).ship_to
    assert not [word for word in (destination.city, destination.postcode, destination.receiver_token) if word in told]


async def test_spans_say_what_the_conventions_ask_for(traced: Traced) -> None:
    spans = await _play(traced, "1")
    (one,) = [span for span in spans if (span.service, span.name) == ("oms-inventory", "process OrderPlaced")]
    assert one.kind == "consumer"
    assert one.attributes["messaging.system"] == "kafka"
    assert one.attributes["messaging.operation.type"] == "process"
    assert one.attributes["messaging.destination.name"] == "oms.orders.order.v1"
    assert one.attributes["messaging.consumer.group.name"] == "inventory.flow"
    assert int(one.attributes["messaging.destination.partition.id"]) >= 0
    assert one.attributes["messaging.kafka.offset"] >= 0
    assert one.attributes["oms.order_id"] == str(ident("1"))
    placed = [r for r in traced.outside.system.events() if r.meta.type == one.attributes["cloudevents.event_type"]]
    assert [r.meta.id for r in placed] == [one.attributes["messaging.message.id"]]
    (request,) = [span for span in spans if span.name == "POST /v1/orders"]
    assert (request.kind, request.attributes["http.route"]) == ("server", "/v1/orders")
    assert request.attributes["http.response.status_code"] == 202
    assert len({span.instance for span in spans}) == 1
    assert all(span.instance for span in spans)


async def test_what_comes_with_a_request_of_its_own_is_linked(traced: Traced) -> None:
    spans = await _play(traced, "1")
    told = traced.collector.spans()
    scanned = [span for span in spans if span.name == "process TrackingScanReceived"]
    assert len(scanned) == 4
    for span in scanned:
        ((trace_id, _),) = span.links
        assert [s.name for s in roots([s for s in told if s.trace_id == trace_id])] == ["POST /v1/tracking-scans"]
    assert orphans(told) == []


async def test_a_callers_trace_is_gone_on_with(traced: Traced) -> None:
    caller = f"00-{'c' * 32}-{'d' * 16}-01"
    spans = await _play(traced, "1", traceparent=caller)
    assert {span.trace_id for span in spans} == {"c" * 32}
    assert _steps(spans).keys() >= HOPS
    outside = [span for span in spans if span.parent_id == "d" * 16]
    assert orphans(spans) == outside
    assert {span.name for span in outside} == {"POST /v1/orders", "POST /v1/payments"}


async def test_orders_of_one_batch_have_a_trace_each(traced: Traced) -> None:
    book = [order(str(no), a=1) for no in range(6)]
    await traced.front.post("/v1/orders:batch", book)
    await traced.front.post("/v1/payments:batch", [payment(ordered) for ordered in book])
    await traced.outside.system.calm()
    found = {no: await traced.trace(ident(str(no))) for no in range(6)}
    assert len({spans[0].trace_id for spans in found.values()}) == 6
    for no, spans in found.items():
        assert orphans(spans) == []
        assert {span.attributes["oms.order_id"] for span in spans if "oms.order_id" in span.attributes} == {
            str(ident(str(no)))
        }
        begun = _steps(roots(spans))
        assert begun == {
            ("oms-gateway", "send ChannelOrderReceived"): 1,
            ("oms-gateway", "send ChannelPaymentReceived"): 1,
        }
        assert ("oms-logistics", "process ShipmentRequested") in _steps(spans)
    requests = {span.trace_id for span in traced.collector.spans() if span.name == "POST /v1/orders:batch"}
    linked = {link for spans in found.values() for span in roots(spans) for link, _ in span.links}
    assert len(requests) == 1
    assert requests < linked


async def test_a_dead_letter_that_is_replayed_stays_in_the_trace(traced: Traced) -> None:
    fulfilment = traced.outside.system.runtime("fulfilment")
    async with fulfilment.write() as connection:
        await connection.execute(text("alter table shipments add constraint unlucky check (false) not valid"))
    ordered = order("1", a=1)
    await traced.front.say(ordered, payment(ordered))
    async with fulfilment.write() as connection:
        await connection.execute(text("alter table shipments drop constraint unlucky"))
    letters = (await traced.outside.system.ask("fulfilment", "/v1/dead-letters"))["items"]
    assert letters
    await traced.outside.system.command("fulfilment", "POST", f"/v1/dead-letters/{letters[0]['id']}:replay", None)
    fulfilment.runner.replay_soon()
    async with asyncio.timeout(PATIENCE_S):
        while not await traced.outside.shipments("1", "released"):
            await asyncio.sleep(0.05)
            await traced.outside.system.calm()
    await traced.front.deliver(await traced.outside.shipment("1"))
    assert await traced.outside.state("1") == "completed"
    spans = await traced.trace(ident("1"))
    assert orphans(spans) == []
    assert _steps(spans).keys() >= HOPS
    failed = [span for span in spans if span.failed]
    assert _steps(failed) == {("oms-fulfilment", "process OrderReleased"): 1}
    assert failed[0].attributes["error.type"] == "CheckViolationError"
    assert _steps(spans)["oms-fulfilment", "process OrderReleased"] == 2


async def test_a_deadline_goes_on_in_the_orders_trace(traced: Traced) -> None:
    await traced.front.say(order("1", a=1))
    await traced.outside.system.pass_time(timedelta(days=30))
    assert await traced.outside.state("1") == "cancelled"
    spans = await traced.trace(ident("1"))
    assert orphans(spans) == []
    (due,) = [span for span in spans if span.name == "deadline"]
    below = [span.name for span in spans if span.parent_id == due.span_id]
    assert {"send OrderCancelled", "process OrderCancelled"} <= set(below)


async def test_a_command_through_the_gateway_is_traced_and_linked(traced: Traced) -> None:
    await traced.front.say(order("1", a=1))
    answer = await traced.front.post(f"/v1/orders/{ident('1')}:cancel", {"reason": "changed mind", "reference": "C-9"})
    assert answer is not None
    await traced.outside.system.calm()
    spans = await traced.trace(ident("1"))
    assert orphans(spans) == []
    (asked,) = [span for span in spans if span.name == "cancel"]
    ((trace_id, span_id),) = asked.links
    command = {span.span_id: span for span in traced.collector.spans() if span.trace_id == trace_id}
    way = [command[span_id]]
    while way[-1].parent_id:
        way.append(command[way[-1].parent_id])
    assert [(span.service, span.kind) for span in way] == [
        ("oms-orders", "server"),
        ("oms-gateway", "client"),
        ("oms-gateway", "server"),
    ]
    assert way[-1].attributes["http.route"] == "/v1/orders/{order_id}:cancel"


async def _remembered(traced: Traced) -> int:
    rows = 0
    for name in traced.outside.system.doors:
        async with traced.outside.system.runtime(name).connection() as connection:
            rows += (await connection.execute(text("select count(*) from traces"))).scalar_one()
    return rows


async def test_nothing_is_told_or_remembered_of_what_a_caller_does_not_want_seen(traced: Traced) -> None:
    before = len(await traced.told())
    ordered = order("1", a=1)
    caller = f"00-{'c' * 32}-{'d' * 16}-00"
    await traced.front.say(ordered, payment(ordered), traceparent=caller)
    assert len(await traced.told()) == before
    assert await _remembered(traced) == 0
    (released,) = [r for r in traced.outside.system.events() if r.meta.type == "oms.orders.OrderReleased.v1"]
    assert released.meta.traceparent is not None
    assert released.meta.traceparent.startswith(f"00-{'c' * 32}-")
    assert released.meta.traceparent.endswith("-00")


@pytest.mark.parametrize("sampling", [("parentbased_traceidratio", "0.5")], indirect=True)
async def test_of_a_share_of_the_orders_all_is_told(traced: Traced) -> None:
    """Whole traces or nothing: by the order, whichever request of it comes to the gateway."""
    book = [order(str(no), a=1) for no in range(8)]
    wanted = {no for no in range(8) if order_trace_id(ident(str(no))) % 2**64 < 2**63}
    assert 0 < len(wanted) < 8
    for ordered in book:
        await traced.front.post("/v1/orders", ordered)
        await traced.front.post("/v1/payments", payment(ordered))
    await traced.outside.system.calm()
    spans = await traced.told()
    for no in range(8):
        trace_id = f"{order_trace_id(ident(str(no))):032x}"
        steps = _steps(span for span in spans if span.trace_id == trace_id)
        assert (("oms-logistics", "process ShipmentRequested") in steps) == (no in wanted)
        assert (("oms-gateway", "POST /v1/payments") in steps) == (no in wanted)
        assert bool(steps) == (no in wanted)
    assert orphans(spans) == []
