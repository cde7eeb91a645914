"""One reader for all formats."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from oms_settlement.domain.statements.amazon_v2 import AmazonV2
from oms_settlement.domain.statements.canonical import Canonical
from oms_settlement.domain.statements.rows import Block, Dialect, Rows
from oms_settlement.domain.statements.statement import ExpectedAccount, StatementLine, Totals
from oms_settlement.domain.statements.stripe_balance import StripeBalance


class Format(Protocol):
    """How one format's rows become lines, and what makes it foot."""

    dialect: Dialect

    def take(self, block: Block) -> list[StatementLine]: ...

    def end(self, *, ended: bool) -> Totals: ...


FORMATS: Mapping[str, Callable[[ExpectedAccount], Format]] = {
    "canonical": Canonical,
    "amazon_v2": AmazonV2,
    "stripe_balance": StripeBalance,
}


class Reader:
    """Gives a statement's lines, some thousand at a time. `totals` is there once all were given.

    Raises Refused from the iteration, at the latest after the last lines.
    """

    def __init__(self, chunks: Iterable[bytes], form: Format) -> None:
        self._batches = self._read(Rows(chunks, form.dialect), form)
        self._totals: Totals | None = None

    def __iter__(self) -> Iterator[list[StatementLine]]:
        return self

    def __next__(self) -> list[StatementLine]:
        return next(self._batches)

    @property
    def totals(self) -> Totals:
        """What the statement says of itself. Raises ValueError before the end."""
        if self._totals is None:
            raise ValueError("a statement foots only when it was read to its end")
        return self._totals

    def _read(self, rows: Rows, form: Format) -> Iterator[list[StatementLine]]:
        for block in rows:
            if lines := form.take(block):
                yield lines
        self._totals = form.end(ended=rows.ended)


def read(format: str, chunks: Iterable[bytes], *, account: ExpectedAccount) -> Reader:  # noqa: A002 - its name
    """A reader of a statement. Raises KeyError for a format that is none of `FORMATS`."""
    return Reader(chunks, FORMATS[format](account))
