"""What an order earned, line by line, in three versions.

Estimated: what it should bring, from the order itself, the rates and costs of its day and the freight it was quoted.
Accrued: what settlement expects of it, what left the warehouse, and the freight of that.
Settled: what statements paid for the components that they have answered, the accrual for the rest.

Income and cost of a piece count at the same time, when it leaves. What was paid for pieces that wait is an advance and
no income yet; shipping waits for the first of them. What was paid for cancelled pieces counts, and so does its refund.

Only sums of the whole order are known for most components. Each is split over the lines by what they are worth, by the
largest remainder, so that lines, SKUs and categories add up to the order to the last unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oms_analytics.domain.amounts import COMPONENTS, PLACE, Component, Version
from oms_analytics.domain.order import Order, Standing
from oms_analytics.domain.prices import Prices, Split

_OF_ACCRUALS: Mapping[str, Component] = {
    "goods": "goods",
    "shipping": "shipping",
    "refund": "returns",
    "commission": "commission",
    "commission_refund": "commission",
    "payment_fee": "payment_fee",
    "payment_fee_refund": "payment_fee",
    "subsidy": "platform_subsidy",
    "adjustment": "adjustments",
    "other": "adjustments",
}
"""What settlement's components are in profit. Subscriptions and payouts are of the account, not of an order."""


@dataclass(slots=True)
class Sheet:
    """Amounts of the lines in one currency: a row for each line, an amount for each component."""

    rows: list[list[int]]

    @classmethod
    def blank(cls, lines: int) -> "Sheet":
        return cls([[0] * len(COMPONENTS) for _ in range(lines)])


@dataclass(slots=True)
class Account:
    """An order's profit in one version: by currency and line, and how sure it is."""

    sheets: dict[str, Sheet]
    units: list[int]
    units_without_cost: list[int]
    expected_sum_minor: int = 0
    answered_sum_minor: int = 0


@dataclass(frozen=True, slots=True)
class _Basis:
    """What sums are split by."""

    ordered: Split
    kept: Split
    cancelled: Split
    earned: Split
    """What was ordered, without what waits."""
    earned_kept: Split
    """What is kept, without what waits."""
    kept_discounts: list[int]
    earned_discounts: list[int]
    earned_kept_discounts: list[int]
    ordered_minor: int
    waiting: Mapping[tuple[str, str], int]
    """By component and currency, how much of it is for what waits: an advance."""

    @classmethod
    def of(cls, order: Order) -> "_Basis":
        lines = order.lines
        ordered = [line.amount_minor for line in lines]
        kept = [line.kept_minor for line in lines]
        of_kept = kept if any(kept) else ordered
        waiting = [line.waiting_minor for line in lines]
        kept_discounts = [line.kept_discount_minor for line in lines]
        waiting_discounts = [line.waiting_discount_minor for line in lines]
        return cls(
            ordered=Split(ordered),
            kept=Split(of_kept),
            cancelled=_split(ordered, less=kept),
            earned=_split(ordered, less=waiting),
            earned_kept=_split(of_kept, less=waiting),
            kept_discounts=kept_discounts,
            earned_discounts=_less([line.discount_minor for line in lines], waiting_discounts),
            earned_kept_discounts=_less(kept_discounts, waiting_discounts),
            ordered_minor=sum(ordered),
            waiting={
                ("goods", order.currency): sum(waiting),
                ("shipping", order.currency): order.shipping_minor if order.unsent else 0,
            },
        )


def _split(whole: list[int], *, less: Sequence[int]) -> Split:
    """A split over what is left of the whole, or over the whole where nothing is."""
    rest = _less(whole, less)
    return Split(rest if any(rest) else whole)


def _less(whole: Sequence[int], part: Sequence[int]) -> list[int]:
    """What is left of each. The same pieces' parts may be rounded one way here and the other way there."""
    return [max(0, one - other) for one, other in zip(whole, part, strict=True)]


@dataclass(slots=True)
class _Writer:
    """Writes an account, sum by sum."""

    order: Order
    sheets: dict[str, Sheet] = field(default_factory=dict)

    def column(self, component: Component, currency: str, amounts: Sequence[int]) -> None:
        """Add an amount to each line. A currency in which there is nothing gets no sheet."""
        if not any(amounts):
            return
        sheet = self.sheets.get(currency)
        if sheet is None:
            sheet = self.sheets[currency] = Sheet.blank(len(self.order.lines))
        place = PLACE[component]
        for row, amount in zip(sheet.rows, amounts, strict=True):
            row[place] += amount

    def goods_cost(self, prices: Prices, units: Sequence[int]) -> list[int]:
        """Add what these units cost; answers of how many of each line nobody knows."""
        unknown = [0] * len(units)
        for place, (line, quantity) in enumerate(zip(self.order.lines, units, strict=True)):
            if not quantity:
                continue
            cost = prices.cost(line.sku, self.order.currency, self.order.placed_at)
            if cost is None:
                unknown[place] = quantity
                continue
            amounts = [0] * len(units)
            amounts[place] = -cost.amount_minor * quantity
            self.column("cost_of_goods", cost.currency, amounts)
        return unknown


def accounts(order: Order, prices: Prices) -> dict[Version, Account]:
    """The three versions of an order's profit."""
    basis = _Basis.of(order)
    return {
        "estimated": _estimated(order, prices, basis),
        "accrued": _accrued(order, prices, basis),
        "settled": _settled(order, prices, basis),
    }


def _estimated(order: Order, prices: Prices, basis: _Basis) -> Account:
    writer, own = _Writer(order), order.currency
    units = [line.kept for line in order.lines]
    goods = [line.unit_price_minor * line.kept for line in order.lines]
    shipping = 0 if order.cancelled else order.shipping_minor
    writer.column("goods", own, goods)
    writer.column("merchant_discount", own, [-discount for discount in basis.kept_discounts])
    writer.column("shipping", own, basis.kept.of(shipping))
    for component, charged in fees(order, prices, sum(goods) - sum(basis.kept_discounts), shipping).items():
        writer.column(component, own, basis.kept.of(charged))
    for freight in order.estimated_freight:
        writer.column("freight", freight.currency, basis.kept.of(freight.amount_minor))
    unknown = writer.goods_cost(prices, units)
    return Account(writer.sheets, units, unknown)


def fees(order: Order, prices: Prices, goods_minor: int, shipping_minor: int) -> dict[Component, int]:
    """What the platform should take of an order of this worth, as negative amounts."""
    bases: dict[Component, int] = {"commission": goods_minor, "payment_fee": goods_minor + shipping_minor}
    charged: dict[Component, int] = {}
    for component, base in bases.items():
        rate = prices.rate(order.channel, order.shop, component, order.currency, order.placed_at)
        if rate is not None:
            charged[component] = -rate.of(base)
    return charged


def _accrued(order: Order, prices: Prices, basis: _Basis) -> Account:
    writer = _Writer(order)
    for (component, currency), amount in _sums_of_accruals(order).items():
        _write_sum(writer, basis, component, currency, amount)
    return _with_what_left(writer, order, prices, basis)


def _settled(order: Order, prices: Prices, basis: _Basis) -> Account:
    writer = _Writer(order)
    accrued = _sums_of_accruals(order)
    written_off: dict[tuple[str, str], int] = {}
    for money in order.write_offs:
        key = (money.component, money.currency)
        written_off[key] = written_off.get(key, 0) + money.amount_minor
    for key in sorted(accrued.keys() | order.standings.keys() | written_off.keys()):
        component, currency = key
        amount, standing, lost = accrued.get(key, 0), order.standings.get(key), written_off.get(key, 0)
        if standing is not None and _counts(standing, order):
            # What was paid, and what was accrued since. A write-off names a loss that is in what was paid already.
            amount = standing.settled_minor + amount - standing.expected_minor - lost
        _write_sum(writer, basis, component, currency, amount)
        if component in _OF_ACCRUALS:
            writer.column("write_offs", currency, basis.ordered.of(lost))
    account = _with_what_left(writer, order, prices, basis)
    account.expected_sum_minor, account.answered_sum_minor = _answered(order, accrued)
    return account


def _counts(standing: Standing, order: Order) -> bool:
    """Whether a statement has spoken of it. One in another currency than the order's is no answer: what it paid stands
    for money that is still expected in this one."""
    return standing.answered and standing.currency == order.currency


def _answered(order: Order, accrued: Mapping[tuple[str, str], int]) -> tuple[int, int]:
    """How much money is expected in the order's currency, and of how much of it statements have spoken."""
    expected = answered = 0
    for (component, currency), amount in accrued.items():
        if component not in _OF_ACCRUALS or currency != order.currency:
            continue
        expected += abs(amount)
        standing = order.standings.get((component, currency))
        if standing is not None and _counts(standing, order):
            answered += min(abs(amount), abs(standing.expected_minor))
    return expected, answered


def _sums_of_accruals(order: Order) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for money in order.accruals:
        key = (money.component, money.currency)
        sums[key] = sums.get(key, 0) + money.amount_minor
    return sums


def _write_sum(writer: _Writer, basis: _Basis, component: str, currency: str, amount: int) -> None:
    """Split a sum of settlement's over the lines, without what is an advance."""
    if component not in _OF_ACCRUALS or not amount:
        return
    income = amount - max(0, min(amount, basis.waiting.get((component, currency), 0)))
    if component == "goods":
        # Settlement expects goods less the merchant's own discount; here both are shown.
        whole = amount == basis.ordered_minor
        discounts = basis.earned_discounts if whole else basis.earned_kept_discounts
        shares = (basis.earned if whole else basis.earned_kept).of(income)
        writer.column("goods", currency, [share + off for share, off in zip(shares, discounts, strict=True)])
        writer.column("merchant_discount", currency, [-off for off in discounts])
    elif component == "refund":
        writer.column("returns", currency, basis.cancelled.of(amount))
    else:
        writer.column(_OF_ACCRUALS[component], currency, basis.ordered.of(income))


def _with_what_left(writer: _Writer, order: Order, prices: Prices, basis: _Basis) -> Account:
    for freight in order.owed_freight:
        writer.column("freight", freight.currency, basis.ordered.of(freight.amount_minor))
    units = [line.dispatched for line in order.lines]
    unknown = writer.goods_cost(prices, units)
    return Account(writer.sheets, units, unknown)
