"""How long a page took, and how much of it was waiting for the gateway: told in Server-Timing and in metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Stopwatch:
    """Wall time of a page by what it was spent on. Calls that overlap count once."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._gateway_s = 0.0
        self._under_way = 0
        self._since = 0.0
        self._calls = 0
        self._render_s = 0.0

    @contextmanager
    def calling(self) -> Iterator[None]:
        """A call of the gateway is under way."""
        if self._under_way == 0:
            self._since = time.perf_counter()
        self._under_way += 1
        self._calls += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._gateway_s += time.perf_counter() - self._since

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """A template is being filled."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._render_s += time.perf_counter() - began

    def elapsed_s(self) -> float:
        """Since the request came."""
        return time.perf_counter() - self._began

    def header(self) -> str:
        """The value of Server-Timing, in milliseconds."""
        return (
            f"total;dur={self.elapsed_s() * 1000:.1f}, "
            f'gateway;dur={self._gateway_s * 1000:.1f};desc="{self._calls} calls", '
            f"render;dur={self._render_s * 1000:.1f}"
        )


current: ContextVar[Stopwatch] = ContextVar("oms_console_stopwatch")
"""The stopwatch of the request that is being served."""
