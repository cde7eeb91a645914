"""Values every service shares: money, identifiers, currencies. Standard library only."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import NewType
from uuid import UUID, uuid5
from zoneinfo import available_timezones

OrderId = NewType("OrderId", UUID)
ShipmentId = NewType("ShipmentId", UUID)
Sku = NewType("Sku", str)
NodeCode = NewType("NodeCode", str)

_MILLION = 1_000_000
_NAMESPACE = UUID("8f3c1f0a-5d0e-5c3b-9a53-0d6f2a6e7b11")
"""Root of every derived id. Changing it would give every known order a second identity."""
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit of a UUID that carries its variant, by the random digit in its place."""


def order_id(channel: str, shop: str, channel_order_no: str) -> OrderId:
    """The one id of a channel's order: the same three names give the same id, for ever.

    Payments and cancellations know an order by its channel number alone, so the id carries no time.
    """
    return OrderId(uuid5(_NAMESPACE, "\x1f".join(("order", channel, shop, channel_order_no))))


def statement_id(channel: str, shop: str, file_sha256: str) -> UUID:
    """The one id of a statement of a shop's wallet: the same file for the same account gives the same id, for ever."""
    return uuid5(_NAMESPACE, "\x1f".join(("statement", channel, shop, file_sha256)))


def derived_text(*parts: str, at: datetime) -> str:
    """An id that the same cause always gives again, and that sorts by the time of the cause.

    UUID version 8 (RFC 9562) as text: 48 bits of Unix milliseconds, then bits of a SHA-256 of the parts, so that
    indexes over such ids grow at one end. `at` is part of the identity only through its milliseconds.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    millis = f"{max(0, int(at.timestamp() * 1000)) & 0xFFFF_FFFF_FFFF:012x}"
    # Put together as text: ids travel and are stored as text, and the class UUID costs more than the hash.
    return f"{millis[:8]}-{millis[8:]}-8{digest[1:4]}-{_VARIANT[digest[4]]}{digest[5:8]}-{digest[8:20]}"


def derived_id(*parts: str, at: datetime) -> UUID:
    """`derived_text` as a UUID."""
    return UUID(derived_text(*parts, at=at))


def utc(moment: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a naive datetime, whose instant is unknown, and for one
    that its offset pushes out of the years 1 to 9999."""
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone or an offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time must lie within the years 1 to 9999 in UTC") from None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the currency's smallest unit (ISO 4217). Never a float."""

    minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __mul__(self, quantity: int) -> "Money":
        return Money(self.minor * quantity, self.currency)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")
        return other.minor

    def split(self, weights: Sequence[int]) -> list["Money"]:
        """Shares by weight that add up to the whole, see `largest_remainder`."""
        return [Money(share, self.currency) for share in largest_remainder(self.minor, weights)]

    def __str__(self) -> str:
        digits = CURRENCIES.get(self.currency, 2)
        sign, minor = ("-" if self.minor < 0 else ""), abs(self.minor)
        if digits == 0:
            return f"{sign}{minor} {self.currency}"
        return f"{sign}{minor // 10**digits}.{minor % 10**digits:0{digits}} {self.currency}"


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by `weights` into whole shares that sum to it exactly (Hamilton's method).

    What rounding down leaves goes, one unit each, to the largest remainders; ties to the earlier share.
    All weights zero: equal shares. Raises ValueError without weights or with a negative one.
    """
    if not weights or min(weights) < 0:
        raise ValueError("a split needs at least one weight and none below zero")
    if sum(weights) == 0:
        weights = [1] * len(weights)
    whole = sum(weights)
    sign, amount = (-1 if total < 0 else 1), abs(total)
    shares = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
    for i in by_remainder[: amount - sum(shares)]:
        shares[i] += 1
    return [sign * share for share in shares]


def fee_minor(
    base_minor: int, *, rate_ppm: int, fixed_minor: int, min_minor: int | None = None, max_minor: int | None = None
) -> int:
    """What a rate card takes of a value, in the value's own smallest unit.

    `rate_ppm` millionths of it, rounded half up once, and a fixed part; the sum lies within the bounds that are given.
    Of nothing, or less, nothing is taken.
    """
    if base_minor <= 0:
        return 0
    taken = (base_minor * rate_ppm + _MILLION // 2) // _MILLION + fixed_minor
    if min_minor is not None:
        taken = max(taken, min_minor)
    return taken if max_minor is None else min(taken, max_minor)


def _currencies() -> dict[str, int]:
    two = (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
        "CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
        "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
        "MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
        "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS "
        "VED VES WST XCD XCG YER ZAR ZMW ZWG"
    )
    none, three = (
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
        "BHD IQD JOD KWD LYD OMR TND",
    )
    table = dict.fromkeys(two.split(), 2) | dict.fromkeys(none.split(), 0) | dict.fromkeys(three.split(), 3)
    return dict(sorted(table.items()))


CURRENCIES = _currencies()
"""Active ISO 4217 currency codes and their number of decimals."""


@cache
def time_zones() -> frozenset[str]:
    """Names of the IANA database. Kept, for the standard library walks through all its files whenever it is asked."""
    return frozenset(available_timezones())
