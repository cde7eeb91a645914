"""Cuts a slice out of the full data set: all rows of a span of days, and the later cancellations of its sales."""

import csv
import gzip
import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from oms_sample.book import COLUMNS, InvoiceReader, Matcher, Row, read_rows


@dataclass(frozen=True, slots=True)
class Slice:
    """What was cut."""

    rows: int
    later_cancellations: int


def cut(source: Path, target: Path, first: date, last: date) -> Slice:
    """Write the rows of `first` to `last` as they stand, dirt included, with the header. Raises BookError."""
    begin, end = datetime.combine(first, time.min, UTC), datetime.combine(last, time.max, UTC)
    later = _later_cancellations(source, begin, end)
    rows = 0
    # no name and no time in the header: the same cut is the same file
    with target.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        out = csv.writer(_Lines(packed), lineterminator="\n")
        out.writerow(COLUMNS)
        for row in read_rows(source):
            if begin <= row.at <= end or row.invoice_no in later:
                out.writerow(row.cells)
                rows += 1
    return Slice(rows, len(later))


def _later_cancellations(source: Path, begin: datetime, end: datetime) -> set[str]:
    reversals: set[tuple[str, str]] = {(row.customer, row.code) for row in read_rows(source) if row.is_reversal}
    matcher = Matcher(frozenset(reversals), Counter())
    later = set()
    reader = InvoiceReader(Counter(), Counter())
    for invoice_no, group in itertools.groupby(read_rows(source), key=lambda row: row.invoice_no):
        rows: list[Row] = list(group)
        if rows[0].is_reversal:
            taken_back = matcher.take_back(rows)
            if taken_back and rows[0].at > end:
                later.add(invoice_no)
        elif begin <= rows[0].at <= end and (sale := reader.sale(rows)) is not None:
            matcher.sold(sale)
    return later


class _Lines:
    """The text file that csv wants, over a binary one."""

    def __init__(self, binary: gzip.GzipFile) -> None:
        self._binary = binary

    def write(self, text: str) -> int:
        return self._binary.write(text.encode())
