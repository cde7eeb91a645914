"""Who is calling, and may they: signature, role, rate, and how much of a body is read at all."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

from fastapi import Request
from starlette.requests import ClientDisconnect

from oms_events.runtime.problems import Problem
from oms_events.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_digest
from oms_gateway.keys import Key, KeyRing, Role
from oms_gateway.rate_limit import RateLimiter

WINDOW_S = 300
"""How far the caller's clock may be from ours."""
BODY_LIMIT = 10 * 1024 * 1024

_MALFORMED_LENGTH = 16
_CHALLENGE = {"www-authenticate": "OMS-HMAC-SHA256"}


@dataclass(frozen=True, slots=True)
class Claimant:
    """A caller who names a key that is in force. Whether it is theirs shows when the body has come."""

    key: Key
    _request: Request
    _secret: str = field(repr=False)
    _timestamp: int
    _signature: str = field(repr=False)

    def require_proof(self, body_sha256: str) -> None:
        """Raise Problem 401 unless the signature is that of this request with this body."""
        request = self._request
        expected = sign_digest(self._secret, self._timestamp, request.method, target_of(request), body_sha256)
        if not hmac.compare_digest(expected.encode(), self._signature.encode()):
            raise _unproven()


class Admission:
    """Decides on every request that is not open to all."""

    def __init__(self, ring: KeyRing, limiter: RateLimiter, *, clock: Callable[[], float] = time.time) -> None:
        self._ring = ring
        self._limiter = limiter
        self._clock = clock

    async def admit(self, request: Request, *, body_limit: int = BODY_LIMIT) -> tuple[Key, bytes]:
        """The caller and the body, once the signature is proven. Raises Problem 401 or 413.

        The body is read only for a known key and a timestamp within the window, and never beyond the limit.
        """
        claimant = self.recognise(request)
        body = await read_body(request, body_limit)
        claimant.require_proof(hashlib.sha256(body).hexdigest())
        return claimant.key, body

    def recognise(self, request: Request) -> Claimant:
        """Who the caller says to be, before the body is read. Raises Problem 401."""
        key_id = _header(request, KEY_HEADER)
        signature = _header(request, SIGNATURE_HEADER)
        timestamp = self._timestamp(_header(request, TIMESTAMP_HEADER))
        found = self._ring.find(key_id)
        if found is None:
            raise _unproven()
        key, secret = found
        return Claimant(key, request, secret, timestamp, signature)

    def spend(self, key: Key, items: int) -> dict[str, str]:
        """Take one token per item; answers the headers that tell the quota. Raises Problem 429."""
        quota = self._limiter.take(key, items)
        if quota is None:
            return {}
        if quota.wait_s > 0:
            wait_s = max(1, round(quota.wait_s + 0.5))
            raise Problem(
                429,
                f"this key may send {quota.rate_per_s:g} items a second; try again in {wait_s} s",
                headers=quota.headers() | {"retry-after": str(wait_s)},
            )
        return quota.headers()

    def _timestamp(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < _MALFORMED_LENGTH):
            raise _unauthenticated(f"{TIMESTAMP_HEADER} must be Unix time in whole seconds")
        if abs(self._clock() - int(text)) > WINDOW_S:
            raise _unauthenticated(
                f"{TIMESTAMP_HEADER} is more than {WINDOW_S} seconds off; the time here is {int(self._clock())}"
            )
        return int(text)


def require_role(key: Key, roles: Collection[Role]) -> None:
    """Raise Problem 403, naming the roles that would do, unless the key has one. An operator may do everything."""
    if key.role is not Role.OPERATOR and key.role not in roles:
        wanted = " or ".join(sorted({*roles, Role.OPERATOR}))
        raise Problem(403, f"this needs a key of role {wanted}; yours is {key.role}")


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused with 413 by its declared length, or as soon as more than the limit has come."""
    return b"".join([chunk async for chunk in stream_body(request, limit)])


async def stream_body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """`read_body`, piece by piece."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or len(declared) >= _MALFORMED_LENGTH or int(declared) > limit:
        raise _too_large(limit)
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            yield chunk
    except ClientDisconnect:
        raise Problem(400, "the body ended early") from None


def path_of(request: Request) -> str:
    """The decoded path as the server saw it. `request.url` would not do: it is put together from the Host header and
    the path and taken apart again, so a Host of `x/v1/orders?`, or a `%3F` in the path, would change what is found.
    """
    path: str = request.scope["path"]
    return path


def target_of(request: Request) -> str:
    """Path and query as they came over the wire: decoding and encoding again would change what was signed."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name)
    if not value:
        raise _unauthenticated(f"the header {name} is missing")
    return value


def _unauthenticated(detail: str) -> Problem:
    return Problem(401, detail, headers=_CHALLENGE)


def _unproven() -> Problem:
    # One answer for an unknown key, a revoked one and a wrong signature: nobody learns which keys exist.
    return _unauthenticated("the key is not in force, or the signature does not match the request")


def _too_large(limit: int) -> Problem:
    return Problem(413, f"a body may have {limit} bytes here", headers={"connection": "close"})
