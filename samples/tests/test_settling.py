"""Platforms and settlement, through the gateway: every planted difference is found, and nothing else is one."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import httpx
import pytest
from pydantic import SecretStr

from oms_events.codec import Record, decode
from oms_events.contracts.fulfilment import ShipmentDispatched
from oms_events.contracts.intake import ChannelOrder
from oms_events.contracts.orders import OrderCancelled, OrderLine, OrderLinesCancelled, OrderPaid, OrderPlaced
from oms_events.contracts.shared import LineQuantity
from oms_events.registry import Event
from oms_events.signing import SignedAuth
from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario
from oms_gateway import keys
from oms_gateway.entrypoints.app import build_app
from oms_gateway.gateway import Gateway
from oms_gateway.keys import Role
from oms_gateway.settings import GatewaySettings
from oms_sample import settling
from oms_sample.audit import OrderSeen
from oms_sample.book import Book, Sale
from oms_sample.carrier import Dock
from oms_sample.cli import SLICE
from oms_sample.client import Door
from oms_sample.journal import Journal
from oms_sample.planted import KINDS, WRITTEN_OFF
from oms_sample.play import Played
from oms_sample.progress import Standing
from oms_sample.settling import Settled, Settlement
from oms_sample.synth import Shares, World
from oms_settlement.service import service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
ROOT_KEY = "0123456789abcdef" * 4
SALES = 150
ANALYTICS_PORT = 8087
_NAMES = UUID(int=7)


class Upstream(httpx.AsyncBaseTransport):
    """The services behind the gateway: settlement itself, and an analytics that has one shop to tell of."""

    def __init__(self, settlement: httpx.AsyncBaseTransport) -> None:
        self._settlement = settlement

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.port == ANALYTICS_PORT:
            told = {"waiting": False, "rows": [{"channel": "uci", "shop": "eire"}]}
            return httpx.Response(200, stream=httpx.ByteStream(json.dumps(told).encode()))
        return await self._settlement.handle_async_request(request)


class ToSettlement:
    """The broker: what the gateway appends, settlement handles, one after the other."""

    generation = 0

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Nothing to connect to."""

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:  # noqa: ARG002
        async with self._turn:
            for record in records:
                await self._scenario.when(decode(record).event)
                await self._scenario.run_jobs()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def stop(self) -> None:
        """Nothing to flush."""


@pytest.fixture
async def scenario(scenario_of: ScenarioOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    monkeypatch.setenv("OMS_FILES_URL", (tmp_path / "files").as_uri())
    monkeypatch.setattr(settling, "STILL_S", 0.1)
    return await scenario_of(service, ROOT / "services" / "settlement" / "migrations")


@pytest.fixture
async def finance(scenario: Scenario, tmp_path: Path) -> AsyncIterator[Door]:
    settings = GatewaySettings(
        gateway_keys_file=tmp_path / "keys.json",
        gateway_root_key=SecretStr(ROOT_KEY),
        kafka_bootstrap="unused:1",
        gateway_append_timeout_s=240,
        files_url=(tmp_path / "files").as_uri(),
    )
    key = keys.issue(settings.gateway_keys_file, ROOT_KEY, name="books", role=Role.FINANCE, now=datetime.now(UTC))
    upstream = httpx.AsyncClient(transport=Upstream(scenario.client._transport))
    gateway = Gateway(settings, sink=ToSettlement(scenario), client=upstream)
    transport = httpx.ASGITransport(build_app(gateway))
    async with (
        gateway.running(),
        httpx.AsyncClient(transport=transport, base_url="http://gateway.test", auth=SignedAuth(*key)) as http,
    ):
        yield Door(http)


@pytest.fixture
def book() -> Book:
    return Book(SLICE, SALES)


@pytest.fixture
def played(book: Book) -> Played:
    survey = book.survey()
    return Played(survey, World(survey, 20101201, Shares()), Journal(), Dock(), Standing())


def ship(book: Book, played: Played) -> Iterator[tuple[ChannelOrder, Sale]]:
    """Every order, its pieces out of the warehouse: all, all but one, or now and then none."""
    for sale in book.entries(played.survey):
        if isinstance(sale, Sale):
            order = played.world.order(sale)
            fate = played.world.dice.roll("fate", order.channel_order_no)
            for place, line in enumerate(order.lines):
                left = line.quantity if fate < 0.05 else int(fate < 0.2 and place == 0)
                played.journal.shipped[str(order.order_id), line.line_no] = line.quantity - left
            yield order, sale


def events_of(order: ChannelOrder, sale: Sale, played: Played, at: datetime) -> Iterator[Event]:
    """What settlement hears of an order."""
    quantities = {line.line_no: line.quantity for line in order.lines}
    shipped = {line: played.journal.shipped[str(order.order_id), line] for line in quantities}

    def some(pieces: dict[str, int]) -> tuple[LineQuantity, ...]:
        return tuple(LineQuantity(line_id=line, sku="A", quantity=count) for line, count in pieces.items() if count)

    yield OrderPlaced(
        order_id=order.order_id,
        channel=order.channel,
        shop=order.shop,
        channel_order_no=order.channel_order_no,
        placed_at=order.placed_at,
        currency=order.currency,
        lines=tuple(
            OrderLine(
                line_id=line.line_no,
                listing=line.listing,
                sku="A",
                quantity=line.quantity,
                unit_price_minor=line.unit_price_minor,
                discount_minor=0,
                amount_minor=line.quantity * line.unit_price_minor,
            )
            for line in order.lines
        ),
        shipping_minor=order.shipping_minor,
        total_minor=order.total_minor,
        ship_to=order.ship_to,
        delivery_tier=order.delivery_tier,
    )
    payment = played.world.payment(sale, order)
    if payment is None:
        return
    yield OrderPaid(
        order_id=order.order_id,
        currency=order.currency,
        paid_minor=payment.amount_minor,
        paid_at=payment.paid_at,
    )
    if cancelled := some({line: count - shipped[line] for line, count in quantities.items()}):
        cancellation_id = uuid5(_NAMES, f"cancelled {order.order_id}")
        yield OrderLinesCancelled(order_id=order.order_id, cancellation_id=cancellation_id, lines=cancelled)
    if sent := some(shipped):
        yield ShipmentDispatched(
            order_id=order.order_id,
            shipment_id=uuid5(_NAMES, str(order.order_id)),
            node="GB-LON",
            lines=sent,
            carrier="norpost",
            waybill_no="W-1",
            weight_g=1,
            dispatched_at=at + timedelta(hours=1),
        )
    else:
        yield OrderCancelled(order_id=order.order_id, reason="nothing left")


async def settle(scenario: Scenario, finance: Door, book: Book, played: Played, *, lost: int = 0) -> Settled:
    """The story up to the end. So many pieces leave a warehouse unheard of."""
    settlement = Settlement(finance, book, played, print)
    await settlement.prepare()
    sales = list(ship(book, played))
    await scenario.given(*(event for order, sale in sales for event in events_of(order, sale, played, scenario.now)))
    whole = (order for order, _ in sales if played.world.dice.roll("fate", order.channel_order_no) > 0.3)
    for order, _ in zip(whole, range(lost), strict=False):
        played.journal.shipped[str(order.order_id), order.lines[0].line_no] -= 1
    return await settlement.settle([OrderSeen(str(order.order_id), "completed", ()) for order, _ in sales])


async def test_every_planted_difference_is_found_and_nothing_else(
    scenario: Scenario, finance: Door, book: Book, played: Played
) -> None:
    settled = await settle(scenario, finance, book, played)
    assert (settled.refused, settled.unplanted, settled.cleared, settled.faults) == ([], [], [], [])
    assert settled.sound
    assert settled.kinds.keys() == KINDS.keys()
    assert all(kind.found == kind.planted for kind in settled.kinds.values()), settled.kinds
    assert settled.kinds[WRITTEN_OFF].reasons == {"ROUNDING": settled.kinds[WRITTEN_OFF].planted}
    assert settled.kinds["fee taken twice"].reasons.keys() == {"DUPLICATE_CHARGE"}
    assert settled.kinds["order nobody knows"].reasons.keys() == {"MISSING_ORDER"}
    formats = {wallet.format for wallet in settled.wallets if wallet.lines}
    assert formats == {"canonical", "amazon_v2", "stripe_balance"}
    for wallet in settled.wallets:
        assert wallet.matched_minor > 0
    assert settled.entries > SALES
    assert settled.profit == [{"channel": "uci", "shop": "eire"}]


async def test_money_that_the_system_expects_wrongly_makes_the_run_unsound(
    scenario: Scenario, finance: Door, book: Book, played: Played
) -> None:
    settled = await settle(scenario, finance, book, played, lost=40)
    assert not settled.sound
    assert settled.unplanted
