"""Where the running system is: from the launcher in this process, or from the file that it writes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from oms_local.system import System


class NotRunning(Exception):
    """No system is running where it was looked for."""


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's name at the gateway and the secret it signs with."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses, keys by role, and the present processes by name."""

    gateway_url: str
    bootstrap: str
    keys: Mapping[str, Key]
    pids: Callable[[], Mapping[str, int]]

    @classmethod
    def of(cls, system: System) -> Self:
        keys = {role: Key(key.key, key.secret) for role, key in system.keys.items()}
        return cls(system.gateway_url, system.bootstrap, keys, system.pids)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `endpoints.json` of a run folder. Raises NotRunning."""
        try:
            document = json.loads(path.read_text())
        except OSError as error:
            raise NotRunning(f"{path}: {error.strerror}; is the system running? `oms-local up` starts it") from None
        keys = {role: Key(**key) for role, key in document["keys"].items()}
        pids = path.parent / "pids"
        return cls(document["services"]["gateway"], document["bootstrap"], keys, lambda: _read_pids(pids))


def _read_pids(folder: Path) -> dict[str, int]:
    return {file.name: int(text) for file in sorted(folder.glob("*")) if (text := file.read_text().strip())}
