"""Statements as platforms write them: the system's own format, Amazon's settlement report, Stripe's balance report.

Columns and names are written here once more, not taken from the reader's code: a reader that is wrong about a format
must not be handed a file that is wrong in the same way.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from oms_sample.platforms import Format, Payment

_GUARDED = ("=", "+", "-", "@", "'")

_AMAZON_COLUMNS = (
    "settlement-id",
    "settlement-start-date",
    "settlement-end-date",
    "deposit-date",
    "total-amount",
    "currency",
    "transaction-type",
    "order-id",
    "merchant-order-id",
    "adjustment-id",
    "shipment-id",
    "marketplace-name",
    "amount-type",
    "amount-description",
    "amount",
    "fulfillment-id",
    "posted-date",
    "posted-date-time",
    "order-item-code",
    "merchant-order-item-id",
    "merchant-adjustment-item-id",
    "sku",
    "quantity-purchased",
    "promotion-id",
)
_AMAZON: Mapping[str, tuple[str, str, str]] = {
    "goods": ("Order", "ItemPrice", "Principal"),
    "shipping": ("Order", "ItemPrice", "Shipping"),
    "commission": ("Order", "ItemFees", "Commission"),
    "refund": ("Refund", "ItemPrice", "Principal"),
    "subscription": ("ServiceFee", "other-transaction", "Subscription Fee"),
    "payout": ("Transfer", "other-transaction", "Current Reserve Amount"),
}
_STRIPE_COLUMNS = (
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "description",
    "payment_metadata[order_no]",
)
_STRIPE = {"refund": "refund", "payout": "payout", "payment_fee": "fee"}


@dataclass(frozen=True, slots=True)
class Frame:
    """Whose statement it is and of which time. `number` is the platform's own."""

    channel: str
    shop: str
    currency: str
    opens: datetime
    closes: datetime
    number: str
    marketplace: str = ""


def write(form: Format, frame: Frame, booked: Sequence[Payment]) -> bytes:
    """The file. All lines are booked at the end of the time."""
    return _WRITERS[form](frame, booked)


def _canonical(frame: Frame, booked: Sequence[Payment]) -> bytes:
    rows: list[Sequence[object]] = [
        (
            "statement",
            1,
            frame.channel,
            frame.shop,
            frame.currency,
            _zulu(frame.opens),
            _zulu(frame.closes),
            frame.number,
        ),
        ("columns", "line_id", "order_no", "component", "amount_minor", "posted_at", "label"),
    ]
    at = _zulu(frame.closes)
    rows += [
        (
            "line",
            f"{frame.number}-{place}",
            _guarded(line.order_no),
            line.component,
            line.amount_minor,
            at,
            _guarded(line.label),
        )
        for place, line in enumerate(booked, 1)
    ]
    rows.append(("total", len(booked), sum(line.amount_minor for line in booked)))
    return _table(rows, ",")


def _amazon(frame: Frame, booked: Sequence[Payment]) -> bytes:
    at = f"{frame.closes:%Y-%m-%d %H:%M:%S} UTC"
    summary = {
        "settlement-start-date": f"{frame.opens:%Y-%m-%d %H:%M:%S} UTC",
        "settlement-end-date": at,
        "deposit-date": at,
        "total-amount": _major(sum(line.amount_minor for line in booked)),
        "currency": frame.currency,
    }
    rows = [summary]
    for line in booked:
        transaction, amount_type, description = _AMAZON[line.component]
        rows.append(
            {
                "transaction-type": transaction,
                "order-id": line.order_no,
                "marketplace-name": frame.marketplace,
                "amount-type": amount_type,
                "amount-description": description,
                "amount": _major(line.amount_minor),
                "posted-date": f"{frame.closes:%Y-%m-%d} 00:00:00 UTC",
                "posted-date-time": at,
            }
        )
    cells = [[{"settlement-id": frame.number, **row}.get(name, "") for name in _AMAZON_COLUMNS] for row in rows]
    return _table([_AMAZON_COLUMNS, *cells], "\t")


def _stripe(frame: Frame, booked: Sequence[Payment]) -> bytes:
    at = f"{frame.closes:%Y-%m-%d %H:%M:%S}"
    rows: list[Sequence[object]] = [_STRIPE_COLUMNS]
    for place, (order_no, gross, fee, category) in enumerate(_balance_transactions(booked), 1):
        rows.append(
            (
                f"txn_{frame.number}_{place}",
                at,
                frame.currency.lower(),
                _major(gross),
                _major(fee),
                _major(gross - fee),
                category,
                f"order {order_no}" if order_no else "",
                order_no,
            )
        )
    return _table(rows, ",")


def _balance_transactions(booked: Iterable[Payment]) -> Iterable[tuple[str, int, int, str]]:
    """Order, gross, fee and category: what the buyer paid is one charge, with the first fee of the order on its row."""
    by_order: dict[str, list[Payment]] = {}
    for line in booked:
        by_order.setdefault(line.order_no, []).append(line)
    for order_no, lines in by_order.items():
        charged = sum(line.amount_minor for line in lines if line.component in {"goods", "shipping"})
        others = [line for line in lines if line.component not in {"goods", "shipping"}]
        fee = next((line for line in others if line.component == "payment_fee"), None)
        if charged:
            if fee is not None:
                others.remove(fee)
            yield order_no, charged, -fee.amount_minor if fee is not None else 0, "charge"
        for line in others:
            yield order_no, line.amount_minor, 0, _STRIPE[line.component]


_WRITERS: Mapping[Format, Callable[[Frame, Sequence[Payment]], bytes]] = {
    "canonical": _canonical,
    "amazon_v2": _amazon,
    "stripe_balance": _stripe,
}


def _table(rows: Iterable[Sequence[object]], separator: str) -> bytes:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()


def _major(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def _zulu(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_GUARDED) else text
