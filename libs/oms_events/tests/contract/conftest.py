"""Examples as parameters: a test that asks for `example` runs once for each."""

from pathlib import Path

import pytest

from oms_events.schema.examples import Example, read

CONTRACTS = Path(__file__).parents[4] / "contracts"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "example" in metafunc.fixturenames:
        found = read(CONTRACTS)
        metafunc.parametrize("example", found, ids=[f"{example.type}-{example.name}" for example in found])


@pytest.fixture
def examples() -> list[Example]:
    return read(CONTRACTS)


@pytest.fixture
def contracts() -> Path:
    return CONTRACTS
