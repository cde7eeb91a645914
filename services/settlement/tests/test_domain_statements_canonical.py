"""The system's own statement: what is written is read, and nothing that was changed is."""

import csv
import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oms_settlement.domain.statements import COMPONENTS, ExpectedAccount, Refused, StatementLine, Totals, read

ACCOUNT = ExpectedAccount("web", "main", "GBP")
OPENS, CLOSES = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
FIRST_ROW = 3


def guarded(text: str) -> str:
    return "'" + text if text[:1] in "=+-@'" and text else text


def written(lines: Sequence[StatementLine], *, total: int | None = None, count: int | None = None) -> bytes:
    """A statement as an adapter would write it, with the standard library's writer."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(
        ("statement", 1, "web", "main", "GBP", f"{OPENS:%Y-%m-%dT%H:%M:%SZ}", f"{CLOSES:%Y-%m-%dT%H:%M:%SZ}", "M-3")
    )
    rows.writerow(("columns", "line_id", "order_no", "component", "amount_minor", "posted_at", "label"))
    for line in lines:
        at = f"{line.posted_at:%Y-%m-%dT%H:%M:%SZ}"
        texts = guarded(line.native_id), guarded(line.order_no), line.component
        rows.writerow(("line", *texts, line.amount_minor, at, guarded(line.label)))
    total = sum(line.amount_minor for line in lines) if total is None else total
    rows.writerow(("total", len(lines) if count is None else count, total))
    return file.getvalue().encode()


def line(number: int = 0, **changes: Any) -> StatementLine:
    usual = StatementLine(FIRST_ROW + number, f"L-{number}", f"A-{number}", "goods", 510, OPENS, "sale")
    return usual._replace(**changes)


def all_of(data: bytes | Iterable[bytes], account: ExpectedAccount = ACCOUNT) -> tuple[list[StatementLine], Totals]:
    reader = read("canonical", [data] if isinstance(data, bytes) else data, account=account)
    lines = [one for batch in reader for one in batch]
    return lines, reader.totals


def refusal(data: bytes | Iterable[bytes], account: ExpectedAccount = ACCOUNT) -> tuple[str, int | None]:
    with pytest.raises(Refused) as caught:
        all_of(data, account)
    return caught.value.code, caught.value.row


texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
"""Any script, quotation marks, commas, formulas; no control characters."""
statement_lines = st.lists(
    st.builds(
        StatementLine,
        row=st.just(0),
        native_id=texts.filter(bool).map(lambda text: f"i{text}"),
        order_no=texts.map(lambda text: f"o{text}" if text else ""),
        component=st.sampled_from(sorted(COMPONENTS)),
        amount_minor=st.integers(-(10**9), 10**9),
        posted_at=st.datetimes(OPENS.replace(tzinfo=None), CLOSES.replace(tzinfo=None)).map(
            lambda at: at.replace(tzinfo=UTC, microsecond=0)
        ),
        label=texts,
    ),
    max_size=12,
    unique_by=lambda one: one.native_id,
).map(lambda lines: [one._replace(row=FIRST_ROW + place) for place, one in enumerate(lines)])


@given(statement_lines, st.integers(1, 60), st.booleans(), st.booleans())
def test_what_is_written_is_read(lines: list[StatementLine], cut: int, windows: bool, mark: bool) -> None:
    data = written(lines)
    if windows:
        data = data.replace(b"\n", b"\r\n")
    if mark:
        data = b"\xef\xbb\xbf" + data
    pieces = [data[start : start + cut] for start in range(0, len(data), cut)]
    assert all_of(pieces) == (
        lines,
        Totals("GBP", OPENS, CLOSES, len(lines), sum(x.amount_minor for x in lines), "M-3"),
    )


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=5), st.data())
@example([100], None)
def test_a_changed_byte_in_an_amount_is_detected(amounts: list[int], data: st.DataObject | None) -> None:
    lines = [line(place, amount_minor=amount) for place, amount in enumerate(amounts)]
    good = written(lines)
    places = [
        at
        for row in (b"goods,%d," % amount for amount in amounts)
        for at in range(good.index(row) + len(b"goods,"), good.index(row) + len(row) - 1)
    ]
    every = ((at, byte) for at in places for byte in range(256) if byte != good[at])
    changes = every if data is None else [(data.draw(st.sampled_from(places)), data.draw(st.integers(0, 255)))]
    for at, byte in changes:
        bad = good[:at] + bytes([byte]) + good[at + 1 :]
        if bad != good:
            refusal(bad)


@given(statement_lines.filter(bool), st.data())
def test_a_truncated_file_is_refused(lines: list[StatementLine], data: st.DataObject) -> None:
    good = written(lines)
    cut = data.draw(st.integers(0, len(good) - 2))
    try:
        read_lines, totals = all_of(good[:cut])
    except Refused:
        return
    # Only the trailer's own digits can be cut so that the rest is a number; then it must not foot by chance.
    assert (read_lines, totals.total_minor) == (lines, sum(one.amount_minor for one in lines))


@pytest.mark.parametrize(
    ("change", "code", "row"),
    [
        ((b"web,main", b"web,outlet"), "other_account", 1),
        ((b",GBP,", b",EUR,"), "other_currency", 1),
        ((b"statement,1,", b"statement,2,"), "header_changed", 1),
        ((b"amount_minor,posted_at", b"posted_at,amount_minor"), "header_changed", 2),
        ((b"line,L-1,", b"line,L-0,"), "id_repeated", 4),
        ((b"line,L-1,", b"line,,"), "id_missing", 4),
        ((b"line,L-1,", b"line,1.23457E+17,"), "id_ruined", 4),
        ((b",A-1,", b",5.36E+5,"), "id_ruined", 4),
        ((b",A-1,", b",536365.0,"), "id_ruined", 4),
        ((b",A-1,", b",########,"), "id_ruined", 4),
        ((b",A-1,", b",=cmd|' /c calc'!A0,"), "text_unsafe", 4),
        ((b",A-1,", b',"A\n1",'), "control_character", 4),
        ((b",A-1,", b',"A-1"x,'), "row_malformed", 4),
        ((b",A-1,", b',"A-1,'), "truncated", 4),
        ((b",A-1,", b",A\x00,"), "control_character", 4),
        ((b",A-1,", b",A\r1,"), "control_character", 4),
        ((b",A-1,", b",\xff\xfe,"), "undecodable", 4),
        ((b",A-1,", b"," + b"A" * 65 + b","), "text_too_long", 4),
        ((b",A-1,goods", b",A-1,gods"), "component_unknown", 4),
        ((b",A-1,goods,510", b",A-1,goods,5.10"), "amount_unreadable", 4),
        ((b",A-1,goods,510", b",A-1,goods,0510"), "amount_unreadable", 4),
        ((b",A-1,goods,510", b",A-1,goods,"), "amount_unreadable", 4),
        ((b",A-1,goods,510", b",A-1,goods,5_10"), "amount_unreadable", 4),
        ((b",A-1,goods,510", b",A-1,goods," + "٥١٠".encode()), "amount_unreadable", 4),
        ((b",A-1,goods,510", b",A-1,goods,-0"), "amount_unreadable", 4),
        ((b",A-1,goods,510", b",A-1,goods," + b"9" * 30), "amount_overflow", 4),
        ((b",A-1,goods,510", b",A-1,goods," + b"9" * 5000), "amount_overflow", 4),
        ((b",A-1,goods,510", b",A-1,goods,511"), "not_footed", 6),
        ((b"total,3,", b"total,4,"), "not_footed", 6),
        ((b"total,3,1530", b"total,3,1529"), "not_footed", 6),
        ((b"total,3,1530\n", b""), "truncated", None),
        ((b"total,3,1530\n", b"total,3\n"), "row_malformed", 6),
        ((b"total,3,1530\n", b"total,3,1530\n\n"), "row_malformed", 6),
        ((b"total,3,1530\n", b"total,3,1530\ntotal,3,1530\n"), "row_malformed", 6),
        ((b"line,L-1,A-1,goods,510,2026-03-01T", b"line,L-1,A-1,goods,510,2026-02-01T"), "outside_period", 4),
        ((b"line,L-1,A-1,goods,510,2026-03-01T", b"line,L-1,A-1,goods,510,2026-03-01 "), "time_unreadable", 4),
        ((b"line,L-1,A-1,goods,510,2026-03-01T", b"line,L-1,A-1,goods,510,2026-02-30T"), "time_unreadable", 4),
        ((b"line,L-1,", b"row,L-1,"), "row_malformed", 4),
        ((b"line,L-1,", b"line,L-1,extra,"), "row_malformed", 4),
    ],
)
def test_what_is_wrong_is_named_with_its_row(change: tuple[bytes, bytes], code: str, row: int | None) -> None:
    good = written([line(0), line(1), line(2)])
    assert good.count(change[0]) >= 1
    bad = good.replace(*change, 1)
    assert refusal(bad) == (code, row)
    assert refusal([bytes([byte]) for byte in bad]) == (code, row)


def test_digits_that_a_spreadsheet_cut_off_are_noticed_over_the_file() -> None:
    whole = [line(place, native_id=f"2026030112345678{place}") for place in range(9)]
    cut = [line(place, native_id=f"20260301123{place}45000000") for place in range(9)]
    assert all_of(written(whole))[0] == whole
    assert refusal(written(cut)) == ("id_ruined", FIRST_ROW)
    # Among whole numbers, one that happens to end in zeros is a number like another.
    mixed = [*whole, line(9, native_id="202603011230000000")]
    assert all_of(written(mixed))[0] == mixed


def test_no_lines_are_a_statement_too() -> None:
    assert all_of(written([])) == ([], Totals("GBP", OPENS, CLOSES, 0, 0, "M-3"))


def test_totals_are_not_there_before_the_end() -> None:
    reader = read("canonical", [written([line()])], account=ACCOUNT)
    with pytest.raises(ValueError, match="to its end"):
        _ = reader.totals


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("statement.csv", data)
    return file.getvalue()


@pytest.mark.parametrize("data", [zipped(b"0" * 10**6), gzip.compress(written([line()])), b"BZh91AY", b"%PDF-1.7"])
def test_what_is_packed_is_not_unpacked(data: bytes) -> None:
    assert refusal(data) == ("compressed", None)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_named_so(data: bytes) -> None:
    assert refusal(data) == ("empty", None)


@pytest.mark.parametrize("text", [b"9", b'"'])
def test_a_row_without_end_is_refused_before_it_was_read(text: bytes) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield written([])[: -len(b"total,0,0\n")] + b"line,"
        while True:
            taken += 2**16
            yield text * 2**16

    assert refusal(endless()) == ("row_too_long", FIRST_ROW)
    assert taken <= 2**20


def test_a_quoted_cell_without_end_is_refused_before_it_was_read() -> None:
    def endless() -> Iterator[bytes]:
        yield written([])[: -len(b"total,0,0\n")] + b'line,"'
        while True:
            yield b"and so on\n" * 1000

    assert refusal(endless()) == ("row_too_long", FIRST_ROW)


def test_a_long_file_is_read_in_little_memory() -> None:
    count = 20_000

    def rows() -> Iterator[bytes]:
        yield written([])[: -len(b"total,0,0\n")]
        for start in range(0, count, 1000):
            at = OPENS + timedelta(seconds=start)
            yield b"".join(
                b"line,L%d,A%d,goods,7,%s,%s\n" % (one, one, f"{at:%Y-%m-%dT%H:%M:%SZ}".encode(), b"w" * 250)
                for one in range(start, start + 1000)
            )
        yield b"total,%d,%d\n" % (count, 7 * count)

    tracemalloc.start()
    try:
        reader = read("canonical", rows(), account=ACCOUNT)
        seen, largest = 0, 0
        for batch in reader:
            seen += len(batch)
            largest = max(largest, len(batch))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (seen, reader.totals.lines) == (count, count)
    assert largest < count / 5
    assert peak < 8 * 2**20, "all lines together take more than twice that"
