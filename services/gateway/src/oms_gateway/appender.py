"""Appends what concurrent requests accepted, together, and lets each wait for its own."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import structlog

from oms_events.codec import Record
from oms_events.runtime.logs import ids_of, kind_of
from oms_events.runtime.ports import RecordSink
from oms_events.runtime.problems import Problem
from oms_events.runtime.telemetry import PUBLISHED
from oms_gateway.metrics import APPEND_SECONDS

log = structlog.get_logger()

_HEADERS_BYTES = 600
"""What a record's headers come to, for the bound alone."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    records: Sequence[Record]
    size: int
    durable: asyncio.Future[None]


class Appender:
    """One group at a time is handed to the sink; what comes meanwhile is the next group.

    Bounded: more waiting bytes than `max_waiting_bytes` are refused, and no request waits longer than `timeout_s`.
    A request that gave up may find its records appended all the same: its retry gives the same event ids.
    """

    def __init__(self, sink: RecordSink, *, timeout_s: float, max_waiting_bytes: int) -> None:
        self._sink = sink
        self._timeout_s = timeout_s
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._queue: list[_Waiting] = []
        self._filled = asyncio.Event()
        self._groups: set[asyncio.Task[None]] = set()

    async def append(self, records: Sequence[Record]) -> None:
        """Return when all records are durable. Raises Problem 503 when the broker does not take them in time."""
        size = sum(len(record.value or b"") + _HEADERS_BYTES for record in records)
        if self._waiting_bytes + size > self._max_waiting_bytes:
            raise _unavailable("too much waits for the broker already")
        waiting = _Waiting(records, size, asyncio.get_running_loop().create_future())
        self._waiting_bytes += size
        self._queue.append(waiting)
        self._filled.set()
        began = time.perf_counter()
        try:
            await asyncio.wait_for(waiting.durable, self._timeout_s)
        except TimeoutError:
            raise _unavailable(f"the broker did not take it within {self._timeout_s:g} s") from None
        finally:
            APPEND_SECONDS.observe(time.perf_counter() - began)

    async def run(self) -> None:
        """Hand over groups until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            queued, self._queue = self._queue, []
            group = [waiting for waiting in queued if not waiting.durable.done()]
            self._waiting_bytes -= sum(waiting.size for waiting in queued if waiting.durable.done())
            if not group:
                continue
            try:
                ack = await self._sink.send(_records(group))
            except Exception as error:  # noqa: BLE001 - whatever it is, these requests are answered and the next are tried
                self._settle(group, error)
                continue
            task = asyncio.create_task(self._acknowledged(group, ack))
            self._groups.add(task)
            task.add_done_callback(self._groups.discard)

    async def drain(self, timeout_s: float) -> None:
        """Wait for the groups in hand. What the broker has not taken by then was never answered 202."""
        if self._groups:
            await asyncio.wait(self._groups, timeout=timeout_s)
        for group in self._groups:
            group.cancel()

    async def _acknowledged(self, group: Sequence[_Waiting], ack: Awaitable[None]) -> None:
        try:
            await ack
        except Exception as error:  # noqa: BLE001 - as above
            self._settle(group, error)
        else:
            self._settle(group, None)

    def _settle(self, group: Sequence[_Waiting], error: Exception | None) -> None:
        if error is not None:
            log.warning("append failed", requests=len(group), error=kind_of(error), **ids_of(_records(group)))
        for waiting in group:
            self._waiting_bytes -= waiting.size
            if error is None:
                PUBLISHED.labels(waiting.records[0].topic).inc(len(waiting.records))
            if waiting.durable.done():
                continue
            if error is None:
                waiting.durable.set_result(None)
            else:
                waiting.durable.set_exception(_unavailable("the broker did not take it"))


def _records(group: Sequence[_Waiting]) -> list[Record]:
    return [record for waiting in group for record in waiting.records]


def _unavailable(detail: str) -> Problem:
    return Problem(503, f"{detail}; sending the same again is harmless", headers={"retry-after": "2"})
