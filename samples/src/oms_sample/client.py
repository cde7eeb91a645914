"""A caller of the gateway: signs, posts in batches, paces itself, and tries again when it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic_core import to_json

from oms_events.contract import Contract
from oms_events.signing import SignedAuth
from oms_sample.endpoints import Endpoints

T = TypeVar("T")
Param = str | int | None
Json = Any
"""Whatever JSON can hold."""

BATCH = 200
"""Items per request: large enough that the request itself costs little, far below the gateway's limit of 500."""
PAGE = 500
PATIENCE_S = 60.0
"""How long a request is tried again while the gateway is busy or away."""
_AGAIN = frozenset({429, 502, 503, 504})


class Refused(Exception):
    """The gateway answered with a problem that trying again does not mend."""


class NotOffered(Refused):
    """This system was set up without what was asked for."""


class Unavailable(Exception):
    """The gateway could not be reached, or was too busy, for as long as its caller has patience."""


@dataclass(slots=True)
class Answers:
    """What became of the items of a batch."""

    accepted: list[str] = field(default_factory=list)
    """Ids as the gateway gave them, in the order of the items."""
    rejected: list[str] = field(default_factory=list)
    """What was said of each item that was not accepted."""


class Pace:
    """Lets at most `rate` items a second pass; None lets all pass at once."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next_at = 0.0

    async def pass_on(self, items: int) -> None:
        """Wait until so many more items may go."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._next_at = max(self._next_at, now)
        wait, self._next_at = self._next_at - now, self._next_at + items / self._rate
        await asyncio.sleep(wait)


class Door:
    """The gateway as one role sees it."""

    def __init__(self, http: httpx.AsyncClient, patience_s: float = PATIENCE_S) -> None:
        self._http = http
        self._patience_s = patience_s

    async def get(self, path: str, **params: Param) -> Json:
        """The JSON of a resource. Raises Refused or Unavailable."""
        return (await self._send("GET", path, params)).json()

    async def put(self, path: str, body: Json) -> None:
        """Put a document. Raises Refused or Unavailable."""
        await self._send("PUT", path, content=to_json(body))

    async def post(self, path: str, body: Json) -> Json:
        """Post a document. Raises Refused or Unavailable."""
        return await self.post_encoded(path, to_json(body))

    async def post_encoded(self, path: str, body: bytes) -> Json:
        """Post a document that is JSON already. Raises Refused or Unavailable."""
        return (await self._send("POST", path, content=body)).json()

    async def find(self, path: str, **params: Param) -> Json | None:
        """The JSON of a resource, None where there is none. Raises Refused or Unavailable."""
        response = await self._send("GET", path, params, may_be_missing=True)
        return response.json() if response.is_success else None

    async def upload(self, path: str, data: bytes, content_type: str, **params: Param) -> Json:
        """Post a file. Raises Refused or Unavailable."""
        return (await self._send("POST", path, params, data, content_type)).json()

    async def post_intake(self, path: str, items: Sequence[Contract]) -> Answers:
        """Post what a channel, warehouse or carrier says, in batches. Raises Refused or Unavailable."""
        answers = Answers()
        for chunk in chunks(items, BATCH):
            for item in (await self.post(path, chunk))["items"]:
                if item["status"] == "accepted":
                    answers.accepted.append(item["id"])
                else:
                    answers.rejected.append(f"{path} item {item['index']}: {item['errors']}")
        return answers

    async def pages(self, path: str, **params: Param) -> AsyncIterator[dict[str, Any]]:
        """All items of a list, page by page. Raises Refused or Unavailable."""
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=PAGE, cursor=cursor, **params)
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Param] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        *,
        may_be_missing: bool = False,
    ) -> httpx.Response:
        query = {name: value for name, value in (params or {}).items() if value is not None}
        headers = {"content-type": content_type} if content is not None else {}
        give_up_at = time.monotonic() + self._patience_s
        pause = 0.1
        while True:
            try:
                response = await self._http.request(method, path, params=query, content=content, headers=headers)
            except httpx.TransportError as error:
                said, again_in = repr(error), pause
            else:
                missing = may_be_missing and response.status_code == 404
                if response.is_success or missing or _all_items_answered(response):
                    return response
                said, again_in = f"{response.status_code} {response.text[:500]}", _again_in(response, pause)
                if response.status_code not in _AGAIN:
                    refusal = NotOffered if response.status_code == 501 else Refused
                    raise refusal(f"{method} {path}: {said}")
            if time.monotonic() + again_in > give_up_at:
                raise Unavailable(f"{method} {path}: {said}")
            await asyncio.sleep(again_in)
            pause = min(2 * pause, 5.0)


def _all_items_answered(response: httpx.Response) -> bool:
    """A batch of which every item was rejected is 422, and still answers item by item."""
    return response.status_code == 422 and "items" in response.json()


def _again_in(response: httpx.Response, pause: float) -> float:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdigit() else pause


class Doors:
    """One door per role. An async context that closes their connections."""

    def __init__(self, endpoints: Endpoints, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._stack = AsyncExitStack()
        self.channel, self.warehouse, self.carrier, self.operator, self.finance = (
            self._door(endpoints, role) for role in ("channel", "warehouse", "carrier", "operator", "finance")
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _door(self, endpoints: Endpoints, role: str) -> Door:
        key = endpoints.keys[role]
        http = httpx.AsyncClient(
            base_url=endpoints.gateway_url,
            auth=SignedAuth(key.key, key.secret),
            timeout=30,
            limits=httpx.Limits(max_connections=8),
        )
        self._stack.push_async_callback(http.aclose)
        return Door(http, self._patience_s)


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
