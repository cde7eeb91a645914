"""From a statement's file to the books: `python -m bench.settlement [--lines 1000000]`.

Starts settlement alone with fresh data, on a broker and a database of its own. One order is heard through Kafka as any
other; its row is then copied inside the database under other numbers, as `bench.growth` does. A statement of so many
lines, four an order and all but a few of them right, is put into the file store and told of by its event, as the
gateway does. The clock runs from that event until the statement is posted, the events that follow published.
"""

import argparse
import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import psutil
from aiokafka import AIOKafkaProducer

from bench import results
from bench.bed import console
from oms_events.codec import encode
from oms_events.contracts.fulfilment import ShipmentDispatched
from oms_events.contracts.intake import StatementFile, StatementReceived
from oms_events.contracts.orders import OrderLine, OrderPaid, OrderPlaced
from oms_events.contracts.shared import Destination, LineQuantity
from oms_events.envelope import EventMeta, origin
from oms_events.registry import Event
from oms_events.runtime.files import FileStore
from oms_events.values import order_id
from oms_local.run_folder import throw_away_folder
from oms_local.system import Options, System, running_system
from oms_local.topology import SERVICES
from oms_sample import measure

CHANNEL, SHOP, FIRST = "bench", "main", "B-0"
AT = datetime(2026, 3, 1, tzinfo=UTC)
AN_ORDER = {"goods": 3001, "shipping": 399, "commission": -450, "payment_fee": -129}
RATES = {"commission": (150_000, 0), "payment_fee": (29_000, 30)}
"""In millionths, and the fixed part: what `AN_ORDER` was computed by."""
WRONG_EVERY = 500
"""One order in so many has a commission that is not what it should be."""
LOOK_S = 0.25
PATIENCE_S = 1800.0

_COPY = """
    insert into orders (order_id, account, channel_order_no, currency, facts, components, due_at, version)
    select gen_random_uuid(), account, 'B-' || number, currency, facts, components, now() + interval '30 days', version
      from orders, generate_series(1, $1) as number where channel_order_no = 'B-0'
"""
_STATE = """
    select state, lines, lines_done, lines_cleared, code, detail from statements where file_sha256 = $1
"""


@dataclass(slots=True)
class Seen:
    """What was looked at while a statement was imported."""

    posted_s: float
    read_s: float
    memory_mb: list[float]
    cleared: int


async def run(lines: int) -> results.Results:
    """Start settlement, import a warm-up and then the statement."""
    alone = tuple(service for service in SERVICES if service.name == "settlement")
    with throw_away_folder() as folder:
        options = Options(run_dir=folder.path, services=alone, log_level="WARNING")
        async with running_system(options, report=console.print) as system:
            store = FileStore(folder.files.absolute().as_uri(), max_bytes=2**40)
            driver = await asyncpg.connect(system.platform.postgres.url(alone[0].database))
            try:
                await _sell(system, driver, orders=lines // len(AN_ORDER))
                await _import(system, driver, store, first=0, orders=5_000)
                return await _measure(system, driver, store, lines // len(AN_ORDER) - 5_000)
            finally:
                await driver.close()


async def _set_rates(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.urls["settlement"], trust_env=False) as http:
        for component, (rate_ppm, fixed_minor) in RATES.items():
            card = {
                "channel": CHANNEL,
                "component": component,
                "currency": "GBP",
                "rate_ppm": rate_ppm,
                "fixed_minor": fixed_minor,
                "version": "bench",
                "valid_from": AT.isoformat(),
            }
            (await http.put("/v1/rate-cards", json=card)).raise_for_status()


async def _sell(system: System, driver: asyncpg.Connection, *, orders: int) -> None:
    await _set_rates(system)
    async with AIOKafkaProducer(bootstrap_servers=system.bootstrap) as producer:
        for event in _an_order():
            await _say(producer, event)
    async with asyncio.timeout(60):
        while not await driver.fetchval("select count(*) from orders where due_at is not null"):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
    await driver.execute(_COPY, orders, timeout=PATIENCE_S)
    await driver.execute("vacuum analyze orders", timeout=PATIENCE_S)


def _an_order() -> Iterator[Event]:
    known = order_id(CHANNEL, SHOP, FIRST)
    line = OrderLine(
        line_id="1", listing="X", sku="X", quantity=1, unit_price_minor=3001, discount_minor=0, amount_minor=3001
    )
    yield OrderPlaced(
        order_id=known,
        channel=CHANNEL,
        shop=SHOP,
        channel_order_no=FIRST,
        placed_at=AT,
        currency="GBP",
        lines=(line,),
        shipping_minor=399,
        total_minor=3400,
        ship_to=Destination(country="GB"),
        delivery_tier="standard",
    )
    yield OrderPaid(order_id=known, currency="GBP", paid_minor=3400, paid_at=AT)
    yield ShipmentDispatched(
        order_id=known,
        shipment_id=uuid4(),
        node="GB-LON",
        lines=(LineQuantity(line_id="1", sku="X", quantity=1),),
        carrier="norpost",
        waybill_no="NP1",
        weight_g=1,
        dispatched_at=AT + timedelta(hours=1),
    )


async def _say(producer: AIOKafkaProducer, event: Event) -> None:
    cause = origin("/bench", event.type, str(uuid4()), at=datetime.now(UTC))
    record = encode(event, EventMeta(cause.id, "/bench", event.type, event.key(), cause.time, cause.id))
    await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))


async def _import(system: System, driver: asyncpg.Connection, store: FileStore, *, first: int, orders: int) -> Seen:
    content = _statement(first, orders)
    async with store.receive(_pieces(content)) as incoming:
        await incoming.keep()
    sha256 = hashlib.sha256(content).hexdigest()
    file = StatementFile(
        channel=CHANNEL,
        shop=SHOP,
        format="canonical",
        file_sha256=sha256,
        size_bytes=len(content),
        uploaded_at=datetime.now(UTC),
    )
    del content
    async with AIOKafkaProducer(bootstrap_servers=system.bootstrap) as producer:
        began = time.monotonic()
        await _say(producer, StatementReceived(account=f"{CHANNEL}/{SHOP}", statement=file))
        return await _watch(system, driver, sha256, began)


async def _watch(system: System, driver: asyncpg.Connection, sha256: str, began: float) -> Seen:
    process = psutil.Process(system.pids()["settlement"])
    seen = Seen(0, 0, [], 0)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await asyncio.sleep(LOOK_S)
            seen.memory_mb.append(process.memory_info().rss / 2**20)
            row = await driver.fetchrow(_STATE, sha256)
            if row is None:
                continue
            if row["state"] == "refused":
                raise RuntimeError(f"refused: {row['code']}: {row['detail']}")
            if row["state"] in {"matching", "posted"} and not seen.read_s:
                seen.read_s = time.monotonic() - began
            if row["state"] == "posted" and not await driver.fetchval("select count(*) from outbox"):
                seen.posted_s, seen.cleared = time.monotonic() - began, row["lines_cleared"]
                return seen


async def _measure(system: System, driver: asyncpg.Connection, store: FileStore, orders: int) -> results.Results:
    before = measure.cpu_seconds(system.pids)
    seen = await _import(system, driver, store, first=5_000, orders=orders)
    spent = measure.spent(before, measure.cpu_seconds(system.pids))
    lines = orders * len(AN_ORDER)
    if seen.cleared != lines - len(range(0, orders, WRONG_EVERY)):
        raise RuntimeError(f"{seen.cleared:,} of {lines:,} lines were cleared, which is not what was right")
    third = len(seen.memory_mb) // 3
    return {
        "statement_lines": lines,
        "statement_lines_per_s": round(lines / seen.posted_s, 1),
        "statement_seconds": {"read_and_footed": round(seen.read_s, 1), "posted": round(seen.posted_s, 1)},
        "statement_cpu_us_per_line": measure.per_item_us(spent, lines),
        "settlement_rss_mb": {
            "first_third": round(max(seen.memory_mb[: third or 1]), 1),
            "last_third": round(max(seen.memory_mb[-third or -1 :]), 1),
            "most": round(max(seen.memory_mb), 1),
        },
    }


def _statement(first: int, orders: int) -> bytes:
    opens, closes = AT, AT + timedelta(days=7)
    rows = [
        f"statement,1,{CHANNEL},{SHOP},GBP,{opens:%Y-%m-%dT%H:%M:%SZ},{closes:%Y-%m-%dT%H:%M:%SZ},S-{first}",
        "columns,line_id,order_no,component,amount_minor,posted_at,label",
    ]
    at, total = f"{AT + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}", 0
    for number in range(orders):
        for component, right in AN_ORDER.items():
            wrong = component == "commission" and number % WRONG_EVERY == 0
            minor = right - 50 if wrong else right
            order = first + number
            rows.append(f"line,L{order}-{component},B-{order},{component},{minor},{at},{component} of the order")
            total += minor
    rows.append(f"total,{orders * len(AN_ORDER)},{total}")
    return "".join(f"{row}\n" for row in rows).encode()


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), 2**20):
        yield content[begin : begin + 2**20]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.settlement", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    results.add_options(parser)
    options = parser.parse_args(arguments)
    began_at = datetime.now(UTC)
    found = asyncio.run(run(options.lines))
    results.report(found, began_at, options, console, "bench.settlement")
    return 0


if __name__ == "__main__":
    sys.exit(main())
