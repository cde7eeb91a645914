"""Who may sign in: a file of names, roles and hashed passwords."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oms_console import passwords
from oms_console.roles import Role

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]


class User(BaseModel):
    """A person as the file knows them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    password: Annotated[str, Field(pattern=r"^scrypt\$\d{1,2}\$\d{1,2}\$\d{1,2}\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+$")]

    @property
    def stamp(self) -> str:
        """Changes with the password: a session made before the change is then worth nothing."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


class _Document(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=1)] = 1
    users: list[User] = []


class NameTaken(ValueError):
    """Somebody has this name already."""


class UserUnknown(ValueError):
    """Nobody has this name."""


class UserBook:
    """The users of a running console. The file is read again when it changed, looked at once a second at most."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._users: dict[str, User] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")

    def find(self, name: str) -> User | None:
        """The user of that name."""
        self._refresh()
        return self._users.get(name)

    def check(self, name: str, password: str) -> User | None:
        """The user whose name and password these are. Takes as long for a name that nobody has."""
        user = self.find(name)
        right = passwords.verify(password, user.password if user else _nobody())
        return user if right else None

    def problem(self) -> str | None:
        """Why nobody can sign in, or None."""
        self._refresh()
        return None if self._users else "no users: add one with `oms-console users add`"

    def _refresh(self) -> None:
        now = self._monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._users = {user.name: user for user in _read(self._path).users}
                self._seen = seen
        except FileNotFoundError:
            if self._seen is not None:
                log.error("the file of users is gone; those last read stay", path=str(self._path))
                self._seen = None
        except (OSError, ValidationError) as error:
            log.error("the file of users cannot be read; those last read stay", error=type(error).__name__)


@cache
def _nobody() -> str:
    return passwords.hash_password("a password that is nobody's")


def add(path: Path, *, name: str, roles: Sequence[Role], password: str) -> User:
    """Add a user. Raises NameTaken, Unfit, and pydantic's ValidationError for a bad name."""
    user = User(name=name, roles=tuple(dict.fromkeys(roles)), password=passwords.hash_password(password))
    with _changing(path) as document:
        if any(other.name == name for other in document.users):
            raise NameTaken(f"a user named {name} exists; remove them first or choose another name")
        document.users.append(user)
    return user


def set_password(path: Path, *, name: str, password: str) -> None:
    """Give a user another password, which ends their sessions. Raises UserUnknown, Unfit."""
    hashed = passwords.hash_password(password)
    with _changing(path) as document:
        place = _place(document, name)
        document.users[place] = document.users[place].model_copy(update={"password": hashed})


def remove(path: Path, *, name: str) -> None:
    """Remove a user, which ends their sessions. Raises UserUnknown."""
    with _changing(path) as document:
        del document.users[_place(document, name)]


def list_users(path: Path) -> list[User]:
    """All users of the file."""
    return _read(path).users


def _place(document: _Document, name: str) -> int:
    for place, user in enumerate(document.users):
        if user.name == name:
            return place
    raise UserUnknown(f"no user is named {name}")


def _read(path: Path) -> _Document:
    return _Document.model_validate_json(path.read_bytes())


@contextmanager
def _changing(path: Path) -> Iterator[_Document]:
    """The file's content, written back whole at the end: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = _read(path) if path.exists() else _Document()
        yield document
        _replace(path, document.model_dump_json(indent=2).encode() + b"\n")


def _replace(path: Path, content: bytes) -> None:
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
