"""The publisher: when it deletes rows that are done with by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from oms_events.codec import Record
from oms_events.runtime import outbox
from oms_events.runtime.database import Lane
from oms_events.runtime.outbox import Publisher, Ticket
from oms_events.runtime.stages import Stages

A_MOMENT_S = 0.05


class Sink:
    """Acknowledges at once."""

    generation = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:  # noqa: ARG002 - of the port
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


class Deletions:
    """A lane that only remembers which rows were deleted together."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.more = asyncio.Event()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["Deletions"]:
        yield self

    async def execute(self, _: object, parameters: Mapping[str, Any]) -> None:
        self.rows.append(parameters["ids"])
        self.more.set()


def ticket(row_id: int) -> Ticket:
    return Ticket(row_id, [Record("t", b"k", b"v", [])], behind=False, generation=0)


async def test_a_row_is_deleted_by_itself_only_when_no_transaction_took_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_TAKEN_ALONG_S", A_MOMENT_S)
    deletions = Deletions()
    publisher = Publisher(Sink(), cast("Lane", deletions), Stages("publisher"))
    running = asyncio.create_task(publisher.run())
    publisher.submit(ticket(1))
    await asyncio.sleep(A_MOMENT_S / 5)
    publisher.submit(ticket(2))  # while somebody waits for a transaction that takes the first
    await deletions.more.wait()
    assert deletions.rows == [[1]]
    assert publisher.take_done() == [2]
    await asyncio.sleep(3 * A_MOMENT_S)
    assert deletions.rows == [[1]]
    deletions.more.clear()
    publisher.give_back([2])  # its transaction failed
    await deletions.more.wait()
    assert deletions.rows == [[1], [2]]
    running.cancel()
