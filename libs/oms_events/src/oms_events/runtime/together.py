"""Statements that nobody waits for, sent together: one round trip instead of one each."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)(?!:)")


class Writing(Protocol):
    """What a write needs of a connection."""

    async def execute(self, statement: TextClause, parameters: Mapping[str, Any], /) -> Any:  # noqa: ANN401 - nobody looks at it
        """Execute a statement, now or together with others."""
        ...


class _Together:
    def __init__(self) -> None:
        self.statements: list[TextClause] = []
        self.parameters: list[Mapping[str, Any]] = []

    async def execute(self, statement: TextClause, parameters: Mapping[str, Any], /) -> None:
        """Keep a statement until the block ends."""
        self.statements.append(statement)
        self.parameters.append(parameters)


@asynccontextmanager
async def together(connection: AsyncConnection) -> AsyncIterator[Writing]:
    """Inserts, updates and deletes given to this are executed as one statement when the block ends.

    They all see the database as it was before, in no order that counts: none may read or write what another of them
    writes. Constraints are checked at the end. What must see them comes after the block.
    """
    kept = _Together()
    yield kept
    if len(kept.statements) == 1:
        await connection.execute(kept.statements[0], kept.parameters[0])
    elif kept.statements:
        named = {
            f"{name}_{place}": value
            for place, parameters in enumerate(kept.parameters)
            for name, value in parameters.items()
        }
        await connection.execute(_one_of(tuple(kept.statements)), named)


@lru_cache(maxsize=1024)
def _one_of(statements: tuple[TextClause, ...]) -> TextClause:
    parts = [f"part_{place} as ({_renamed(statement, place)})" for place, statement in enumerate(statements)]
    return text(f"with {', '.join(parts)} select")


def _renamed(statement: TextClause, place: int) -> str:
    """A statement whose parameters nobody else's can be mistaken for."""
    return _PARAMETER.sub(lambda found: f":{found[1]}_{place}", statement.text)
