"""A line between one service and one server, which can be slow, cut, reset or forgotten.

Bytes are carried in user space, so what the two ends see of a fault is what TCP would show them, with one exception:
the kernel goes on acknowledging what it takes in for us, so neither end's keep-alive notices a cut.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Self

LOCALHOST = "127.0.0.1"
_CHUNK = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(eq=False, slots=True)
class _Call:
    """One connection through the line: the client's end, and the server's once there is one."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    forgotten: bool = False

    def ends(self) -> Iterator[asyncio.StreamWriter]:
        yield self.client
        if self.server is not None:
            yield self.server


class Line:
    """Listens at one port of this machine and carries every connection to another. An async context."""

    def __init__(self, listens: int, leads_to: int) -> None:
        self._listens = listens
        self._leads_to = leads_to
        self._delay_s = 0.0
        self._whole = asyncio.Event()
        self._whole.set()
        self._calls: set[_Call] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, LOCALHOST, self._listens)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def calls(self) -> int:
        """How many connections there are."""
        return len(self._calls)

    @contextlib.asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Nothing passes and nobody is told; at the end everything held back arrives. New connections stay silent."""
        self._whole.clear()
        try:
            yield
        finally:
            self._whole.set()

    @contextlib.asynccontextmanager
    async def slow(self, delay_s: float) -> AsyncIterator[None]:
        """Every piece of up to 64 KiB arrives so much later, and the next one waits for it."""
        self._delay_s = delay_s
        try:
            yield
        finally:
            self._delay_s = 0.0

    def reset(self) -> int:
        """Both ends of every connection get a reset; answers how many there were."""
        calls = list(self._calls)
        for call in calls:
            for end in call.ends():
                _reset(end)
        return len(calls)

    def forget(self) -> int:
        """Every present connection stays open and is dead: no byte and no end passes it again, as when a firewall
        drops its table. New ones work. Answers how many there were."""
        calls = list(self._calls)
        for call in calls:
            call.forgotten = True
        return len(calls)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        call = _Call(writer)
        self._calls.add(call)
        try:
            await self._carry(call, reader)
        finally:
            self._calls.discard(call)
            for end in call.ends():
                end.close()

    async def _carry(self, call: _Call, client: asyncio.StreamReader) -> None:
        await self._whole.wait()
        try:
            server, call.server = await asyncio.open_connection(LOCALHOST, self._leads_to)
        except OSError:
            _reset(call.client)
            return
        await asyncio.gather(self._pump(call, client, call.server), self._pump(call, server, call.client))

    async def _pump(self, call: _Call, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One direction, to its end. An end that closed is passed on as such, unless the call is forgotten."""
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._whole.wait()
                if not call.forgotten:
                    sink.write(data)
                    await sink.drain()
        await self._whole.wait()
        if not call.forgotten:
            sink.close()


def _reset(end: asyncio.StreamWriter) -> None:
    connection = end.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    end.transport.abort()
