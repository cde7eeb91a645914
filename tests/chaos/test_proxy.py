"""A line does to its ends what it says."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from oms_local.ports import Ports

from .proxy import LOCALHOST, Line

SOON_S = 5.0
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that says back what it hears, and counts who is connected."""

    def __init__(self) -> None:
        self.connected = 0
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionResetError:
            pass
        finally:
            self.connected -= 1
            self.left.set()
            writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def line(echo: Echo) -> AsyncIterator[Line]:
    ports = Ports()
    listens, leads_to = ports.draw(), ports.draw()
    server = await asyncio.start_server(echo.serve, LOCALHOST, leads_to)
    async with Line(listens, leads_to) as line:
        yield line
    server.close()


async def connect(line: Line) -> Ends:
    return await asyncio.open_connection(LOCALHOST, line._listens)


async def ask(ends: Ends, word: bytes, timeout: float = SOON_S) -> bytes:
    ends[1].write(word)
    return await asyncio.wait_for(ends[0].readexactly(len(word)), timeout)


async def test_bytes_pass_both_ways_and_an_end_is_passed_on(line: Line, echo: Echo) -> None:
    ends = await connect(line)
    assert await ask(ends, b"hello") == b"hello"
    ends[1].close()
    await asyncio.wait_for(echo.left.wait(), SOON_S)
    assert echo.connected == 0


async def test_a_cut_holds_bytes_back_and_lets_them_arrive_afterwards(line: Line) -> None:
    ends = await connect(line)
    await ask(ends, b"before")
    async with line.cut():
        with pytest.raises(TimeoutError):
            await ask(ends, b"during", timeout=0.2)
    assert await asyncio.wait_for(ends[0].readexactly(6), SOON_S) == b"during"


async def test_a_connection_made_during_a_cut_is_silent_until_its_end(line: Line, echo: Echo) -> None:
    async with line.cut():
        ends = await connect(line)
        with pytest.raises(TimeoutError):
            await ask(ends, b"new", timeout=0.2)
        assert echo.connected == 0
    assert await asyncio.wait_for(ends[0].readexactly(3), SOON_S) == b"new"


async def test_a_slow_line_delays_each_direction(line: Line) -> None:
    ends = await connect(line)
    await ask(ends, b"warm")
    async with line.slow(0.1):
        began = time.monotonic()
        await ask(ends, b"slow")
        assert time.monotonic() - began >= 0.2
    began = time.monotonic()
    await ask(ends, b"fast")
    assert time.monotonic() - began < 0.2


async def test_a_reset_reaches_both_ends_and_new_connections_work(line: Line, echo: Echo) -> None:
    ends = await connect(line)
    await ask(ends, b"before")
    assert line.reset() == 1
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(ends[0].read(1), SOON_S)
    await asyncio.wait_for(echo.left.wait(), SOON_S)
    assert await ask(await connect(line), b"after") == b"after"


async def test_a_forgotten_connection_is_dead_and_neither_end_is_told(line: Line, echo: Echo) -> None:
    ends = await connect(line)
    await ask(ends, b"before")
    assert line.forget() == 1
    with pytest.raises(TimeoutError):
        await ask(ends, b"lost", timeout=0.2)
    ends[1].close()
    again = await connect(line)
    assert await ask(again, b"after") == b"after"
    assert echo.connected == 2, "the server still counts the dead one"


async def test_a_server_that_is_away_shows_as_a_reset() -> None:
    ports = Ports()
    async with Line(ports.draw(), ports.draw()) as line:
        ends = await connect(line)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(ends[0].read(1), SOON_S)
