"""Examples as parameters: a test that asks for `example` runs once for each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CONTRACTS = Path(__file__).parents[4] / "contracts"


@dataclass(frozen=True)
class Example:
    """Data of one event, as committed."""

    type: str
    name: str
    data: dict[str, Any]


def _examples() -> list[Example]:
    found = []
    for path in sorted(CONTRACTS.glob("examples/*/*/*/*.json")):
        service, event, version, name = path.relative_to(CONTRACTS / "examples").with_suffix("").parts
        found.append(Example(f"oms.{service}.{event}.{version}", name, json.loads(path.read_text("utf-8"))))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "example" in metafunc.fixturenames:
        examples = _examples()
        metafunc.parametrize("example", examples, ids=[f"{example.type}-{example.name}" for example in examples])


@pytest.fixture
def examples() -> list[Example]:
    return _examples()


@pytest.fixture
def contracts() -> Path:
    return CONTRACTS
