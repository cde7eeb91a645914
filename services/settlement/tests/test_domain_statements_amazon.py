"""Amazon's settlement report: a real one, and what may not pass for one."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_settlement.domain.statements import ExpectedAccount, Refused, StatementLine, Totals, read
from oms_settlement.domain.statements.amazon_v2 import COLUMNS

REAL = (Path(__file__).parent / "data" / "amazon-v2-settlement.txt").read_bytes()
ACCOUNT = ExpectedAccount("amazon", "us", "USD", marketplace="amazon.com")
FIRST_ROW = 3


def all_of(data: bytes, account: ExpectedAccount = ACCOUNT, cut: int = 1000) -> tuple[list[StatementLine], Totals]:
    reader = read("amazon_v2", [data[start : start + cut] for start in range(0, len(data), cut)], account=account)
    lines = [line for batch in reader for line in batch]
    return lines, reader.totals


def refusal(data: bytes, account: ExpectedAccount = ACCOUNT) -> tuple[str, int | None]:
    with pytest.raises(Refused) as caught:
        all_of(data, account)
    return caught.value.code, caught.value.row


def major(amount: int, mark: str = ".") -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}{mark}{abs(amount) % 100:02d}"


def written(
    rows: Sequence[dict[str, str]], total: int, mark: str = ".", date: str = "2026-06-16 00:00:00 UTC"
) -> bytes:
    summary = {"settlement-start-date": date, "settlement-end-date": date, "deposit-date": date, "currency": "USD"}
    table = [summary | {"total-amount": major(total, mark)}, *rows]
    usual = {"settlement-id": "1"}
    text = ["\t".join(COLUMNS), *("\t".join((usual | row).get(name, "") for name in COLUMNS) for row in table)]
    return ("\n".join(text) + "\n").encode()


def row(amount: int, mark: str = ".", **changes: str) -> dict[str, str]:
    usual = {
        "transaction-type": "Order",
        "order-id": "114-8829371-4410258",
        "amount-type": "ItemPrice",
        "amount-description": "Principal",
        "amount": major(amount, mark),
        "posted-date-time": "2026-06-17 08:14:22 UTC",
    }
    return usual | {name.replace("_", "-"): text for name, text in changes.items()}


def test_a_real_report_foots_and_its_lines_are_sorted_by_what_they_are_for() -> None:
    lines, totals = all_of(REAL)
    assert totals == Totals(
        "USD",
        datetime(2026, 6, 16, tzinfo=UTC),
        datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC),
        23,
        58289,
        "28471003921",
    )
    by_component: Counter[str] = Counter()
    for line in lines:
        by_component[line.component] += line.amount_minor
    assert by_component == {
        "goods": 12999 + 1040 - 1040 + 8900 + 4550 + 21000,
        "shipping": 799 - 799,
        "refund": -12999,
        "commission": -(1950 + 1335 + 683 + 3150),
        "commission_refund": 1950 - 500,
        "subscription": -3999,
        "adjustment": 1875,
        "payout": 82044 - 42000,
        "other": -(475 + 6428 + 1260 + 250),
    }
    assert lines[0] == StatementLine(
        FIRST_ROW,
        "",
        "114-8829371-4410258",
        "goods",
        12999,
        datetime(2026, 6, 17, 8, 14, 22, tzinfo=UTC),
        "Order/ItemPrice/Principal",
    )
    assert {line.order_no for line in lines if line.component == "payout"} == {""}


def test_a_real_report_of_one_byte_pieces_with_windows_line_ends_and_blank_lines_is_the_same() -> None:
    assert all_of(REAL.replace(b"\n", b"\r\n") + b"\r\n\r\n", cut=1) == all_of(REAL)
    assert all_of(REAL.removesuffix(b"\n")) == all_of(REAL)


def test_every_changed_digit_of_a_real_report_is_detected() -> None:
    rows = REAL.split(b"\n")
    at, changed = 0, 0
    for number, text in enumerate(rows, 1):
        cells = text.split(b"\t")
        place = 4 if number == 2 else 14
        if number > 1 and len(cells) > place:
            begin = at + sum(len(cell) + 1 for cell in cells[:place])
            for here in range(begin, begin + len(cells[place])):
                for byte in b"0123456789-. \t":
                    if byte != REAL[here]:
                        refusal(REAL[:here] + bytes([byte]) + REAL[here + 1 :])
                        changed += 1
        at += len(text) + 1
    assert changed > 1000


def test_every_cut_of_a_real_report_is_refused() -> None:
    for cut in range(len(REAL) - len(b"\t\t\t\t\t\t\n")):
        refusal(REAL[:cut])


@given(st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=20), st.sampled_from(".,"))
def test_what_is_written_is_read(amounts: list[int], mark: str) -> None:
    data = written([row(amount, mark) for amount in amounts], sum(amounts), mark)
    lines, totals = all_of(data)
    assert [line.amount_minor for line in lines] == amounts
    assert [line.row for line in lines] == list(range(FIRST_ROW, FIRST_ROW + len(amounts)))
    assert (totals.lines, totals.total_minor) == (len(amounts), sum(amounts))


def test_european_dates_have_the_day_first() -> None:
    data = written([row(1, posted_date_time="05.07.2026 10:11:12 UTC")], 1, date="04.07.2026 00:00:00 UTC")
    lines, totals = all_of(data)
    assert lines[0].posted_at == datetime(2026, 7, 5, 10, 11, 12, tzinfo=UTC)
    assert totals.period_from == datetime(2026, 7, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        (("Order", "ItemPrice", "Shipping"), "shipping"),
        (("Order", "Promotion", "Shipping"), "shipping"),
        (("Order", "Shipment-Fees", "Shipping"), "other"),
        (("Order", "ItemWithheldTax", "MarketplaceFacilitatorTax-Shipping"), "shipping"),
        (("Order", "ItemFees", "Something New"), "other"),
        (("Refund", "ItemPrice", "Shipping"), "refund"),
        (("Refund", "ItemFees", "RefundCommission"), "commission_refund"),
        (("Chargeback Refund", "ItemPrice", "Principal"), "refund"),
        (("Transfer", "other-transaction", "Something New"), "payout"),
        (("other-transaction", "other-transaction", "WAREHOUSE_LOST"), "adjustment"),
    ],
)
def test_type_and_description_together_tell_what_an_amount_is_for(kind: tuple[str, str, str], component: str) -> None:
    transaction, amount_type, description = kind
    of = row(100, transaction_type=transaction, amount_type=amount_type, amount_description=description)
    lines, _ = all_of(written([of], 100))
    assert [(line.component, line.label) for line in lines] == [(component, "/".join(kind))]


def test_a_shipment_to_amazon_is_no_order() -> None:
    lines, _ = all_of(written([row(-5, order_id="FBA15DVLXN6Q")], -5))
    assert lines[0].order_no == ""


def test_a_text_that_is_no_utf_8_is_read_as_windows_wrote_it() -> None:
    data = written([row(1, amount_description="Geb\u00fchr")], 1)
    assert all_of(data.decode().encode("cp1252"))[0][0].label == all_of(data)[0][0].label == "Order/ItemPrice/Gebühr"


def test_two_encodings_in_one_file_are_refused() -> None:
    # More than a block of UTF-8 first, so that the encoding is settled when the other one comes.
    many = [row(0, amount_description="Geb\u00fchr")] * 6000
    data = written([*many, row(0, amount_description="Geb?hr")], 0).replace(b"Geb?hr", b"Geb\xfchr")
    assert refusal(data) == ("undecodable", FIRST_ROW + 6000)


@pytest.mark.parametrize(
    ("change", "code", "at"),
    [
        ((b"amount-type\tamount-description", b"amount-description\tamount-type"), "header_changed", 1),
        ((b"\tpromotion-id", b""), "header_changed", 1),
        ((b"582.89", b"582.88"), "not_footed", 2),
        ((b"582.89\tUSD", b"582.89\tEUR"), "other_currency", 2),
        ((b"582.89", b"582.891"), "amount_too_precise", 2),
        ((b"582.89", b""), "row_malformed", 2),
        ((b"129.99", b"129,99"), "amount_unreadable", 3),
        ((b"129.99", b"1,129.99"), "amount_unreadable", 3),
        ((b"129.99", b"129.990"), "amount_too_precise", 3),
        ((b"129.99", b"+129.99"), "amount_unreadable", 3),
        ((b"129.99", b"NaN"), "amount_unreadable", 3),
        ((b"129.99", b"1e2"), "amount_unreadable", 3),
        ((b"129.99", b"9" * 30), "amount_overflow", 3),
        ((b"129.99", b"9" * 300), "amount_overflow", 3),
        ((b"USD\tOrder", b"EUR\tOrder"), "other_currency", 3),
        ((b"28471003921\t\t", b"28471003922\t\t"), "other_statement", 3),
        ((b"28471003921\t\t", b"28471003921\t\t\t"), "row_malformed", 3),
        ((b"28471003921\t\t\t\t\t", b"28471003921\t\t\t\t1.00\t"), "other_statement", 3),
        ((b"amazon.com", b"amazon.co.uk"), "other_account", 3),
        ((b"114-8829371-4410258", b"1.14883E+16"), "id_ruined", 3),
        ((b"2026-06-17 08:14:22 UTC", b"2026-06-17 08:14:22"), "time_unreadable", 3),
        ((b"2026-06-17 08:14:22 UTC", b"2026-06-31 08:14:22 UTC"), "time_unreadable", 3),
        ((b"\tNX-HD-1200", b"\t\x81\x8d"), "undecodable", 3),
        ((b"\tNX-HD-1200", b"\tNX\x00"), "control_character", 3),
        ((b"\tNX-HD-1200", b"\t" + b"N" * 70_000), "row_too_long", 3),
        ((b"\tNX-HD-1200\t1\t\n", b"\tNX-HD-1200\t1\t\n\n"), "row_malformed", 5),
    ],
)
def test_what_is_wrong_is_named_with_its_row(change: tuple[bytes, bytes], code: str, at: int) -> None:
    assert REAL.count(change[0]) >= 1
    assert refusal(REAL.replace(*change, 1)) == (code, at)


def test_a_header_without_rows_is_truncated() -> None:
    assert refusal(REAL.split(b"\n")[0] + b"\n") == ("truncated", None)


def test_amounts_without_decimals_are_whole_in_a_currency_that_has_none() -> None:
    data = written([row(0) | {"amount": "5000"}], 0).replace(b"0.00\tUSD", b"5000\tJPY").replace(b"USD", b"JPY")
    lines, totals = all_of(data, ExpectedAccount("amazon", "jp", "JPY"))
    assert (lines[0].amount_minor, totals.total_minor) == (5000, 5000)
