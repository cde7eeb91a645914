"""Callers' keys: the file that knows them, and the secrets that nobody stores.

A secret is derived from the root key and the key's id when it is needed. To check an HMAC the server needs the
secret itself, so a stored hash of it would have to be the secret; deriving it leaves nothing in the file to steal.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oms_events.runtime import private_file

_SECRET_LABEL = "oms-key-v1"  # noqa: S105 - a label, no secret


class Role(StrEnum):
    """What a caller is to the system."""

    CHANNEL = "channel"
    WAREHOUSE = "warehouse"
    CARRIER = "carrier"
    OPERATOR = "operator"
    VIEWER = "viewer"
    FINANCE = "finance"
    """Reads everything, and writes off more than an operator may."""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Glob = Annotated[str, Field(min_length=1, max_length=160)]


class Key(BaseModel):
    """A caller as the file knows it. An empty scope means all; globs follow `fnmatch`, case-sensitive.

    `shops` are `channel/shop` globs. `rate_per_s` counts items (an order in a batch is one); none is no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: Name
    role: Role
    shops: tuple[Glob, ...] = ()
    nodes: tuple[Glob, ...] = ()
    carriers: tuple[Glob, ...] = ()
    rate_per_s: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    burst: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    created_at: datetime
    revoked_at: datetime | None = None

    @model_validator(mode="after")
    def _scope_fits_role(self) -> "Key":
        for role, globs in ((Role.CHANNEL, self.shops), (Role.WAREHOUSE, self.nodes), (Role.CARRIER, self.carriers)):
            if globs and self.role is not role:
                # A scope that no rule looks at would promise a limit that is not there.
                raise ValueError(f"only a key of role {role} can be limited in this way")
        return self

    def may_sell_at(self, channel: str, shop: str) -> bool:
        """True when the shop is within this key's scope."""
        return _within(self.shops, f"{channel}/{shop}")

    def may_use_node(self, node: str) -> bool:
        """True when the warehouse is within this key's scope."""
        return _within(self.nodes, node)

    def may_use_carrier(self, carrier: str) -> bool:
        """True when the carrier is within this key's scope."""
        return _within(self.carriers, carrier)


def _within(globs: Sequence[str], name: str) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


class _Document(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=1)] = 1
    keys: list[Key] = []


class NameTaken(ValueError):
    """Another key that is not revoked has this name."""


class KeyUnknown(ValueError):
    """No key that is not revoked has this name."""


def key_digest(key_id: str) -> str:
    """How the file names a key."""
    return hashlib.sha256(key_id.encode()).hexdigest()


def derive_secret(root_key: str, key_id: str) -> str:
    """The secret of a key, in hex."""
    return hmac.digest(root_key.encode(), (_SECRET_LABEL + key_id).encode(), "sha256").hex()


class KeyRing:
    """The keys of a running gateway, as their file has them."""

    def __init__(self, path: Path, root_key: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file = private_file.Watched(path, _Document, monotonic=monotonic)
        self._root_key = root_key
        self._keys: dict[str, Key] = {}
        self._secrets: dict[str, str] = {}

    def find(self, key_id: str) -> tuple[Key, str] | None:
        """A key that is in force and its secret, or None."""
        self._refresh()
        key = self._keys.get(key_digest(key_id))
        if key is None:
            return None
        if key_id not in self._secrets:
            self._secrets[key_id] = derive_secret(self._root_key, key_id)
        return key, self._secrets[key_id]

    def _refresh(self) -> None:
        document = self._file.news()
        if document is not None:
            self._keys = {key.id_sha256: key for key in document.keys if key.revoked_at is None}
            self._secrets.clear()


def issue(
    path: Path,
    root_key: str,
    *,
    name: str,
    role: Role,
    now: datetime,
    shops: Sequence[str] = (),
    nodes: Sequence[str] = (),
    carriers: Sequence[str] = (),
    rate_per_s: float | None = None,
    burst: int | None = None,
) -> tuple[str, str]:
    """Add a key to the file; answers its id and its secret, which can never be shown again.

    Raises NameTaken, and pydantic's ValidationError for a bad name, scope or rate.
    """
    key_id = f"omk_{secrets.token_hex(16)}"
    key = Key(
        id_sha256=key_digest(key_id),
        name=name,
        role=role,
        shops=tuple(shops),
        nodes=tuple(nodes),
        carriers=tuple(carriers),
        rate_per_s=rate_per_s,
        burst=burst,
        created_at=now,
    )
    with private_file.changing(path, _Document) as document:
        if any(other.name == name and other.revoked_at is None for other in document.keys):
            raise NameTaken(f"a key named {name} exists; revoke it first or choose another name")
        document.keys.append(key)
    return key_id, derive_secret(root_key, key_id)


def hand_out(path: Path, root_key: str, *, to: Path, now: datetime) -> None:
    """A key without limits for each role, written with its secret to the JSON file `to`, for a demonstration.

    Keys that are there and in force stay. One whose secret went with a crash before it was written is revoked.
    """
    known: dict[str, dict[str, str]] = json.loads(to.read_bytes()) if to.exists() else {}
    in_force = {key.id_sha256 for key in list_keys(path) if key.revoked_at is None} if path.exists() else set()
    for role in Role:
        if role in known and key_digest(known[role]["key"]) in in_force:
            continue
        name = f"demo-{role}"
        with suppress(KeyUnknown):
            revoke(path, name=name, now=now)
        key, secret = issue(path, root_key, name=name, role=role, now=now)
        known[role] = {"key": key, "secret": secret}
        private_file.replace(to, json.dumps(known, indent=2).encode() + b"\n")


def revoke(path: Path, *, name: str, now: datetime) -> Key:
    """Put a key out of force. Raises KeyUnknown."""
    with private_file.changing(path, _Document) as document:
        for place, key in enumerate(document.keys):
            if key.name == name and key.revoked_at is None:
                document.keys[place] = key.model_copy(update={"revoked_at": now})
                return document.keys[place]
        raise KeyUnknown(f"no key in force is named {name}")


def list_keys(path: Path) -> list[Key]:
    """All keys of the file, revoked ones too."""
    return private_file.read(path, _Document).keys
