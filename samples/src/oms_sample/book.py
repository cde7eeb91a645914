"""Reads a file with the columns of UCI "Online Retail" as sales and cancellations, in the order of the file.

The file is streamed: what is kept in memory grows with the number of invoices and with the lines that a
cancellation may refer to, never with the number of rows. It is read twice: `Book.survey` learns what is sold and
what is cancelled, `Book.entries` then gives one `Sale` or `Cancellation` at a time.

Real books are dirty. Every row is either taken or counted under the reason why it was not; README.md of
`uci_online_retail` gives the reasons. A row that cannot be understood at all raises `BookError`.
"""

import codecs
import contextlib
import csv
import gzip
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import IO

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
DATE_FORMATS = ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
"""Beside ISO 8601: how copies of the data set write their dates."""

CARRIAGE = frozenset({"POST", "DOT", "C2"})
"""Stock codes under which the shop booked what the buyer paid for shipping."""
NO_GOODS = frozenset({"M", "D", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "ADJUST", "TEST001", "TEST002"})
"""Stock codes of fees, discounts, samples and entries made by hand: there is nothing to ship."""

MAX_LINES = 2000
MAX_TEXT = 64
MAX_QUANTITY = 1_000_000
MAX_PRICE_MINOR = 10**12
_BYTE_ORDER_MARK = "\ufeff"


class BookError(ValueError):
    """The file cannot be read as a book of sales. The message names the row and the column."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as written, checked and typed. `unit_price` is in pounds; `cells` are the words of the file."""

    number: int
    invoice_no: str
    code: str
    title: str
    quantity: int
    at: datetime
    unit_price: Decimal
    customer: str
    country: str
    cells: Sequence[str] = field(repr=False)

    @property
    def is_reversal(self) -> bool:
        return self.invoice_no[0] in "Cc"


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A line as sold. `code` is spelled as on the invoice; `sku` is the item it stands for."""

    line_no: str
    code: str
    title: str
    quantity: int
    unit_price_minor: int

    @property
    def sku(self) -> str:
        """Spellings that differ in case alone ("85123a", "85123A") are one item."""
        return self.code.upper()


@dataclass(frozen=True, slots=True)
class Sale:
    """An invoice with goods. Amounts in pence."""

    invoice_no: str
    placed_at: datetime
    customer: str
    country: str
    lines: tuple[SaleLine, ...]
    shipping_minor: int

    @property
    def total_minor(self) -> int:
        return self.shipping_minor + sum(line.quantity * line.unit_price_minor for line in self.lines)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What a "C" invoice takes back from one earlier sale: quantities by line number."""

    cancellation_no: str
    requested_at: datetime
    invoice_no: str
    country: str
    lines: tuple[tuple[str, int], ...]


Entry = Sale | Cancellation


@dataclass(slots=True)
class Survey:
    """What the file holds, before anything of it is played."""

    sales: int = 0
    lines: int = 0
    titles: dict[str, str] = field(default_factory=dict)
    """By SKU: the longest description seen."""
    prices: dict[str, int] = field(default_factory=dict)
    """By SKU: the first price above zero, in pence."""
    demand: Counter[str] = field(default_factory=Counter)
    """By SKU: all that was sold."""
    largest: dict[str, int] = field(default_factory=dict)
    """By SKU: the most that one invoice sold."""
    listings: set[tuple[str, str]] = field(default_factory=set)
    """Country and stock code as spelled."""
    left_out: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    cancellable: frozenset[tuple[str, str]] = frozenset()
    """Customer and stock code of every row that takes something back."""


class Book:
    """A file of sales. `limit` stops after so many sales with goods."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.path = path
        self._limit = limit

    def survey(self) -> Survey:
        """Read the whole file once and tell what it holds. Raises BookError."""
        survey = Survey()
        cancellable: set[tuple[str, str]] = set()
        reader = InvoiceReader(survey.left_out, survey.noted)
        for rows in self._invoices(survey.left_out):
            if survey.sales == self._limit:
                break
            if rows[0].is_reversal:
                cancellable.update((row.customer, row.code) for row in rows)
            elif (sale := reader.sale(rows)) is not None:
                _count(survey, sale)
        survey.cancellable = frozenset(cancellable)
        matcher = Matcher(survey.cancellable, survey.left_out)
        for _ in self._entries(InvoiceReader(Counter(), Counter()), matcher):
            pass  # matched for its counts alone
        return survey

    def entries(self, survey: Survey) -> Iterator[Entry]:
        """Sales and cancellations in the order of the file. Raises BookError."""
        return self._entries(InvoiceReader(Counter(), Counter()), Matcher(survey.cancellable, Counter()))

    def _entries(self, reader: "InvoiceReader", matcher: "Matcher") -> Iterator[Entry]:
        sales = 0
        for rows in self._invoices(Counter()):
            if sales == self._limit:
                return
            if rows[0].is_reversal:
                yield from matcher.take_back(rows)
            elif (sale := reader.sale(rows)) is not None:
                sales += 1
                matcher.sold(sale)
                yield sale

    def _invoices(self, left_out: Counter[str]) -> Iterator[list[Row]]:
        ended: set[str] = set()
        for invoice_no, rows in itertools.groupby(read_rows(self.path), key=lambda row: row.invoice_no):
            if invoice_no in ended:
                left_out["rows of an invoice that had ended earlier in the file"] += sum(1 for _ in rows)
                continue
            ended.add(invoice_no)
            yield list(rows)


class Matcher:
    """Finds the sale that a cancellation takes back from: the files give customer, code and quantity, no number.

    The latest earlier sale of the customer with enough of the code left on one line is taken.
    """

    def __init__(self, cancellable: frozenset[tuple[str, str]], left_out: Counter[str]) -> None:
        self._cancellable = cancellable
        self._left_out = left_out
        self._open: dict[tuple[str, str], list[_Sold]] = defaultdict(list)

    def sold(self, sale: Sale) -> None:
        """Remember the lines of a sale that some cancellation of the file may refer to."""
        for line in sale.lines:
            if sale.customer and (sale.customer, line.code) in self._cancellable:
                self._open[sale.customer, line.code].append(_Sold(sale, line.line_no, line.quantity))

    def take_back(self, rows: Sequence[Row]) -> list[Cancellation]:
        """The cancellations that a "C" invoice stands for, one for each sale it refers to."""
        found: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for row in rows:
            if row.code.upper() in CARRIAGE | NO_GOODS:
                self._left_out["cancelled rows without goods (carriage, discount, fees)"] += 1
            elif (sold := self._find(row)) is None:
                self._left_out["cancelled rows that match no earlier sale in the file"] += 1
            else:
                sold.left += row.quantity
                found[sold.sale.invoice_no].append((sold.line_no, -row.quantity))
        head = rows[0]
        return [
            Cancellation(head.invoice_no, head.at, invoice_no, head.country, _added_up(lines))
            for invoice_no, lines in found.items()
        ]

    def _find(self, row: Row) -> "_Sold | None":
        earlier = self._open.get((row.customer, row.code), ()) if row.quantity < 0 else ()
        enough = (sold for sold in reversed(earlier) if sold.left >= -row.quantity and sold.sale.country == row.country)
        return next(enough, None)


@dataclass(slots=True)
class _Sold:
    sale: Sale
    line_no: str
    left: int


class InvoiceReader:
    """Makes a sale of an invoice's rows and counts what it leaves out or bends."""

    def __init__(self, left_out: Counter[str], noted: Counter[str]) -> None:
        self._left_out = left_out
        self._noted = noted

    def sale(self, rows: Sequence[Row]) -> Sale | None:
        """The sale, or None when the invoice has nothing to ship."""
        lines: list[SaleLine] = []
        shipping_minor = 0
        for row in rows:
            if (reason := _no_sale(row)) is not None:
                self._left_out[reason] += 1
            elif row.code.upper() in CARRIAGE:
                self._noted["carriage rows, taken as shipping of their order"] += 1
                shipping_minor += row.quantity * self._pence(row)
            else:
                lines.append(self._line(row, len(lines) + 1))
        if not lines:
            self._left_out["invoices with nothing to ship"] += 1
            return None
        if len(lines) > MAX_LINES:
            raise BookError(f"row {rows[0].number}, column InvoiceNo: an invoice may have {MAX_LINES} lines at most")
        self._noted["lines whose item is on the invoice already, kept as lines of their own"] += len(lines) - len(
            {line.code for line in lines}
        )
        head = rows[0]
        return Sale(head.invoice_no, head.at, head.customer, head.country, tuple(lines), shipping_minor)

    def _line(self, row: Row, number: int) -> SaleLine:
        if not row.title:
            self._noted["lines without a description, named by their code"] += 1
        if not row.unit_price:
            self._noted["lines given away (price zero, buyer known)"] += 1
        return SaleLine(str(number), row.code, row.title or row.code, row.quantity, self._pence(row))

    def _pence(self, row: Row) -> int:
        exact = row.unit_price * 100
        pence = int(exact.to_integral_value(ROUND_HALF_UP))
        if pence != exact:
            self._noted["prices finer than a penny, rounded half up"] += 1
        return pence


def _no_sale(row: Row) -> str | None:
    """Why a row of an invoice is no sale of goods, or None: the first reason that fits."""
    return next((reason for reason, fits in _NO_SALE if fits(row)), None)


_NO_SALE: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("adjustment rows (invoice number with a letter other than C)", lambda row: not row.invoice_no.isdigit()),
    ("stock write-offs (negative quantity outside a cancellation)", lambda row: row.quantity < 0),
    ("rows of quantity zero", lambda row: row.quantity == 0),
    ("rows with a negative price", lambda row: row.unit_price < 0),
    ("stock corrections (no price and no buyer)", lambda row: row.unit_price == 0 and not row.customer),
    ("rows without goods (fees, discounts, samples, entries by hand)", lambda row: row.code.upper() in NO_GOODS),
)


def _count(survey: Survey, sale: Sale) -> None:
    survey.sales += 1
    survey.lines += len(sale.lines)
    here: Counter[str] = Counter()
    for line in sale.lines:
        here[line.sku] += line.quantity
        survey.listings.add((sale.country, line.code))
        if len(line.title) > len(survey.titles.get(line.sku, "")):
            survey.titles[line.sku] = line.title
        if line.unit_price_minor:
            survey.prices.setdefault(line.sku, line.unit_price_minor)
    survey.demand.update(here)
    for sku, quantity in here.items():
        survey.largest[sku] = max(quantity, survey.largest.get(sku, 0))


def _added_up(lines: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    by_line: Counter[str] = Counter()
    for line_no, quantity in lines:
        by_line[line_no] += quantity
    return tuple(by_line.items())


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file, gzipped or not, in UTF-8 or Latin-1. Raises BookError."""
    with open_text(path) as text:
        reader = csv.reader(text)
        try:
            places = _places(next(reader, []))
            for number, cells in enumerate(reader, start=2):
                if cells:
                    yield _row(number, cells, places)
        except (csv.Error, EOFError, gzip.BadGzipFile) as error:
            raise BookError(f"after row {reader.line_num}: {error}") from None


def _places(header: Sequence[str]) -> list[int]:
    """Where each column stands. Raises BookError."""
    names = [name.strip().removeprefix(_BYTE_ORDER_MARK) for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise BookError(f"row 1: no column {', '.join(missing)}; there are: {', '.join(names) or 'none'}")
    return [names.index(name) for name in COLUMNS]


def open_text(path: Path) -> IO[str]:
    """The file as text. Bytes that are no UTF-8 are read as Latin-1."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        return opened(path, "rt", encoding="utf-8", errors=_LATIN_1, newline="")
    except OSError as error:
        raise BookError(f"{path}: {error.strerror}") from None


def _row(number: int, cells: Sequence[str], places: Sequence[int]) -> Row:
    if len(cells) <= max(places):
        raise BookError(f"row {number}: {len(cells)} cells where the header has {max(places) + 1}")
    invoice_no, code, title, quantity, at, price, customer, country = (cells[place].strip() for place in places)
    return Row(
        number,
        _named(number, "InvoiceNo", invoice_no),
        _named(number, "StockCode", code),
        title,
        _quantity(number, quantity),
        _moment(number, at),
        _price(number, price),
        customer.removesuffix(".0"),
        _named(number, "Country", country),
        cells,
    )


def _named(number: int, column: str, text: str) -> str:
    if not text:
        raise BookError(f"row {number}, column {column}: must not be empty")
    if len(text) > MAX_TEXT or not text.isprintable():
        raise BookError(f"row {number}, column {column}: must be printable and at most {MAX_TEXT} characters")
    return text


def _decimal(number: int, column: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise BookError(f"row {number}, column {column}: {text[:40]!r} is no number") from None
    if not value.is_finite():
        raise BookError(f"row {number}, column {column}: must be finite")
    return value


def _quantity(number: int, text: str) -> int:
    value = _decimal(number, "Quantity", text)
    if abs(value) > MAX_QUANTITY or value != value.to_integral_value():
        raise BookError(f"row {number}, column Quantity: {text[:40]!r} is no whole number up to {MAX_QUANTITY:,}")
    return int(value)


def _price(number: int, text: str) -> Decimal:
    value = _decimal(number, "UnitPrice", text)
    if abs(value) * 100 > MAX_PRICE_MINOR:
        raise BookError(f"row {number}, column UnitPrice: must be at most {MAX_PRICE_MINOR // 100:,}")
    return value


def _moment(number: int, text: str) -> datetime:
    """The file names no zone: UTC is assumed."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise BookError(f"row {number}, column InvoiceDate: {text[:40]!r} is no date like 2010-12-01 08:26:00")


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


_LATIN_1 = "read-as-latin-1"
codecs.register_error(_LATIN_1, _as_latin_1)
