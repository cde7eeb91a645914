"""How a request to the gateway is signed.

The signed text is four lines: the timestamp (Unix seconds), the method, the path with its query exactly as sent, and
the SHA-256 of the body in hex. The signature is `v1=` and the HMAC-SHA256 of that text in hex. The gateway's readme
says the same; this is a caller's own copy, as every caller has one.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Generator

import httpx


def sign(secret: str, timestamp: int, method: str, target: str, body_sha256: str) -> str:
    """The signature of a request; `target` is path and query as on the wire."""
    text = f"{timestamp}\n{method}\n{target}\n{body_sha256}"
    return "v1=" + hmac.digest(secret.encode(), text.encode(), "sha256").hex()


class SignedAuth(httpx.Auth):
    """Signs every request of an httpx client, each with a time of its own."""

    requires_request_body = True

    def __init__(self, key: str, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._secret = secret
        self._clock = clock

    def headers(self, method: str, target: str, body_sha256: str) -> dict[str, str]:
        """The three headers of a request whose body's hash is known."""
        timestamp = int(self._clock())
        return {
            "X-OMS-Key": self._key,
            "X-OMS-Timestamp": str(timestamp),
            "X-OMS-Signature": sign(self._secret, timestamp, method, target, body_sha256),
        }

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        target = request.url.raw_path.decode("ascii").removesuffix("?")
        request.headers.update(self.headers(request.method, target, hashlib.sha256(request.content).hexdigest()))
        yield request
