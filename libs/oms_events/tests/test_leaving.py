"""A process that was told to stop answers on, and lets go of its callers without a broken connection."""

import asyncio
from typing import Any

import httpx
from pydantic import SecretStr

from oms_events.runtime.lifecycle import HttpServer
from oms_events.runtime.settings import Settings


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_every_answer_while_leaving_closes_its_connection(unused_tcp_port: int) -> None:
    server = HttpServer(_app, Settings(http_host="127.0.0.1", http_port=unused_tcp_port, linger_s=0.5))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}", trust_env=False) as client:
        async with server.running():
            before = await client.get("/")
            lingering = asyncio.create_task(server.linger())
            await asyncio.sleep(0)
            kept_alive, afresh = await client.get("/"), await client.get("/")
            assert not lingering.done()
            await lingering
        assert "connection" not in before.headers
        assert [kept_alive.headers["connection"], afresh.headers["connection"]] == ["close", "close"]


def test_an_address_is_taken_as_others_write_it() -> None:
    def read(url: str) -> str:
        return Settings(database_url=SecretStr(url)).database_url.get_secret_value()

    assert read("postgresql://a:b@db:5432/oms") == "postgresql+asyncpg://a:b@db:5432/oms"
    assert read("postgres://a:b@db/oms?sslmode=require") == "postgresql+asyncpg://a:b@db/oms?ssl=require"
    assert read("postgresql+asyncpg://a:b@db/oms") == "postgresql+asyncpg://a:b@db/oms"
