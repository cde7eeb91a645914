"""Sends signed requests one by one over some kept connections: as little Python per request as HTTP allows."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

from oms_events.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from oms_sample.endpoints import Key

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """How a run of requests went."""

    accepted: int
    seconds: float
    times_ms: Sequence[float]
    """From each request to its answer."""

    @property
    def per_s(self) -> float:
        return round(self.accepted / self.seconds, 1)


def requests(url: str, path: str, key: Key, bodies: Sequence[bytes]) -> list[bytes]:
    """Each body as a whole signed request. Good for five minutes."""
    host, now = urlsplit(url).netloc, int(time.time())
    return [
        (
            f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{KEY_HEADER}: {key.key}\r\n{TIMESTAMP_HEADER}: {now}\r\n"
            f"{SIGNATURE_HEADER}: {sign(key.secret, now, 'POST', path, body)}\r\n\r\n"
        ).encode()
        + body
        for body in bodies
    ]


def send(url: str, prepared: Sequence[bytes], connections: int) -> Sent:
    """Send all of them, each connection one at a time, in a loop of its own that is faster than the standard one."""
    return uvloop.run(_send(url, prepared, connections))


async def _send(url: str, prepared: Sequence[bytes], connections: int) -> Sent:
    address = str(urlsplit(url).hostname), int(urlsplit(url).port or 80)
    loop = asyncio.get_running_loop()
    left = iter(prepared)
    began = time.monotonic()
    callers = [
        (await loop.create_connection(lambda: _Caller(left, loop.create_future()), *address))[1]
        for _ in range(connections)
    ]
    accepted = sum(await asyncio.gather(*(caller.done for caller in callers)))
    return Sent(accepted, time.monotonic() - began, [1000 * took for caller in callers for took in caller.times])


class _Caller(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last one is in."""

    def __init__(self, left: Iterator[bytes], done: "asyncio.Future[int]") -> None:
        self.done = done
        self.times: list[float] = []
        """Seconds that each answer took."""
        self._left = left
        self._accepted = 0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(_END)
        if not end:
            return
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        self._accepted += self._answer.startswith(b"HTTP/1.1 202")
        self._answer = b""
        self.times.append(time.monotonic() - self._sent_at)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the gateway closed the connection"))

    def _next(self) -> None:
        request = next(self._left, None)
        if request is None:
            self.done.set_result(self._accepted)
            self._transport.close()
        else:
            self._sent_at = time.monotonic()
            self._transport.write(request)
