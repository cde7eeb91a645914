"""The two seams between the runtime and a broker."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from oms_events.codec import Record


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of a topic."""

    topic: str
    number: int


class SendOvertaken(ConnectionError):
    """A send before this one failed; this one must not arrive first."""


Take = Callable[[Sequence[Record]], None]
"""Takes records while they are still in the processor's cache: read only once a whole batch is there, each is fetched
from memory again."""


class RecordSource(Protocol):
    """Where one member of a consumer group reads.

    After `on_revoked` was awaited, records fetched before it belong to someone else: `generation` has grown.
    """

    @property
    def generation(self) -> int:
        """Grows with every rebalance."""
        ...

    async def start(self, on_revoked: Callable[[], Awaitable[None]]) -> None:
        """Join the group. `on_revoked` is awaited before partitions are given up."""
        ...

    async def fetch(self, take: Take, *, max_records: int, timeout_ms: int) -> None:
        """Hand over up to `max_records`, each partition's in order, a few at a time; none when nothing came within the
        time. Those handed over together belong to the generation that is then current."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Remember the next offset to read of each partition. Losing the race with a rebalance is no error."""
        ...

    async def behind(self) -> Mapping[Partition, int]:
        """How many records of each of this member's partitions `fetch` has not answered yet. Asks the broker, so not
        for every batch. Raises KafkaError."""
        ...

    async def stop(self) -> None:
        """Leave."""
        ...


class RecordSink(Protocol):
    """Where records are appended durably (`acks=all`), each key's in order as long as no send fails."""

    @property
    def generation(self) -> int:
        """Grows with every failed send, before the failure is told: whoever counted on what was sent in an earlier
        generation must not go on as if it had arrived."""
        ...

    async def start(self) -> None:
        """Connect."""
        ...

    async def send(self, records: Sequence[Record], *, generation: int | None = None) -> Awaitable[None]:
        """Queue records in order; the answer completes when all are durable, or raises.

        With a `generation` that is not the current one nothing is queued. Raises SendOvertaken then.
        """
        ...

    async def stop(self) -> None:
        """Flush and disconnect."""
        ...
