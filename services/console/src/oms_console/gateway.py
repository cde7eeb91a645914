"""The gateway's API as the pages use it: one signed, keep-alive client, a key for each role, errors with a name."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from urllib.parse import quote

import httpx
import structlog

from oms_console import stopwatch
from oms_console.metrics import CALLS
from oms_console.roles import Role
from oms_console.settings import ApiKey
from oms_events.signing import SignedAuth

log = structlog.get_logger()

T = TypeVar("T")
Query = Mapping[str, str | int | bool | None]

_STEP_BYTES = 256 * 1024

# Uvicorn closes an idle connection after 5 s; one that we drop first is never found closed in mid-request.
_POOL = httpx.Limits(max_connections=50, max_keepalive_connections=30, keepalive_expiry=2.0)


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that what was sent breaks."""

    field: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"


class GatewayError(Exception):
    """The gateway did not give what was asked for. `detail` is its own explanation."""

    status = 502

    def __init__(self, detail: str, *, errors: tuple[Broken, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class Missing(GatewayError):
    """What was asked for does not exist."""

    status = 404


class Forbidden(GatewayError):
    """The key that stands for the role may not do this."""

    status = 403


class Refused(GatewayError):
    """The input breaks a rule, or came too late."""

    status = 422


class Away(GatewayError):
    """The gateway, or the service behind it, does not answer."""

    status = 503


_BY_STATUS: Mapping[int, type[GatewayError]] = {403: Forbidden, 404: Missing, 503: Away}


@dataclass(frozen=True, slots=True)
class Gap:
    """A part that a page does without, and why. It is false, so that a template can ask."""

    error: GatewayError

    def __bool__(self) -> bool:
        return False

    @property
    def away(self) -> bool:
        """Whether it may come back: a service is down, which is not the same as having nothing to show."""
        return not isinstance(self.error, Missing)


async def or_gap(call: Awaitable[T]) -> T | Gap:
    """The answer, or the reason why there is none."""
    try:
        return await call
    except GatewayError as error:
        return Gap(error)


async def together(**calls: Awaitable[Any]) -> dict[str, Any]:
    """Answers by name, asked for at the same time. The first error is raised once all have ended."""
    answers = await asyncio.gather(*calls.values(), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return dict(zip(calls, answers, strict=True))


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def build_client(url: str, *, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The client for all roles: pooled connections, no proxy of the environment, no redirects."""
    timeout = httpx.Timeout(timeout_s, connect=2.0, pool=5.0)
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=_POOL, trust_env=False, transport=transport)


class Api:
    """The gateway's API as one role sees it."""

    def __init__(self, client: httpx.AsyncClient, key: ApiKey) -> None:
        self._client = client
        self._auth = SignedAuth(key.key, key.secret.get_secret_value())

    async def get(self, path: str, query: Query | None = None) -> Any:  # noqa: ANN401 - the API's JSON
        """What is at a path. Raises GatewayError."""
        params = {name: _text(value) for name, value in (query or {}).items() if value not in (None, "")}
        return await self._ask("GET", path, params=params)

    async def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - the API's JSON
        """The answer to a command. Raises GatewayError."""
        return await self._ask("POST", path, json=body)

    async def upload(self, path: str, query: Query, file: IO[bytes]) -> Any:  # noqa: ANN401 - the API's JSON
        """The answer to a file. It is read twice, once for its hash: the signature covers it."""
        digest, size = await asyncio.to_thread(_hash, file)
        url = httpx.URL(path, params={name: _text(value) for name, value in query.items() if value not in (None, "")})
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        signed = self._auth.headers("POST", url.raw_path.decode("ascii"), digest)
        return await self._ask("POST", str(url), headers=headers | signed, content=_read_in_steps(file), auth=None)

    async def pages(self, path: str, query: Query | None = None, *, most: int = 10_000) -> list[Any]:
        """The items of all pages of a list, up to so many."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, {**(query or {}), "limit": 500, "cursor": cursor})
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= most:
                return items

    async def _ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any) -> Any:  # noqa: ANN401
        known = {"x-request-id": str(uuid.uuid4()), **(headers or {})}
        content.setdefault("auth", self._auth)
        try:
            with stopwatch.current.get().calling():
                answer = await self._client.request(method, path, headers=known, **content)
        except httpx.HTTPError as error:
            CALLS.labels("unreachable").inc()
            log.warning("gateway unreachable", error=type(error).__name__)
            raise Away("the gateway does not answer") from None
        CALLS.labels(f"{answer.status_code // 100}xx").inc()
        return _read(answer)


def _hash(file: IO[bytes]) -> tuple[str, int]:
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return digest, file.tell()


async def _read_in_steps(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _STEP_BYTES):
        yield chunk


def _read(answer: httpx.Response) -> Any:  # noqa: ANN401
    try:
        content = answer.json() if answer.content else None
    except ValueError:
        raise Away(f"the gateway answered {answer.status_code} with something that is no JSON") from None
    if answer.is_success:
        return content
    problem = content if isinstance(content, dict) else {}
    detail = str(problem.get("detail") or f"the gateway answered {answer.status_code}")
    errors = tuple(Broken(error["field"], error["rule"], error["detail"]) for error in problem.get("errors") or ())
    if answer.status_code == 401:
        log.error("the gateway does not know our key", detail=detail)
    if answer.status_code >= 500 and answer.status_code != 503:
        raise Away(detail)
    raise _BY_STATUS.get(answer.status_code, Refused)(detail, errors=errors)


def _text(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Apis:
    """One API for each role, over one client."""

    def __init__(self, client: httpx.AsyncClient, keys: Mapping[Role, ApiKey]) -> None:
        self._client = client
        self._by_role = {role: Api(client, key) for role, key in keys.items()}

    def of(self, role: Role) -> Api:
        """The API as this role sees it."""
        return self._by_role[role]

    async def problem(self) -> str | None:
        """Why the gateway cannot be used, or None."""
        try:
            answer = await self._client.get("/livez")
        except httpx.HTTPError as error:
            return f"gateway: {type(error).__name__}"
        return None if answer.status_code == 200 else f"gateway: {answer.status_code}"

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
