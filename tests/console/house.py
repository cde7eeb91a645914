"""The whole house in one process, with its front door and its pages: every service on a real database, the gateway's
own proxy before them, and the console listening on a port for a real browser."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from tests.system.players import LEEDS, LONDON, Outside, cancellation, counted, order, payment, report, scans
from tests.system.system import System

from oms_console import users
from oms_console.console import Console
from oms_console.entrypoints.app import build_app as build_pages
from oms_console.roles import Role
from oms_console.settings import ConsoleSettings
from oms_events.codec import Record
from oms_events.registry import topics
from oms_events.runtime.lifecycle import HttpServer
from oms_events.runtime.service import Service
from oms_events.runtime.tracing import OFF
from oms_events.testing.memory_broker import CALM, MemoryBroker
from oms_events.testing.scenario import START
from oms_gateway import keys
from oms_gateway.entrypoints.app import build_app as build_gateway
from oms_gateway.gateway import Gateway
from oms_gateway.settings import GatewaySettings
from oms_local.ports import Ports

PASSWORD = "correct horse battery"
PEOPLE = {
    "ann": (Role.OPERATOR, Role.FINANCE),
    "fin": (Role.FINANCE,),
    "vic": (Role.VIEWER,),
}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
_ROOT_KEY = "a root key for tests, long enough to be one"


@dataclass
class House:
    """Where the console listens, and the system behind it."""

    url: str
    outside: Outside
    console: Console

    async def poison(self) -> None:
        """A record that orders cannot read."""
        good = self.outside.system.broker.records("oms.intake.channel-order.v1")[0]
        headers = [
            (name, b"8d6bd1fc-7f8a-4b0e-9d3a-0d4b6f0c9b01" if name == "ce_id" else v) for name, v in good.headers
        ]
        broken = Record(good.topic, b"poisoned", b'{"order_id": "<b>no uuid</b>"}', headers)
        await (await self.outside.system.broker.sink().send([broken]))
        await self.outside.system.calm()


def files_of(folder: Path) -> str:
    """Where statements are kept."""
    files = folder / "files"
    files.mkdir()
    return files.as_uri()


@asynccontextmanager
async def standing(services: Iterable[tuple[Service, str]], folder: Path) -> AsyncIterator[House]:
    """A house with an hour's business in it."""
    broker = MemoryBroker([topic.name for topic in topics()], seed=1, manners=CALM)
    system = System(broker, services, lambda _: OFF)
    async with AsyncExitStack() as stack:
        outside = Outside(await stack.enter_async_context(system.running()))
        gateway = Gateway(_gateway_settings(folder, system), sink=broker.sink(), client=_through(system))
        await stack.enter_async_context(gateway.running())
        settings = _console_settings(folder)
        console = Console(settings, transport=httpx.ASGITransport(build_gateway(gateway)))
        await stack.enter_async_context(console.running())
        await stack.enter_async_context(HttpServer(build_pages(console), settings).running())
        await _business(outside)
        yield House(f"http://127.0.0.1:{settings.http_port}", outside, console)


def _through(system: System) -> httpx.AsyncClient:
    """A client that finds each service by its name."""
    return httpx.AsyncClient(mounts={f"http://{name}.test": door for name, door in system.doors.items()})


def _gateway_settings(folder: Path, system: System) -> GatewaySettings:
    known: dict[str, Any] = {f"{name}_url": f"http://{name}.test" for name in system.doors}
    return GatewaySettings(
        gateway_keys_file=folder / "keys.json",
        gateway_root_key=SecretStr(_ROOT_KEY),
        kafka_bootstrap="unused:1",
        **known,
    )


def _console_settings(folder: Path) -> ConsoleSettings:
    issued = {}
    for role in Role:
        key, secret = keys.issue(
            folder / "keys.json", _ROOT_KEY, name=f"console-{role}", role=keys.Role(role.value), now=START
        )
        issued[role.value] = {"key": key, "secret": secret}
    (folder / "console-keys.json").write_text(json.dumps(issued))
    for name, roles in PEOPLE.items():
        users.add(folder / "users.json", name=name, roles=roles, password=PASSWORD)
    return ConsoleSettings(
        http_port=Ports().draw(),
        gateway_url="http://gateway.test",
        console_keys_file=folder / "console-keys.json",
        console_users_file=folder / "users.json",
        console_secret=SecretStr("a secret for tests, as long as it must be"),
        console_secure_cookies=False,
    )


async def _business(outside: Outside) -> None:
    """Orders at every stage, with every kind of trouble."""
    await outside.open_shop("A", "B", "C", unmapped=("C",))
    await outside.say(*counted(LONDON, A=12, B=10), *counted(LEEDS, A=10))
    await outside.buy("W-1001", a=2, b=1)
    await outside.ship_and_deliver(await outside.shipment("W-1001"))
    await outside.buy("W-1002", a=3)
    shipment = await outside.shipment("W-1002")
    await outside.say(report(shipment, "accepted"), report(shipment, "shipped"), *scans(shipment, "picked_up"))
    await outside.buy("W-1003", a=1)
    await outside.say(order("W-1004", a=1))
    for number in range(1005, 1009):
        noted = order(f"W-{number}", a=1).model_copy(update={"buyer_note": f"please ring twice {HOSTILE}"})
        await outside.say(noted, payment(noted))
    await outside.buy("W-1009", c=1)
    await outside.buy("W-1010", b=40)
    await outside.buy("W-1011", a=1)
    await outside.say(cancellation("W-1011"))
    hostile = order("W-1012", a=1).model_copy(update={"channel_order_no": HOSTILE[:60]})
    await outside.say(hostile)
    await outside.buy("W-1013", a=10)
