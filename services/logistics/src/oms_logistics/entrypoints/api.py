"""The HTTP API of logistics."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, TypeAdapter

from oms_events.contracts.logistics import CarrierOption
from oms_events.contracts.shared import Code, Currency, Destination, Grams, Words
from oms_events.runtime.http import BY_ID, BY_SERIAL, Cursor, Limit, Page, Serial, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import not_found
from oms_logistics.adapters import rates, scans
from oms_logistics.adapters.book import rate_book
from oms_logistics.adapters.documents import Country, Document, ServiceDocument, TariffDocument
from oms_logistics.app import commands, queries
from oms_logistics.app.commands import CarrierDocument, ImportDocument, TierDocument, TierScope
from oms_logistics.app.options import shown
from oms_logistics.domain.choice import Consignment, choose, on_offer
from oms_logistics.domain.progress import State
from oms_logistics.domain.tariff import Lane

_FIRST = UUID(int=0)
_BY_TARIFF = TypeAdapter(tuple[Words, Words, Serial])
_SCANS_SHOWN = 1000

WaybillNo = Annotated[str, Field(min_length=1, max_length=64)]
Status = Literal[
    "created",
    "label_ready",
    "dispatched",
    "picked_up",
    "in_transit",
    "attempt_failed",
    "out_for_delivery",
    "ready_for_pickup",
    "damaged",
    "lost",
    "delivered",
    "refused",
    "returning",
    "returned",
    "cancelled",
]


class CarrierView(BaseModel):
    """A carrier with its services. `issued` waybill numbers so far."""

    carrier: str
    name: str
    active: bool
    waybill_prefix: str
    issued: int
    services: dict[str, ServiceDocument]


class TariffVersionView(BaseModel):
    """One version of a tariff. Versions never change."""

    carrier: str
    service: str
    version: int
    created_at: datetime
    document: TariffDocument


class TariffPosted(TariffDocument):
    """A tariff for a carrier's service."""

    carrier: Code
    service: Code


class TariffAdded(BaseModel):
    """The version that now holds the tariff; `added` is false when it was the newest already."""

    carrier: str
    service: str
    version: int
    added: bool


class Imported(BaseModel):
    """What an import reached."""

    carriers: int
    services: int
    new_tariff_versions: int
    delivery_tiers: int


class QuoteWanted(Document):
    """A consignment to be rated. Without channel and shop the tier's general promise counts."""

    origin_country: Country
    ship_to: Destination
    delivery_tier: Code
    weight_g: Grams
    volume_cm3: Annotated[int, Field(ge=0, le=10**9)] = 0
    channel: Code = "any"
    shop: Code = "any"


class Quote(BaseModel):
    """Every option: the chosen one first, then by cost, those that cannot carry it last."""

    currency: str
    options: list[CarrierOption]


class WaybillView(BaseModel):
    """A waybill as its carrier gets it. The receiver is a token; the channel holds what it stands for."""

    waybill_no: str
    shipment_id: UUID
    order_id: UUID
    carrier: str
    service: str
    node: str
    origin_country: str
    ship_to: Destination
    weight_g: int
    shipped_weight_g: int | None
    assigned_at: datetime
    promised_at: datetime
    dispatched_at: datetime | None
    state: State
    status: Status


class ParcelView(BaseModel):
    """A shipment's parcel: what was asked for, who takes it and why, how far it came."""

    shipment_id: UUID
    order_id: UUID
    state: State
    status: Status
    status_at: datetime | None
    node: str | None
    channel: str | None
    shop: str | None
    origin_country: str | None
    ship_to: Destination | None
    tier: str | None
    weight_g: int | None
    shipped_weight_g: int | None
    refusal: str | None
    carrier: str | None
    service: str | None
    waybill_no: str | None
    tariff_version: int | None
    billable_weight_g: int | None
    cost_minor: int | None
    currency: str | None
    options: list[CarrierOption] | None
    requested_at: datetime | None
    assigned_at: datetime | None
    promised_at: datetime | None
    dispatched_at: datetime | None
    cancelled_at: datetime | None
    delivered_at: datetime | None
    promise_broken_at: datetime | None
    version: int


class ScanView(BaseModel):
    """A scan as the carrier sent it."""

    scan_key: UUID
    status: str
    occurred_at: datetime
    place: str
    carrier_code: str
    received_at: datetime


class EarlyScanView(ScanView):
    """A scan of a waybill that no parcel has."""

    carrier: str
    waybill_no: str


class TierView(BaseModel):
    """A delivery tier's promise."""

    channel: str
    shop: str
    tier: str
    max_days: int


class ParcelCount(BaseModel):
    """Parcels of one state and status. Late: delivered after the promise, or not yet delivered when it passed."""

    state: State
    status: Status
    parcels: int
    late: int


class FreightSum(BaseModel):
    """Estimated freight of one service."""

    currency: Currency
    carrier: str
    service: str
    parcels: int
    cost_minor: int


class Summary(BaseModel):
    """The service's parcels in numbers."""

    parcels: list[ParcelCount]
    freight: list[FreightSum]
    scans: int
    early_scans: int


def _found(row: dict[str, Any] | None, what: str) -> ParcelView:
    if row is None:
        raise not_found(what)
    return ParcelView.model_validate(row)


def router(runtime: Runtime) -> APIRouter:
    """Every route of the service."""
    routes = APIRouter()
    routes.include_router(_rates(runtime), tags=["carriers and tariffs"])
    routes.include_router(_parcels(runtime), tags=["waybills and parcels"])
    return routes


def _rates(runtime: Runtime) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/carriers")
    async def list_carriers() -> list[CarrierView]:
        """All carriers with their services."""
        async with runtime.connection() as connection:
            rows = await rates.list_carriers(connection)
        return [CarrierView(waybill_prefix=row.pop("prefix"), **row) for row in rows]

    @router.put("/v1/carriers/{carrier}", status_code=204)
    async def put_carrier(carrier: Code, document: CarrierDocument) -> None:
        """Create or change a carrier. Its waybill prefix never changes."""
        async with runtime.transaction() as work:
            await commands.put_carrier(work, carrier, document)

    @router.put("/v1/carriers/{carrier}/services/{service}", status_code=204)
    async def put_service(carrier: Code, service: Code, document: ServiceDocument) -> None:
        """Create or change what a carrier offers."""
        async with runtime.transaction() as work:
            await commands.put_service(work, carrier, service, document)

    @router.post("/v1/carriers:import")
    async def import_carriers(document: ImportDocument) -> Imported:
        """Put carriers, services, tariffs and tiers at once. Importing the same again changes nothing."""
        async with runtime.transaction() as work:
            added = await commands.import_book(work, document)
        return Imported(
            carriers=len(document.carriers),
            services=sum(len(carrier.services) for carrier in document.carriers),
            new_tariff_versions=added,
            delivery_tiers=len(document.delivery_tiers),
        )

    @router.get("/v1/tariffs")
    async def list_tariffs(
        carrier: Annotated[Code | None, Query()] = None,
        service: Annotated[Code | None, Query()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[TariffVersionView]:
        """Tariff versions by carrier and service, oldest first."""
        after = read_cursor(cursor, _BY_TARIFF) or ("", "", 0)
        async with runtime.connection() as connection:
            rows = await rates.list_tariffs(connection, carrier, service, after, limit)
        items = [TariffVersionView.model_validate(row) for row in rows]
        last = items[-1] if len(items) == limit else None
        return Page(items=items, next_cursor=write_cursor(last.carrier, last.service, last.version) if last else None)

    @router.post("/v1/tariffs", status_code=201)
    async def add_tariff(tariff: TariffPosted, response: Response) -> TariffAdded:
        """Add a tariff version. The newest version posted again is answered with 200 and adds nothing."""
        document = TariffDocument(**tariff.model_dump(exclude={"carrier", "service"}))
        async with runtime.transaction() as work:
            version, added = await commands.add_tariff(work, tariff.carrier, tariff.service, document)
        if not added:
            response.status_code = 200
        return TariffAdded(carrier=tariff.carrier, service=tariff.service, version=version, added=added)

    @router.post("/v1/rates:quote")
    async def quote_rates(wanted: QuoteWanted) -> Quote:
        """What every service would charge and promise now, and which would be chosen. Nothing is booked."""
        async with runtime.transaction() as work:
            book = await rate_book(work.connection)
        choice = choose(
            on_offer(book.services, work.now),
            Consignment(
                Lane(wanted.origin_country, wanted.ship_to.country, wanted.ship_to.postcode),
                wanted.delivery_tier,
                book.max_days(wanted.channel, wanted.shop, wanted.delivery_tier),
                wanted.weight_g,
                wanted.volume_cm3,
            ),
        )
        return Quote(currency=book.currency, options=list(shown(choice)))

    @router.put("/v1/delivery-tiers/{channel}/{shop}/{tier}")
    async def put_delivery_tier(channel: TierScope, shop: TierScope, tier: Code, document: TierDocument) -> TierView:
        """Set how many working days a tier promises; `*` stands for every channel or shop."""
        async with runtime.transaction() as work:
            await commands.put_tier(work, channel, shop, tier, document)
        return TierView(channel=channel, shop=shop, tier=tier, max_days=document.max_days)

    return router


def _parcels(runtime: Runtime) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/waybills")
    async def waybill_feed(
        carrier: Annotated[Code, Query()],
        status: Status | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[WaybillView]:
        """A carrier's waybills in the order of assignment. `next_cursor` is never null: come back with it for more.

        Nothing is skipped: a carrier's serial numbers become visible in order. `status` narrows a page by what holds
        now; a waybill that changes its status later does not come again.
        """
        (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
        async with runtime.connection() as connection:
            rows = await queries.waybill_feed(connection, carrier=carrier, status=status, after=after, limit=limit)
        last = rows[-1]["waybill_serial"] if rows else after
        return Page(items=[WaybillView.model_validate(row) for row in rows], next_cursor=write_cursor(last))

    @router.get("/v1/parcels")
    async def list_parcels(
        order_id: UUID | None = None, state: State | None = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[ParcelView]:
        """Parcels, oldest first; `state=no_carrier` are those that nobody takes."""
        (after,) = read_cursor(cursor, BY_ID) or (_FIRST,)
        async with runtime.connection() as connection:
            rows = await queries.list_parcels(connection, order_id=order_id, state=state, after=after, limit=limit)
        items = [ParcelView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(items[-1].shipment_id) if len(items) == limit else None)

    @router.get("/v1/parcels/by-waybill/{waybill_no}")
    async def show_parcel_by_waybill(waybill_no: WaybillNo) -> ParcelView:
        """The parcel of a waybill number."""
        async with runtime.connection() as connection:
            row = await queries.parcel_by_waybill(connection, waybill_no)
        return _found(row, f"waybill {waybill_no}")

    @router.get("/v1/parcels/{shipment_id}")
    async def show_parcel(shipment_id: UUID) -> ParcelView:
        """The parcel of a shipment, with every carrier option that was weighed."""
        async with runtime.connection() as connection:
            row = await queries.parcel(connection, shipment_id)
        return _found(row, f"parcel {shipment_id}")

    @router.get("/v1/parcels/{shipment_id}/scans")
    async def list_scans(shipment_id: UUID) -> list[ScanView]:
        """A parcel's scans in the order in which they happened."""
        async with runtime.connection() as connection:
            _found(await queries.parcel(connection, shipment_id), f"parcel {shipment_id}")
            rows = await scans.of_shipment(connection, shipment_id, _SCANS_SHOWN)
        return [ScanView.model_validate(row) for row in rows]

    @router.get("/v1/early-scans")
    async def list_early_scans(limit: Limit = 50, cursor: Cursor = None) -> Page[EarlyScanView]:
        """Scans of waybills that no parcel has (yet), oldest first."""
        (after,) = read_cursor(cursor, BY_ID) or (_FIRST,)
        async with runtime.connection() as connection:
            rows = await scans.early(connection, after, limit)
        items = [EarlyScanView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(items[-1].scan_key) if len(items) == limit else None)

    @router.get("/v1/summary")
    async def show_summary() -> Summary:
        """Parcels by state and status, how many are late, and the freight estimated so far."""
        async with runtime.connection() as connection:
            return Summary.model_validate(await queries.summary(connection))

    return router
