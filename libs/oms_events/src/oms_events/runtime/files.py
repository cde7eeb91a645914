"""Files named by their content: what is put in twice is there once, and what is there never changes.

Events carry a file's SHA-256, never the file. The store is a folder that the processes share (`file:///path`) or a
bucket (`s3://bucket/prefix`; keys, region and `AWS_ENDPOINT_URL` as AWS's own tools take them from the environment,
and `AWS_ALLOW_HTTP=true` for a server of one's own without TLS). Uploads of a
process that was killed stay under `incoming/` and are swept away a day later; in a bucket, a lifecycle rule should
end unfinished multipart uploads too.

Everything here runs in threads and uses obstore's blocking calls: after its asynchronous ones, a process that ends
within some milliseconds is aborted, because threads of the library still hold Python objects.
"""

import asyncio
import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

if TYPE_CHECKING:
    from obstore import WritableFile

_BLOCK_BYTES = 1024 * 1024
_PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes; a store of this size never has more parts than the 10,000 it allows."""
_PARTS_AT_ONCE = 2
_INCOMING = "incoming"
_LEFT_BEHIND = timedelta(days=1)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIMEOUT = "600s"
"""For one request to a bucket. A download is one request, however long its file is."""


class FileTooLarge(ValueError):
    """More came than a file may have."""


class FileMissing(LookupError):
    """The store has no file of this hash."""


class FileDamaged(ValueError):
    """The store's file does not have the hash that it is named by."""


class Incoming:
    """A file that came in whole, under a name of its own until it is kept."""

    def __init__(self, store: "FileStore", name: str, sha256: str, size: int) -> None:
        self._store = store
        self._name = name
        self.sha256 = sha256
        self.size = size

    async def keep(self) -> None:
        """Put the file in its place. When this returns it is on disk, or as safe as the bucket keeps it."""
        await asyncio.to_thread(self._store._keep, self._name, self.sha256, self.size)


class FileStore:
    """A folder or bucket of files. Built from `files_url` and `files_max_bytes` of the settings."""

    def __init__(self, url: str, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._store = _open(url)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[Incoming]:
        """Take a file in as it comes, never whole in memory. What is not kept within the block leaves nothing behind.

        Raises FileTooLarge, and what the source of the chunks raises.
        """
        name = f"{_INCOMING}/{uuid.uuid4().hex}"
        sha256, size = await self._write(name, chunks)
        try:
            yield Incoming(self, name, sha256, size)
        finally:
            await asyncio.to_thread(self._remove, name)

    def read(self, sha256: str) -> Iterator[bytes]:
        """The file, a megabyte at a time; for a thread. Raises FileMissing, and FileDamaged after the last piece."""
        try:
            pieces = obstore.get(self._store, _place(sha256)).stream(min_chunk_size=_BLOCK_BYTES)
        except FileNotFoundError:
            raise FileMissing(sha256) from None
        digest = hashlib.sha256()
        for piece in pieces:
            data = bytes(piece)
            digest.update(data)
            yield data
        if digest.hexdigest() != sha256:
            raise FileDamaged(sha256)

    async def stream(self, sha256: str) -> AsyncIterator[bytes]:
        """`read` for an event loop."""
        pieces = self.read(sha256)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    async def size(self, sha256: str) -> int | None:
        """The bytes of a file, or None where there is none."""
        return await asyncio.to_thread(self._size, _place(sha256))

    async def sweep(self, now: datetime) -> int:
        """Remove what uploads of dead processes left behind; answers how many."""
        return await asyncio.to_thread(self._sweep, now - _LEFT_BEHIND)

    async def _write(self, name: str, chunks: AsyncIterable[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        async with self._writing(name) as writer:

            def write(block: bytes) -> None:
                digest.update(block)
                writer.write(block)

            async for block in _blocks(chunks):
                size += len(block)
                if size > self.max_bytes:
                    raise FileTooLarge(f"a file may have {self.max_bytes} bytes")
                await _to_its_end(write, block)
        return digest.hexdigest(), size

    @asynccontextmanager
    async def _writing(self, name: str) -> AsyncIterator["WritableFile"]:
        """A file that is written whole, or given up."""
        writer = obstore.open_writer(self._store, name, buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        try:
            yield writer
        except BaseException as error:
            await _to_its_end(writer.__exit__, type(error), error, error.__traceback__)
            raise
        await _to_its_end(writer.close)

    def _keep(self, name: str, sha256: str, size: int) -> None:
        place = _place(sha256)
        if self._size(place) != size:
            obstore.rename(self._store, name, place)
        if isinstance(self._store, LocalStore) and self._store.prefix is not None:
            _to_disk(self._store.prefix / place)

    def _size(self, place: str) -> int | None:
        try:
            return obstore.head(self._store, place)["size"]
        except FileNotFoundError:
            return None

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):  # it was kept
            obstore.delete(self._store, name)

    def _sweep(self, before: datetime) -> int:
        old = [
            entry["path"]
            for page in obstore.list(self._store, _INCOMING)
            for entry in page
            if entry["last_modified"] < before
        ]
        for name in old:
            self._remove(name)
        return len(old) + self._sweep_unfinished(before)

    def _sweep_unfinished(self, before: datetime) -> int:
        """In a folder, what was not written to its end has a name that a listing does not show."""
        if not isinstance(self._store, LocalStore) or self._store.prefix is None:
            return 0
        found = list((self._store.prefix / _INCOMING).glob("*#*"))
        old = [path for path in found if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _open(url: str) -> ObjectStore:
    if url.startswith("file://"):
        return from_url(url, mkdir=True)
    client = {"timeout": _TIMEOUT, "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"}
    options: dict[str, Any] = {"client_options": client}
    return from_url(url, **options)


def _place(sha256: str) -> str:
    if not _DIGEST.fullmatch(sha256):
        raise ValueError("a file is named by a SHA-256 in lower-case hex")
    return f"{sha256[:2]}/{sha256}"


async def _to_its_end(work: Callable[..., object], *given: object) -> None:
    """In a thread, and waited for even by one who is cancelled: what it works on is nobody else's meanwhile."""
    task = asyncio.create_task(asyncio.to_thread(work, *given))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Chunks put together: a thread is worth its while for a megabyte, not for what one packet brought."""
    kept = bytearray()
    async for chunk in chunks:
        kept += chunk
        if len(kept) >= _BLOCK_BYTES:
            yield bytes(kept)
            kept.clear()
    if kept:
        yield bytes(kept)


def _to_disk(path: Path) -> None:
    """A name and its content outlive a power cut only once both were synced."""
    for target in (path, path.parent, path.parent.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
