"""The run folder: one launcher at a time, its secret, and the places of what it keeps."""

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from oms_events.runtime import private_file
from oms_local.errors import LaunchError

_THROW_AWAY = "oms-test-"
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made there has a name nobody can foresee
_ROOM_BYTES = 4 << 30
"""Several times what the servers of a test run were seen to write."""


class AlreadyRunning(LaunchError):
    """Another launcher holds the run folder."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`.run`, made on first use."""

    path: Path

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def pids(self) -> Path:
        return self.path / "pids"

    @property
    def files(self) -> Path:
        return self.path / "files"

    @property
    def endpoints(self) -> Path:
        return self.path / "endpoints.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process. Raises AlreadyRunning. The kernel lets go of it if we die."""
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"another launcher (pid {self.holder()}) runs in {self.path}") from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)

    def holder(self) -> int | None:
        """The pid of the launcher that holds the folder."""
        path = self.path / "lock"
        if not path.exists():
            return None
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
        return None

    @contextlib.contextmanager
    def published(self, endpoints: Mapping[str, object]) -> Iterator[None]:
        """Keep `endpoints.json` for as long as what it names is there. It holds logins: only its owner reads it."""
        private_file.replace(self.endpoints, json.dumps(endpoints, indent=2).encode())
        try:
            yield
        finally:
            self.endpoints.unlink()

    def present_pids(self) -> dict[str, int]:
        """The processes of this run by name."""
        return {path.name: int(path.read_text()) for path in self.pids.glob("*")}

    def secret(self, purpose: str) -> str:
        """A secret of 64 hex digits for one purpose. All derive from one random root, so all stay as they are."""
        root = self.path / "secret"
        if not root.exists():
            private_file.replace(root, secrets.token_hex(32).encode())
        return hmac.new(bytes.fromhex(root.read_text()), purpose.encode(), hashlib.sha256).hexdigest()

    def remove(self) -> None:
        """Delete the folder, and what it links to: data that had to be placed elsewhere."""
        for path in self.path.iterdir():
            if path.is_symlink():
                shutil.rmtree(path.resolve(), ignore_errors=True)
        shutil.rmtree(self.path)


@contextlib.contextmanager
def throw_away_folder(*, in_memory: bool = False) -> Iterator[RunFolder]:
    """A folder for one test run; `in_memory` where the machine has the room for it. Its name carries our pid, so that a
    later run removes what a killed one left."""
    on_disk = Path(tempfile.gettempdir())
    for place in (on_disk, _IN_MEMORY):
        _remove_leftovers(place)
    place = _IN_MEMORY if in_memory and _takes(_IN_MEMORY) else on_disk
    path = Path(tempfile.mkdtemp(prefix=f"{_THROW_AWAY}{os.getpid()}-", dir=place))
    path.chmod(0o711)  # the database's account passes through; nobody else can list it
    folder = RunFolder(path)
    try:
        yield folder
    finally:
        folder.remove()


def _remove_leftovers(place: Path) -> None:
    for leftover in place.glob(f"{_THROW_AWAY}*"):
        pid = int(leftover.name.removeprefix(_THROW_AWAY).split("-")[0])
        if leftover.stat().st_uid == os.geteuid() and not psutil.pid_exists(pid):
            with contextlib.suppress(OSError):  # something is mounted there: whoever did that removes it
                RunFolder(leftover).remove()


def room_in_memory() -> bool:
    """Whether what the servers of a test run write may stay in memory."""
    return psutil.virtual_memory().available // 2 >= _ROOM_BYTES


def _takes(memory: Path) -> bool:
    """Whether servers can have their data, and their programs, in this file system of memory."""
    if not (room_in_memory() and os.access(memory, os.W_OK)):
        return False
    found = os.statvfs(memory)
    return found.f_bavail * found.f_frsize >= _ROOM_BYTES and not found.f_flag & os.ST_NOEXEC
