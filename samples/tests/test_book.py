"""Reading a book of sales: what is taken, what is left out and said, what is refused."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from oms_sample.book import COLUMNS, Book, BookError, Cancellation, Sale, Survey
from oms_sample.cli import SLICE
from oms_sample.cut import cut

HEADER = ",".join(COLUMNS)


def row(
    *,
    invoice="1",
    code="85123A",
    title="HEART",
    quantity="6.0",
    at="2010-12-01 08:26:00",
    price="2.55",
    customer="17850.0",
    country="United Kingdom",
):
    return ",".join((invoice, code, title, quantity, at, price, customer, country))


@pytest.fixture
def book(tmp_path):
    def write(*rows, encoding="utf-8", limit=None) -> Book:
        path = tmp_path / "book.csv"
        path.write_bytes("\n".join([HEADER, *rows]).encode(encoding))
        return Book(path, limit)

    return write


def read(book: Book) -> tuple[Survey, list[Sale | Cancellation]]:
    survey = book.survey()
    return survey, list(book.entries(survey))


def test_an_invoice_becomes_a_sale_with_exact_pence(book):
    _, [sale] = read(book(row(price="1.15"), row(code="71053", quantity="3", price="0.29")))
    assert (sale.invoice_no, sale.customer, sale.country) == ("1", "17850", "United Kingdom")
    assert sale.placed_at == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert [(line.line_no, line.quantity, line.unit_price_minor) for line in sale.lines] == [
        ("1", 6, 115),
        ("2", 3, 29),
    ]
    assert sale.total_minor == 6 * 115 + 3 * 29


def test_the_same_item_twice_stays_two_lines_and_is_said(book):
    survey, [sale] = read(book(row(), row()))
    assert [line.line_no for line in sale.lines] == ["1", "2"]
    assert survey.noted["lines whose item is on the invoice already, kept as lines of their own"] == 1
    assert survey.demand["85123A"] == 12
    assert survey.largest["85123A"] == 12


def test_spellings_that_differ_in_case_are_two_listings_of_one_sku(book):
    survey, _ = read(book(row(), row(invoice="2", code="85123a")))
    assert set(survey.demand) == {"85123A"}
    assert {code for _, code in survey.listings} == {"85123A", "85123a"}


@pytest.mark.parametrize(
    ("dirty", "reason"),
    [
        (row(quantity="-5", price="0", customer=""), "stock write-offs (negative quantity outside a cancellation)"),
        (row(quantity="0"), "rows of quantity zero"),
        (row(price="-1.00"), "rows with a negative price"),
        (row(price="0.0", customer=""), "stock corrections (no price and no buyer)"),
        (row(code="M"), "rows without goods (fees, discounts, samples, entries by hand)"),
    ],
)
def test_rows_that_are_no_sale_are_left_out_and_counted(book, dirty, reason):
    survey, [sale] = read(book(dirty, row(code="71053")))
    assert [line.code for line in sale.lines] == ["71053"]
    assert survey.left_out == {reason: 1}


def test_adjustments_and_empty_invoices_are_counted(book):
    survey, entries = read(book(row(invoice="A1", code="B"), row(invoice="2", code="M")))
    assert entries == []
    assert survey.left_out["invoices with nothing to ship"] == 2
    assert survey.left_out["adjustment rows (invoice number with a letter other than C)"] == 1


def test_carriage_is_the_shipping_of_its_order(book):
    survey, [sale] = read(book(row(quantity="1", price="1.00"), row(code="POST", quantity="2", price="18.00")))
    assert (sale.shipping_minor, sale.total_minor) == (3600, 3700)
    assert survey.noted["carriage rows, taken as shipping of their order"] == 1


def test_gifts_and_missing_descriptions_are_kept_and_said(book):
    survey, [sale] = read(book(row(price="0", title="")))
    assert (sale.lines[0].unit_price_minor, sale.lines[0].title) == (0, "85123A")
    assert survey.noted["lines given away (price zero, buyer known)"] == 1
    assert survey.noted["lines without a description, named by their code"] == 1


def test_a_price_finer_than_a_penny_is_rounded_half_up_and_said(book):
    survey, [sale] = read(book(row(price="0.125")))
    assert sale.lines[0].unit_price_minor == 13
    assert survey.noted["prices finer than a penny, rounded half up"] == 1


def test_a_cancellation_takes_from_the_latest_earlier_sale_with_enough_left(book):
    _, entries = read(
        book(
            row(invoice="1", quantity="10"),
            row(invoice="2", quantity="3"),
            row(invoice="C3", quantity="-4"),
            row(invoice="C4", quantity="-3"),
            row(invoice="C5", quantity="-6"),
            row(invoice="6", quantity="50"),
        )
    )
    found = [(e.cancellation_no, e.invoice_no, e.lines) for e in entries if isinstance(e, Cancellation)]
    assert found == [("C3", "1", (("1", 4),)), ("C4", "2", (("1", 3),)), ("C5", "1", (("1", 6),))]


def test_a_cancellation_that_matches_nothing_is_counted(book):
    survey, entries = read(
        book(
            row(),
            row(invoice="C2", customer="99999.0", quantity="-1"),
            row(invoice="C3", quantity="-7"),
            row(invoice="C4", code="POST", quantity="-1"),
        )
    )
    assert len(entries) == 1
    assert survey.left_out["cancelled rows that match no earlier sale in the file"] == 2
    assert survey.left_out["cancelled rows without goods (carriage, discount, fees)"] == 1


def test_a_cancellation_never_takes_more_than_was_sold(book):
    _, entries = read(book(row(quantity="5"), *(row(invoice=f"C{n}", quantity="-2") for n in range(2, 6))))
    taken = sum(quantity for e in entries if isinstance(e, Cancellation) for _, quantity in e.lines)
    assert taken == 4


def test_the_limit_counts_sales_with_goods(book):
    survey, entries = read(book(row(invoice="1", code="M"), row(invoice="2"), row(invoice="3"), limit=1))
    assert survey.sales == 1
    assert [entry.invoice_no for entry in entries] == ["2"]


def test_rows_of_an_invoice_that_had_ended_are_left_out(book):
    survey, entries = read(book(row(invoice="1"), row(invoice="2"), row(invoice="1")))
    assert [entry.invoice_no for entry in entries] == ["1", "2"]
    assert survey.left_out["rows of an invoice that had ended earlier in the file"] == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(book, encoding):
    _, [sale] = read(book(row(title="CAFÉ TRAY"), encoding=encoding))
    assert sale.lines[0].title == "CAFÉ TRAY"


def test_gzip_and_the_other_date_form(tmp_path):
    path = tmp_path / "book.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADER, row(at="12/1/2010 8:26")]).encode()))
    _, [sale] = read(Book(path))
    assert sale.placed_at == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(quantity="six"), "row 3, column Quantity: 'six' is no number"),
        (row(quantity="1.5"), "row 3, column Quantity: '1.5' is no whole number"),
        (row(quantity="NaN"), "row 3, column Quantity: must be finite"),
        (row(price="2,55".replace(",", ";")), "row 3, column UnitPrice: '2;55' is no number"),
        (row(price="1e30"), "row 3, column UnitPrice: must be at most"),
        (row(at="yesterday"), "row 3, column InvoiceDate: 'yesterday' is no date"),
        (row(code=""), "row 3, column StockCode: must not be empty"),
        (row(invoice=""), "row 3, column InvoiceNo: must not be empty"),
        (row(country=""), "row 3, column Country: must not be empty"),
        (row(code="x" * 65), "row 3, column StockCode: must be printable and at most 64"),
        ("1,2,3", "row 3: 3 cells where the header has 8"),
    ],
)
def test_what_cannot_be_understood_names_row_and_column(book, bad, message):
    with pytest.raises(BookError, match=message.replace("(", r"\(")):
        book(row(), bad).survey()


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "book.csv"
    path.write_text("InvoiceNo,Quantity\n")
    with pytest.raises(
        BookError, match="no column StockCode, Description, InvoiceDate, UnitPrice, CustomerID, Country"
    ):
        Book(path).survey()


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b not gzip"])
def test_files_that_are_no_book(tmp_path, content):
    path: Path = tmp_path / "book.csv.gz"
    path.write_bytes(content)
    with pytest.raises(BookError):
        Book(path).survey()


def test_the_slice_brought_along_accounts_for_every_row():
    book = Book(SLICE)
    survey, entries = read(book)
    sales = [entry for entry in entries if isinstance(entry, Sale)]
    assert len(sales) == survey.sales >= 2000
    assert len({sale.country for sale in sales}) >= 10
    assert sum(isinstance(entry, Cancellation) for entry in entries) > 500
    assert len({sale.invoice_no for sale in sales}) == len(sales)

    with gzip.open(SLICE, "rt") as text:
        written = text.readlines()[1:]
    rows, cancelled_rows = len(written), sum(line.startswith("C") for line in written)
    left_out = survey.left_out
    not_a_row = left_out["invoices with nothing to ship"]
    of_cancellations = (
        left_out["cancelled rows that match no earlier sale in the file"]
        + left_out["cancelled rows without goods (carriage, discount, fees)"]
    )
    of_sales = left_out.total() - not_a_row - of_cancellations
    carriage = survey.noted["carriage rows, taken as shipping of their order"]
    assert survey.lines + carriage + of_sales + cancelled_rows == rows


def test_cutting_again_gives_the_slice_it_cut(tmp_path):
    first, again = tmp_path / "first.csv.gz", tmp_path / "again.csv.gz"
    cut(SLICE, first, date(2010, 12, 1), date(2010, 12, 2))
    cut(first, again, date(2010, 12, 1), date(2010, 12, 2))
    assert first.read_bytes() == again.read_bytes()
    survey, entries = read(Book(first))
    assert {entry.placed_at.date() for entry in entries if isinstance(entry, Sale)} == {
        date(2010, 12, 1),
        date(2010, 12, 2),
    }
    assert any(entry.requested_at.date() > date(2010, 12, 2) for entry in entries if isinstance(entry, Cancellation))
    assert survey.left_out["cancelled rows that match no earlier sale in the file"] > 0
