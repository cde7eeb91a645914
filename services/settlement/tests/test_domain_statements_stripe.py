"""Stripe's itemised balance report."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_settlement.domain.statements import ExpectedAccount, Refused, StatementLine, Totals, read

REAL = json.loads((Path(__file__).parent / "data" / "stripe-balance-transaction.json").read_text())
ACCOUNT = ExpectedAccount("web", "us", "USD")
AT = "2026-06-17 08:14:22"
POSTED = datetime(2026, 6, 17, 8, 14, 22, tzinfo=UTC)
COLUMNS = (
    "balance_transaction_id",
    "created_utc",
    "created",
    "available_on_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "description",
    "payment_metadata[order_no]",
)

Transaction = dict[str, str]


def all_of(data: bytes, account: ExpectedAccount = ACCOUNT, cut: int = 700) -> tuple[list[StatementLine], Totals]:
    pieces = [data[start : start + cut] for start in range(0, len(data), cut)]
    reader = read("stripe_balance", pieces, account=account)
    lines = [line for batch in reader for line in batch]
    return lines, reader.totals


def refusal(data: bytes, account: ExpectedAccount = ACCOUNT) -> tuple[str, int | None]:
    with pytest.raises(Refused) as caught:
        all_of(data, account)
    return caught.value.code, caught.value.row


def major(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def transaction(no: int, gross: int = 10000, fee: int = 320, **changes: str) -> Transaction:
    usual = {
        "balance_transaction_id": f"txn_{no}",
        "created_utc": AT,
        "created": "2026-06-17 10:14:22",
        "currency": "usd",
        "gross": major(gross),
        "fee": major(fee),
        "net": major(gross - fee),
        "reporting_category": "charge",
        "payment_metadata[order_no]": f"A-{no}",
    }
    return usual | changes


def written(transactions: Sequence[Transaction], columns: Sequence[str] = COLUMNS) -> bytes:
    file = io.StringIO()
    rows = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    rows.writerows(transactions)
    return file.getvalue().encode()


def test_a_row_gives_what_was_paid_and_the_fee() -> None:
    lines, totals = all_of(written([transaction(1, description="a sale")]))
    label = "charge: a sale"
    assert lines == [
        StatementLine(2, "txn_1", "A-1", "goods", 10000, POSTED, label),
        StatementLine(2, "txn_1", "A-1", "payment_fee", -320, POSTED, label),
    ]
    assert totals == Totals("USD", POSTED, POSTED, 2, 9680)


def test_a_real_balance_transaction_reads_as_the_api_tells_it() -> None:
    real = REAL["balance_transaction"]
    created = datetime.fromtimestamp(real["created"], UTC)
    row = transaction(0, real["amount"], real["fee"]) | {
        "balance_transaction_id": real["id"],
        "created_utc": f"{created:%Y-%m-%d %H:%M:%S}",
        "currency": real["currency"],
        "reporting_category": real["reporting_category"],
        "source_id": real["source"],
        "description": real["description"],
    }
    lines, totals = all_of(written([row]))
    assert totals.total_minor == real["net"]
    assert [(line.native_id, line.amount_minor, line.posted_at) for line in lines] == [(real["id"], 100, created)]
    assert lines[0].label == f"charge: {real['description']}"


@given(
    st.lists(
        st.tuples(st.integers(-(10**7), 10**7), st.integers(-1000, 10**5), st.text(max_size=30)),
        min_size=1,
        max_size=15,
    ),
    st.integers(1, 200),
    st.booleans(),
)
def test_what_is_written_is_read_whatever_the_descriptions_say(
    amounts: list[tuple[int, int, str]], cut: int, windows: bool
) -> None:
    texts = ["".join(char for char in text if (char >= " " and char != "\x7f") or char == "\n") for *_, text in amounts]
    rows = [
        transaction(no, gross, fee, description=text)
        for no, ((gross, fee, _), text) in enumerate(zip(amounts, texts, strict=True))
    ]
    data = written(rows)
    if windows:
        data = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
    lines, totals = all_of(data, cut=cut)
    assert totals.total_minor == sum(gross - fee for gross, fee, _ in amounts) == sum(one.amount_minor for one in lines)
    assert {one.native_id for one in lines} == {row["balance_transaction_id"] for row in rows}
    first = 2
    for row, text in zip(rows, texts, strict=True):
        ours = [one for one in lines if one.native_id == row["balance_transaction_id"]]
        assert {one.row for one in ours} == {first}
        first += 1 + text.count("\n")


@given(st.integers(-(10**5), 10**5), st.integers(-500, 5000), st.sampled_from(["gross", "fee", "net"]), st.data())
def test_a_changed_byte_in_an_amount_is_detected(gross: int, fee: int, name: str, data: st.DataObject) -> None:
    good = transaction(1, gross, fee)
    text = good[name].encode()
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[place]))
    before = f",usd,{good['gross']},{good['fee']},{good['net']},charge".encode()
    cells = before.split(b",")
    at = ["gross", "fee", "net"].index(name) + 2
    cells[at] = text[:place] + bytes([byte]) + text[place + 1 :]
    whole = written([good, transaction(2)])
    bad = whole.replace(before, b",".join(cells), 1)
    if bad == whole.replace(before, b",".join([*before.split(b",")[:at], b"0.00", *before.split(b",")[at + 1 :]]), 1):
        return
    refusal(bad)


@pytest.mark.parametrize(
    ("category", "component"),
    [
        ("charge", "goods"),
        ("refund", "refund"),
        ("dispute", "adjustment"),
        ("fee", "payment_fee"),
        ("payout", "payout"),
        ("something_new", "other"),
    ],
)
def test_the_category_tells_what_an_amount_is_for(category: str, component: str) -> None:
    lines, _ = all_of(written([transaction(1, -500, 0, reporting_category=category)]))
    assert [(line.component, line.amount_minor) for line in lines] == [(component, -500)]


def test_a_fee_without_an_order_is_for_the_service() -> None:
    row = transaction(1, -500, 0, reporting_category="fee") | {"payment_metadata[order_no]": ""}
    assert [line.component for line in all_of(written([row]))[0]] == ["subscription"]


def test_a_fee_given_back_is_another_component() -> None:
    lines, _ = all_of(written([transaction(1, -500, -20, reporting_category="refund")]))
    assert [(line.component, line.amount_minor) for line in lines] == [("refund", -500), ("payment_fee_refund", 20)]


def test_the_order_number_is_where_the_shop_keeps_it() -> None:
    columns = [*COLUMNS[:-1], "payment_metadata[order]"]
    row = transaction(1) | {"payment_metadata[order]": "B-7"}
    assert all_of(written([row], columns))[0][0].order_no == ""
    account = ExpectedAccount("web", "us", "USD", order_key="order")
    assert {line.order_no for line in all_of(written([row], columns), account)[0]} == {"B-7"}


def test_columns_come_in_any_order() -> None:
    rows = [transaction(1), transaction(2)]
    assert all_of(written(rows, COLUMNS[::-1])) == all_of(written(rows))


def test_a_currency_without_decimals_has_none() -> None:
    account = ExpectedAccount("web", "jp", "JPY")
    row = transaction(1) | {"currency": "jpy", "gross": "5000", "fee": "180", "net": "4820"}
    assert [line.amount_minor for line in all_of(written([row]), account)[0]] == [5000, -180]
    assert refusal(written([row | {"gross": "5000.00"}]), account) == ("amount_too_precise", 2)


@pytest.mark.parametrize(
    ("change", "code", "row"),
    [
        ({"net": "96.81"}, "not_footed", 3),
        ({"currency": "eur"}, "other_currency", 3),
        ({"balance_transaction_id": "txn_1"}, "id_repeated", 3),
        ({"balance_transaction_id": ""}, "id_missing", 3),
        ({"payment_metadata[order_no]": "5.36E+11"}, "id_ruined", 3),
        ({"payment_metadata[order_no]": "5" * 65}, "text_too_long", 3),
        ({"gross": "1 000.00"}, "amount_unreadable", 3),
        ({"gross": "1,000.00"}, "amount_unreadable", 3),
        ({"gross": ""}, "amount_unreadable", 3),
        ({"gross": "100.001"}, "amount_too_precise", 3),
        ({"gross": "9" * 20}, "amount_overflow", 3),
        ({"created_utc": "17/06/2026"}, "time_unreadable", 3),
        ({"created_utc": "2026-06-17T08:14:22"}, "time_unreadable", 3),
        ({"description": "\x00"}, "control_character", 3),
    ],
)
def test_what_is_wrong_is_named_with_its_row(change: Transaction, code: str, row: int) -> None:
    assert refusal(written([transaction(1), transaction(2) | change])) == (code, row)


@pytest.mark.parametrize(
    "header",
    ["id,Type,Source,Amount,Fee,Net,Currency,Created (UTC)", ",".join(COLUMNS).replace("net", "gross"), "a" * 70_000],
)
def test_another_header_is_refused(header: str) -> None:
    assert refusal(header.encode() + b"\n")[0] in {"header_changed", "row_too_long"}


def test_a_report_without_rows_is_empty() -> None:
    assert refusal(written([])) == ("empty", None)


def test_a_cut_row_is_refused() -> None:
    data = written([transaction(1), transaction(2)])
    begin = data.index(b"\ntxn_2") + 1
    for cut in range(begin + 1, len(data)):
        refusal(data[:cut])
