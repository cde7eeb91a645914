"""The counting service as a process of its own: `process.py ROLE GROUP`, settings and topics from the environment.

serve      consume until SIGTERM; handlers wait while the kit keeps its gate closed
write      emit `WRITES` notes of one counter, each under its row's lock, then end
hold       be the relay: take the lock, begin to publish, say so, and never come to an end
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

from kit import BUMP, DECLARED, UPCAST, WRITES, Counting, Noted, Stepped

from oms_events import registry
from oms_events.codec import Record
from oms_events.envelope import origin
from oms_events.registry import Topic
from oms_events.runtime.lifecycle import Runtime, serve
from oms_events.runtime.settings import Settings


class Hanging:
    """A sink that takes records and never answers."""

    generation = 0

    async def start(self) -> None:
        """Nothing to connect to."""

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:  # noqa: ARG002
        print("holding", flush=True)
        return asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        """Nothing to flush."""


async def write(runtime: Runtime) -> None:
    async with runtime.running():
        for number in range(WRITES):
            async with runtime.transaction() as work:
                seq = (await work.connection.execute(BUMP)).scalar_one()
                cause = origin("/test", str(os.getpid()), str(number), at=datetime.now(UTC))
                work.emit(Noted(counter="c", seq=seq), cause=cause)


async def hold(runtime: Runtime) -> None:
    async with runtime.running():
        await asyncio.Event().wait()


def main(role: str, group: str) -> None:
    registry._events.update(DECLARED)
    registry._upcasts.update(UPCAST)
    for model in DECLARED.values():
        model.topic = Topic(os.environ["CONFORMANCE_OUT" if model is Noted else "CONFORMANCE_IN"], key="counter")
    assert Stepped.topic.name == os.environ["CONFORMANCE_IN"]
    service, settings = Counting(gated=True).service(group), Settings()
    if role == "serve":
        asyncio.run(serve(Runtime(service, settings)))
    elif role == "write":
        asyncio.run(write(Runtime(service, settings)))
    else:
        asyncio.run(hold(Runtime(service, settings, sink=Hanging())))


if __name__ == "__main__":
    main(*sys.argv[1:])
