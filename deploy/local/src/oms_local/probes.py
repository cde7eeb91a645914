"""Asking a server whether it answers yet. A probe says no, and does not raise, while a server is away."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from oms_local.errors import LaunchError
from oms_local.servers import PostgresServer


class LoginRefused(LaunchError):
    """The database server answers and does not know this login."""


Probe = Callable[[], Awaitable[bool]]

_POLL_S = 0.05


def kafka_answers(bootstrap: str) -> Probe:
    """Yes once the cluster has a broker that takes records."""

    async def probe() -> bool:
        if not await _listens(bootstrap):  # asked first: the client logs every refused connection as an error
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()

    return probe


async def _listens(bootstrap: str) -> bool:
    """Whether a server takes connections and keeps them; Docker's proxy takes them before there is a server."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    try:
        async with asyncio.timeout(_POLL_S):
            await reader.read(1)  # a broker says nothing unasked, so an answer can only be the end
    except TimeoutError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        writer.close()


def postgres_answers(server: PostgresServer) -> Probe:
    """Yes once the server lets its administrator in. A wrong password is no matter of time: LoginRefused."""

    async def probe() -> bool:
        try:
            connection = await asyncpg.connect(server.url(), timeout=2)
        except asyncpg.InvalidAuthorizationSpecificationError as refusal:
            raise LoginRefused(f"PostgreSQL at {server.host}:{server.port} refuses {server.user}: {refusal}") from None
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    return probe


def http_ready(http: httpx.AsyncClient, url: str) -> Probe:
    """Yes once the URL answers 200."""

    async def probe() -> bool:
        try:
            return (await http.get(url)).status_code == 200
        except httpx.TransportError:
            return False

    return probe


async def until(probe: Probe, timeout: float) -> None:
    """Wait for a yes. Raises TimeoutError after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not await probe():  # noqa: ASYNC110 - another process gives us no event to wait for
            await asyncio.sleep(_POLL_S)
