"""Token buckets."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from oms_gateway.keys import Key, Role
from oms_gateway.rate_limit import RateLimiter


def key(rate: float | None, burst: int | None = None) -> Key:
    return Key(
        id_sha256="0" * 64,
        name="k",
        role=Role.CHANNEL,
        rate_per_s=rate,
        burst=burst,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_rate_there_is_no_limit() -> None:
    assert RateLimiter().take(key(None), 10**9) is None


def test_the_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    limiter = RateLimiter(monotonic=clock)
    quota = limiter.take(key(10, 20), 20)
    assert quota is not None
    assert (quota.wait_s, quota.remaining, quota.full_in_s) == (0, 0, 2)
    assert quota.headers() == {"ratelimit-policy": '"items";q=20;w=2', "ratelimit": '"items";r=0;t=2'}
    refused = limiter.take(key(10, 20), 5)
    assert refused is not None
    assert refused.wait_s == 0.5
    clock.now += 0.5
    granted = limiter.take(key(10, 20), 5)
    assert granted is not None
    assert granted.wait_s == 0


def test_a_batch_beyond_the_burst_passes_from_a_full_bucket_and_is_paid_back() -> None:
    clock = Clock()
    limiter = RateLimiter(monotonic=clock)
    first = limiter.take(key(10, 20), 100)
    assert first is not None
    assert (first.wait_s, first.remaining, first.full_in_s) == (0, 0, 10)
    second = limiter.take(key(10, 20), 100)
    assert second is not None
    assert second.wait_s == 10.0


@given(
    st.lists(
        st.tuples(st.floats(0, 5, allow_nan=False), st.integers(1, 50)),
        min_size=1,
        max_size=60,
    )
)
def test_never_more_than_rate_and_bursts(asks: list[tuple[float, int]]) -> None:
    clock = Clock()
    limiter = RateLimiter(monotonic=clock)
    granted = 0
    for pause, tokens in asks:
        clock.now += pause
        quota = limiter.take(key(7, 20), tokens)
        assert quota is not None
        if quota.wait_s == 0:
            granted += tokens
    # The last grant may have gone into debt by one batch at most.
    assert granted <= 20 + 7 * (clock.now - 100) + 50
