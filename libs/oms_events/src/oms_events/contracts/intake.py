"""What enters the system, as the gateway appends it: said by others, not yet judged by anyone."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, field_validator

from oms_events.contracts.shared import (
    MOST_MINOR,
    Code,
    Currency,
    Destination,
    Grams,
    Instant,
    LongText,
    Part,
    Price,
    Quantity,
    Text,
    Words,
)
from oms_events.registry import Event, Topic, event
from oms_events.values import order_id, statement_id

CHANNEL_ORDER = Topic("oms.intake.channel-order.v1", key="order_id")
WAREHOUSE_REPORT = Topic("oms.intake.warehouse-report.v1", key="shipment_id")
STOCK_REPORT = Topic("oms.intake.stock-report.v1", key="sku")
STATEMENT = Topic("oms.intake.statement.v1", key="account")
TRACKING = Topic("oms.intake.tracking.v1", key="waybill_no")


class ChannelRef(Part):
    """Names an order the way its channel does."""

    channel: Code
    shop: Code
    channel_order_no: Text

    @property
    def order_id(self) -> UUID:
        return order_id(self.channel, self.shop, self.channel_order_no)


class ChannelOrderLine(Part):
    """A line as sold: `discount_minor` is for the whole line."""

    line_no: Text
    listing: Text
    quantity: Quantity
    unit_price_minor: Price
    discount_minor: Price = 0


class ChannelOrder(ChannelRef):
    """An order as its channel tells it.

    `version` grows with every change at the channel; an older version never replaces a newer one.
    `total_minor` is what the buyer pays: lines less discounts, plus shipping.
    """

    version: Annotated[int, Field(ge=1, le=2**53)] = 1
    placed_at: Instant
    currency: Currency
    lines: Annotated[tuple[ChannelOrderLine, ...], Field(min_length=1, max_length=2000)]
    discount_minor: Price = 0
    shipping_minor: Price = 0
    total_minor: Price
    ship_to: Destination
    delivery_tier: Literal["standard", "express", "next_day", "same_day"] = "standard"
    ship_by: Instant | None = None
    buyer_note: LongText = ""

    @field_validator("lines")
    @classmethod
    def _lines_can_be_told_apart_and_added_up(cls, lines: tuple[ChannelOrderLine, ...]) -> tuple[ChannelOrderLine, ...]:
        if len({line.line_no for line in lines}) < len(lines):
            raise ValueError("every line needs a line_no of its own")
        if max(line.quantity * line.unit_price_minor for line in lines) > MOST_MINOR:
            raise ValueError(f"quantity times unit_price_minor must not exceed {MOST_MINOR}")
        return lines


class ChannelPayment(ChannelRef):
    """Money that the channel says the buyer paid."""

    payment_no: Text
    currency: Currency
    amount_minor: Annotated[int, Field(ge=1, le=10**12)]
    paid_at: Instant


class CancelledQuantity(Part):
    """So many of one line, by the channel's line number."""

    line_no: Text
    quantity: Quantity


class ChannelCancellation(ChannelRef):
    """The channel asks to cancel lines, or the whole order when it names none."""

    cancellation_no: Text
    lines: Annotated[tuple[CancelledQuantity, ...], Field(max_length=2000)] = ()
    reason: LongText = ""
    requested_at: Instant


@event(CHANNEL_ORDER)
class ChannelOrderReceived(Event):
    """A channel told us of an order, or of a newer version of one."""

    order_id: UUID
    order: ChannelOrder


@event(CHANNEL_ORDER)
class ChannelPaymentReceived(Event):
    """A channel told us that an order was paid, wholly or in part."""

    order_id: UUID
    payment: ChannelPayment


@event(CHANNEL_ORDER)
class ChannelCancellationReceived(Event):
    """A channel asked to cancel an order or some of its lines."""

    order_id: UUID
    cancellation: ChannelCancellation


class ReportedQuantity(Part):
    """So many of one line of a shipment."""

    line_id: Text
    quantity: Annotated[int, Field(ge=0, le=1_000_000)]


class ReportedParcel(Part):
    """A parcel as packed and weighed."""

    parcel_no: Text
    weight_g: Grams


class WarehouseReport(Part):
    """What a warehouse says of a shipment that was released to it.

    `short` names the quantities that can be had, line by line; `shipped` those that left.
    """

    node: Code
    shipment_id: UUID
    report_no: Text
    kind: Literal["accepted", "rejected", "short", "shipped"]
    lines: Annotated[tuple[ReportedQuantity, ...], Field(max_length=2000)] = ()
    parcels: Annotated[tuple[ReportedParcel, ...], Field(max_length=100)] = ()
    reason: LongText = ""
    occurred_at: Instant


@event(WAREHOUSE_REPORT)
class WarehouseReportReceived(Event):
    """A warehouse reported on a shipment."""

    shipment_id: UUID
    report: WarehouseReport


class StockReport(Part):
    """What a warehouse says of one SKU: a `snapshot` is the whole quantity, a `movement` a signed change."""

    node: Code
    sku: Text
    report_no: Text
    kind: Literal["snapshot", "movement"]
    quantity: Annotated[int, Field(ge=-10_000_000, le=10_000_000)]
    reason: Annotated[Words, Field(max_length=64)] = ""
    occurred_at: Instant


@event(STOCK_REPORT)
class StockReportReceived(Event):
    """A warehouse reported stock of one SKU."""

    sku: str
    report: StockReport


class TrackingScan(Part):
    """One scan of a parcel, already in the normalised states of this system."""

    carrier: Code
    waybill_no: Code
    status: Literal[
        "picked_up",
        "in_transit",
        "out_for_delivery",
        "attempt_failed",
        "ready_for_pickup",
        "delivered",
        "refused",
        "returning",
        "returned",
        "lost",
        "damaged",
    ]
    occurred_at: Instant
    place: Annotated[Words, Field(max_length=128)] = ""
    carrier_code: Annotated[Words, Field(max_length=32)] = ""


@event(TRACKING)
class TrackingScanReceived(Event):
    """A carrier reported a scan of a parcel."""

    waybill_no: str
    scan: TrackingScan


StatementFormat = Literal["canonical", "amazon_v2", "stripe_balance"]
"""How a statement is written; docs/statements.md describes each."""
FileName = Annotated[Words, Field(max_length=255)]


class StatementFile(Part):
    """A platform's statement as it was handed in. The file itself lies in the file store under its hash."""

    channel: Code
    shop: Code
    format: StatementFormat
    file_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=0, le=2**40)]
    file_name: FileName = ""
    uploaded_at: Instant
    uploaded_by: Annotated[Words, Field(max_length=128)] = ""

    @property
    def statement_id(self) -> UUID:
        return statement_id(self.channel, self.shop, self.file_sha256)


@event(STATEMENT)
class StatementReceived(Event):
    """A statement of a shop's wallet was handed in."""

    account: str
    statement: StatementFile
