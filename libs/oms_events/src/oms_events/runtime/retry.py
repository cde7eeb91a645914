"""Which errors pass by themselves, and how long to wait before trying again."""

import random
from collections.abc import Iterator

from aiokafka.errors import KafkaError
from asyncpg import InvalidCachedStatementError, OutdatedSchemaCacheError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_TRANSIENT_STATES = ("08", "53", "57P", "40001", "40P01", "55P03", "25006", "25P03", "58")
"""SQLSTATE prefixes: connection, resources, shutdown, serialization, deadlock, lock not available, read-only
(a fail-over in progress), a transaction that was idle for too long, system error. Source: PostgreSQL documentation,
appendix A."""


class Transient(Exception):
    """Raise it where trying the same again later is right."""


def is_transient(error: BaseException) -> bool:
    """True when the same work may succeed later without a change of input or code."""
    if isinstance(error, InvalidCachedStatementError | OutdatedSchemaCacheError):
        return True  # the schema was changed under a running process: prepared anew, its statements are right again
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return error.connection_invalidated or isinstance(error.orig, OSError | TimeoutError)
        return str(state).startswith(_TRANSIENT_STATES)
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_TRANSIENT_STATES)
    return isinstance(error, Transient | OSError | TimeoutError | PoolTimeout | KafkaError)


def backoff(first: float = 0.1, cap: float = 30.0) -> Iterator[float]:
    """Seconds to wait before each further attempt: exponential with full jitter, for ever."""
    ceiling = first
    while True:
        yield random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret
        ceiling = min(cap, ceiling * 2)
