"""A console with a gateway that plays back what a real one answered."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from .fake import ANSWERS, Client, PlayedBack, started_console


@pytest.fixture(scope="session")
def recorded() -> dict[str, Any]:
    """The recording: an order, a SKU, and the answers by question."""
    content: dict[str, Any] = json.loads(ANSWERS.read_text())
    return content


@pytest.fixture
def gateway(recorded: dict[str, Any]) -> PlayedBack:
    return PlayedBack(recorded["answers"])


@pytest_asyncio.fixture
async def client(tmp_path: Path, gateway: PlayedBack) -> AsyncIterator[Client]:
    """A browser that nobody has signed in with."""
    async with started_console(tmp_path, httpx.MockTransport(gateway)) as client:
        yield client
