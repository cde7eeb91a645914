"""Who sends and who reads each event, as the services declare it; `contracts/services.json` keeps it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SERVICES = "services.json"
"""Below the contracts folder. Written where all services are installed: the library knows none of them."""


@dataclass(frozen=True)
class Part:
    """A service's part in the flow, by event type. `group` is its consumer group."""

    group: str | None
    sends: Sequence[str]
    reads: Sequence[str]


def load(contracts: Path) -> dict[str, Part]:
    """Every service's part; empty where nobody wrote it down."""
    path = contracts / SERVICES
    said = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {name: Part(part["group"], part["sends"], part["reads"]) for name, part in said.items()}


def written(parts: Mapping[str, Part]) -> str:
    """The file's content."""
    said = {
        name: {"group": part.group, "sends": sorted(part.sends), "reads": sorted(part.reads)}
        for name, part in sorted(parts.items())
    }
    return json.dumps(said, indent=2) + "\n"
