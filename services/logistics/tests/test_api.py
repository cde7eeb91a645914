"""The HTTP API: what it accepts, what it refuses and how it says so."""

import copy

import pytest


async def test_carriers_are_listed_with_their_services(scenario):
    carriers = (await scenario.client.get("/v1/carriers")).json()
    assert [carrier["carrier"] for carrier in carriers] == ["eurolink", "massgut", "norpost", "swiftline"]
    assert sorted(carriers[2]["services"]) == ["economy", "tracked"]
    assert carriers[2]["services"]["economy"]["cut_off"] == "17:00:00"


async def test_importing_the_same_again_changes_nothing(scenario, seeds):
    answer = await scenario.client.post("/v1/carriers:import", json=seeds)
    assert answer.json() == {"carriers": 4, "services": 8, "new_tariff_versions": 0, "delivery_tiers": 4}


async def test_a_quote_shows_every_option_and_books_nothing(scenario):
    wanted = {
        "origin_country": "GB",
        "ship_to": {"country": "FR"},
        "delivery_tier": "express",
        "weight_g": 1200,
        "volume_cm3": 10_000,
    }
    quote = (await scenario.client.post("/v1/rates:quote", json=wanted)).json()
    assert quote["currency"] == "GBP"
    assert len(quote["options"]) == 8
    assert [(o["carrier"], o["service"], o["cost_minor"]) for o in quote["options"] if o["chosen"]] == [
        # 10,000 cm3 / 5000 = 2 kg: 8.90, and 9.8 % fuel on it.
        ("eurolink", "road", 977)
    ]
    assert (await scenario.client.get("/v1/summary")).json()["parcels"] == []


async def test_the_feed_gives_every_waybill_once_in_order(scenario, shipment):
    seen, cursor = [], None
    for _ in range(3):
        await scenario.given(*(shipment().requested() for _ in range(3)))
        page = {"items": [None]}
        while page["items"]:
            query = {"carrier": "norpost", "limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await scenario.client.get("/v1/waybills", params=query)).json()
            seen += [item["waybill_no"] for item in page["items"] if item]
            cursor = page["next_cursor"]
    assert len(seen) == 9
    assert seen == sorted(set(seen))


async def test_the_feed_can_be_narrowed_to_a_status(scenario, shipment):
    a, b = shipment(), shipment()
    await scenario.given(a.requested(), b.requested(), a.dispatched())
    query = {"carrier": "norpost", "status": "dispatched"}
    (item,) = (await scenario.client.get("/v1/waybills", params=query)).json()["items"]
    assert (item["shipment_id"], item["ship_to"]["receiver_token"]) == (str(a.shipment_id), "tok-1")


async def test_a_parcel_is_found_by_shipment_order_and_waybill(scenario, shipment):
    a = shipment()
    await scenario.given(a.requested(), shipment().requested())
    parcel = (await scenario.client.get(f"/v1/parcels/{a.shipment_id}")).json()
    assert (await scenario.client.get(f"/v1/parcels/by-waybill/{parcel['waybill_no']}")).json() == parcel
    listed = (await scenario.client.get("/v1/parcels", params={"order_id": str(a.order_id)})).json()
    assert listed == {"items": [parcel], "next_cursor": None}


async def test_the_summary_counts_parcels_and_freight(scenario, shipment):
    a, b = shipment(), shipment()
    await scenario.given(a.requested(), b.requested(), b.cancelled())
    summary = (await scenario.client.get("/v1/summary")).json()
    assert summary["parcels"] == [
        {"state": "cancelled", "status": "cancelled", "parcels": 1, "late": 0},
        {"state": "open", "status": "label_ready", "parcels": 1, "late": 0},
    ]
    assert [(row["service"], row["parcels"], row["cost_minor"]) for row in summary["freight"]] == [("economy", 1, 299)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/parcels/00000000-0000-0000-0000-000000000001",
        "/v1/parcels/00000000-0000-0000-0000-000000000001/scans",
        "/v1/parcels/by-waybill/NP999999999ZZ",
    ],
)
async def test_what_does_not_exist_is_a_404_problem(scenario, path):
    answer = await scenario.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def changed(seeds: dict, **terms: object) -> dict:
    tariff = copy.deepcopy(seeds)["carriers"][0]["services"][0]["tariff"]
    return tariff | {"carrier": "norpost", "service": "economy"} | terms


@pytest.mark.parametrize(
    ("terms", "status", "word"),
    [
        ({"currency": "EUR"}, 409, "must be GBP"),
        ({"currency": "XXX"}, 422, "ISO 4217"),
        ({"service": "nowhere"}, 404, "does not exist"),
        ({"prices": {}}, 422, "prices must name every zone"),
        ({"valid_to": "2009-01-01T00:00:00Z"}, 422, "valid_to must be later"),
        ({"valid_from": "2009-01-01T00:00:00"}, 422, "timezone"),
        ({"discount": 5}, 422, "Extra inputs"),
        ({"rounding_g": 0}, 422, "greater than or equal to 1"),
    ],
)
async def test_a_tariff_that_cannot_be_is_refused_with_the_rule(scenario, seeds, terms, status, word):
    answer = await scenario.client.post("/v1/tariffs", json=changed(seeds, **terms))
    assert answer.status_code == status, answer.text
    assert word in answer.json()["detail"]


async def test_breaks_must_rise(scenario, seeds):
    tariff = changed(seeds)
    tariff["prices"]["domestic"]["breaks"][1]["minor"] = 1
    answer = await scenario.client.post("/v1/tariffs", json=tariff)
    assert (answer.status_code, "must not be cheaper" in answer.text) == (422, True)


async def test_the_newest_tariff_posted_again_adds_nothing(scenario, seeds):
    answer = await scenario.client.post("/v1/tariffs", json=changed(seeds))
    assert (answer.status_code, answer.json()["added"], answer.json()["version"]) == (200, False, 1)


@pytest.mark.parametrize(
    ("carrier", "prefix", "word"),
    [("norpost", "NQ", "cannot change"), ("newcomer", "NP", "belongs to another carrier")],
)
async def test_waybill_prefixes_are_unique_and_stay(scenario, carrier, prefix, word):
    answer = await scenario.client.put(f"/v1/carriers/{carrier}", json={"name": "N", "waybill_prefix": prefix})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "waybill_prefix")
    assert word in answer.json()["detail"]


async def test_a_service_needs_its_carrier_and_a_real_time_zone(scenario):
    document = {
        "name": "X",
        "tiers": ["standard"],
        "max_weight_g": 1000,
        "timezone": "Europe",
        "cut_off": "17:00",
        "transit_days": {"domestic": 1},
    }
    answer = await scenario.client.put("/v1/carriers/norpost/services/x", json=document)
    assert (answer.status_code, "IANA" in answer.text) == (422, True)
    answer = await scenario.client.put("/v1/carriers/nobody/services/x", json=document | {"timezone": "UTC"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "request_line",
    [
        "/v1/parcels?cursor=e30",
        "/v1/early-scans?cursor=WyJub3QgYW4gaWQiXQ",
        "/v1/waybills?carrier=norpost&cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ",
        "/v1/waybills",
        "/v1/parcels?state=lost",
        "/v1/parcels/by-waybill/%00",
        "/v1/tariffs?carrier=%ED%A0%80",
    ],
)
async def test_hostile_input_is_the_callers_fault(scenario, request_line):
    assert 400 <= (await scenario.client.get(request_line)).status_code < 500
