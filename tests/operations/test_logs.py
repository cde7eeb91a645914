"""What real processes write to their logs: which event, which order, and nothing about the person behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from oms_events.codec import Record
from oms_events.contracts.intake import ChannelOrderReceived
from oms_events.runtime.kafka import KafkaSink
from oms_events.signing import SignedAuth
from oms_events.values import order_id
from oms_local.profile import Profile
from oms_local.servers import Platform
from oms_local.system import Options, System, running_system
from oms_local.topology import SERVICES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TELLING = {
    "city": "Quaggaville",
    "region": "Vale of Okapi",
    "postcode": "QX9 9QX",
    "receiver_token": "tok-zanzibar-77",
    "buyer_note": "Ring thrice, ask for Ottoline",
}
POISON = "A-13"
"""An order that the database refuses, and says why with the whole row."""


@pytest_asyncio.fixture
async def system(platform: Platform, pytestconfig: pytest.Config, tmp_path: Path) -> AsyncIterator[System]:
    options = Options(
        run_dir=tmp_path,
        cache_dir=pytestconfig.rootpath / ".cache",
        profile=Profile.TEST,
        way=platform.how,
        services=tuple(service for service in SERVICES if service.name in {"orders", "gateway"}),
        log_level="DEBUG",
        log_format="json",
    )
    async with running_system(options) as system:
        yield system


def order(no: str, **changes: object) -> dict[str, object]:
    place = {name: TELLING[name] for name in ("city", "region", "postcode", "receiver_token")}
    return {
        "channel": "web",
        "shop": "uk",
        "channel_order_no": no,
        "placed_at": "2026-03-02T09:00:00Z",
        "currency": "GBP",
        "lines": [{"line_no": "1", "listing": "MUG", "quantity": 1, "unit_price_minor": 900}],
        "total_minor": 900,
        "ship_to": {"country": "GB", **place},
        "buyer_note": TELLING["buyer_note"],
        **changes,
    }


async def append_unreadable(system: System) -> None:
    """A foreign producer's idea of an order."""
    sink = KafkaSink(system.broker, client_id="foreign")
    names = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time")
    values = ("1.0", str(order_id("web", "uk", "A-2")), "/foreign", ChannelOrderReceived.type, "2026-03-02T09:00:00Z")
    headers = [(name, value.encode()) for name, value in zip(names, values, strict=True)]
    value = json.dumps({"order": order("A-2", currency="much")}).encode()
    await sink.start()
    await (await sink.send([Record(ChannelOrderReceived.topic.name, b"A-2", value, headers)]))
    await sink.stop()


async def until_set_aside(connection: asyncpg.Connection, letters: int) -> None:
    async with asyncio.timeout(30):
        while await connection.fetchval("select count(*) from dead_letters") != letters:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


def lines_of(folder: Path, service: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "logs" / f"{service}.log").read_text().splitlines()]


async def test_logs_name_events_and_orders_and_nobody(system: System, tmp_path: Path) -> None:
    key = system.keys["channel"]
    connection = await asyncpg.connect(system.database_urls["orders"].replace("+asyncpg", ""))
    async with httpx.AsyncClient(base_url=system.gateway_url, auth=SignedAuth(key.key, key.secret)) as channel:
        assert (await channel.post("/v1/orders", json=order("A-1"))).status_code == 202
        await connection.execute(f"alter table orders add constraint lucky check (channel_order_no <> '{POISON}')")
        accepted = await channel.post("/v1/orders", json=order(POISON))
        assert accepted.status_code == 202
        assert (await channel.post("/v1/orders", json=order("A-3", total_minor=TELLING["city"]))).status_code == 422
    async with httpx.AsyncClient(base_url=system.gateway_url) as stranger:
        assert (await stranger.post("/v1/orders", json=order("A-4"))).status_code == 401
    await append_unreadable(system)
    await until_set_aside(connection, 2)
    await connection.execute("alter table holds rename column detail to details")
    async with httpx.AsyncClient(base_url=system.urls["orders"]) as direct:
        assert (await direct.get("/v1/holds", params={"code": TELLING["city"]})).status_code == 500
    await connection.close()
    async with system.held_down("orders"), system.held_down("gateway"):
        said = "".join(path.read_text() for path in (tmp_path / "logs").iterdir() if path.name != "postgres.log")
    secrets = [key.secret for key in system.keys.values()]
    assert not [word for word in (*TELLING.values(), *secrets) if word in said]
    assert {line["service"] for line in lines_of(tmp_path, "orders")} == {"orders"}
    assert {line["service"] for line in lines_of(tmp_path, "gateway")} == {"gateway"}

    by_event = {line["event"]: line for line in lines_of(tmp_path, "orders")}
    letter = by_event["event became a dead letter"]
    receipt = accepted.json()
    assert (letter["order_id"], letter["event_id"]) == (receipt["id"], receipt["event_id"])
    assert letter["group"] == "orders.flow"
    assert letter["event_type"] == ChannelOrderReceived.type
    assert letter["error"] == "CheckViolationError"
    unreadable = by_event["record cannot be read and becomes a dead letter"]
    assert unreadable["topic"] == ChannelOrderReceived.topic.name
    assert unreadable["offset"] >= 0
    failed = by_event["request failed"]
    assert failed["path"] == "/v1/holds"
    assert failed["exception"].endswith("UndefinedColumnError")
