"""One process of a service: starts what its roles need, in order, and stops it without losing a step."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
import uvicorn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.broker import Broker
from oms_events.runtime.database import Lane, build_engine
from oms_events.runtime.kafka import KafkaSink, KafkaSource, require_topics
from oms_events.runtime.logs import kind_of
from oms_events.runtime.outbox import Publisher
from oms_events.runtime.ports import RecordSink, RecordSource
from oms_events.runtime.relay import Relay
from oms_events.runtime.retry import backoff, is_transient
from oms_events.runtime.runner import Runner
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings
from oms_events.runtime.stages import Stages
from oms_events.runtime.sweeper import Sweeper
from oms_events.runtime.tracing import Tracing
from oms_events.runtime.trail import trail_of
from oms_events.runtime.transaction import transaction
from oms_events.runtime.watch import Watch
from oms_events.runtime.work import Work

log = structlog.get_logger()

_REPLAY_POLL_S = 1.0
_REPLAY_WANTED = text("select exists (select 1 from dead_letters where state = 'replaying' and closed_at is null)")


def _now() -> datetime:
    return datetime.now(UTC)


class Runtime:
    """A service at work. Builds its engine, producer and consumer unless given others (tests do)."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        *,
        source: RecordSource | None = None,
        sink: RecordSink | None = None,
        clock: Callable[[], datetime] = _now,
        tracing: Tracing | None = None,
    ) -> None:
        self.service = service
        self.tracing = tracing or Tracing.from_environment(service.name, instance=settings.instance)
        self.settings = settings
        self.roles = settings.active_roles()
        self.broker = Broker.of(settings)
        self.engine = build_engine(settings, name=f"oms-{service.name}")
        self._lanes: list[Lane] = []
        self._clock = clock
        self._sink = sink or KafkaSink(self.broker, client_id=f"oms-{service.name}")
        stages = Stages(service.group)
        self.publisher = Publisher(self._sink, self._lane(), stages, self.tracing)
        self.relay = Relay(
            service.name,
            sink=self._sink,
            lane=self._lane(),
            publisher=self.publisher,
            settings=settings,
            tracing=self.tracing,
        )
        # A batch runs several handlers in one transaction, so no order of locking fits all: within a process the
        # consumer and the timed work take turns, or they would meet in deadlocks.
        turn = asyncio.Lock()
        self.sweeper = Sweeper(
            service,
            lane=self._lane(),
            long_lanes={job.name: self._lane() for job in service.long_jobs},
            publisher=self.publisher,
            settings=settings,
            turn=turn,
            clock=clock,
            tracing=self.tracing,
        )
        self._source = source or KafkaSource(
            self.broker, settings, group=service.group, topics=[topic.name for topic in service.topics()]
        )
        self.runner = Runner(
            service,
            source=self._source,
            lane=self._lane(),
            publisher=self.publisher,
            settings=settings,
            turn=turn,
            stages=stages,
            tracing=self.tracing,
            clock=clock,
        )
        self._started = False
        self._leaving = False
        self._tasks: list[asyncio.Task[None]] = []
        self._consuming: asyncio.Task[None] | None = None

    def _lane(self) -> Lane:
        lane = Lane(self.engine)
        self._lanes.append(lane)
        return lane

    async def close(self) -> None:
        """Give all connections back. For a runtime that was started, stopping does it."""
        for lane in self._lanes:
            await lane.close()
        await self.engine.dispose()
        await self.tracing.close()

    # --- what the API works with ----------------------------------------------------------------------------

    def transaction(self) -> AbstractAsyncContextManager[Work]:
        """A unit of work for a command."""
        return transaction(
            self.engine.begin,
            self.publisher,
            source=self.service.source,
            now=self._clock(),
            trail=trail_of(self.tracing, self.service.group),
        )

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for queries."""
        return self.engine.connect()

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that publishes nothing."""
        return self.engine.begin()

    def ticked_at(self) -> float:
        """When the slowest loop last came round, by the monotonic clock."""
        ticks = [time.monotonic()]
        if self._consuming is not None:
            ticks.append(self.runner.ticked_at)
        return min(ticks)

    def leave(self) -> None:
        """Say that no new requests are wanted; everything else goes on."""
        self._leaving = True

    async def unready_reason(self) -> str | None:
        """Why the process cannot serve now, or None."""
        if not self._started or self._leaving:
            return "starting or stopping"
        try:
            async with asyncio.timeout(2), self.engine.connect() as connection:
                await connection.execute(text("select 1"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is the same
            return f"database: {type(error).__name__}"
        return None

    # --- life -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Runtime"]:
        """Consumers, relay and deadlines at work, without the HTTP server."""
        await self._start()
        try:
            yield self
        finally:
            await self._stop()

    async def _start(self) -> None:
        names = self.service.topic_names()
        if isinstance(self._sink, KafkaSink):
            await _until_reachable(lambda: require_topics(self.broker, names), "broker")
        await _until_reachable(self._sink.start, "broker")
        self._spawn(self.publisher.run())
        if "relay" in self.roles:
            self._spawn(self.relay.run())
        if "deadlines" in self.roles:
            self._spawn(self.sweeper.run())
        if "consumer" in self.roles and self.service.consumes:
            self._consuming = self._spawn(self.runner.run())
            self._spawn(self._watch_replays())
        self._spawn(self._watch().run())
        self._started = True

    def _watch(self) -> Watch:
        watch = Watch(self.service)
        if "relay" in self.roles:
            watch.loop("relay", lambda: self.relay.ticked_at)
        if "deadlines" in self.roles:
            watch.backlog(self.connection)
            for gauge in self.service.gauges:
                watch.sampled(gauge, self.connection)
        if self._consuming is not None:
            watch.loop("consumer", lambda: self.runner.ticked_at)
            watch.consumer(self._source, lambda: self.runner.in_hand)
        return watch

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def failed(self) -> None:
        """Return when a loop has died; its error is raised."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _watch_replays(self) -> None:
        """Replays are asked for by any process, in the database."""
        while True:
            await asyncio.sleep(_REPLAY_POLL_S)
            try:
                async with self.engine.connect() as connection:
                    if (await connection.execute(_REPLAY_WANTED)).scalar_one():
                        self.runner.replay_soon()
            except Exception as error:
                if not is_transient(error):
                    raise

    async def _stop(self) -> None:
        """Finish the batch in hand, publish what it caused, then let go of broker and database."""
        self._started = False
        try:
            async with asyncio.timeout(self.settings.drain_timeout_s):
                if self._consuming is not None:
                    self.runner.stop()
                    await asyncio.wait([self._consuming])
                await self.publisher.drain()
        except TimeoutError:
            log.warning("stopped before everything was drained; the outbox keeps the rest")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sink.stop()
        await self.close()


async def _until_reachable(step: Callable[[], Awaitable[None]], what: str) -> None:
    for wait in backoff(first=0.2, cap=5.0):
        try:
            await step()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("waiting", what=what, error=kind_of(error))
            await asyncio.sleep(wait)
            continue
        return


async def serve(runtime: Runtime) -> None:
    """Run the process until SIGTERM or SIGINT. Raises when a loop dies of an error that no retry can mend."""
    from oms_events.runtime.http import build_app  # noqa: PLC0415 - the app needs the class above

    stop = stop_signal()
    server = HttpServer(build_app(runtime), runtime.settings)
    async with server.running():
        async with runtime.running():
            log.info("serving", roles=sorted(runtime.roles), port=runtime.settings.http_port)
            waits = [asyncio.create_task(stop.wait()), asyncio.create_task(runtime.failed())]
            done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            for task in done:
                task.result()
            runtime.leave()
            await server.linger()
        log.info("stopped")


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


class _Farewell:
    """An ASGI application that, once leaving, closes every connection with the answer it gives."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - any ASGI application
        self._app = app
        self.leaving = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own types
        async def send_and_close(message: Any) -> None:  # noqa: ANN401
            if self.leaving and message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, send_and_close if scope["type"] == "http" else send)


class HttpServer:
    """Uvicorn inside our loop: signals are ours, so that draining comes first. Health answers in every role."""

    def __init__(self, app: Any, settings: Settings) -> None:  # noqa: ANN401 - any ASGI application
        self._farewell = _Farewell(app)
        self._linger_s = settings.linger_s
        config = uvicorn.Config(
            self._farewell,
            host=settings.http_host,
            port=settings.http_port,
            access_log=False,
            log_config=None,  # its lines go where ours go, in our form
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=int(settings.drain_timeout_s),
            server_header=False,
        )
        self._server = uvicorn.Server(config)

    async def linger(self) -> None:
        """Go on answering for a while, and let go of each caller with the answer. A connection that is closed while it
        is idle may be closed just as its caller writes to it; one that is told to close is not used again."""
        self._farewell.leaving = True
        await asyncio.sleep(self._linger_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve until the block ends. Raises OSError when the port is taken."""
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup()
        if self._server.should_exit:
            raise OSError(f"cannot listen on port {self._server.config.port}")
        ticking = asyncio.create_task(self._server.main_loop())
        try:
            yield
        finally:
            self._server.should_exit = True
            await ticking
            await self._server.shutdown()
