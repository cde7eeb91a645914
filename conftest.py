"""Fixtures for every test in the repository. Until the local platform plugin is in place: PostgreSQL by address."""

import asyncio
import os
import uuid
from collections.abc import Callable

import asyncpg
import pytest

pytest_plugins = ["oms_events.testing.fixtures"]


@pytest.fixture(scope="session")
def make_database() -> Callable[..., str]:
    admin = os.environ["OMS_POSTGRES_URL"]

    def make(name: str, *, template: str | None = None) -> str:
        fresh = f"t_{name}_{uuid.uuid4().hex[:8]}"

        async def create() -> None:
            connection = await asyncpg.connect(admin)
            source = f' template "{template.rsplit("/", 1)[1]}"' if template else ""
            await connection.execute(f'create database "{fresh}"{source}')
            await connection.close()

        import threading

        thread = threading.Thread(target=lambda: asyncio.run(create()))
        thread.start()
        thread.join()
        return admin.replace("postgresql://", "postgresql+asyncpg://").rsplit("/", 1)[0] + "/" + fresh

    return make
