"""Waybill numbers: the carrier's two letters, a serial number, a check digit, and `ZZ` for no country.

The check digit is that of UPU S10: weights 8 6 4 2 3 5 9 7, modulo 11.
"""

from dataclasses import dataclass

_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
LAST_SERIAL = 99_999_999


class PoolExhausted(Exception):
    """A carrier has used up its serial numbers."""


@dataclass(frozen=True, slots=True)
class Waybill:
    """A number and its serial within the carrier's pool."""

    serial: int
    number: str


def check_digit(serial: int) -> int:
    """The S10 check digit of an eight-digit serial number."""
    digits = f"{serial:08}"
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) % 11
    return {10: 0, 11: 5}.get(rest, rest)


def waybill(prefix: str, serial: int) -> Waybill:
    """The waybill of a serial. Raises PoolExhausted beyond the last one."""
    if serial > LAST_SERIAL:
        raise PoolExhausted(f"the waybill pool {prefix} has no number left")
    return Waybill(serial, f"{prefix}{serial:08}{check_digit(serial)}ZZ")
