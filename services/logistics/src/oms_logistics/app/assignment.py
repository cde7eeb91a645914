"""Finding a carrier for shipments, and giving out waybills."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from oms_events.contracts.fulfilment import ShipmentRequested
from oms_events.contracts.logistics import CarrierOption, WaybillAssigned, WaybillRefused
from oms_events.envelope import Batch, EventMeta
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.documents import to_document
from oms_events.runtime.work import Work
from oms_logistics.adapters import parcels, rates
from oms_logistics.adapters.book import RateBook, rate_book
from oms_logistics.adapters.parcels import Booking, Request
from oms_logistics.app import news, tracking
from oms_logistics.app.options import shown
from oms_logistics.domain.choice import Bid, Choice, Consignment, Option, choose, on_offer
from oms_logistics.domain.progress import Progress
from oms_logistics.domain.tariff import Lane
from oms_logistics.domain.waybill import Waybill


class Case(NamedTuple):
    """A shipment that wants a carrier: its parcel as it was read, what is asked for, and what made us look."""

    progress: Progress
    request: Request
    cause: EventMeta


class Weighed(NamedTuple):
    """What carriers offer for a consignment, as it is told and as it is kept."""

    choice: Choice
    options: tuple[CarrierOption, ...]
    document: str


async def on_shipment_requested(requested: Batch[ShipmentRequested], work: Work) -> None:
    """Give each shipment one waybill, once; a shipment cancelled before it was requested gets none."""
    known = await parcels.lock(work.connection, {item.event.shipment_id for item in requested})
    cases: dict[UUID, Case] = {}
    for item in requested:
        event = item.event
        progress = known.get(event.shipment_id, Progress(event.shipment_id, event.order_id))
        if not progress.requested and event.shipment_id not in cases:
            cases[event.shipment_id] = Case(progress, _request(event), item.meta)
    bookings = await _book(list(cases.values()), work)
    for case, booking in zip(cases.values(), bookings, strict=True):
        if booking.refusal is not None:
            refused = WaybillRefused(
                order_id=case.progress.order_id, shipment_id=case.progress.shipment_id, reason=booking.refusal
            )
            work.emit(refused, cause=case.cause, sequence=booking.progress.version)


async def retry(due: Sequence[Deadline], work: Work) -> None:
    """Look again for carriers of shipments that nobody took; those still not taken wait again, and say nothing new."""
    causes = {UUID(deadline.key): deadline.cause(news.SOURCE) for deadline in due}
    unserved = await parcels.lock_unserved(work.connection, causes.keys())
    cases = [Case(progress, request, causes[id_]) for id_, (progress, request) in unserved.items()]
    await _book(cases, work)


async def _book(cases: Sequence[Case], work: Work) -> list[Booking]:
    """Decide, write, publish the waybills. The pools are locked late: others wait for them."""
    if not cases:
        return []
    book = await rate_book(work.connection)
    weighed = _weigh_all(cases, book, work.now)
    winners = Counter(one.choice.winner.carrier for one in weighed if one.choice.winner)
    pools = await rates.issue(work.connection, dict(sorted(winners.items())))
    bookings: list[Booking] = []
    for case, (choice, options, document) in zip(cases, weighed, strict=True):
        waybill = pools[choice.winner.carrier].draw() if choice.winner else None
        booking = _booking(case, choice, waybill, book.currency, document)
        news.watch(case.progress, booking.progress, work)
        if choice.winner is not None and waybill is not None:
            assigned = _assigned(case, choice.winner, waybill, book.currency, options)
            work.emit(assigned, cause=case.cause, sequence=booking.progress.version)
        bookings.append(booking)
    await parcels.save_bookings(work.connection, bookings, work.now)
    await tracking.adopt([b.waybill.number for b in bookings if b.waybill], work)
    return bookings


def _weigh_all(cases: Sequence[Case], book: RateBook, now: datetime) -> list[Weighed]:
    """Choose for each case. Many parcels of a batch are alike: for each kind of consignment the choice is made once."""
    offers = on_offer(book.services, now)
    known: dict[Consignment, Weighed] = {}
    answers = []
    for case in cases:
        if not case.progress.wants_carrier:
            answers.append(_weighed(Choice(None, ())))
            continue
        wanted = _consignment(case.request, book)
        if wanted not in known:
            known[wanted] = _weighed(choose(offers, wanted))
        answers.append(known[wanted])
    return answers


def _weighed(choice: Choice) -> Weighed:
    options = shown(choice)
    return Weighed(choice, options, to_document(options))


def _consignment(request: Request, book: RateBook) -> Consignment:
    return Consignment(
        Lane(request.origin_country, request.country, request.postcode),
        request.tier,
        book.max_days(request.channel, request.shop, request.tier),
        request.weight_g,
    )


def _booking(case: Case, choice: Choice, waybill: Waybill | None, currency: str, options: str) -> Booking:
    progress = replace(
        case.progress,
        requested=True,
        waybill_no=waybill.number if waybill else None,
        promised_at=choice.winner.promised_at if choice.winner else None,
        version=case.progress.version + 1,
    )
    refusal = _refusal(choice.options) if waybill is None and case.progress.wants_carrier else None
    return Booking(progress, case.request, options, currency, refusal, choice.winner, waybill)


def _refusal(options: Sequence[Option]) -> str:
    if not options:
        return "no carrier offers any service"
    return "; ".join(f"{option.carrier} {option.service} {option.reason}" for option in options)[:1000]


def _assigned(
    case: Case, winner: Bid, waybill: Waybill, currency: str, options: tuple[CarrierOption, ...]
) -> WaybillAssigned:
    return WaybillAssigned(
        order_id=case.progress.order_id,
        shipment_id=case.progress.shipment_id,
        carrier=winner.carrier,
        service=winner.service,
        waybill_no=waybill.number,
        tariff_version=str(winner.tariff_version),
        billable_weight_g=winner.billable_g,
        cost_minor=winner.cost_minor,
        currency=currency,
        promised_at=winner.promised_at,
        options=options,
    )


def _request(event: ShipmentRequested) -> Request:
    return Request(
        event.node,
        event.channel,
        event.shop,
        event.origin_country,
        event.ship_to.country,
        event.ship_to.postcode,
        to_document(event.ship_to),
        event.delivery_tier,
        event.weight_g,
    )
