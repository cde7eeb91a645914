"""What the newest release promised: a committed copy of its contracts, moved by `oms-events release` and nothing else.

A copy and not a git tag: the gate works on a shallow clone, a source archive and a machine without git alike, and a
review shows what a release promises.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "released"
"""Below the contracts folder."""
_RELEASE, _EVENTS, _HTTP = "release.json", "events.json", "http.json"

Schemas = Mapping[str, Mapping[str, Any]]


class NoBaseline(ValueError):
    """There is no usable baseline. The message says why."""


@dataclass(frozen=True)
class Baseline:
    """A release: its version, the schemas of its events by name (`orders/OrderPaid.v1`), its HTTP API."""

    version: str
    events: Schemas
    http: Mapping[str, Any]

    def covers(self, type_: str) -> bool:
        """True when the release promised this event type (`oms.orders.OrderPaid.v1`)."""
        return event_name(type_) in self.events


def event_name(type_: str) -> str:
    """`orders/OrderPaid.v1` for `oms.orders.OrderPaid.v1`."""
    return type_.removeprefix("oms.").replace(".", "/", 1)


def load(contracts: Path) -> Baseline:
    """The committed baseline. Raises NoBaseline when it is missing, or was changed by other means than a release."""
    folder = contracts / FOLDER
    try:
        release = json.loads((folder / _RELEASE).read_text("utf-8"))
        contents = {name: (folder / name).read_bytes() for name in (_EVENTS, _HTTP)}
        version, expected = release["version"], release["sha256"]
    except FileNotFoundError as error:
        raise NoBaseline(f"{error.filename} is missing: restore it, or make a release") from None
    except (ValueError, LookupError, TypeError):
        raise NoBaseline(f"{folder / _RELEASE} cannot be read: restore it") from None
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != expected.get(name):
            raise NoBaseline(f"{folder / name} was edited: only `oms-events release` may move what was promised")
    return Baseline(version, json.loads(contents[_EVENTS]), json.loads(contents[_HTTP]))


def save(contracts: Path, baseline: Baseline) -> None:
    """Put a release in the place of the one before."""
    folder = contracts / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    contents = {_EVENTS: _written(baseline.events), _HTTP: _written(baseline.http)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    (folder / _RELEASE).write_bytes(_written({"version": baseline.version, "sha256": hashes}))


def _written(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
