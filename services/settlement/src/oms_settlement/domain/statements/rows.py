"""Bytes of a text file as rows of cells, a block at a time. Whatever comes in, what is kept at one time is bounded."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from oms_settlement.domain.statements.statement import Refused, Rule

MAX_ROW_BYTES = 64 * 1024
_BLOCK_BYTES = 512 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"PK\x05\x06": "a ZIP archive",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
}
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\r\n") + b"\x7f"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a format writes its rows. Without `quoted`, a quotation mark is a character like any other.

    `encodings` are tried in turn on the first text that is not plain ASCII; the one that fits holds to the end.
    """

    separator: str
    quoted: bool
    encodings: tuple[str, ...] = ("utf-8",)


class Block(NamedTuple):
    """Some rows, and for each the line of the file where it begins."""

    rows: Sequence[list[str]]
    numbers: Sequence[int]


class Rows:
    """The rows of a file. After the last block, `ended` tells whether the last row had a line break."""

    def __init__(self, chunks: Iterable[bytes], dialect: Dialect) -> None:
        self._blocks = _blocks(chunks)
        self._dialect = dialect
        self._encodings = list(dialect.encodings)
        self._lines = 0
        self._begun: list[str] = []
        """Lines of a row that is not over: a quoted cell of it has a line break."""
        self.ended = True

    def __iter__(self) -> Iterator[Block]:
        for data in self._blocks:
            text = self._decode(data)
            self.ended = text.endswith("\n")
            lines = text.split("\n")
            if self.ended:
                lines.pop()
            first, self._lines = self._lines + 1, self._lines + len(lines)
            if block := self._cells(text, lines, first):
                yield block
        if self._begun:
            raise Refused(Rule.TRUNCATED, self._lines - len(self._begun) + 1, "a quoted cell does not end")

    def _cells(self, text: str, lines: list[str], first: int) -> Block | None:
        _require_short(lines, first)
        if not self._dialect.quoted or ('"' not in text and not self._begun):
            separator = self._dialect.separator
            return Block([line.split(separator) for line in lines], range(first, first + len(lines)))
        whole, numbers = self._whole_rows(lines, first)
        return Block(_unquoted(whole, numbers, self._dialect.separator), numbers) if whole else None

    def _whole_rows(self, lines: list[str], first: int) -> tuple[list[str], list[int]]:
        """Lines put together where a quoted cell goes on to the next: there, the marks do not come in pairs."""
        whole, numbers = [], []
        begun = self._begun
        length = sum(map(len, begun))
        for number, line in enumerate(lines, first):
            odd = line.count('"') % 2
            if begun:
                begun.append(line)
                length += len(line) + 1
                if length > MAX_ROW_BYTES:
                    raise Refused(Rule.ROW_TOO_LONG, number - len(begun) + 1, "a quoted cell does not end")
                if odd:
                    whole.append("\n".join(begun))
                    numbers.append(number - len(begun) + 1)
                    begun.clear()
            elif odd:
                begun.append(line)
                length = len(line)
            else:
                whole.append(line)
                numbers.append(number)
        return whole, numbers

    def _decode(self, data: bytes) -> str:
        if data.translate(None, _CONTROLS) != data:
            raise self._refusal(data, Rule.CONTROL_CHARACTER, "control characters, as text files have none", _CONTROLS)
        text = self._text(data)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
            if "\r" in text:
                raise Refused(
                    Rule.CONTROL_CHARACTER,
                    self._lines + 1 + text[: text.index("\r")].count("\n"),
                    "a carriage return that ends no line",
                )
        return text

    def _text(self, data: bytes) -> str:
        if data.isascii():
            return data.decode("ascii")
        while True:
            encoding = self._encodings[0]
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                if len(self._encodings) == 1:
                    row = self._lines + 1 + data[: error.start].count(b"\n")
                    raise Refused(Rule.UNDECODABLE, row, f"bytes that are not {encoding}") from None
                del self._encodings[0]
            else:
                del self._encodings[1:]
                return text

    def _refusal(self, data: bytes, rule: Rule, detail: str, culprits: bytes) -> Refused:
        at = next(place for place, byte in enumerate(data) if byte in culprits)
        return Refused(rule, self._lines + 1 + data[:at].count(b"\n"), detail)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, half a megabyte at a time, however the chunks were cut; the file's last line comes as it is.

    A line that has not ended after a block is refused as soon as it is too long, without waiting for its end.
    """
    kept = bytearray()
    begun, line = False, 1
    for piece in _pieces(chunks):
        kept += piece
        if len(kept) < _BLOCK_BYTES:
            continue
        if not begun:
            _open(kept)
            begun = True
        cut = kept.rfind(b"\n") + 1
        if len(kept) - cut > MAX_ROW_BYTES:
            raise _too_long(line + kept.count(b"\n"))
        line += kept.count(b"\n")
        yield bytes(kept[:cut])
        del kept[:cut]
    if not begun:
        _open(kept)
    if kept:
        yield bytes(kept)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _BLOCK_BYTES):
            yield chunk[start : start + _BLOCK_BYTES]


def _open(kept: bytearray) -> None:
    """Look at the first bytes: what is packed is never unpacked, so that no bomb goes off."""
    for magic, kind in _MAGIC.items():
        if kept.startswith(magic):
            raise Refused(Rule.COMPRESSED, None, f"this is {kind}, not a statement: hand in the text file itself")
    if kept.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused(Rule.UNDECODABLE, None, "this is UTF-16; a statement is UTF-8")
    if kept.startswith(_BYTE_ORDER_MARK):
        del kept[: len(_BYTE_ORDER_MARK)]
    if not kept.strip():
        raise Refused(Rule.EMPTY, None, "the file is empty")


def _require_short(lines: list[str], first: int) -> None:
    # A character has four bytes at most; only what could be too long is measured.
    if max(map(len, lines), default=0) * 4 <= MAX_ROW_BYTES:
        return
    for number, line in enumerate(lines, first):
        if len(line.encode()) > MAX_ROW_BYTES:
            raise _too_long(number)


def _too_long(number: int) -> Refused:
    return Refused(Rule.ROW_TOO_LONG, number, f"a row has at most {MAX_ROW_BYTES} bytes")


def _unquoted(lines: list[str], numbers: list[int], separator: str) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=separator, strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise Refused(Rule.ROW_MALFORMED, numbers[len(rows)], f"quotation marks: {error}") from None
    return rows
