"""Fixtures of the settlement tests."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from oms_events.contracts.fulfilment import ShipmentDispatched
from oms_events.contracts.intake import StatementFile, StatementFormat, StatementReceived
from oms_events.contracts.orders import (
    OrderCancelled,
    OrderLine,
    OrderLinesCancelled,
    OrderPaid,
    OrderPlaced,
    UnplacedOrder,
)
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.registry import Event
from oms_events.runtime.files import FileStore
from oms_events.testing.fixtures import ScenarioOf
from oms_events.testing.scenario import Scenario
from oms_events.values import order_id, statement_id
from oms_settlement.service import service

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
WAITING = text("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CARDS = (
    {"component": "commission", "rate_ppm": 150_000, "fixed_minor": 0},
    {"component": "payment_fee", "rate_ppm": 29_000, "fixed_minor": 30},
)


@dataclass(frozen=True)
class Sale:
    """An order to tell stories about: two lines, 20.00 and 10.01, and 3.99 of shipping."""

    number: str
    shop: str = "uk"
    currency: str = "GBP"
    at: datetime = NOON
    shipment: UUID = field(default_factory=uuid4)

    @property
    def order_id(self) -> UUID:
        return order_id("uci", self.shop, self.number)

    def placed(self, cancelled_minor: int = 0) -> OrderPlaced:
        lines = tuple(
            OrderLine(
                line_id=line_id,
                listing=sku,
                sku=sku,
                quantity=quantity,
                unit_price_minor=1001,
                discount_minor=0,
                amount_minor=amount,
            )
            for line_id, sku, quantity, amount in (("1", "MUG", 2, 2000), ("2", "CUP", 3, 1001))
        )
        return OrderPlaced(
            order_id=self.order_id,
            channel="uci",
            shop=self.shop,
            channel_order_no=self.number,
            placed_at=self.at,
            currency=self.currency,
            lines=lines,
            shipping_minor=399,
            cancelled_minor=cancelled_minor,
            total_minor=3400 + cancelled_minor,
            ship_to=Destination(country="GB"),
            delivery_tier="standard",
        )

    def paid(self, minor: int = 3400) -> OrderPaid:
        paid_at = self.at + timedelta(minutes=1)
        return OrderPaid(order_id=self.order_id, currency=self.currency, paid_minor=minor, paid_at=paid_at)

    def dispatched(self, *lines: tuple[str, int], shipment: UUID | None = None) -> ShipmentDispatched:
        return ShipmentDispatched(
            order_id=self.order_id,
            shipment_id=shipment or self.shipment,
            node="GB-LON",
            lines=_quantities(lines or (("1", 2), ("2", 3))),
            carrier="norpost",
            waybill_no="NP000000014ZZ",
            weight_g=900,
            dispatched_at=self.at + timedelta(hours=3),
        )

    def lines_cancelled(self, *lines: tuple[str, int], cancellation: UUID | None = None) -> OrderLinesCancelled:
        return OrderLinesCancelled(
            order_id=self.order_id, cancellation_id=cancellation or UUID(int=7), lines=_quantities(lines)
        )

    def cancelled(self) -> OrderCancelled:
        return OrderCancelled(order_id=self.order_id, reason="buyer")

    def never_placed(self) -> OrderCancelled:
        was = UnplacedOrder(
            channel="uci",
            shop=self.shop,
            channel_order_no=self.number,
            currency=self.currency,
            cancelled_minor=3001,
            shipping_minor=399,
        )
        return OrderCancelled(order_id=self.order_id, reason="buyer", unplaced=was)

    def whole(self) -> list[Event]:
        return [self.placed(), self.paid(), self.dispatched()]


def _quantities(lines: Sequence[tuple[str, int]]) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_id=line_id, sku="X", quantity=quantity) for line_id, quantity in lines)


# What the platform takes of a sale: 15 % of 30.01, and 2.9 % of 34.00 plus 0.30, each rounded half up.
FAIR = {"goods": 3001, "shipping": 399, "commission": -450, "payment_fee": -129}


@dataclass
class Statement:
    """A platform's statement in the system's own format."""

    shop: str = "uk"
    currency: str = "GBP"
    lines: list[str] = field(default_factory=list)
    total: int = 0
    opens: datetime = NOON
    closes: datetime = NOON + timedelta(days=7)

    def add(self, order_no: str, component: str, minor: int, *, line_id: str | None = None) -> "Statement":
        number = line_id or f"L-{order_no}-{component}-{len(self.lines)}"
        at = (NOON + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.lines.append(f"line,{number},{order_no},{component},{minor},{at},as the platform calls it")
        self.total += minor
        return self

    def settle(self, number: str, **instead: int) -> "Statement":
        """Everything that is right for a sale, but for what is given otherwise; nothing is no line."""
        for component, minor in (FAIR | instead).items():
            if minor:
                self.add(number, component, minor, line_id=f"{number}-{component}")
        return self

    def text(self, *, total: int | None = None) -> bytes:
        opens, closes = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (self.opens, self.closes))
        rows = [
            f"statement,1,uci,{self.shop},{self.currency},{opens},{closes},S-1",
            "columns,line_id,order_no,component,amount_minor,posted_at,label",
            *self.lines,
            f"total,{len(self.lines)},{self.total if total is None else total}",
        ]
        return "".join(f"{row}\n" for row in rows).encode()


class Desk:
    """Hands statements in, as the gateway does."""

    def __init__(self, scenario: Scenario, store: FileStore) -> None:
        self.scenario = scenario
        self._store = store

    async def put(self, content: bytes) -> str:
        """Put a file into the store."""
        async with self._store.receive(_once(content)) as incoming:
            await incoming.keep()
        return hashlib.sha256(content).hexdigest()

    async def received(
        self, statement: Statement | bytes, *, shop: str = "uk", form: StatementFormat = "canonical"
    ) -> StatementReceived:
        """The event that tells of a file in the store."""
        content = statement if isinstance(statement, bytes) else statement.text()
        whose = shop if isinstance(statement, bytes) else statement.shop
        file = StatementFile(
            channel="uci",
            shop=whose,
            format=form,
            file_sha256=await self.put(content),
            size_bytes=len(content),
            file_name="statement.csv",
            uploaded_at=self.scenario.now,
            uploaded_by="tester",
        )
        return StatementReceived(account=f"uci/{whose}", statement=file)

    async def hand_in(
        self, statement: Statement | bytes, *, shop: str = "uk", form: StatementFormat = "canonical"
    ) -> list[Event]:
        """Hand a statement in and import it; answers what the service published."""
        events = await self.scenario.when(await self.received(statement, shop=shop, form=form))
        return events + await self.scenario.run_jobs()

    async def get(self, path: str, **query: object) -> dict:
        answer = await self.scenario.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def statement(self, statement: Statement | bytes) -> dict:
        """A statement as the API shows it."""
        content = statement if isinstance(statement, bytes) else statement.text()
        id_ = statement_id("uci", "uk", hashlib.sha256(content).hexdigest())
        return await self.get(f"/v1/statements/{id_}")

    async def differences(self, **query: object) -> list[dict]:
        return (await self.get("/v1/differences", limit=500, **query))["items"]

    async def reasons(self) -> dict[tuple[str, str], str]:
        """Open differences: reason by order number and component."""
        return {(one["order_no"], one["component"]): one["reason"] for one in await self.differences(state="open")}

    async def standing(self, sale: Sale) -> dict[str, tuple[int, int, str]]:
        """Expected, settled and state of each component of an order."""
        shown = await self.get("/v1/expectations", order_id=str(sale.order_id))
        return {
            one["component"]: (one["expected_minor"], one["settled_minor"], one["state"]) for one in shown["components"]
        }

    async def balances(self) -> dict[str, int]:
        """Balance of each ledger account that is not level."""
        shown = await self.get("/v1/trial-balance")
        assert shown["balanced"]
        return {row["ledger_account"]: row["balance_minor"] for row in shown["rows"] if row["balance_minor"]}

    async def sound(self) -> bool:
        """Whether the books hold."""
        return (await self.get("/v1/ledger/verification"))["sound"]


async def begun(scenario: Scenario, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Work that has come as far as a lock that somebody else holds."""
    task = asyncio.create_task(work)
    async with asyncio.timeout(10):
        while not await _somebody_waits(scenario):
            assert not task.done(), "it did not wait"
            await asyncio.sleep(0.01)
    return task


async def _somebody_waits(scenario: Scenario) -> bool:
    # In a transaction of its own: within one, the database shows its activity as it was first seen.
    async with scenario.runtime.connection() as connection:
        return bool((await connection.execute(WAITING)).scalar_one())


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """A store of files that the service reads."""
    url = f"file://{tmp_path}/files"
    monkeypatch.setenv("OMS_FILES_URL", url)
    return FileStore(url, max_bytes=10**9)


@pytest.fixture
async def scenario(scenario_of: ScenarioOf) -> Scenario:
    """The service on a fresh database."""
    return await scenario_of(service, ROOT / "migrations")


@pytest.fixture
async def desk(scenario: Scenario, store: FileStore) -> Desk:
    """The service with rate cards of a channel, and a desk where statements are handed in."""
    for card in CARDS:
        terms = {"channel": "uci", "currency": "GBP", "version": "2026", "valid_from": "2026-01-01T00:00:00Z"}
        answer = await scenario.client.put("/v1/rate-cards", json=card | terms)
        assert answer.status_code == 201, answer.text
    await scenario.published()
    return Desk(scenario, store)


@pytest.fixture
def sale() -> type[Sale]:
    return Sale


@pytest.fixture
def statement() -> type[Statement]:
    return Statement
