"""Where the running system is: from the launcher in this process, from the file that it writes, or by addresses."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from oms_events.runtime.broker import Broker
from oms_events.runtime.settings import Settings, read_settings

if TYPE_CHECKING:  # the launcher and all that it needs are not there where a system is played to from outside
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
    broker: Broker
    keys: Mapping[str, Key]
    pids: Callable[[], Mapping[str, int]]

    @classmethod
    def of(cls, system: "System") -> Self:
        keys = {role: Key(key.key, key.secret) for role, key in system.keys.items()}
        return cls(system.gateway_url, system.broker, keys, system.pids)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `endpoints.json` of a run folder. Raises NotRunning."""
        try:
            document = json.loads(path.read_text())
        except OSError as error:
            raise NotRunning(f"{path}: {error.strerror}; is the system running? `oms-local up` starts it") from None
        keys = _keys(document["keys"])
        pids = path.parent / "pids"
        return cls(document["services"]["gateway"], Broker(document["bootstrap"]), keys, lambda: _read_pids(pids))

    @classmethod
    def at(cls, gateway_url: str, bootstrap: str, keys: Path) -> Self:
        """A system anywhere; `keys` is a file as `oms-gateway keys demo` writes it. The environment says how its
        broker is met. Raises NotRunning, SettingRefused."""
        try:
            document = json.loads(keys.read_text())
        except OSError as error:
            raise NotRunning(f"{keys}: {error.strerror}; `oms-gateway keys demo` writes it") from None
        broker = replace(Broker.of(read_settings(Settings)), bootstrap=bootstrap)
        return cls(gateway_url, broker, _keys(document), dict)


def _keys(document: Mapping[str, Mapping[str, str]]) -> dict[str, Key]:
    return {role: Key(**key) for role, key in document.items()}


def _read_pids(folder: Path) -> dict[str, int]:
    return {file.name: int(text) for file in sorted(folder.glob("*")) if (text := file.read_text().strip())}
