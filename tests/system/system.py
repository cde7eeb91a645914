"""The whole system in one process: every service's runtime on a broker in memory, each with its own real database.

Events come in as the gateway would append them; master data through the services' own APIs. Time stands still unless
told to pass, and timed work is done when the test waits for calm: so nothing depends on how fast the machine is.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import text

from oms_analytics.app import verification
from oms_events.codec import Record, decode, encode
from oms_events.contract import Contract
from oms_events.envelope import EventMeta, Received
from oms_events.registry import Event, topics
from oms_events.runtime import dead_letters
from oms_events.runtime.http import build_app
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings
from oms_events.runtime.tracing import Tracing
from oms_events.testing.memory_broker import MemoryBroker
from oms_events.testing.scenario import START
from oms_events.values import derived_text
from oms_gateway.doors import DOORS

PATIENCE_S = 30.0
_DOORS = {door.part: door for door in DOORS}
_OUTBOX = text("select count(*) from outbox")


class System:
    """Services that talk to each other, and the doors through which the world talks to them."""

    def __init__(
        self, broker: MemoryBroker, services: Iterable[tuple[Service, str]], tracing_of: Callable[[str], Tracing]
    ) -> None:
        self.broker = broker
        self._tracing_of = tracing_of
        self.now = START
        self._sink = broker.sink()
        self._runtimes = {service.name: self._runtime(service, url) for service, url in services}
        self.doors = {name: httpx.ASGITransport(build_app(runtime)) for name, runtime in self._runtimes.items()}
        self._clients = {
            name: httpx.AsyncClient(transport=door, base_url=f"http://{name}.test") for name, door in self.doors.items()
        }

    def _runtime(self, service: Service, url: str) -> Runtime:
        settings = Settings(
            database_url=SecretStr(url),
            kafka_bootstrap="unused:1",
            roles="consumer,relay",
            batch_window_ms=2,
            commit_interval_s=0.05,
            relay_interval_s=0.05,
            relay_age_s=0.1,
        )
        source = self.broker.source(service.group, [topic.name for topic in service.topics()])
        return Runtime(
            service,
            settings,
            source=source,
            sink=self.broker.sink(),
            clock=lambda: self.now,
            tracing=self._tracing_of(service.name),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["System"]:
        """Every service at work."""
        async with AsyncExitStack() as stack:
            for runtime in self._runtimes.values():
                await stack.enter_async_context(runtime.running())
            for client in self._clients.values():
                await stack.enter_async_context(client)
            yield self

    # --- what goes in -------------------------------------------------------------------------------------------

    async def tell(self, *parts: Contract) -> None:
        """Say something at the doors, in this order, as often as it takes. The same words again are the same event."""
        for part in parts:
            while not await self._accepted(part):
                pass

    async def _accepted(self, part: Contract) -> bool:
        try:
            await (await self._sink.send([self._append(part)]))
        except KafkaConnectionError:
            return False
        return True

    def _append(self, part: Contract) -> Record:
        door = _DOORS[type(part)]
        event = door.wrap(part)
        content = hashlib.sha256(to_json(part)).hexdigest()
        event_id = derived_text(event.type, event.key(), content, at=door.at(part))
        return encode(event, EventMeta(event_id, "/oms/gateway", event.type, event.key(), self.now, event_id))

    async def ask(self, service: str, path: str, **query: Any) -> Any:
        """What a service answers to a query."""
        return _content(await self._clients[service].get(path, params=query))

    async def command(self, service: str, method: str, path: str, body: object) -> Any:
        """What a service answers to a command."""
        return _content(await self._clients[service].request(method, path, json=body))

    def runtime(self, service: str) -> Runtime:
        """A service at work, to look into it or to break it."""
        return self._runtimes[service]

    # --- time ---------------------------------------------------------------------------------------------------

    async def pass_time(self, by: timedelta) -> None:
        """Move the clock and let happen what follows."""
        self.now += by
        await self.calm()

    async def calm(self) -> None:
        """Wait until nobody has anything left to do at this moment. Raises TimeoutError."""
        async with asyncio.timeout(2 * PATIENCE_S):
            said = -1
            while said != (said := self._said()):
                for runtime in self._runtimes.values():
                    await self._quiet()
                    await _timed_work(runtime)
                await self._quiet()

    async def _quiet(self) -> None:
        """Everything told is heard, and everything heard is answered."""
        drains = [runtime.publisher.drain for runtime in self._runtimes.values()]
        await self.broker.quiet(*drains, timeout_s=PATIENCE_S)
        while await self._unpublished():  # this happens in the databases
            await asyncio.sleep(0.02)
            await self.broker.quiet(*drains, timeout_s=PATIENCE_S)

    async def _unpublished(self) -> int:
        return sum([await _count(runtime) for runtime in self._runtimes.values()])

    def _said(self) -> int:
        return sum(len(self.broker.records(topic.name)) for topic in topics())

    # --- what came of it ----------------------------------------------------------------------------------------

    def events(self) -> list[Received[Event]]:
        """Everything that happened, each event once, topic by topic."""
        found = (decode(record) for topic in topics() for record in self.broker.records(topic.name))
        return list({received.meta.id: received for received in found}.values())

    def story(self, order_id: UUID) -> Counter[str]:
        """How often which event was told of an order."""
        about = (received.event for received in self.events() if getattr(received.event, "order_id", None) == order_id)
        return Counter(type(event).__name__ for event in about)

    async def check_books(self) -> None:
        """No event was set aside, inventory's balances are what its ledger says, and profits what was said comes to."""
        for name, runtime in self._runtimes.items():
            async with runtime.connection() as connection:
                letters = await dead_letters.list_letters(connection, closed=True)
            assert not letters, (name, letters)
        assert await self.ask("inventory", "/v1/reconciliation") == {"balanced": True, "differences": []}
        async with self._runtimes["analytics"].connection() as connection:
            assert [found async for found in verification.differences(connection)] == []


async def _timed_work(runtime: Runtime) -> None:
    for job in runtime.service.jobs:
        await runtime.sweeper.run_job(job)
    for long in runtime.service.long_jobs:
        await runtime.sweeper.run_long_job(long)
    for long in runtime.service.long_jobs:
        await runtime.sweeper.run_long_job(long)
    assert await runtime.sweeper.fire_due() == []


async def _count(runtime: Runtime) -> int:
    async with runtime.connection() as connection:
        return int((await connection.execute(_OUTBOX)).scalar_one())


def _content(answer: httpx.Response) -> Any:
    assert answer.is_success, (answer.request.method, str(answer.request.url), answer.text)
    return answer.json() if answer.content else None
