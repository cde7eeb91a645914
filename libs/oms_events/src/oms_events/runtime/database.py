"""The service's database: the engine, and lanes that keep one connection for a loop of transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from asyncpg.protocol import protocol as _asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from oms_events.runtime.logs import kind_of
from oms_events.runtime.settings import Settings
from oms_events.runtime.stages import watch_statements
from oms_events.runtime.straight import StraightConnection

log = structlog.get_logger()

# asyncpg asks of every element of an array parameter, by abstract base classes, whether it is an array itself. Batches
# travel as arrays: asked by plain classes, it takes a third less to send one. Only lists and tuples are arrays then.
for _name in ("IterableABC", "SizedABC"):
    if not hasattr(_asyncpg, _name):
        raise ImportError(f"this asyncpg has no {_name}: arrays must be looked at again")
    setattr(_asyncpg, _name, (list, tuple))

ANSWER_S = 20
"""How long a statement may take. Longer, and its connection counts as dead: nobody tells us of one that a firewall
forgot."""
IDLE_IN_TRANSACTION_S = 20
"""How long the server keeps the transaction, and the locks, of a client that it no longer hears."""

_FATAL = ("FATAL", "PANIC")


def build_engine(settings: Settings, *, name: str) -> AsyncEngine:
    """An engine for one process. JIT is off: compiling a plan costs more than any statement here takes."""
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_pre_ping=False,
        hide_parameters=True,  # an error's text is no place for names and addresses
        connect_args={
            "timeout": 5,
            "command_timeout": ANSWER_S,
            "server_settings": {
                "application_name": name,
                "jit": "off",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "2",
            },
        },
    )
    event.listen(engine.sync_engine, "handle_error", _distrust_the_pool)
    watch_statements(engine)
    return engine


def _distrust_the_pool(context: ExceptionContext) -> None:
    """One connection that no longer answers is thrown away by itself; those opened before it died are as likely dead,
    and each would cost another wait."""
    if isinstance(context.original_exception, TimeoutError):
        context.invalidate_pool_on_disconnect = True


class Lane:
    """One connection kept by one loop: taking one from the pool for every batch costs as much as a statement."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: StraightConnection | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end, rolled back on an error; a broken connection is replaced next time."""
        if self._connection is None:
            self._connection = await StraightConnection.open(self._engine)
        connection = self._connection
        try:
            await connection.begin_transaction()
            yield connection
            await connection.commit_transaction()
        except BaseException as error:
            await self._undo(error, connection)
            raise

    async def _undo(self, error: BaseException, connection: StraightConnection) -> None:
        """Roll back, or throw the connection away. Its own error must not take the place of the first one: a
        cancellation would look like a broken connection, and its loop would go on for ever."""
        try:
            if isinstance(error, Exception) and not _broken(error, connection):
                await connection.rollback_transaction()
                return
        except Exception as failed:  # noqa: BLE001 - whatever it is, the connection goes
            log.info("rollback failed", error=kind_of(failed))
        self._connection = None
        try:
            await connection.invalidate()  # it may be within a transaction: nobody may get it from the pool
            await connection.close()
        except Exception as failed:  # noqa: BLE001 - it is let go of in any case
            log.info("closing a connection failed", error=kind_of(failed))
        if isinstance(error, OSError):
            # What the pool opened before this one died is as likely dead, and each would cost another wait.
            await self._engine.dispose(close=False)

    async def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _broken(error: Exception, connection: StraightConnection) -> bool:
    """A fatal error is the last that a server says on a connection; the driver may not have seen it close yet."""
    return isinstance(error, OSError) or getattr(error, "severity_en", None) in _FATAL or connection.is_lost
