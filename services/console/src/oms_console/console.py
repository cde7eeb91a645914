"""One console process: what it is made of, and how it starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx

from oms_console.gateway import Apis, build_client
from oms_console.pages.overview import Snapshot
from oms_console.sessions import Seal
from oms_console.settings import ConsoleSettings
from oms_console.templates import Templates
from oms_console.throttle import Throttle
from oms_console.users import UserBook

_GUESSES_AT_ONCE = 2


class Console:
    """The parts of a console. Builds its client unless given a transport (tests do)."""

    def __init__(self, settings: ConsoleSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.settings = settings
        client = build_client(settings.gateway_url, timeout_s=settings.console_timeout_s, transport=transport)
        self.apis = Apis(client, settings.api_keys())
        self.users = UserBook(settings.console_users_file)
        self.throttle = Throttle()
        self.guessing = asyncio.Semaphore(_GUESSES_AT_ONCE)
        """Passwords checked at one time: each takes memory and a core."""
        self.seal = Seal(
            settings.console_secret.get_secret_value(),
            idle_s=settings.console_session_idle_s,
            longest_s=settings.console_session_s,
        )
        self.snapshot = Snapshot()
        self.templates = Templates()
        self._leaving = False

    def cookie(self, name: str) -> str:
        """The name of a cookie of ours. Over TLS the prefix binds it to this host alone."""
        return f"{'__Host-' if self.settings.console_secure_cookies else ''}oms-console-{name}"

    async def unready_reason(self) -> str | None:
        """Why the process cannot serve now, or None."""
        if self._leaving:
            return "stopping"
        return self.users.problem() or await self.apis.problem()

    def leave(self) -> None:
        """Say that no new requests are wanted; those at work go on."""
        self._leaving = True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Console"]:
        """Able to serve until the block ends."""
        try:
            yield self
        finally:
            await self.apis.close()
