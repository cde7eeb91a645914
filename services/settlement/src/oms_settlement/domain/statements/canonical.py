"""The system's own statement, for every platform that has no format here: `docs/statements.md` describes it.

statement,1,<channel>,<shop>,<currency>,<period_from>,<period_to>,<statement_no>
columns,line_id,order_no,component,amount_minor,posted_at,label
line,<line_id>,<order_no>,<component>,<amount_minor>,<posted_at>,<label>
total,<lines>,<total_minor>
"""

from collections.abc import Sequence
from datetime import datetime

from oms_settlement.domain.statements import cells
from oms_settlement.domain.statements.cells import shown
from oms_settlement.domain.statements.rows import Block, Dialect
from oms_settlement.domain.statements.statement import (
    COMPONENTS,
    ExpectedAccount,
    Refused,
    Rule,
    StatementLine,
    Totals,
)

COLUMNS = ("columns", "line_id", "order_no", "component", "amount_minor", "posted_at", "label")
_HEADER_CELLS = 8
_TRAILER_CELLS = 3
_VERSION = "1"
_FORMULA = frozenset("=+-@")
"""What a spreadsheet takes for the beginning of a formula."""
_GUARD = "'"


class Canonical:
    """One statement, as its rows come in."""

    dialect = Dialect(",", quoted=True)

    def __init__(self, account: ExpectedAccount) -> None:
        self._account = account
        self._header: tuple[datetime, datetime, str] | None = None
        self._columns_seen = False
        self._trailer: tuple[int, int, int] | None = None
        self._ids = cells.Ids("line_id", unique=True)
        self._orders = cells.Ids("order_no", unique=False, most=cells.MAX_ORDER_NO)
        self._lines = 0
        self._total = 0

    def take(self, block: Block) -> list[StatementLine]:
        """The lines of some rows. Raises Refused."""
        rows, numbers = block
        begin = 0
        if self._header is None:
            self._header = self._read_header(rows[0], numbers[0])
            begin = 1
        if not self._columns_seen and begin < len(rows):
            _require_columns(rows[begin], numbers[begin])
            self._columns_seen = True
            begin += 1
        if self._trailer is not None and begin < len(rows):
            raise Refused(Rule.ROW_MALFORMED, numbers[begin], "a row after the total")
        end = len(rows)
        if begin < end and rows[-1][0] == "total":
            self._trailer = _read_trailer(rows[-1], numbers[-1])
            end -= 1
        return self._read_lines(rows[begin:end], numbers[begin:end]) if begin < end else []

    def end(self, *, ended: bool) -> Totals:  # noqa: ARG002 - the total is how this format tells that it is whole
        """What the statement says of itself. Raises Refused where its lines say otherwise."""
        if self._header is None or self._trailer is None:
            raise Refused(Rule.TRUNCATED, None, "the last row, `total`, is missing")
        row, lines, total = self._trailer
        if lines != self._lines:
            raise Refused(Rule.NOT_FOOTED, row, f"the total row counts {lines} lines, there are {self._lines}")
        if total != self._total:
            raise Refused(Rule.NOT_FOOTED, row, f"the total row says {total}, the lines add up to {self._total}")
        self._ids.end()
        self._orders.end()
        period_from, period_to, statement_no = self._header
        return Totals(self._account.currency, period_from, period_to, lines, total, statement_no)

    def _read_header(self, row: list[str], number: int) -> tuple[datetime, datetime, str]:
        if len(row) != _HEADER_CELLS or row[0] != "statement" or row[1] != _VERSION:
            raise Refused(
                Rule.HEADER_CHANGED,
                number,
                "the first row is statement,1,channel,shop,currency,period_from,period_to,statement_no",
            )
        _, _, channel, shop, currency, opens, closes, statement_no = row
        if (channel, shop) != (self._account.channel, self._account.shop):
            raise Refused(
                Rule.OTHER_ACCOUNT,
                number,
                f"the statement is of {shown(f'{channel}/{shop}')}, not {self._account.channel}/{self._account.shop}",
            )
        if currency != self._account.currency:
            raise Refused(Rule.OTHER_CURRENCY, number, f"currency is {shown(currency)}, not {self._account.currency}")
        cells.require_length([statement_no], [number], "statement_no", cells.MAX_ID)
        (period_from,) = cells.instants([opens], [number], "period_from")
        (period_to,) = cells.instants([closes], [number], "period_to")
        if period_to < period_from:
            raise Refused(Rule.TIME_UNREADABLE, number, "period_to is before period_from")
        return period_from, period_to, _plain([statement_no], [number], "statement_no")[0]

    def _read_lines(self, rows: Sequence[list[str]], numbers: Sequence[int]) -> list[StatementLine]:
        _require_lines(rows, numbers)
        _, line_ids, order_nos, components, amounts, posted, labels = zip(*rows, strict=True)
        line_ids = _plain(line_ids, numbers, "line_id")
        order_nos = _plain(order_nos, numbers, "order_no")
        if not all(line_ids):
            raise Refused(Rule.ID_MISSING, numbers[line_ids.index("")], "line_id is empty")
        self._ids.take(line_ids, numbers)
        self._orders.take(order_nos, numbers)
        _require_known(components, numbers)
        minor = cells.integers(amounts, numbers, "amount_minor")
        moments = cells.instants(posted, numbers, "posted_at")
        self._require_in_period(moments, numbers)
        cells.require_length(labels, numbers, "label", cells.MAX_LABEL)
        labels = _plain(labels, numbers, "label")
        self._lines += len(minor)
        self._total += sum(minor)
        lines = zip(numbers, line_ids, order_nos, components, minor, moments, labels, strict=True)
        return list(map(StatementLine._make, lines))

    def _require_in_period(self, moments: Sequence[datetime], numbers: Sequence[int]) -> None:
        assert self._header is not None
        opens, closes, _ = self._header
        if min(moments) < opens or max(moments) > closes:
            at = next(place for place, moment in enumerate(moments) if not opens <= moment <= closes)
            raise Refused(Rule.OUTSIDE_PERIOD, numbers[at], "posted_at lies outside the statement's period")


def _require_columns(row: list[str], number: int) -> None:
    if tuple(row) != COLUMNS:
        raise Refused(Rule.HEADER_CHANGED, number, f"the second row is {','.join(COLUMNS)}")


def _read_trailer(row: list[str], number: int) -> tuple[int, int, int]:
    if len(row) != _TRAILER_CELLS:
        raise Refused(Rule.ROW_MALFORMED, number, "the last row is total,lines,total_minor")
    lines, total = cells.integers(row[1:], [number, number], "the total")
    return number, lines, total


def _require_lines(rows: Sequence[list[str]], numbers: Sequence[int]) -> None:
    if set(map(len, rows)) != {len(COLUMNS)} or {row[0] for row in rows} != {"line"}:
        at = next(place for place, row in enumerate(rows) if len(row) != len(COLUMNS) or row[0] != "line")
        if rows[at][0] == "total":
            raise Refused(Rule.ROW_MALFORMED, numbers[at], "a row after the total")
        raise Refused(Rule.ROW_MALFORMED, numbers[at], f"a row is line,{','.join(COLUMNS[1:])}")


def _require_known(components: Sequence[str], numbers: Sequence[int]) -> None:
    if not COMPONENTS.issuperset(components):
        at = cells.first(components, lambda component: component not in COMPONENTS)
        known = ", ".join(sorted(COMPONENTS))
        raise Refused(Rule.COMPONENT_UNKNOWN, numbers[at], f"component is {shown(components[at])}; known are {known}")


def _plain(column: Sequence[str], numbers: Sequence[int], name: str) -> tuple[str, ...]:
    """Texts without the apostrophe that guards what a spreadsheet would take for a formula."""
    begin = {cell[:1] for cell in column}
    if begin & _FORMULA:
        at = cells.first(column, lambda cell: cell[:1] in _FORMULA and cell != "")
        raise Refused(Rule.TEXT_UNSAFE, numbers[at], f"{name} begins like a formula; write an apostrophe before it")
    if any("\t" in cell or "\n" in cell for cell in column):
        at = cells.first(column, lambda cell: "\t" in cell or "\n" in cell)
        raise Refused(Rule.CONTROL_CHARACTER, numbers[at], f"{name} has a tab or a line break")
    return tuple(cell.removeprefix(_GUARD) for cell in column) if _GUARD in begin else tuple(column)
