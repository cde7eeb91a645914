"""How fast a key may go: a token bucket per key, in the memory of one process."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from oms_gateway.keys import Key


@dataclass(frozen=True, slots=True)
class Quota:
    """A key's bucket after a request asked for tokens. `wait_s` is 0 when they were granted."""

    rate_per_s: float
    burst: int
    remaining: int
    full_in_s: int
    wait_s: float

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10.

        The quota is the burst, its window the seconds in which an empty bucket fills again.
        """
        window_s = math.ceil(self.burst / self.rate_per_s)
        return {
            "ratelimit-policy": f'"items";q={self.burst};w={window_s}',
            "ratelimit": f'"items";r={self.remaining};t={self.full_in_s}',
        }


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimiter:
    """Buckets of all keys that have a rate."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: Key, tokens: int) -> Quota | None:
        """Take tokens if the bucket has them. None for a key without a limit.

        A batch larger than the burst is granted from a full bucket and leaves a debt: the rate holds on average,
        and no batch is too large to ever pass.
        """
        if key.rate_per_s is None:
            return None
        rate = key.rate_per_s
        burst = key.burst or max(1, math.ceil(rate * 2))
        now = self._monotonic()
        bucket = self._buckets.setdefault(key.id_sha256, _Bucket(burst, now))
        level = min(burst, bucket.tokens + (now - bucket.at) * rate)
        needed = min(tokens, burst)
        granted = level >= needed
        bucket.tokens, bucket.at = (level - tokens if granted else level), now
        return Quota(
            rate_per_s=rate,
            burst=burst,
            remaining=max(0, math.floor(bucket.tokens)),
            full_in_s=math.ceil((burst - bucket.tokens) / rate),
            wait_s=0.0 if granted else (needed - level) / rate,
        )
