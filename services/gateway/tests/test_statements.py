"""The door for statements: the file is in the store and the event on the topic, or there is nothing."""

import asyncio
import hashlib
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn

from oms_events.codec import decode
from oms_events.contracts.intake import StatementReceived
from oms_events.values import statement_id
from oms_gateway import statements
from oms_gateway.entrypoints.app import build_app
from oms_gateway.keys import Role

from .conftest import House

CSV = {"content-type": "text/csv"}
PATH = "/v1/statements?channel=web&shop=main&format=canonical"
DATA = b"statement,1,web,main,GBP\n"
DIGEST = hashlib.sha256(DATA).hexdigest()


async def hand_in(house: House, data: bytes = DATA, path: str = PATH, **options: Any) -> httpx.Response:
    options.setdefault("auth", house.auth(Role.FINANCE))
    return await house.client.post(path, content=data, headers=CSV | options.pop("headers", {}), **options)


def files(house: House) -> list[str]:
    root = house.files
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_the_file_lies_under_its_hash_and_the_event_says_so(house: House) -> None:
    answer = await hand_in(house, path=PATH + "&file_name=March%202026.csv")
    assert answer.status_code == 202, answer.text
    expected = statement_id("web", "main", DIGEST)
    receipt = answer.json()
    assert (receipt["id"], receipt["status_url"]) == (str(expected), f"/v1/statements/{expected}")
    assert (house.files / DIGEST[:2] / DIGEST).read_bytes() == DATA
    assert files(house) == [f"{DIGEST[:2]}/{DIGEST}"]
    (record,) = house.sink.records
    received = decode(record)
    assert isinstance(received.event, StatementReceived)
    assert record.key == b"web/main"
    assert str(received.meta.id) == receipt["event_id"]
    statement = received.event.statement
    assert (statement.file_sha256, statement.size_bytes) == (DIGEST, len(DATA))
    assert (statement.format, statement.file_name) == ("canonical", "March 2026.csv")
    assert (statement.uploaded_at, statement.uploaded_by) == (house.now, "finance-0")


async def test_the_same_file_again_is_the_same_statement(house: House) -> None:
    first = (await hand_in(house)).json()
    house.advance(timedelta(hours=1))
    again = (await hand_in(house)).json()
    assert again["id"] == first["id"]
    assert again["event_id"] != first["event_id"], "a refused statement may be handed in again"
    assert files(house) == [f"{DIGEST[:2]}/{DIGEST}"]
    other = (await hand_in(house, path=PATH.replace("main", "other"))).json()
    assert other["id"] != first["id"]


async def test_a_large_file_passes_through_little_memory(house: House) -> None:
    block = b"0123456789abcdef" * 4096
    count = 400

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield block

    digest = hashlib.sha256(block * count).hexdigest()
    tracemalloc.start()
    try:
        answer = await house.client.post(PATH, content=body(), headers=CSV | signed(house, digest))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 202, answer.text
    assert (house.files / digest[:2] / digest).stat().st_size == count * len(block)
    assert peak < 14 * 2**20, "the file has 25 megabytes"


def signed(house: House, digest: str, target: str = PATH) -> dict[str, str]:
    """The headers of a caller who streams: the hash is known before, the body is not held."""
    return house.auth(Role.FINANCE).headers("POST", target, digest)


async def test_a_wrong_signature_leaves_nothing(house: House) -> None:
    headers = CSV | signed(house, hashlib.sha256(b"another file").hexdigest())
    answer = await house.client.post(PATH, content=DATA, headers=headers)
    assert answer.status_code == 401
    assert (files(house), house.sink.records) == ([], [])


async def test_a_signature_for_another_account_is_wrong(house: House) -> None:
    headers = CSV | signed(house, DIGEST, PATH.replace("main", "other"))
    assert (await house.client.post(PATH, content=DATA, headers=headers)).status_code == 401
    assert (files(house), house.sink.records) == ([], [])


async def test_what_the_broker_does_not_take_can_be_sent_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(house.sink, "send", send)
        answer = await hand_in(house)
    assert answer.status_code == 503
    assert "harmless" in answer.text
    assert (await hand_in(house)).status_code == 202
    assert len(files(house)) == 1


@pytest.mark.parametrize("role", [Role.CHANNEL, Role.WAREHOUSE, Role.CARRIER, Role.VIEWER])
async def test_only_finance_and_operators_hand_in(house: House, role: Role) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    auth = house.auth(role)
    headers = {"X-OMS-Key": auth._key, "X-OMS-Timestamp": str(int(house.now.timestamp())), "X-OMS-Signature": "v1=x"}
    answer = await house.client.post(PATH, content=never_read(), headers=CSV | headers)
    assert answer.status_code == 403
    assert "finance or operator" in answer.text
    assert files(house) == []


async def test_an_operator_may_too(house: House) -> None:
    assert (await hand_in(house, auth=house.auth(Role.OPERATOR))).status_code == 202


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("channel=web&shop=main", "format"),
        ("channel=web&shop=main&format=pdf", "format"),
        ("channel=web&shop=&format=canonical", "shop"),
        ("channel=web&shop=a/b&format=canonical", "shop"),
        ("channel=web&shop=main&format=canonical&file_name=a%0Ab", "file_name"),
        ("channel=web&shop=main&format=canonical&chanel=web", "chanel"),
        ("channel=web&channel=web&shop=main&format=canonical", "twice"),
    ],
)
async def test_the_query_is_judged_before_the_body(house: House, query: str, words: str) -> None:
    answer = await hand_in(house, path=f"/v1/statements?{query}")
    assert answer.status_code == 422, answer.text
    assert words in answer.text
    assert (files(house), house.sink.records) == ([], [])


@pytest.mark.parametrize("headers", [{"content-type": "application/zip"}, {"content-encoding": "gzip"}])
async def test_packed_files_are_not_taken(house: House, headers: dict[str, str]) -> None:
    assert (await hand_in(house, headers=headers)).status_code == 415
    assert files(house) == []


async def test_too_large_is_refused_by_its_length_and_as_it_comes(house: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 2**20

    most = house.gateway.settings.files_max_bytes
    declared = await hand_in(house, headers={"content-length": str(most + 1)})
    assert declared.status_code == 413
    streamed = await house.client.post(PATH, content=endless(), headers=CSV | signed(house, "0" * 64))
    assert streamed.status_code == 413
    assert (files(house), house.sink.records) == ([], [])


async def test_only_so_many_come_in_at_one_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_AT_ONCE", 1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield DATA[:5]
        begun.set()
        await go_on.wait()
        yield DATA[5:]

    first = asyncio.create_task(house.client.post(PATH, content=slow(), headers=CSV | signed(house, DIGEST)))
    await begun.wait()
    refused = await hand_in(house)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    go_on.set()
    assert (await first).status_code == 202
    assert (await hand_in(house)).status_code == 202


async def test_without_a_store_the_setting_is_named(house: House) -> None:
    house.gateway.statements._files = None
    answer = await hand_in(house)
    assert answer.status_code == 501
    assert "OMS_FILES_URL" in answer.text


# --- over a real connection -----------------------------------------------------------------------------------------


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nothing tells when a disk or a server has it
            await asyncio.sleep(0.01)


@dataclass
class Served:
    port: int


@pytest.fixture
async def served(house: House) -> AsyncIterator[Served]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(build_app(house.gateway), log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve([listening]))
        await eventually(lambda: server.started)
        yield Served(listening.getsockname()[1])
        server.should_exit = True
        await task


def head(house: House, digest: str, length: int) -> bytes:
    headers = {"Host": "gateway", "Content-Length": str(length), **CSV, **signed(house, digest)}
    return "\r\n".join([f"POST {PATH} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode()


async def test_a_connection_that_is_cut_leaves_nothing(house: House, served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    data = b"x" * (6 * 2**20)
    writer.write(head(house, hashlib.sha256(data).hexdigest(), len(data)) + data[:-1])
    await writer.drain()
    await eventually(lambda: files(house))  # some of it has reached the disk
    assert all(name.startswith("incoming/") for name in files(house))
    writer.close()
    await eventually(lambda: not files(house))
    assert house.sink.records == []


async def test_over_a_real_connection_a_whole_file_comes_in(house: House, served: Served) -> None:
    data = b"0123456789\n" * 300_000
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        answer = await client.post(PATH, content=data, headers=CSV, auth=house.auth(Role.FINANCE))
    assert answer.status_code == 202, answer.text
    digest = hashlib.sha256(data).hexdigest()
    assert (house.files / digest[:2] / digest).read_bytes() == data
