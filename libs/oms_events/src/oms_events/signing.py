"""How a request to the gateway is signed. Needs nothing of the project but this file, so that callers can copy it.

The signed text is four lines: the timestamp (Unix seconds), the method, the path with its query exactly as sent,
and the SHA-256 of the body in hex. The signature is `v1=` and the HMAC-SHA256 of that text in hex.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Generator

import httpx

KEY_HEADER = "X-OMS-Key"
TIMESTAMP_HEADER = "X-OMS-Timestamp"
SIGNATURE_HEADER = "X-OMS-Signature"


def sign(secret: str, timestamp: int, method: str, target: str, body: bytes) -> str:
    """The signature of a request. `target` is path and query as on the wire, percent-encoded.

    A `?` with nothing behind it is left out: servers do not see it.
    """
    return sign_digest(secret, timestamp, method, target, hashlib.sha256(body).hexdigest())


def sign_digest(secret: str, timestamp: int, method: str, target: str, body_sha256: str) -> str:
    """The signature of a request whose body is known by its SHA-256, in hex."""
    text = f"{timestamp}\n{method.upper()}\n{target.removesuffix('?')}\n{body_sha256}"
    return "v1=" + hmac.digest(secret.encode(), text.encode(), "sha256").hex()


class SignedAuth(httpx.Auth):
    """Signs every request of an httpx client, each with a time of its own."""

    requires_request_body = True

    def __init__(self, key: str, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._secret = secret
        self._clock = clock

    def headers(self, method: str, target: str, body_sha256: str) -> dict[str, str]:
        """The three headers of a request, for a body that is too large to be held: its hash is enough."""
        timestamp = int(self._clock())
        return {
            KEY_HEADER: self._key,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign_digest(self._secret, timestamp, method, target, body_sha256),
        }

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        target = request.url.raw_path.decode("ascii")
        request.headers.update(self.headers(request.method, target, hashlib.sha256(request.content).hexdigest()))
        yield request
