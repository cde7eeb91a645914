"""One gateway process: what it is made of, and how it starts and stops."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import structlog

from oms_events.runtime.broker import Broker
from oms_events.runtime.files import FileStore
from oms_events.runtime.kafka import KafkaSink, require_topics
from oms_events.runtime.ports import RecordSink
from oms_events.runtime.tracing import Tracing
from oms_gateway.admission import Admission
from oms_gateway.appender import Appender
from oms_gateway.doors import EVENTS
from oms_gateway.idempotency import ClaimedBodies
from oms_gateway.intake import Intake
from oms_gateway.keys import KeyRing
from oms_gateway.openapi import ApiDocument
from oms_gateway.proxy import Proxy, build_client
from oms_gateway.rate_limit import RateLimiter
from oms_gateway.settings import GatewaySettings
from oms_gateway.statements import Statements

log = structlog.get_logger()

_LOOK_AT_BROKER_S = 10.0
_LOOK_AGAIN_S = 1.0
_LOOK_TIMEOUT_S = 5.0


def _now() -> datetime:
    return datetime.now(UTC)


class Gateway:
    """The parts of a gateway. Builds its producer and client unless given others (tests do)."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        sink: RecordSink | None = None,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], datetime] = _now,
        tracing: Tracing | None = None,
    ) -> None:
        self.settings = settings
        self.tracing = tracing or Tracing.from_environment("gateway", instance=settings.instance)
        self._broker = Broker.of(settings)
        self._sink = sink or KafkaSink(self._broker, client_id="oms-gateway")
        self._client = client or build_client()
        urls = settings.service_urls()
        ring = KeyRing(settings.gateway_keys_file, settings.gateway_root_key.get_secret_value())
        admission = Admission(ring, RateLimiter(), clock=lambda: clock().timestamp())
        self._appender = Appender(
            self._sink,
            timeout_s=settings.gateway_append_timeout_s,
            max_waiting_bytes=settings.gateway_max_waiting_bytes,
        )
        self.intake = Intake(admission, self._appender, ClaimedBodies(), clock=clock)
        self._files = FileStore(settings.files_url, max_bytes=settings.files_max_bytes) if settings.files_url else None
        self.statements = Statements(admission, self._appender, self._files, clock=clock)
        self._clock = clock
        self.proxy = Proxy(admission, self._client, urls)
        self.api_document = ApiDocument(self._client, urls)
        self._leaving = False
        self._broker_problem: str | None = "the broker was not reached yet"

    async def unready_reason(self) -> str | None:
        """Why the process cannot serve now, or None."""
        return "stopping" if self._leaving else self._broker_problem

    def leave(self) -> None:
        """Say that no new requests are wanted; those at work go on."""
        self._leaving = True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Ready to append and to pass on, with or without an HTTP server. What was accepted is flushed at the end."""
        works = [self._appender.run(), self._watch_broker(), self._sweep_files()]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield self
        finally:
            await self._appender.drain(self.settings.drain_timeout_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sink.stop()
            await self._client.aclose()
            await self.tracing.close()

    async def _sweep_files(self) -> None:
        if self._files is None:
            return
        try:
            if swept := await self._files.sweep(self._clock()):
                log.info("unfinished uploads removed", files=swept)
        except Exception as error:  # noqa: BLE001 - tidying up can wait for the next start
            log.warning("the file store could not be tidied up", error=type(error).__name__)

    async def _watch_broker(self) -> None:
        """Keep readiness true to whether the topics can be reached. An append does not wait for it."""
        while True:
            began = time.monotonic()
            self._broker_problem = await self._look_at_broker()
            pause = _LOOK_AT_BROKER_S if self._broker_problem is None else _LOOK_AGAIN_S
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))

    async def _look_at_broker(self) -> str | None:
        if not isinstance(self._sink, KafkaSink):
            return None
        topics = sorted({event.topic.name for event in EVENTS})
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                await require_topics(self._broker, topics)
                await self._sink.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is the same
            log.warning("broker not ready", error=type(error).__name__, reason=str(error))
            return f"broker: {type(error).__name__}"
        return None
