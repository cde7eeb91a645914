"""Orders to tell stories about: the events of their lives, and what settlement and the catalog say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from oms_events.contracts.catalog import CostSet, ProductDefined, SkuDefined, cost_key
from oms_events.contracts.fulfilment import ShipmentCancelled, ShipmentDispatched
from oms_events.contracts.inventory import Shortage, StockReservationRejected
from oms_events.contracts.logistics import DeliveryPromiseBroken, ShipmentDelivered, WaybillAssigned
from oms_events.contracts.orders import HoldOpened, HoldResolved, OrderLine, OrderLinesCancelled, OrderPaid, OrderPlaced
from oms_events.contracts.settlement import (
    AccrualPosted,
    ComponentAmount,
    DifferenceAttributed,
    RateCardSet,
    SettledComponent,
    StatementLineMatched,
    WriteOffPosted,
    account_of,
    rate_key,
)
from oms_events.contracts.shared import Destination, LineQuantity

MARCH = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)

# SKU, pieces, price of one, discount on the line
MUGS_AND_TEA = (("MUG", 2, 1000, 201), ("TEA", 3, 500, 0))


@dataclass(frozen=True)
class Story:
    """One order and what may be said of it."""

    lines: Sequence[tuple[str, int, int, int]] = MUGS_AND_TEA
    channel: str = "uci"
    shop: str = "uk"
    currency: str = "GBP"
    at: datetime = MARCH
    shipping: int = 399
    order_id: UUID = field(default_factory=uuid4)
    shipment_id: UUID = field(default_factory=uuid4)

    @property
    def goods(self) -> int:
        return sum(quantity * price - discount for _, quantity, price, discount in self.lines)

    def placed(self) -> OrderPlaced:
        return OrderPlaced(
            order_id=self.order_id,
            channel=self.channel,
            shop=self.shop,
            channel_order_no=str(self.order_id)[:8],
            placed_at=self.at,
            currency=self.currency,
            lines=tuple(
                OrderLine(
                    line_id=str(number),
                    listing=sku,
                    sku=sku,
                    quantity=quantity,
                    unit_price_minor=price,
                    discount_minor=discount,
                    amount_minor=quantity * price - discount,
                )
                for number, (sku, quantity, price, discount) in enumerate(self.lines, start=1)
            ),
            shipping_minor=self.shipping,
            total_minor=self.goods + self.shipping,
            ship_to=Destination(country="GB", postcode="LS1 4AP", receiver_token="tok-1"),
            delivery_tier="standard",
        )

    def paid(self) -> OrderPaid:
        return OrderPaid(
            order_id=self.order_id, currency=self.currency, paid_minor=self.goods + self.shipping, paid_at=self.at
        )

    def cancelled(self, line: int, quantity: int) -> OrderLinesCancelled:
        return OrderLinesCancelled(
            order_id=self.order_id, cancellation_id=uuid4(), lines=(self._part(line, quantity),), reason="changed mind"
        )

    def rejected(self) -> StockReservationRejected:
        shortage = Shortage(sku=self.lines[0][0], requested=2, available=0)
        return StockReservationRejected(order_id=self.order_id, shortages=(shortage,))

    def hold_opened(self, hold_id: UUID, code: str = "ADDRESS") -> HoldOpened:
        return HoldOpened(order_id=self.order_id, hold_id=hold_id, code=code, blocks=("release",))

    def hold_resolved(self, hold_id: UUID, code: str = "ADDRESS") -> HoldResolved:
        return HoldResolved(order_id=self.order_id, hold_id=hold_id, code=code, outcome="resolved", by="ann")

    def waybill(self, cost: int = 350, currency: str = "GBP") -> WaybillAssigned:
        return WaybillAssigned(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            carrier="norpost",
            service="std",
            waybill_no="NP1",
            tariff_version="1",
            billable_weight_g=500,
            cost_minor=cost,
            currency=currency,
            promised_at=self.at + timedelta(days=3),
        )

    def called_off(self) -> ShipmentCancelled:
        return ShipmentCancelled(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            cancellation_id=uuid4(),
            node="GB-LON",
            lines=self._all(),
            closed=True,
        )

    def dispatched(self, quantities: Mapping[int, int] | None = None) -> ShipmentDispatched:
        lines = self._all() if quantities is None else tuple(self._part(*part) for part in quantities.items())
        return ShipmentDispatched(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            node="GB-LON",
            lines=lines,
            carrier="norpost",
            waybill_no="NP1",
            weight_g=500,
            dispatched_at=self.at + timedelta(hours=5),
        )

    def delivered(self, late_by_s: int = 0) -> ShipmentDelivered:
        return ShipmentDelivered(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            waybill_no="NP1",
            delivered_at=self.at + timedelta(days=2),
            promised_at=self.at + timedelta(days=3),
            late_by_s=late_by_s,
        )

    def promise_broken(self) -> DeliveryPromiseBroken:
        return DeliveryPromiseBroken(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            waybill_no="NP1",
            promised_at=self.at + timedelta(days=3),
            last_status="in_transit",
        )

    def accrued(self, basis: str = "dispatched", **components: int) -> AccrualPosted:
        return AccrualPosted(
            order_id=self.order_id,
            accrual_id=uuid4(),
            channel=self.channel,
            shop=self.shop,
            currency=self.currency,
            basis=basis,
            components=tuple(ComponentAmount(component=name, amount_minor=sum_) for name, sum_ in components.items()),
            accrued_at=self.at + timedelta(hours=5),
        )

    def matched(self, **components: int) -> StatementLineMatched:
        return StatementLineMatched(
            match_key=str(self.order_id),
            order_id=self.order_id,
            account=account_of(self.channel, self.shop),
            channel=self.channel,
            shop=self.shop,
            statement_id=uuid4(),
            currency=self.currency,
            components=tuple(
                SettledComponent(component=name, expected_minor=sum_, settled_minor=sum_)
                for name, sum_ in components.items()
            ),
            settled_at=self.at + timedelta(days=14),
        )

    def differs(
        self, component: str, expected: int, settled: int, *, on_statement: bool = True
    ) -> DifferenceAttributed:
        return DifferenceAttributed(
            match_key=str(self.order_id),
            difference_id=uuid4(),
            order_id=self.order_id,
            account=account_of(self.channel, self.shop),
            channel=self.channel,
            shop=self.shop,
            statement_id=uuid4() if on_statement else None,
            currency=self.currency,
            component=component,
            reason="AMOUNT" if on_statement else "MISSING_LINE",
            expected_minor=expected,
            settled_minor=settled,
            attributed_at=self.at + timedelta(days=14),
        )

    def written_off(self, component: str, amount: int) -> WriteOffPosted:
        return WriteOffPosted(
            match_key=str(self.order_id),
            write_off_id=uuid4(),
            difference_id=uuid4(),
            order_id=self.order_id,
            account=account_of(self.channel, self.shop),
            channel=self.channel,
            shop=self.shop,
            currency=self.currency,
            component=component,
            amount_minor=amount,
            reason="AMOUNT",
            rule="clerk/1",
            by="ann",
            posted_at=self.at + timedelta(days=15),
        )

    def _all(self) -> tuple[LineQuantity, ...]:
        return tuple(self._part(number, line[1]) for number, line in enumerate(self.lines, start=1))

    def _part(self, line: int, quantity: int) -> LineQuantity:
        return LineQuantity(line_id=str(line), sku=self.lines[line - 1][0], quantity=quantity)


def cost(sku: str, amount: int, *, since: datetime = JANUARY, currency: str = "GBP") -> CostSet:
    """What a piece costs from a time on."""
    return CostSet(
        cost_key=cost_key(sku, currency, since), sku=sku, currency=currency, amount_minor=amount, valid_from=since
    )


def rate(
    component: str, ppm: int, *, fixed: int = 0, shop: str = "*", since: datetime = JANUARY, version: str = "1"
) -> RateCardSet:
    """What a platform charges from a time on."""
    return RateCardSet(
        rate_key=rate_key("uci", shop, component, "GBP", version),
        channel="uci",
        shop=shop,
        component=component,
        currency="GBP",
        rate_ppm=ppm,
        fixed_minor=fixed,
        version=version,
        valid_from=since,
    )


def catalog() -> list[ProductDefined | SkuDefined]:
    """Mugs and tea, each of a category."""
    return [
        ProductDefined(product_code="P-MUG", title="Mug", category="kitchen"),
        ProductDefined(product_code="P-TEA", title="Tea", category="food"),
        SkuDefined(sku="MUG", product_code="P-MUG", title="Red mug"),
        SkuDefined(sku="TEA", product_code="P-TEA", title="Green tea"),
    ]
