"""Pieces that several contracts share."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from oms_events.contract import Contract
from oms_events.values import CURRENCIES, utc


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("must be an active ISO 4217 currency code")
    return code


# Patterns are checked by pydantic's core; a validator of ours would cost more than the rest of a line together.
Text = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1F\x7F]*$")]
"""A name or number as its owner writes it: any script, emoji too, no control characters."""
Words = Annotated[str, Field(pattern=r"^[^\x00-\x1F\x7F]*$")]
"""One line of words, perhaps none, no control characters. Give it a `max_length`."""
LongText = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
"""Words of a person, perhaps none: line breaks and tabs only. No database stores a zero byte."""
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Currency = Annotated[str, Field(min_length=3, max_length=3), AfterValidator(_currency)]
# A rule of pydantic's on the plain class, which others that read our types understand too.
Instant = Annotated[datetime, AwareDatetime, AfterValidator(utc)]
"""A time with an offset, kept as UTC."""
MOST_MINOR = 10**14
Minor = Annotated[int, Field(ge=-MOST_MINOR, le=MOST_MINOR)]
"""Money in the currency's smallest unit."""
Price = Annotated[int, Field(ge=0, le=10**12)]
"""Money in the currency's smallest unit, zero or more."""
Quantity = Annotated[int, Field(ge=1, le=1_000_000)]
Grams = Annotated[int, Field(ge=0, le=100_000_000)]


class Part(Contract):
    """Base of nested objects."""


class Destination(Part):
    """Where a parcel goes. The token stands for the receiver's name, phone and street, which the channel keeps."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    region: Annotated[Words, Field(max_length=64)] = ""
    city: Annotated[Words, Field(max_length=64)] = ""
    postcode: Annotated[Words, Field(max_length=16)] = ""
    receiver_token: Annotated[Words, Field(max_length=256)] = ""


class LineQuantity(Part):
    """So many of a SKU, for one line of an order."""

    line_id: Text
    sku: Text
    quantity: Quantity
