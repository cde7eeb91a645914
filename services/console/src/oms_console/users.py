"""Who may sign in: a file of names, roles and hashed passwords."""

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from oms_console import passwords
from oms_console.roles import Role
from oms_events.runtime import private_file

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
    """The users of a running console, as their file has them."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file = private_file.Watched(path, _Document, monotonic=monotonic)
        self._users: dict[str, User] = {}

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
        document = self._file.news()
        if document is not None:
            self._users = {user.name: user for user in document.users}


@cache
def _nobody() -> str:
    return passwords.hash_password("a password that is nobody's")


def add(path: Path, *, name: str, roles: Sequence[Role], password: str) -> User:
    """Add a user. Raises NameTaken, Unfit, and pydantic's ValidationError for a bad name."""
    user = User(name=name, roles=tuple(dict.fromkeys(roles)), password=passwords.hash_password(password))
    with private_file.changing(path, _Document) as document:
        if any(other.name == name for other in document.users):
            raise NameTaken(f"a user named {name} exists; remove them first or choose another name")
        document.users.append(user)
    return user


def set_password(path: Path, *, name: str, password: str) -> None:
    """Give a user another password, which ends their sessions. Raises UserUnknown, Unfit."""
    hashed = passwords.hash_password(password)
    with private_file.changing(path, _Document) as document:
        place = _place(document, name)
        document.users[place] = document.users[place].model_copy(update={"password": hashed})


def remove(path: Path, *, name: str) -> None:
    """Remove a user, which ends their sessions. Raises UserUnknown."""
    with private_file.changing(path, _Document) as document:
        del document.users[_place(document, name)]


def list_users(path: Path) -> list[User]:
    """All users of the file."""
    return private_file.read(path, _Document).users


def _place(document: _Document, name: str) -> int:
    for place, user in enumerate(document.users):
        if user.name == name:
            return place
    raise UserUnknown(f"no user is named {name}")
