"""How fast analytics folds events into profit, and answers: `python -m bench.analytics [--orders 20000]`.

A system of the broker, the database and analytics alone. While it is stopped its topics are filled with the lives of
orders of two lines over 10,000 SKUs, and with what else those topics hold in life. Then it is started. Counted are
the events that it keeps, from the first kept: until all are, and until every order is worked out and every roll-up
right (`oms-analytics verify` has the last word). All of it shares the cores.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from bench import results
from bench.bed import SKUS, console
from oms_events.codec import encode
from oms_events.contracts.catalog import CostSet, cost_key
from oms_events.contracts.fulfilment import ShipmentDispatched, ShipmentReleased
from oms_events.contracts.inventory import StockConsumed, StockReserved
from oms_events.contracts.logistics import ParcelTracked, ShipmentDelivered, WaybillAssigned
from oms_events.contracts.orders import OrderCompleted, OrderPaid, OrderPlaced, OrderReleased
from oms_events.contracts.settlement import (
    AccrualPosted,
    RateCardSet,
    StatementLineMatched,
    account_of,
    rate_key,
)
from oms_events.contracts.shared import Destination
from oms_events.envelope import EventMeta, origin
from oms_events.registry import Event
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import KafkaSink
from oms_events.values import derived_id, order_id
from oms_local.process import run
from oms_local.run_folder import throw_away_folder
from oms_local.system import Options, System, running_system
from oms_local.topology import SERVICES
from oms_sample import measure

NAME = "analytics"
CHANNEL, SHOPS = "bench", ("uk", "de", "fr")
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 30
ENOUGH = 5_000
LIFE = (
    OrderPlaced,
    OrderPaid,
    StockReserved,
    OrderReleased,
    WaybillAssigned,
    ShipmentReleased,
    ShipmentDispatched,
    StockConsumed,
    AccrualPosted,
    ParcelTracked,
    ShipmentDelivered,
    OrderCompleted,
)
"""What is said of an order, before its money comes."""
KEPT = (OrderPlaced, OrderPaid, WaybillAssigned, ShipmentDispatched, AccrualPosted, ShipmentDelivered)
SENT_TOGETHER = 2_000
PATIENCE_S = 900.0
LOOK_AGAIN_S = 0.25
ASKED = 20
"""Times that each question is asked."""
_DESTINATION = Destination(country="GB", city="Leeds", postcode="LS1 4AP", receiver_token="token")


def life_of(number: int, dice: Random) -> Iterator[Event]:
    """All that is said of an order, and things that analytics passes over."""
    known = _known_of(number, dice)
    for kind in LIFE:
        yield kind.model_validate(known)
    yield StatementLineMatched.model_validate(known | {"components": known["components"][:2]})


def _known_of(number: int, dice: Random) -> dict[str, Any]:
    """An order's whole life; an event ignores what is not of it."""
    shop, at = dice.choice(SHOPS), BEGAN + timedelta(seconds=dice.randrange(DAYS * 86_400))
    id_ = UUID(str(order_id(CHANNEL, shop, str(number))))
    lines = [_line(place, dice) for place in (1, 2)]
    goods = sum(line["amount_minor"] for line in lines)
    amounts = {"goods": goods, "shipping": 399, "commission": -goods * 15 // 100, "payment_fee": -30 - goods * 3 // 100}
    names = {"order_id": id_, "channel": CHANNEL, "shop": shop, "channel_order_no": str(number), "currency": "GBP"}
    sums = {"shipping_minor": 399, "total_minor": goods + 399, "paid_minor": goods + 399}
    shipment = {
        "shipment_id": derived_id("bench", str(number), at=at),
        "node": "GB-LON",
        "carrier": "norpost",
        "service": "std",
        "waybill_no": f"NP{number}",
        "tariff_version": "1",
        "weight_g": 500,
        "billable_weight_g": 500,
        "cost_minor": dice.randrange(200, 900),
        "status": "in_transit",
        "late_by_s": 0,
    }
    settlement = {
        "accrual_id": derived_id("accrual", str(id_), at=at),
        "basis": "dispatched",
        "match_key": str(id_),
        "account": account_of(CHANNEL, shop),
        "statement_id": derived_id("statement", shop, at=BEGAN),
        "components": [
            {"component": name, "amount_minor": minor, "expected_minor": minor, "settled_minor": minor}
            for name, minor in amounts.items()
        ],
    }
    at_once = ("placed_at", "paid_at", "released_at", "dispatched_at", "accrued_at", "occurred_at")
    later = {"delivered_at": 2, "completed_at": 2, "promised_at": 3, "settled_at": 14}
    times = dict.fromkeys(at_once, at) | {name: at + timedelta(days=days) for name, days in later.items()}
    whither = {"ship_to": _DESTINATION, "delivery_tier": "standard"}
    return names | sums | shipment | settlement | times | whither | {"lines": lines}


def _line(place: int, dice: Random) -> dict[str, Any]:
    sku, quantity, price = dice.choice(SKUS), dice.randrange(1, 4), dice.randrange(200, 5_000)
    discount = dice.randrange(100)
    return {
        "line_id": str(place),
        "listing": sku,
        "sku": sku,
        "quantity": quantity,
        "unit_price_minor": price,
        "discount_minor": discount,
        "amount_minor": quantity * price - discount,
    }


def _prices() -> Iterator[Event]:
    for number, sku in enumerate(SKUS):
        key = cost_key(sku, "GBP", BEGAN)
        yield CostSet(cost_key=key, sku=sku, currency="GBP", amount_minor=100 + number % 900, valid_from=BEGAN)
    for component, ppm in (("commission", 150_000), ("payment_fee", 30_000)):
        key = rate_key(CHANNEL, "*", component, "GBP", "1")
        yield RateCardSet(
            rate_key=key,
            channel=CHANNEL,
            shop="*",
            component=component,
            currency="GBP",
            rate_ppm=ppm,
            version="1",
            valid_from=BEGAN,
        )


def events(orders: int) -> Iterator[Event]:
    """Prices, then everybody's news mixed as in life: many orders at a time, each somewhere else in its life."""
    yield from _prices()
    dice = Random(1)
    under_way: list[Iterator[Event]] = []
    for number in range(orders):
        under_way.append(life_of(number, dice))
        if len(under_way) == SENT_TOGETHER:
            yield from _in_turns(under_way)
            under_way = []
    yield from _in_turns(under_way)


def _in_turns(lives: Sequence[Iterator[Event]]) -> Iterator[Event]:
    for said in zip(*lives, strict=True):
        yield from said


async def fill(broker: Broker, orders: int) -> tuple[int, int]:
    """Put everything into the topics. Returns how many records, and how many facts of orders are among them."""
    sink = KafkaSink(broker, client_id="bench")
    await sink.start()
    records, count, facts = [], 0, 0
    now = datetime.now(UTC)
    for number, event in enumerate(events(orders)):
        cause = origin("/bench", str(number), at=now)
        records.append(encode(event, EventMeta(cause.id, "/bench", event.type, event.key(), now, cause.id)))
        facts += isinstance(event, (*KEPT, StatementLineMatched))
        if len(records) == SENT_TOGETHER:
            await (await sink.send(records))
            count, records = count + len(records), []
    await (await sink.send(records))
    await sink.stop()
    return count + len(records), facts


async def fold(system: System, database: asyncpg.Connection, orders: int) -> results.Results:
    """Fill the topics, start analytics, and take the times."""
    async with system.held_down(NAME):
        records, facts = await fill(system.broker, orders)
        console.print(f"{records:,} records, {facts:,} of them facts of orders")
    await system.until_ready(NAME)
    before = measure.cpu_seconds(system.pids)
    began = await _until(database, "select exists (select 1 from facts)")
    kept = await _until(database, f"select count(*) >= {facts} from facts")
    worked_out = await _until(
        database,
        "select not exists (select 1 from changed_orders) and not exists (select 1 from changed_prices)"
        f" and (select count(*) = {orders} from order_profits)",
    )
    spent = measure.spent(before, measure.cpu_seconds(system.pids))
    return {
        "orders": orders,
        "records": records,
        "events": facts,
        "kept_events_per_s": round(facts / (kept - began), 1),
        "folded_events_per_s": round(facts / (worked_out - began), 1),
        "cpu_us_per_event_by_process": measure.per_item_us(spent, facts),
    }


async def _until(database: asyncpg.Connection, question: str) -> float:
    """When the answer became yes. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await database.fetchval(question):
                return time.monotonic()
            await asyncio.sleep(LOOK_AGAIN_S)


async def ask(url: str) -> results.Results:
    """Milliseconds from question to answer, the median and the worst."""
    took: results.Results = {}
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
        worst = (await http.get("/v1/profit/orders", params={"currency": "GBP"})).json()["items"][0]["order_id"]
        questions = {by: f"/v1/profit?by={by}&version=settled" for by in ("shop", "channel", "sku", "category", "day")}
        questions |= {"orders": "/v1/profit/orders?currency=GBP", "order": f"/v1/profit/orders/{worst}"}
        for name, path in (questions | {"overview": "/v1/overview"}).items():
            times = []
            for _ in range(ASKED):
                began = time.perf_counter()
                (await http.get(path)).raise_for_status()
                times.append(1e3 * (time.perf_counter() - began))
            took[name] = {"p50_ms": round(statistics.median(times), 1), "worst_ms": round(max(times), 1)}
    return took


async def alone(orders: int) -> results.Results:
    """Start, measure, look over the books, stop."""
    services = tuple(service for service in SERVICES if service.name == NAME)
    with throw_away_folder() as folder:
        options = Options(run_dir=folder.path, log_level="WARNING", services=services)
        async with running_system(options, report=console.print) as system:
            url = system.database_urls[NAME]
            database = await asyncpg.connect(url.replace("+asyncpg", ""))
            found = await fold(system, database, orders)
            await database.close()
            found["questions"] = await ask(system.urls[NAME])
            script = str(Path(sys.executable).with_name(f"oms-{NAME}"))
            await run([script, "verify"], env={"OMS_DATABASE_URL": url})  # raises where the books are wrong
            return {"analytics": found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 1 where fewer than 5,000 events a second are folded."""
    parser = argparse.ArgumentParser(prog="python -m bench.analytics", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(alone(options.orders))
    results.report(found, began_at, options, console, "bench.analytics")
    return 0 if found["analytics"]["folded_events_per_s"] >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
