"""The file store: whole or not at all, once, and never more than it may take."""

import asyncio
import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms_events.runtime.files import FileDamaged, FileMissing, FileStore, FileTooLarge

DATA = b"row,1\nrow,2\n"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(f"file://{tmp_path}/files", max_bytes=32 * 2**20)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def files(tmp_path: Path) -> list[str]:
    root = tmp_path / "files"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def put(store: FileStore, *parts: bytes) -> str:
    async with store.receive(pieces(*parts)) as incoming:
        await incoming.keep()
    return incoming.sha256


async def test_a_file_lies_under_its_hash_and_reads_as_it_came(store: FileStore, tmp_path: Path) -> None:
    async with store.receive(pieces(DATA[:5], b"", DATA[5:])) as incoming:
        assert (incoming.sha256, incoming.size) == (DIGEST, len(DATA))
        assert f"{DIGEST[:2]}/{DIGEST}" not in files(tmp_path), "before it is kept it has no name that anyone reads"
        await incoming.keep()
    assert files(tmp_path) == [f"{DIGEST[:2]}/{DIGEST}"]
    assert b"".join([piece async for piece in store.stream(DIGEST)]) == b"".join(store.read(DIGEST)) == DATA
    assert await store.size(DIGEST) == len(DATA)


async def test_an_empty_file_is_a_file(store: FileStore) -> None:
    assert b"".join(store.read(await put(store))) == b""


async def test_twice_is_once(store: FileStore, tmp_path: Path) -> None:
    first = await put(store, DATA)
    changed_at = (tmp_path / "files" / DIGEST[:2] / DIGEST).stat().st_mtime_ns
    assert await put(store, DATA) == first
    assert files(tmp_path) == [f"{DIGEST[:2]}/{DIGEST}"]
    assert (tmp_path / "files" / DIGEST[:2] / DIGEST).stat().st_mtime_ns == changed_at


async def test_two_uploads_of_one_file_at_one_time_are_one(store: FileStore, tmp_path: Path) -> None:
    digests = await asyncio.gather(*(put(store, *[DATA] * 50_000) for _ in range(5)))
    assert len(set(digests)) == 1
    assert files(tmp_path) == [f"{digests[0][:2]}/{digests[0]}"]


async def test_what_is_not_kept_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    async with store.receive(pieces(DATA)):
        pass
    with pytest.raises(RuntimeError, match="wrong signature"):
        async with store.receive(pieces(DATA)):
            raise RuntimeError("wrong signature")
    assert files(tmp_path) == []


@pytest.mark.parametrize("size", [3, 11 * 2**20])
async def test_an_upload_that_breaks_off_leaves_nothing(store: FileStore, tmp_path: Path, size: int) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * size
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with store.receive(cut()):
            pytest.fail("it did not come in whole")
    assert files(tmp_path) == []


async def test_an_upload_that_is_cancelled_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 2**20
            begun.set()
            await asyncio.sleep(0)
        await asyncio.Event().wait()  # for ever: only being cancelled ends it

    async def upload() -> None:
        async with store.receive(slow()):
            pass

    task = asyncio.create_task(upload())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert files(tmp_path) == []


async def test_too_much_is_refused_before_it_came_whole(store: FileStore, tmp_path: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 2**20
            yield b"x" * 2**20

    with pytest.raises(FileTooLarge, match="33554432 bytes"):
        async with store.receive(endless()):
            pass
    assert taken <= 34 * 2**20
    assert files(tmp_path) == []


async def test_a_large_file_passes_through_little_memory(store: FileStore) -> None:
    block = os.urandom(2**16)
    tracemalloc.start()
    try:
        digest = await put(store, *[block] * 450)
        size = 0
        async for piece in store.stream(digest):
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 450 * 2**16
    assert peak < 14 * 2**20, "the file has 28 megabytes"


async def test_a_missing_and_a_damaged_file_are_told_apart(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        list(store.read(DIGEST))
    assert await store.size(DIGEST) is None
    await put(store, DATA)
    (tmp_path / "files" / DIGEST[:2] / DIGEST).write_bytes(DATA.replace(b"1", b"7"))
    with pytest.raises(FileDamaged):
        list(store.read(DIGEST))


@pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "0"])
async def test_nothing_but_a_hash_is_looked_for(store: FileStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        list(store.read(name))


async def test_a_damaged_upload_of_another_length_is_replaced(store: FileStore, tmp_path: Path) -> None:
    place = tmp_path / "files" / DIGEST[:2] / DIGEST
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA[:4])
    await put(store, DATA)
    assert place.read_bytes() == DATA


KILLED = """
import asyncio, os, signal, sys
from oms_events.runtime.files import FileStore

async def chunks():
    yield b"x" * (12 * 2**20)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with FileStore(sys.argv[1], max_bytes=2**30).receive(chunks()):
        pass

asyncio.run(main())
"""


async def test_what_a_killed_process_left_is_swept_away_a_day_later(store: FileStore, tmp_path: Path) -> None:
    await put(store, DATA)
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, f"file://{tmp_path}/files")
    assert await dead.wait() == -9
    left = files(tmp_path)
    assert len(left) == 2
    assert not any(name.endswith(DIGEST[2:]) for name in left if name.startswith("incoming/"))
    (tmp_path / "files" / "incoming" / "whole-but-never-kept").write_bytes(b"x")
    now = datetime.now(UTC)
    assert await store.sweep(now) == 0
    assert await store.sweep(now + timedelta(days=1, minutes=1)) == 2
    assert files(tmp_path) == [f"{DIGEST[:2]}/{DIGEST}"]


ENDS_AT_ONCE = """
import asyncio, sys
from oms_events.runtime.files import FileStore

async def chunks():
    yield b"x" * (12 * 2**20)

async def main():
    store = FileStore(sys.argv[1], max_bytes=2**30)
    async with store.receive(chunks()) as incoming:
        await incoming.keep()
    async for piece in store.stream(incoming.sha256):
        pass

asyncio.run(main())
"""


def test_a_process_may_end_right_after(tmp_path: Path) -> None:
    for _ in range(5):
        subprocess.run([sys.executable, "-c", ENDS_AT_ONCE, f"file://{tmp_path}/files"], check=True, timeout=60)
