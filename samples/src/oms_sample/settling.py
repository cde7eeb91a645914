"""After the play: each shop's platform writes its statement, hands it in, and the books are judged.

A few differences of known kinds are planted in the statements. None of them may be taken for settled.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from oms_events.values import order_id
from oms_sample.audit import OrderSeen
from oms_sample.book import Book, Sale
from oms_sample.client import Door
from oms_sample.places import shop_of
from oms_sample.planted import WRITTEN_OFF, Planted, plant
from oms_sample.platforms import Payment, Sold, Terms, of_the_month, payments, terms_of
from oms_sample.play import Played, Stalled
from oms_sample.progress import ENDED
from oms_sample.statement_files import Frame, write
from oms_sample.synth import CHANNEL, CURRENCY

LOOK_S = 0.25
STILL_S = 1.0
"""So long must the books not change before they are read."""
PATIENCE_S = 60.0
"""So long may nothing move before the run gives up."""
VALID_FROM = "2010-01-01T00:00:00Z"
MARKETPLACE = "sample.example"
UPLOADS_AT_ONCE = 4
AWAITED = "still awaited"
"""What nothing came of and what is not overdue yet."""
_ENDED = frozenset({"posted", "refused"})
_OPEN = frozenset({"open", "overdue", "different"})
_CONTENT_TYPES = {"canonical": "text/csv", "amazon_v2": "text/tab-separated-values", "stripe_balance": "text/csv"}

Json = dict[str, Any]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wallet:
    """A shop's wallet as the summary shows it, in minor units."""

    shop: str
    format: str
    lines: int
    expected_minor: int
    matched_minor: int
    written_off_minor: int
    not_due_minor: int
    different: Mapping[str, int]
    """Expected, and something else or nothing came: by reason."""


@dataclass(slots=True)
class Kind:
    """What became of the planted differences of one kind."""

    planted: int = 0
    found: int = 0
    cleared: list[str] = field(default_factory=list)
    """Places that count as settled although they are wrong."""
    reasons: Counter[str] = field(default_factory=Counter)
    """What settlement calls it."""


@dataclass(slots=True)
class Settled:
    """What came of the statements."""

    wallets: list[Wallet] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Statements that were not taken, with the rule."""
    unplanted: list[str] = field(default_factory=list)
    """Differences that nobody planted: money that the system expected wrongly."""
    entries: int = 0
    """Entries of the books, each verified."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with the books."""
    profit: list[Json] = field(default_factory=list)
    """By shop, as analytics counts it."""
    took_s: float = 0.0

    @property
    def cleared(self) -> list[str]:
        return [place for kind in self.kinds.values() for place in kind.cleared]

    @property
    def sound(self) -> bool:
        return not (self.cleared or self.refused or self.unplanted or self.faults)


@dataclass(frozen=True, slots=True)
class _Statement:
    """A shop's statement as it was written."""

    shop: str
    terms: Terms
    data: bytes
    planted: Sequence[Planted]


class Settlement:
    """All platforms, and the shops' bookkeeper."""

    def __init__(self, finance: Door, book: Book, played: Played, report: Report) -> None:
        self._door = finance
        self._book = book
        self._played = played
        self._report = report
        self._opens = datetime.now(UTC).replace(microsecond=0)

    async def prepare(self) -> None:
        """Say what platforms take, and how they tell. Raises Refused and Unavailable."""
        for shop in sorted({shop_of(country) for country, _ in self._played.survey.listings}):
            await self._tell_terms(shop, terms_of(shop))

    async def _tell_terms(self, shop: str, terms: Terms) -> None:
        whose = {"channel": CHANNEL, "shop": shop, "currency": CURRENCY}
        account = whose | {"format": terms.format}
        if terms.format == "amazon_v2":
            account |= {"marketplace": MARKETPLACE}
        await self._door.put("/v1/settlement-accounts", account)
        for component, rate, fixed in (
            ("commission", terms.commission_ppm, 0),
            ("payment_fee", terms.payment_ppm, terms.payment_fixed_minor),
        ):
            if rate:
                card = {"component": component, "rate_ppm": rate, "fixed_minor": fixed}
                await self._door.put("/v1/rate-cards", whose | card | {"version": "sample-1", "valid_from": VALID_FROM})

    async def settle(self, orders: Sequence[OrderSeen]) -> Settled:
        """Write the statements, hand them in, wait until they are posted, and judge. Raises Refused and Unavailable,
        and Stalled where a statement does not get on."""
        await self._until_still()
        began = time.monotonic()
        statements = list(self._statements({order.order_id: order.state for order in orders}))
        answers = await self._hand_in(statements)
        posted = [await self._until_over(answer) for answer in answers]
        await self._until_still()
        took_s = time.monotonic() - began
        lines = sum(one["lines"] for one in posted)
        self._report(f"{len(posted)} statements of {lines:,} lines handed in and posted in {took_s:.1f} s")
        settled = Settled(took_s=took_s)
        settled.refused = [
            f"{one['account']}: {one['code']} in row {one['row']}: {one['detail']}"
            for one in posted
            if one["state"] != "posted"
        ]
        settled.wallets = await self._wallets({one["account"]: one["lines"] for one in posted})
        await self._judge(settled, statements)
        books = await self._door.get("/v1/ledger/verification")
        settled.entries = books["entries"]
        settled.faults = [
            f"{fault['account']} {fault['currency']} entry {fault['entry_no']}: {fault['what']}"
            for fault in books["faults"]
        ]
        settled.profit = await self._profit()
        return settled

    # --- writing ---------------------------------------------------------------------------------------------------

    def _statements(self, states: Mapping[str, str]) -> Iterator[_Statement]:
        books: defaultdict[str, dict[str, list[Payment]]] = defaultdict(dict)
        for sold in self._sold(states):
            shop = sold.order.shop
            if lines := payments(sold, terms_of(shop)):
                books[shop][sold.order.channel_order_no] = lines
        for number, (shop, booked) in enumerate(sorted(books.items()), 1):
            yield self._statement(number, shop, booked)

    def _sold(self, states: Mapping[str, str]) -> Iterator[Sold]:
        """Orders that were paid and are over."""
        played = self._played
        for sale in self._book.entries(played.survey):
            if not isinstance(sale, Sale):
                continue
            order = played.world.order(sale)
            known = str(order.order_id)
            if states.get(known) in ENDED and played.world.payment(sale, order) is not None:
                shipped = {line.line_no: played.journal.shipped[known, line.line_no] for line in order.lines}
                yield Sold(order, shipped)

    def _statement(self, number: int, shop: str, booked: Mapping[str, Sequence[Payment]]) -> _Statement:
        terms = terms_of(shop)
        with_differences, planted = plant(booked, terms, self._played.world.dice)
        lines = [line for order_no in sorted(with_differences) for line in with_differences[order_no]]
        lines += of_the_month(lines, terms)
        closes = datetime.now(UTC).replace(microsecond=0)
        frame = Frame(
            CHANNEL, shop, CURRENCY, self._opens, closes, f"{closes:%Y%m%d%H%M}{number:02d}", marketplace=MARKETPLACE
        )
        return _Statement(shop, terms, write(terms.format, frame, lines), planted)

    # --- handing in ------------------------------------------------------------------------------------------------

    async def _hand_in(self, statements: Iterable[_Statement]) -> list[str]:
        places = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def hand_in(statement: _Statement) -> str:
            form = statement.terms.format
            async with places:
                receipt = await self._door.upload(
                    "/v1/statements",
                    statement.data,
                    _CONTENT_TYPES[form],
                    channel=CHANNEL,
                    shop=statement.shop,
                    format=form,
                    file_name=f"{statement.shop}.txt",
                )
            return str(receipt["status_url"])

        return await asyncio.gather(*(hand_in(statement) for statement in statements))

    async def _until_over(self, status_url: str) -> Json:
        seen: Json | None = None
        now: Json | None
        changed_at = time.monotonic()
        while True:
            now = await self._door.find(status_url)
            if now is not None and now["state"] in _ENDED:
                return dict(now)
            if now != seen:
                seen, changed_at = now, time.monotonic()
            if time.monotonic() - changed_at > PATIENCE_S:
                raise Stalled(f"{status_url} does not get on: {seen and seen['state']}")
            await asyncio.sleep(LOOK_S)

    async def _until_still(self) -> None:
        """Until settlement has heard all that was said before."""
        seen, since = None, time.monotonic()
        give_up_at = since + PATIENCE_S
        while time.monotonic() - since < STILL_S and time.monotonic() < give_up_at:
            now = await self._door.get("/v1/settlement/overview")
            if now != seen:
                seen, since = now, time.monotonic()
            await asyncio.sleep(LOOK_S)

    # --- judging ---------------------------------------------------------------------------------------------------

    async def _wallets(self, lines: Mapping[str, int]) -> list[Wallet]:
        overview = await self._door.get("/v1/settlement/overview")
        return [
            Wallet(
                account["shop"],
                terms_of(account["shop"]).format,
                lines.get(account["account"], 0),
                account["expected_minor"],
                account["matched_minor"],
                account["written_off_minor"],
                account["not_due_minor"],
                {one["reason"]: one["difference_minor"] for one in account["differences"]},
            )
            for account in overview["accounts"]
            if account["channel"] == CHANNEL
        ]

    async def _judge(self, settled: Settled, statements: Sequence[_Statement]) -> None:
        """Look at every planted place, and for differences elsewhere."""
        differences: dict[tuple[str, str, str], Json] = {}
        async for one in self._door.pages("/v1/differences", channel=CHANNEL):
            differences[one["shop"], one["order_no"], one["component"]] = one
        planted_orders: set[tuple[str, str]] = set()
        for statement in statements:
            for planted in statement.planted:
                kind = settled.kinds.setdefault(planted.kind, Kind())
                kind.planted += 1
                planted_orders.update((statement.shop, order_no) for order_no, _ in planted.places)
                await self._judge_one(kind, statement.shop, planted, differences)
        settled.unplanted = [
            f"{shop} order {order_no or '-'} {component}: {one['reason']}, expected {one['expected_minor']}, "
            f"settled {one['settled_minor']}"
            for (shop, order_no, component), one in sorted(differences.items())
            if one["state"] == "open" and (shop, order_no) not in planted_orders
        ]

    async def _judge_one(
        self, kind: Kind, shop: str, planted: Planted, differences: Mapping[tuple[str, str, str], Json]
    ) -> None:
        states = []
        for order_no, component in planted.places:
            difference = differences.get((shop, order_no, component))
            if difference is not None:
                kind.reasons[difference["reason"]] += 1
                states.append(difference["state"])
            else:
                states.append(state := await self._state(shop, order_no, component))
                kind.reasons[AWAITED if state == "open" else state] += 1
        if planted.kind == WRITTEN_OFF:
            kind.found += all(state == "written_off" for state in states)
            return
        wrong = [place for place, state in zip(planted.places, states, strict=True) if state not in _OPEN]
        kind.found += not wrong
        kind.cleared += [f"{shop} order {order_no} {component}: {planted.kind}" for order_no, component in wrong]

    async def _state(self, shop: str, order_no: str, component: str) -> str:
        """Of a place without a difference."""
        wanted = order_id(CHANNEL, shop, order_no)
        found = await self._door.find("/v1/expectations", order_id=str(wanted))
        components = found["components"] if found is not None else []
        return next((one["state"] for one in components if one["component"] == component), "unknown")

    async def _profit(self) -> list[Json]:
        """By shop, once analytics has worked out all that it heard."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            told: Json = await self._door.get("/v1/profit", by="shop", version="settled", limit=500)
            if not told["waiting"] or time.monotonic() > give_up_at:
                return [row for row in told["rows"] if row["channel"] == CHANNEL]
            await asyncio.sleep(LOOK_S)
