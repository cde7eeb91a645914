"""The compose file as the tests look at it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"

Container = Mapping[str, Any]


def document() -> dict[str, Any]:
    """The file, its anchors and merges resolved."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return loaded


def containers() -> dict[str, Container]:
    """All that the file starts, by name."""
    found: dict[str, Container] = document()["services"]
    return found
