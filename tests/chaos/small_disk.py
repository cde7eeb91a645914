"""A disk that can be full: a memory file system of a fixed size for one folder."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from oms_local.process import CommandFailed, run

SIZE_MB = 1024
_BLOCK = 4096
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000


class NoDisk(Exception):
    """This account may not mount a file system here."""


def obstacle() -> str | None:
    """Why no disk of its own can be had here, or None."""
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "oms-faults", "/mnt"]
    try:
        tried = subprocess.run(trial, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        return str(missing)
    return tried.stderr.strip() or None


@contextlib.asynccontextmanager
async def mounted(folder: Path) -> AsyncIterator[None]:
    """A disk of its own for `folder` until the end of the block. Raises NoDisk."""
    folder.mkdir()  # noqa: ASYNC240 - one call at the start
    _see_mounts_alone()
    try:
        await run(["mount", "--make-rprivate", "/"])
        await run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "oms-faults", str(folder)])
    except (CommandFailed, FileNotFoundError) as failure:
        raise NoDisk(str(failure)) from None
    try:
        yield
    finally:
        await run(["umount", "--lazy", str(folder)])


def _see_mounts_alone() -> None:
    """Let this process and its children have mounts that nobody else sees: they end with us, even by kill -9.
    Raises NoDisk."""
    if _LIBC.unshare(_CLONE_NEWNS) != 0:
        raise NoDisk(os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Every free block of the folder's disk is taken until the end of the block."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        _fill(file)
    try:
        yield
    finally:
        ballast.unlink()


def _fill(file: BinaryIO) -> None:
    """Take what is free, in smaller and smaller pieces."""
    size, end = 64 * 1024 * 1024, 0
    while size >= _BLOCK:
        try:
            os.posix_fallocate(file.fileno(), end, size)
        except OSError:
            size //= 2
        else:
            end += size
