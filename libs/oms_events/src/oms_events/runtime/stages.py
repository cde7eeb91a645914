"""Where a consumer's CPU time goes, stage by stage: what a bench divides by the events applied.

The clock is that of the thread. A stage that begins within another pauses it. What other tasks of the process do while
a stage waits counts as its own: the client's reading counts as `fetch`, since that is when it is done.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import Any, Literal, get_args

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from oms_events.runtime.telemetry import STAGE_CPU

Stage = Literal["fetch", "decode", "handle", "sql", "encode", "store", "relay", "commit"]


class Stages:
    """The stages of one process of a group."""

    def __init__(self, group: str) -> None:
        self._spent = {stage: STAGE_CPU.labels(group, stage) for stage in get_args(Stage)}
        self._open: list[Stage] = []
        self._since = 0.0

    @contextmanager
    def of(self, stage: Stage) -> Iterator[None]:
        """A block that is this stage. Statements, and stages begun by `within`, are told apart from the rest of it."""
        depth, token = len(self._open), _current.set(self)
        self.begin(stage)
        try:
            yield
        finally:
            self._book()
            del self._open[depth:]  # a statement that failed was never said to be over
            _current.reset(token)

    def begin(self, stage: Stage) -> None:
        """From now on time belongs to this stage."""
        self._book()
        self._open.append(stage)

    def end(self) -> None:
        """The stage is over; the one it began in goes on."""
        self._book()
        if self._open:
            self._open.pop()

    def _book(self) -> None:
        now = thread_time()
        if self._open:
            self._spent[self._open[-1]].inc(now - self._since)
        self._since = now


_current: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextmanager
def within(stage: Stage) -> Iterator[None]:
    """A stage of whatever this task is doing, if that is watched."""
    stages = _current.get()
    if stages is None:
        yield
        return
    stages.begin(stage)
    try:
        yield
    finally:
        stages.end()


def watch_statements(engine: AsyncEngine) -> None:
    """Tell statements apart from the stage that executes them."""

    def before(*_: Any) -> None:  # noqa: ANN401 - the hook's arguments do not matter
        if (stages := _current.get()) is not None:
            stages.begin("sql")

    def after(*_: Any) -> None:  # noqa: ANN401 - as above
        if (stages := _current.get()) is not None:
            stages.end()

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "after_cursor_execute", after)
