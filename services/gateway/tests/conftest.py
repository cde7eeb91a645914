"""A gateway in the test's own process: records are collected, services are a small app of the test's."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from oms_events.codec import decode
from oms_events.registry import Event
from oms_events.runtime import private_file
from oms_events.signing import SignedAuth
from oms_events.testing.scenario import CollectingSink
from oms_gateway import keys
from oms_gateway.entrypoints.app import build_app
from oms_gateway.gateway import Gateway
from oms_gateway.keys import Role
from oms_gateway.settings import GatewaySettings

ROOT_KEY = "0123456789abcdef" * 4
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class House:
    """A gateway and all that a test needs to call it."""

    gateway: Gateway
    sink: CollectingSink
    client: httpx.AsyncClient
    keys_file: Path
    files: Path
    now: datetime = START

    def auth(self, role: Role, **limits: Any) -> SignedAuth:
        """A caller with a new key."""
        name = f"{role}-{len(keys.list_keys(self.keys_file)) if self.keys_file.exists() else 0}"
        key, secret = keys.issue(self.keys_file, ROOT_KEY, name=name, role=role, now=START, **limits)
        return SignedAuth(key, secret, clock=self._timestamp)

    def _timestamp(self) -> float:
        return self.now.timestamp()

    def events(self) -> list[Event]:
        return [decode(record).event for record in self.sink.records]

    def advance(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def upstream() -> FastAPI:
    """Stands for all five services; a test adds the routes it needs."""
    return FastAPI(title="upstream")


@pytest.fixture
async def house(
    tmp_path: Path, upstream: FastAPI, monkeypatch: pytest.MonkeyPatch, sink: CollectingSink
) -> AsyncIterator[House]:
    # The file is read anew on every look: a test issues keys faster than once a second.
    monkeypatch.setattr(private_file, "_LOOK_EVERY_S", 0.0)
    settings = GatewaySettings(
        gateway_keys_file=tmp_path / "keys.json",
        gateway_root_key=SecretStr(ROOT_KEY),
        kafka_bootstrap="unused:1",
        gateway_append_timeout_s=0.2,
        drain_timeout_s=0.2,
        gateway_max_waiting_bytes=4 * 1024 * 1024,
        files_url=(tmp_path / "files").as_uri(),
        files_max_bytes=32 * 1024 * 1024,
    )
    holder: dict[str, House] = {}
    gateway = Gateway(
        settings,
        sink=sink,
        client=httpx.AsyncClient(transport=httpx.ASGITransport(upstream)),
        clock=lambda: holder["house"].now,
    )
    transport = httpx.ASGITransport(build_app(gateway), raise_app_exceptions=False)
    async with gateway.running(), httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        holder["house"] = House(gateway, sink, client, settings.gateway_keys_file, tmp_path / "files")
        yield holder["house"]


@pytest.fixture
def sink() -> CollectingSink:
    return CollectingSink()


MakeOrder = Callable[..., dict[str, Any]]


@pytest.fixture
def order() -> MakeOrder:
    """An order as a channel sends it, with changes."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "channel": "webshop",
            "shop": "berlin",
            "channel_order_no": "A-1001",
            "placed_at": "2026-03-02T08:59:00+01:00",
            "currency": "EUR",
            "lines": [{"line_no": "1", "listing": "MUG-RED", "quantity": 2, "unit_price_minor": 1250}],
            "shipping_minor": 490,
            "total_minor": 2990,
            "ship_to": {"country": "DE", "city": "Berlin", "postcode": "10115", "receiver_token": "tok_1"},
        } | changes

    return make
