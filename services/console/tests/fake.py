"""A console whose gateway plays back what a real one answered."""

import json
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from oms_console import users
from oms_console.console import Console
from oms_console.entrypoints.app import build_app
from oms_console.roles import Role
from oms_console.sessions import Session
from oms_console.settings import ConsoleSettings

ANSWERS = Path(__file__).with_name("answers.json")
PASSWORD = "correct horse battery"
PEOPLE = {"ann": [Role.OPERATOR, Role.FINANCE], "fin": [Role.FINANCE], "vic": [Role.VIEWER]}
_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


def key_of(request: httpx.Request) -> str:
    """What an answer is remembered by: the question, without where a page of a list begins."""
    query = "&".join(sorted(part for part in request.url.query.decode().split("&") if part))
    return f"{request.method} {request.url.path}" + (f"?{query}" if query else "")


@dataclass
class PlayedBack:
    """The gateway. `instead` overrules what was recorded, by the beginning of the question."""

    answers: Mapping[str, Any]
    instead: dict[str, httpx.Response | Exception] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        question = key_of(request)
        for beginning, answer in self.instead.items():
            if question.startswith(beginning):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        if question not in self.answers:
            return httpx.Response(404, json={"detail": f"{question} was not recorded", "errors": []})
        recorded = self.answers[question]
        return httpx.Response(recorded["status"], json=recorded["content"])


@dataclass
class Client:
    """A browser without a screen."""

    http: httpx.AsyncClient
    console: Console

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form with the token that a page of this session has."""
        token = _TOKEN.search((await self.http.get("/search", follow_redirects=True)).text)
        assert token is not None
        return await self.http.post(path, data={"token": token[1], **fields})

    async def enter(self, name: str) -> None:
        """Be signed in, without the time that a password takes."""
        user = self.console.users.find(name)
        assert user is not None
        session = Session.begin(name=name, stamp=user.stamp)
        self.http.cookies.clear()
        self.http.cookies.set("oms-console-session", self.console.seal.write(session), domain="console.test", path="/")

    async def sign_in(self, name: str, password: str = PASSWORD, next_: str = "/") -> httpx.Response:
        await self.http.get("/sign-in")
        return await self.post("/sign-in", name=name, password=password, next=next_)


@cache
def _users() -> str:
    """The file of users; made once, since a hash is slow on purpose."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "users.json"
        for name, roles in PEOPLE.items():
            users.add(file, name=name, roles=roles, password=PASSWORD)
        return file.read_text()


@asynccontextmanager
async def started_console(
    folder: Path,
    gateway: httpx.AsyncBaseTransport,
    *,
    url: str = "http://gateway.test",
    keys: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """A console with users and keys of its own, and a browser that has been nowhere yet."""
    issued = keys or {role.value: {"key": f"key of {role}", "secret": "s"} for role in Role}
    (folder / "keys.json").write_text(json.dumps(issued))
    (folder / "users.json").write_text(_users())
    console = Console(
        ConsoleSettings(
            gateway_url=url,
            console_keys_file=folder / "keys.json",
            console_users_file=folder / "users.json",
            console_secret=SecretStr("a secret for tests, as long as it must be"),
            **{"console_secure_cookies": False, **settings},
        ),
        transport=gateway,
    )
    transport = httpx.ASGITransport(build_app(console))
    async with console.running(), httpx.AsyncClient(transport=transport, base_url="http://console.test") as http:
        yield Client(http, console)
