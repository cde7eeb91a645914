"""What the books lack, made up from a seed: addresses, weights, warehouses, stock, and the things that go wrong.

Every choice is a hash of the seed and of what it is about, so it does not depend on the order of play: the same
order has the same address, and the same shipment the same fate, in every run of the same seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from hashlib import blake2b
from math import ceil
from typing import TypeVar

from oms_events.contracts.intake import (
    CancelledQuantity,
    ChannelCancellation,
    ChannelOrder,
    ChannelOrderLine,
    ChannelPayment,
)
from oms_events.contracts.shared import Destination
from oms_sample.book import Cancellation, Sale, Survey
from oms_sample.places import country_code, shop_of, towns

T = TypeVar("T")

CHANNEL = "uci"
CURRENCY = "GBP"


class Dice:
    """Chance that is a function of the seed and of what is asked."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "big", signed=True)

    def roll(self, *what: str) -> float:
        """A number of [0, 1)."""
        digest = blake2b("\x1f".join(what).encode(), key=self._key, digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56

    def happens(self, share: float, *what: str) -> bool:
        return self.roll(*what) < share

    def pick(self, options: Sequence[T], *what: str) -> T:
        return options[int(self.roll(*what) * len(options))]

    def between(self, low: int, high: int, *what: str) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.roll(*what) * (high - low + 1))


@dataclass(frozen=True, slots=True)
class Shares:
    """How often what the books lack, or what goes wrong, is played: shares of all cases."""

    buyer_note: float = field(default=0.005, metadata={"says": "orders with a buyer's note"})
    unpaid: float = field(default=0.01, metadata={"says": "orders never paid"})
    early_payment: float = field(default=0.005, metadata={"says": "payments sent before their order"})
    unmapped: float = field(default=0.005, metadata={"says": "listings that stand for no SKU until all orders are in"})
    mismatch: float = field(default=0.003, metadata={"says": "orders whose total is a penny off"})
    repeated: float = field(default=0.01, metadata={"says": "orders sent twice"})
    outdated: float = field(default=0.002, metadata={"says": "orders whose older version arrives after the newer one"})
    short_stock: float = field(default=0.005, metadata={"says": "SKUs of which 70 % of the demand is in stock"})
    restocked: float = field(default=0.5, metadata={"says": "of these: delivered to the warehouse after all orders"})
    rejected: float = field(default=0.01, metadata={"says": "shipments the warehouse rejects"})
    short: float = field(default=0.01, metadata={"says": "shipments the warehouse cannot fill"})
    report_twice: float = field(default=0.02, metadata={"says": "warehouse reports sent twice"})
    scan_order: float = field(default=0.02, metadata={"says": "parcels whose scans arrive out of order"})
    scan_twice: float = field(default=0.02, metadata={"says": "parcels with a scan sent twice"})
    failed_attempt: float = field(default=0.02, metadata={"says": "parcels not delivered at the first attempt"})
    note_answered: float = field(default=0.8, metadata={"says": "buyers' notes the operator answers"})
    mismatch_refused: float = field(default=0.5, metadata={"says": "wrong totals the operator refuses"})

    def said(self) -> list[str]:
        """Each share in words."""
        return [f"{100 * getattr(self, one.name):g} % {one.metadata['says']}" for one in fields(self)]


@dataclass(frozen=True, slots=True)
class Node:
    """A warehouse. `stock_share` is what it holds of a SKU's demand; `ships_to` None is everywhere."""

    code: str
    name: str
    country: str
    region: str
    timezone: str
    daily_capacity: int
    handling_minor: int
    ships_to: tuple[str, ...] | None
    stock_share: float


NODES = (
    Node("GB-LON", "London", "GB", "England", "Europe/London", 100_000, 60, None, 0.80),
    Node("GB-MAN", "Manchester", "GB", "England", "Europe/London", 50_000, 50, None, 0.40),
    Node(
        "DE-HAM",
        "Hamburg",
        "DE",
        "Hamburg",
        "Europe/Berlin",
        20_000,
        55,
        ("DE", "AT", "CH", "NL", "DK", "SE", "NO", "FI", "PL", "CZ", "LT", "BE"),
        0.20,
    ),
    Node(
        "FR-LYS",
        "Lyon",
        "FR",
        "Auvergne-Rhone-Alpes",
        "Europe/Paris",
        20_000,
        55,
        ("FR", "BE", "ES", "IT", "PT", "CH", "GR", "MT", "CY"),
        0.15,
    ),
)
MAIN_NODE = NODES[0]

SHORT_SHARE_OF_DEMAND = 0.7
_NOTES = ("Please leave with the neighbour", "Gift: no invoice in the parcel, please", "Call before delivery")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a SKU weighs and measures, in grams and millimetres."""

    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int


class World:
    """The made-up half of the play."""

    def __init__(self, survey: Survey, seed: int, shares: Shares) -> None:
        self._survey = survey
        self.seed = seed
        self.shares = shares
        self.dice = Dice(seed)

    def said(self) -> list[str]:
        """What is made up, in words, for the summary."""
        return [
            f"seed {self.seed}",
            "addresses (town and postcode by country, receiver tokens), delivery tiers",
            "weights and dimensions of all SKUs, and what they cost (35 to 65 % of the price)",
            f"{len(NODES)} warehouses ({', '.join(node.code for node in NODES)}), their opening stock; 4 carriers",
            *self.shares.said(),
        ]

    def parcel(self, sku: str) -> Parcel:
        """Size and weight of a SKU: gifts of 20 g to 1.5 kg."""
        between = self.dice.between
        return Parcel(
            20 + between(0, 38, "weight", sku) ** 2,
            between(40, 400, "length", sku),
            between(40, 300, "width", sku),
            between(10, 200, "height", sku),
        )

    def cost(self, sku: str, price_minor: int) -> int:
        """What one piece of a SKU costs: 35 to 65 % of its price."""
        return ceil(price_minor * self.dice.between(35, 65, "cost", sku) / 100)

    def is_mapped_late(self, country: str, listing: str) -> bool:
        return self.dice.happens(self.shares.unmapped, "unmapped", country, listing)

    def is_short(self, sku: str) -> bool:
        return self.dice.happens(self.shares.short_stock, "short", sku)

    def opening_stock(self, sku: str) -> dict[str, int]:
        """Quantity per node. One node can ship the largest sale of the SKU, unless the SKU is meant to be short."""
        demand = self._survey.demand[sku]
        if self.is_short(sku):
            return {MAIN_NODE.code: int(demand * SHORT_SHARE_OF_DEMAND)}
        stock = {node.code: ceil(demand * node.stock_share) for node in NODES}
        stock[MAIN_NODE.code] = max(stock[MAIN_NODE.code], ceil(1.2 * self._survey.largest[sku]))
        return stock

    def restock(self, sku: str) -> int:
        """What the main node receives of a short SKU once all orders are in; zero for the others."""
        if self.is_short(sku) and self.dice.happens(self.shares.restocked, "restocked", sku):
            return self._survey.demand[sku]
        return 0

    def order(self, sale: Sale) -> ChannelOrder:
        """The sale as its channel tells it."""
        no = sale.invoice_no
        off = 1 if self.is_mismatch(no) else 0
        return ChannelOrder(
            channel=CHANNEL,
            shop=shop_of(sale.country),
            channel_order_no=no,
            version=2 if self.is_outdated(no) else 1,
            placed_at=sale.placed_at,
            currency=CURRENCY,
            lines=tuple(
                ChannelOrderLine(
                    line_no=line.line_no,
                    listing=line.code,
                    quantity=line.quantity,
                    unit_price_minor=line.unit_price_minor,
                )
                for line in sale.lines
            ),
            shipping_minor=sale.shipping_minor,
            total_minor=sale.total_minor + off,
            ship_to=self.destination(sale),
            delivery_tier="express" if self.dice.happens(0.05, "express", no) else "standard",
            buyer_note=self.dice.pick(_NOTES, "note", no) if self.has_note(no) else "",
        )

    def outdated(self, order: ChannelOrder) -> ChannelOrder:
        """What the channel said of the order before: one piece more of the first line."""
        first = order.lines[0]
        more = first.model_copy(update={"quantity": first.quantity + 1})
        return order.model_copy(
            update={
                "version": order.version - 1,
                "lines": (more, *order.lines[1:]),
                "total_minor": order.total_minor + first.unit_price_minor,
            }
        )

    def payment(self, sale: Sale, order: ChannelOrder) -> ChannelPayment | None:
        """The buyer's payment of the whole total; None for one who never pays, or where there is nothing to pay."""
        if order.total_minor == 0 or self.is_unpaid(sale.invoice_no):
            return None
        return ChannelPayment(
            channel=order.channel,
            shop=order.shop,
            channel_order_no=order.channel_order_no,
            payment_no=f"P-{sale.invoice_no}",
            currency=CURRENCY,
            amount_minor=order.total_minor,
            paid_at=sale.placed_at + timedelta(seconds=self.dice.between(5, 600, "paid", sale.invoice_no)),
        )

    def cancellation(self, cancellation: Cancellation) -> ChannelCancellation:
        """The cancellation as its channel tells it."""
        return ChannelCancellation(
            channel=CHANNEL,
            shop=shop_of(cancellation.country),
            channel_order_no=cancellation.invoice_no,
            cancellation_no=cancellation.cancellation_no,
            lines=tuple(CancelledQuantity(line_no=line, quantity=quantity) for line, quantity in cancellation.lines),
            reason="cancelled by the buyer",
            requested_at=cancellation.requested_at,
        )

    def destination(self, sale: Sale) -> Destination:
        """One address per buyer; a guest has one per invoice."""
        buyer = sale.customer or f"guest-{sale.invoice_no}"
        code = country_code(sale.country)
        town = self.dice.pick(towns(code), "town", buyer)
        digits = (str(self.dice.between(0, 9, "postcode", buyer, str(place))) for place in range(len(town.postcode)))
        return Destination(
            country=code,
            region=town.region,
            city=town.city,
            postcode="".join(digit if char == "9" else char for char, digit in zip(town.postcode, digits, strict=True)),
            receiver_token="t-" + blake2b(f"{self.seed}/{buyer}".encode(), digest_size=12).hexdigest(),
        )

    def has_note(self, no: str) -> bool:
        return self.dice.happens(self.shares.buyer_note, "buyer note", no)

    def is_unpaid(self, no: str) -> bool:
        return self.dice.happens(self.shares.unpaid, "unpaid", no)

    def pays_early(self, no: str) -> bool:
        return self.dice.happens(self.shares.early_payment, "early payment", no)

    def is_mismatch(self, no: str) -> bool:
        return self.dice.happens(self.shares.mismatch, "mismatch", no)

    def is_repeated(self, no: str) -> bool:
        return self.dice.happens(self.shares.repeated, "repeated", no)

    def is_outdated(self, no: str) -> bool:
        return self.dice.happens(self.shares.outdated, "outdated", no)
