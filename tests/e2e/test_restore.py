"""A service's database is lost and an older backup put in its place: the service catches up from Kafka.

What `docs/runbooks/restore-from-backup.md` says is done here, with the commands it names.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from oms_events.registry import topics
from oms_events.runtime import offsets
from oms_events.runtime.offsets import partitions_of
from oms_fulfilment.service import service as fulfilment
from oms_inventory.service import service as inventory
from oms_local import postgres
from oms_local.process import run
from oms_local.profile import Profile
from oms_local.servers import Platform
from oms_local.system import Options, System, running_system
from oms_logistics.service import service as logistics
from oms_orders.service import service as orders
from oms_sample import audit
from oms_sample.book import Book
from oms_sample.cli import SLICE
from oms_sample.client import Doors
from oms_sample.endpoints import Endpoints
from oms_sample.play import Settings, prepare
from oms_sample.synth import Shares

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVICES = (orders, inventory, fulfilment, logistics)
SALES = 60
PLENTY = 1000
NOBODY_DECIDES = Shares(buyer_note=0.0, mismatch=0.0, unmapped=0.0, short_stock=0.0)
"""No operator: commands are not in Kafka, and a restored service has forgotten them. And no order that goes without
because another came first: that may come out otherwise the second time. The runbook says so of both."""
JOBS_EVERY_S = 1.0
COMPLETED = "select count(*) from orders where state = 'completed'"

STATE: Mapping[str, Mapping[str, str]] = {
    "orders": {
        "orders": "select order_id, channel_order_no, total_minor, paid_minor, reserved, payment_state,"
        " fulfilment_state, after_sales_state, state, open_holds, open_cancellations from orders",
        "lines": "select order_id, line_id, sku, quantity, discount_minor, cancelled, shipped, delivered"
        " from order_lines",
        "payments": "select order_id, payment_no, amount_minor from payments",
        # An order that is past a difficulty by the time it hears of it is not held for it.
        "holds": "select order_id, code from holds where state = 'OPEN'",
        "cancellations": "select order_id, cancellation_no, cancellation_id, state from cancellations",
        "shipments": "select order_id, shipment_id, lines from shipments",
        "heard": "select order_id, event_id, kind from timeline",
        "listings": "select channel, shop, listing, sku from listings",
    },
    "inventory": {
        "stock": "select sku, node, on_hand, allocated from stock",
        "pools": "select sku, base, reserved from pools",
        "shops": "select channel, shop, sku, reserved from shop_reserved",
        "reservations": "select order_id, channel, shop, state from reservations",
        "lines": "select order_id, line_id, sku, ordered, cancelled, allocated, consumed, reserved"
        " from reservation_lines",
        "allocations": "select order_id, shipment_id, line_id, node, planned, cancelled, rejected, consumed, answer"
        " from allocations",
        "waiting": "select order_id, cause_id from waiting_orders",
        # What was allocated and sent may be booked in one movement, when both are known at once.
        "ledger of nodes": "select sku, node, order_id, line_id, sum(on_hand), sum(allocated) from movements"
        " where node is not null group by sku, node, order_id, line_id having sum(on_hand) <> 0 or sum(allocated) <> 0",
        "ledger of orders": "select sku, order_id, line_id, sum(reserved) from movements"
        " group by sku, order_id, line_id having sum(reserved) <> 0",
    },
    "fulfilment": {
        "demands": "select order_id, state, lines from demands",
        "shipments": "select shipment_id, order_id, node, lines, state, carrier, service, waybill_no from shipments",
        "reports": "select shipment_id, report_no, kind, state from warehouse_reports",
    },
    "logistics": {
        "parcels": "select shipment_id, order_id, carrier, service, waybill_no, cost_minor, state, status from parcels",
        "scans": "select waybill_no, shipment_id, status, occurred_at from scans",
    },
}
"""What a service knows, without when it came to know it and in which order."""

TOLD_ANEW = {
    "orders": {"OrderReleased", "OrderCompleted", "HoldOpened", "HoldResolved"},
    "inventory": {"NodeStockChanged", "ChannelStockChanged"},
}
"""Events a restored service may tell under new ids. An order is released, or completed, by the last of several events
that it hears, and the event's id derives from that one; stock is told by a job, as it is when the job looks. Those who
hear them know the order, and take the newest number."""

TELL_STOCK_AFRESH = """
    update node_stock set available = '{}';
    update channel_stock set sellable = -1;
    update pools set dirty = true;
"""
UNTOLD = "select sku from pools where dirty"
STOCK_TOLD = "select sku, node, cast(number as bigint) from node_stock, jsonb_each_text(available) as a(node, number)"
STOCK_HEARD = "select sku, node, available from node_stock"


@pytest_asyncio.fixture
async def system(
    platform: Platform, pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[System]:
    """Every service as a process of its own. A stopped member is given up soon: the test has no half minute."""
    monkeypatch.setenv("OMS_SESSION_TIMEOUT_MS", "6000")
    options = Options(
        run_dir=tmp_path,
        cache_dir=pytestconfig.rootpath / ".cache",
        profile=Profile.TEST,
        way=platform.how,
        log_level="WARNING",
    )
    async with running_system(options) as system:
        yield system


def plain_url(system: System, service: str) -> str:
    """The database's URL as PostgreSQL's own tools take it."""
    return system.database_urls[service].replace("+asyncpg", "")


async def client(tool: str, *arguments: str) -> str:
    """Run one of PostgreSQL's tools."""
    return await run([str(postgres.CLIENTS / tool), *arguments])


async def script(system: System, service: str, *arguments: str) -> list[dict[str, int]]:
    """Run a service's command; answers the lines it printed."""
    command = shutil.which(f"oms-{service}", path=str(Path(sys.executable).parent))
    assert command is not None
    environment = {"OMS_DATABASE_URL": system.database_urls[service], "OMS_KAFKA_BOOTSTRAP": system.bootstrap}
    said = await run([command, *arguments], env=environment)
    return [json.loads(line) for line in said.splitlines()]


async def ask(system: System, service: str, query: str) -> list[str]:
    """Rows of a service's database, in an order of their own."""
    connection = await asyncpg.connect(plain_url(system, service))
    try:
        return sorted(str(tuple(row)) for row in await connection.fetch(query))
    finally:
        await connection.close()


async def state(system: System) -> Mapping[str, list[str]]:
    """What all services know."""
    return {
        f"{service} {what}": await ask(system, service, query)
        for service, queries in STATE.items()
        for what, query in queries.items()
    }


async def told(system: System) -> Mapping[str, set[bytes]]:
    """The ids of all events there are, by type."""
    consumer = AIOKafkaConsumer(bootstrap_servers=system.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    ids: dict[str, set[bytes]] = {}
    try:
        names = [topic.name for topic in topics()]
        consumer.assign([TopicPartition(*partition) for partition in await partitions_of(system.broker, names)])
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                for message in messages:
                    headers = dict(message.headers)
                    ids.setdefault(headers["ce_type"].decode().split(".")[2], set()).add(headers["ce_id"])
    finally:
        await consumer.stop()
    return ids


async def until_caught_up(system: System) -> None:
    """Until every service has read all there is and nobody has anything more to say."""
    said: Mapping[str, set[bytes]] = {}
    async with asyncio.timeout(60):
        while (  # noqa: ASYNC110 - in other processes
            await ask(system, "inventory", UNTOLD) or await behind(system) or said != (said := await told(system))
        ):
            await asyncio.sleep(2 * JOBS_EVERY_S)  # what other jobs will say cannot be seen coming


async def behind(system: System) -> int:
    """Records that some service has not read."""
    places = [
        place
        for service in SERVICES
        for place in await offsets.show(system.broker, service.group, [topic.name for topic in service.topics()])
    ]
    return sum(place.behind for place in places)


async def back_up_in_the_middle(system: System, folder: Path) -> None:
    """Back the databases up once a third of the orders are completed; the others are anywhere on their way."""
    connection = await asyncpg.connect(plain_url(system, "orders"))
    while await connection.fetchval(COMPLETED) < SALES / 3:  # noqa: ASYNC110 - in other processes
        await asyncio.sleep(0.05)
    await connection.close()
    for service in TOLD_ANEW:
        await client("pg_dump", "--format=custom", f"--file={folder / service}.dump", plain_url(system, service))


async def restore(system: System, folder: Path, service: str) -> None:
    """The runbook's steps; answers when the service is at work again."""
    database = f"--dbname={plain_url(system, service)}"
    async with system.held_down(service):
        dump = f"{folder / service}.dump"
        await client("psql", "--quiet", "--command=drop owned by current_user", database)
        await client("pg_restore", "--single-transaction", database, dump)
        await script(system, service, "offsets", "reset", "--to", "earliest", "--wait", "30")
        if service == "inventory":
            connection = await asyncpg.connect(plain_url(system, service))
            await connection.execute(TELL_STOCK_AFRESH)
            await connection.close()
    await system.until_ready(service)


async def test_a_service_restored_from_an_older_backup_catches_up(system: System, tmp_path: Path) -> None:
    async with Doors(Endpoints.of(system)) as doors:
        stage = await prepare(doors, Book(SLICE, SALES), Settings(shares=NOBODY_DECIDES), report=print)
        for warehouse in stage._warehouses.values():
            await warehouse.receive(dict.fromkeys(stage.played.survey.demand, PLENTY), "plenty")
        backup = asyncio.create_task(back_up_in_the_middle(system, tmp_path))
        played = await stage.play()
        await backup
        await until_caught_up(system)
        before, known = await state(system), await told(system)

        for service, may_be_anew in TOLD_ANEW.items():
            await restore(system, tmp_path, service)
            await until_caught_up(system)
            after, now = await state(system), await told(system)
            for what, rows in before.items():
                assert after[what] == rows, f"{what}, after {service} was restored"
            assert {kind for kind, ids in now.items() if ids - known.get(kind, set())} <= may_be_anew
            known = now

        assert await ask(system, "fulfilment", STOCK_HEARD) == await ask(system, "inventory", STOCK_TOLD)
        seen = await audit.all_orders(doors.operator)
        verdict = audit.judge(played.journal, await audit.inspect(doors.operator, seen))
    assert verdict.sound, verdict
    assert verdict.accepted == SALES
    assert sum(verdict.states.get("completed", {}).values()) > SALES * 0.8, verdict.states
