"""A connection that hands text statements straight to the driver.

SQLAlchemy's own way to asyncpg doubles what a statement costs, and a batch is a dozen statements. What it answers is
SQLAlchemy's all the same: who is given a connection need not know which kind it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from oms_events.runtime.stages import within

_MOST_PREPARED = 500
"""Statements are constants, but for a few a day that make or drop a partition."""


class _Prepared(NamedTuple):
    """A statement that the server knows."""

    statement: Any
    parameters: Sequence[str]
    """Names in the order in which the driver wants their values."""
    constants: Mapping[str, Any]
    columns: SimpleResultMetaData


class Rows(IteratorResult[Any]):
    """What a statement answered."""

    status: str

    @property
    def rowcount(self) -> int:
        """Rows inserted, updated, deleted or selected."""
        return int(self.status.rpartition(" ")[2])


class StraightConnection(AsyncConnection):
    """A connection of its own transactions: begun and ended here, one at a time.

    Errors of statements are the driver's. One of a connection that is gone is an OSError.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._driver: Any = None
        self._prepared: dict[TextClause, _Prepared] = {}

    @classmethod
    async def open(cls, engine: AsyncEngine) -> "StraightConnection":
        """Take a connection out of the engine's pool."""
        connection = cls(engine)
        await connection.start()
        # SQLAlchemy is not to begin transactions of its own within ours.
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        connection._driver = (await connection.get_raw_connection()).driver_connection
        return connection

    @property
    def is_lost(self) -> bool:
        """Whether it can no longer be used."""
        return bool(self._driver.is_closed())

    async def begin_transaction(self) -> None:
        """Begin one."""
        await self._say("begin")

    async def commit_transaction(self) -> None:
        """Make it true. Raises RuntimeError where an error in it was passed over: the server undoes such a one."""
        done = await self._say("commit")
        if done != "COMMIT":
            raise RuntimeError("a transaction with a failed statement cannot be committed")

    async def rollback_transaction(self) -> None:
        """Undo it, if it is not over already."""
        if self._driver.is_in_transaction():
            await self._say("rollback")

    async def _say(self, words: str) -> str:
        try:
            status: str = await self._driver.execute(words)
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            self._raise_if_lost(error)
            raise
        return status

    async def execute(self, statement: Any, parameters: Any = None, **options: Any) -> Any:  # noqa: ANN401 - as the base has it
        """Execute a statement: a text by the driver, any other by SQLAlchemy."""
        if not isinstance(statement, TextClause) or isinstance(parameters, list) or options:
            return await super().execute(statement, parameters, **options)
        with within("sql"):
            return await self._fetch(statement, parameters or {})

    async def _fetch(self, statement: TextClause, given: Mapping[str, Any]) -> Rows:
        try:
            prepared = self._prepared.get(statement) or await self._prepare(statement)
            values = {**prepared.constants, **given} if prepared.constants else given
            rows = await prepared.statement.fetch(*[values[name] for name in prepared.parameters])
        except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
            # The schema was changed under it: prepared anew, it is understood again.
            self._prepared.clear()
            raise
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            self._raise_if_lost(error)
            raise
        answer = Rows(prepared.columns, iter(rows))
        answer.status = prepared.statement.get_statusmsg()
        return answer

    async def _prepare(self, statement: TextClause) -> _Prepared:
        compiled = statement.compile(dialect=self.dialect)
        prepared = await self._driver.prepare(compiled.string)
        if len(self._prepared) >= _MOST_PREPARED:
            self._prepared.clear()
        self._prepared[statement] = _Prepared(
            prepared,
            compiled.positiontup or (),
            {name: value for name, value in compiled.params.items() if value is not None},
            SimpleResultMetaData([column.name for column in prepared.get_attributes()]),
        )
        return self._prepared[statement]

    def _raise_if_lost(self, error: asyncpg.InterfaceError | asyncpg.InternalClientError) -> None:
        """The driver also stumbles over what a server says while it goes down, before it sees the connection close."""
        if self.is_lost or isinstance(error, asyncpg.InternalClientError):
            raise ConnectionResetError("the connection to the database is closed") from error
