"""Ways to the servers on which something may stand between a service and them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detour:
    """One service's own way to broker and database: ports on this machine.

    A broker tells its clients where to find it, so every detour is a listener of its own: it listens at
    `broker_listens` and tells the service `broker_port`. Whoever draws the ports carries the bytes between the two.
    """

    broker_port: int
    """Where the service finds the broker."""
    broker_listens: int
    """Where the broker waits for the service."""
    database_port: int
    """Where the service finds the database."""
