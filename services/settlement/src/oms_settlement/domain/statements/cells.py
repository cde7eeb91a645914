"""What a cell may hold, a column at a time: the whole column is checked at once, and only what fails is looked at
one by one to name the row."""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from oms_settlement.domain.statements.statement import Refused, Rule

MOST_MINOR = 10**14
"""No single amount and no total is larger."""
MAX_ID = 128
MAX_ORDER_NO = 64
MAX_LABEL = 255

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_BY_SPREADSHEET = re.compile(r"^[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+$|^[0-9]+\.0+$|^#+$", re.MULTILINE)
_LOST_DIGITS_SEEN = 6
_KEPT_DIGITS = 15
"""What a spreadsheet keeps of a number."""
_SHOWN = 40
_TENS = (1, 10, 100, 1000)
"""What an amount of so many decimals counts in minor units."""
_LONGEST_AMOUNT = 40
"""Longer is no amount, and reading it would only cost time."""

Numbers = Sequence[int]
Column = Sequence[str]


def shown(cell: str) -> str:
    """A cell as an error may quote it."""
    return repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "…")


def first(column: Iterable[str], bad: Callable[[str], bool]) -> int:
    """Where the first bad cell is."""
    return next(place for place, cell in enumerate(column) if bad(cell))


def integers(column: Column, numbers: Numbers, name: str) -> list[int]:
    """Amounts in minor units, as `str(int)` writes them."""
    if max(map(len, column), default=0) > _LONGEST_AMOUNT:
        at = first(column, lambda cell: len(cell) > _LONGEST_AMOUNT)
        raise Refused(Rule.AMOUNT_OVERFLOW, numbers[at], f"{name} is {shown(column[at])}")
    try:
        amounts = list(map(int, column))
    except ValueError:
        amounts = []
    if len(amounts) != len(column) or list(map(str, amounts)) != list(column):
        at = first(column, lambda cell: _INTEGER.fullmatch(cell) is None)
        raise Refused(
            Rule.AMOUNT_UNREADABLE,
            numbers[at],
            f"{name} is {shown(column[at])}; it is a whole number of the currency's smallest unit",
        )
    require_size(amounts, numbers, name)
    return amounts


def require_size(amounts: Sequence[int], numbers: Numbers, name: str) -> None:
    """Refuse what no ledger column takes."""
    if amounts and (max(amounts) > MOST_MINOR or min(amounts) < -MOST_MINOR):
        at = next(place for place, amount in enumerate(amounts) if abs(amount) > MOST_MINOR)
        raise Refused(Rule.AMOUNT_OVERFLOW, numbers[at], f"{name} is beyond {MOST_MINOR} minor units")


class Decimals:
    """Amounts in major units with the currency's decimals or fewer, as exact minor units.

    The first amount with decimals fixes their mark for the whole file, where both are allowed: `1.234` must not be
    a thousand in one row and one in the next.
    """

    def __init__(self, exponent: int, marks: str = ".") -> None:
        self._exponent = exponent
        self._fix_mark(marks)

    def _fix_mark(self, marks: str) -> None:
        self._marks = marks
        self._pattern = re.compile(rf"-?(?:0|[1-9][0-9]*)(?:[{re.escape(marks)}]([0-9]+))?")

    def minor(self, column: Column, numbers: Numbers, name: str) -> list[int]:
        """The amounts of a column. Raises Refused."""
        amounts: list[int] = []
        for cell, number in zip(column, numbers, strict=True):
            amount = self._one(cell)
            if amount is None:
                raise self._refusal(cell, number, name)
            amounts.append(amount)
        require_size(amounts, numbers, name)
        return amounts

    def _one(self, cell: str) -> int | None:
        found = self._pattern.fullmatch(cell)
        if found is None or len(cell) > _LONGEST_AMOUNT:
            return None
        decimals = found[1]
        if decimals is None:
            return int(cell) * _TENS[self._exponent]
        missing = self._exponent - len(decimals)
        if missing < 0:
            return None
        whole, mark = cell[: -len(decimals) - 1], cell[-len(decimals) - 1]
        if mark != self._marks:
            self._fix_mark(mark)
        return int(whole + decimals) * _TENS[missing]

    def _refusal(self, cell: str, number: int, name: str) -> Refused:
        found = self._pattern.fullmatch(cell)
        if found is not None and found[1] is not None and len(found[1]) > self._exponent:
            return Refused(
                Rule.AMOUNT_TOO_PRECISE,
                number,
                f"{name} is {shown(cell)}; the currency has {self._exponent} decimals",
            )
        if found is not None and found[1] is None:
            return Refused(Rule.AMOUNT_OVERFLOW, number, f"{name} is beyond {MOST_MINOR} minor units")
        return Refused(Rule.AMOUNT_UNREADABLE, number, f"{name} is {shown(cell)}; it is no amount of this file's kind")


def instants(column: Column, numbers: Numbers, name: str) -> list[datetime]:
    """Times written `2026-03-01T09:00:00Z`."""
    like = "2026-03-01T09:00:00Z"
    if any(len(cell) != len(like) or cell[-1] != "Z" or cell[10] != "T" for cell in column):
        at = first(column, lambda cell: len(cell) != len(like) or cell[-1] != "Z" or cell[10] != "T")
        raise no_time(column[at], numbers[at], name, like)
    return _parsed(datetime.fromisoformat, column, numbers, name, like)


def times(column: Column, numbers: Numbers, name: str, like: str) -> list[datetime]:
    """Times without a zone that are UTC, written like the example."""
    if any(len(cell) != len(like) or cell[10] != like[10] for cell in column):
        at = first(column, lambda cell: len(cell) != len(like) or cell[10] != like[10])
        raise no_time(column[at], numbers[at], name, like)
    return _parsed(lambda cell: datetime.fromisoformat(cell + "Z"), column, numbers, name, like)


def _parsed(parse: Callable[[str], datetime], column: Column, numbers: Numbers, name: str, like: str) -> list[datetime]:
    try:
        return list(map(parse, column))
    except ValueError:
        at = first(column, lambda cell: not _parses(parse, cell))
        raise no_time(column[at], numbers[at], name, like) from None


def _parses(parse: Callable[[str], datetime], cell: str) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True


def no_time(cell: str, number: int, name: str, like: str) -> Refused:
    """The refusal of what is no time."""
    return Refused(Rule.TIME_UNREADABLE, number, f"{name} is {shown(cell)}; it is written like {like}")


def require_length(column: Column, numbers: Numbers, name: str, most: int) -> None:
    """Refuse a cell that no column of a database takes."""
    if max(map(len, column), default=0) > most:
        at = first(column, lambda cell: len(cell) > most)
        raise Refused(Rule.TEXT_TOO_LONG, numbers[at], f"{name} has more than {most} characters")


class Ids:
    """A column of ids over the whole file: not ruined by a spreadsheet, and, if they must be, each of its own.

    To know repeated ids again costs 12 bytes a row: 64 bits of a hash that is different in every process, and the
    row. That two different ids of a million share one has a chance of one in thirty million; a second try, in
    another process, then passes.
    """

    def __init__(self, name: str, *, unique: bool, most: int = MAX_ID) -> None:
        self._name = name
        self._unique = unique
        self._most = most
        self._hashes = array("q")
        self._rows = array("I")
        self._lost_row: int | None = None
        self._lost_digits = 0
        self._kept = False

    def take(self, column: Column, numbers: Numbers) -> None:
        """Look at the next rows' ids. Raises Refused."""
        require_length(column, numbers, self._name, self._most)
        if ruined := _BY_SPREADSHEET.search("\n".join(column)):
            at = first(column, lambda cell: _BY_SPREADSHEET.fullmatch(cell) is not None)
            raise Refused(
                Rule.ID_RUINED,
                numbers[at],
                f"{self._name} is {shown(ruined[0])}: a spreadsheet made a number of it. Export the file again",
            )
        self._look_for_lost_digits(column, numbers)
        if self._unique:
            self._hashes.extend(map(hash, column))
            self._rows.extend(numbers)

    def end(self) -> None:
        """What shows only over the whole file. Raises Refused."""
        if self._lost_row is not None and not self._kept and self._lost_digits >= _LOST_DIGITS_SEEN:
            raise Refused(
                Rule.ID_RUINED,
                self._lost_row,
                f"every {self._name} of more than {_KEPT_DIGITS} digits ends in zeros: a spreadsheet cut them off. "
                "Export the file again",
            )
        if repeated := self._repeated():
            before, row = repeated
            raise Refused(Rule.ID_REPEATED, row, f"{self._name} is that of row {before}")

    def _look_for_lost_digits(self, column: Column, numbers: Numbers) -> None:
        if self._kept:
            return
        for place, cell in enumerate(column):
            if len(cell) > _KEPT_DIGITS and cell.isdigit():
                if cell[_KEPT_DIGITS:].strip("0"):
                    self._kept = True
                    return
                self._lost_digits += len(cell) - _KEPT_DIGITS
                self._lost_row = self._lost_row or numbers[place]

    def _repeated(self) -> tuple[int, int] | None:
        # In parts, so that the sets that tell equal from equal stay small.
        parts = [array("q") for _ in range(256)]
        for one in self._hashes:
            parts[one & 255].append(one)
        doubles = {
            one for part in parts if len(part) != len(set(part)) for one, seen in Counter(part).items() if seen > 1
        }
        seen: dict[int, int] = {}
        for one, row in zip(self._hashes, self._rows, strict=True) if doubles else ():
            if one in doubles:
                if one in seen:
                    return seen[one], row
                seen[one] = row
        return None
