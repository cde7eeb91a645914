"""Small JSON files for their owner alone, such as callers' keys and users: changed by commands under a lock, written
whole, and read again by a running process when they changed."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0

D = TypeVar("D", bound=BaseModel)


def read(path: Path, kind: type[D]) -> D:
    """What the file holds. Raises OSError, and pydantic's ValidationError."""
    return kind.model_validate_json(path.read_bytes())


@contextmanager
def changing(path: Path, kind: type[D]) -> Iterator[D]:
    """The file's content, written back whole at the end of the block; a file that is not there is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = read(path, kind) if path.exists() else kind()
        yield document
        replace(path, document.model_dump_json(indent=2).encode() + b"\n")


def replace(path: Path, content: bytes) -> None:
    """Write a file whole: a reader sees the old one or the new one."""
    # mkstemp makes the file for its owner alone (0600), and a rename keeps that.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class Watched(Generic[D]):
    """A file as a running process knows it. It is looked at once a second at most."""

    def __init__(self, path: Path, kind: type[D], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._kind = kind
        self._monotonic = monotonic
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")

    def news(self) -> D | None:
        """The file's content where it changed since it was last asked for. A file that is gone or cannot be read is no
        news: half edited, it must not lock everybody out; what was last read stays in force, and it is said loudly."""
        now = self._monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return None
        self._looked_at = now
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return None
            document = read(self._path, self._kind)
        except FileNotFoundError:
            if self._seen is not None:
                log.error("the file is gone; what was last read of it stays in force", path=str(self._path))
                self._seen = None
            return None
        except (OSError, ValidationError) as error:
            log.error(
                "the file cannot be read; what was last read of it stays in force",
                path=str(self._path),
                error=type(error).__name__,
            )
            return None
        self._seen = seen
        return document
