"""The HTTP API: what it shows, what it refuses and how it says so."""

import csv
import io

import pytest
from prometheus_client import REGISTRY


async def test_the_overview_tells_where_every_unit_is(desk, sale, statement):
    waiting = sale("W-1")
    for number in ("A-1", "A-2"):
        await desk.scenario.given(*sale(number).whole())
    await desk.scenario.given(*waiting.whole())
    await desk.hand_in(statement().settle("A-1", commission=-451).settle("A-2", goods=2900).add("", "payout", -10))
    (shown,) = (await desk.get("/v1/settlement/overview"))["accounts"]
    assert (shown["account"], shown["currency"]) == ("uci/uk", "GBP")
    assert shown["expected_minor"] == 3 * 2821
    assert shown["differences"] == [
        {
            "reason": "SHORT_PAID",
            "differences": 1,
            "expected_minor": 3001,
            "settled_minor": 2900,
            "difference_minor": -101,
        }
    ]
    assert shown["written_off_minor"] == -1
    assert shown["not_due_minor"] == 2821
    assert shown["expected_minor"] == shown["matched_minor"] + 3001 + shown["not_due_minor"]
    assert (shown["lines"], shown["lines_cleared"]) == (9, 8)
    assert shown["clear_rate_lines"] == round(8 / 9, 6)
    assert shown["statements"] == {"posted": 1}
    by_component = {one["component"]: one for one in shown["components"]}
    assert by_component["goods"]["matched_minor"] == 3001
    assert by_component["payout"]["settled_minor"] == -10
    await desk.scenario.sample_gauges()
    assert REGISTRY.get_sample_value(
        "oms_settlement_clear_rate", {"account": "uci/uk", "currency": "GBP"}
    ) == pytest.approx(8 / 9)
    assert REGISTRY.get_sample_value("oms_settlement_open_differences", {"reason": "SHORT_PAID"}) == 1


async def test_lines_are_listed_page_by_page_with_what_became_of_them(desk, sale, statement):
    await desk.scenario.given(*sale("A-1").whole())
    told = statement().settle("A-1", commission=-451, payment_fee=-500).add("", "subscription", -5).add("X", "goods", 5)
    await desk.hand_in(told)
    path = f"/v1/statements/{(await desk.statement(told))['statement_id']}/lines"
    first = await desk.get(path, limit=4)
    rest = await desk.get(path, limit=4, cursor=first["next_cursor"])
    states = {(line["order_no"], line["component"]): line["state"] for line in first["items"] + rest["items"]}
    assert states == {
        ("A-1", "goods"): "matched",
        ("A-1", "shipping"): "matched",
        ("A-1", "commission"): "written_off",
        ("A-1", "payment_fee"): "different",
        ("", "subscription"): "booked",
        ("X", "goods"): "different",
    }
    assert len((await desk.get(path, order_no="X"))["items"]) == 1


async def test_statements_are_listed_newest_first(desk, sale, statement):
    await desk.scenario.given(*sale("A-1").whole())
    for number in range(3):
        await desk.hand_in(statement().add("A-1", "goods", number))
    page = await desk.get("/v1/statements", limit=2, state="posted")
    rest = await desk.get("/v1/statements", limit=2, state="posted", cursor=page["next_cursor"])
    totals = [one["total_minor"] for one in page["items"] + rest["items"]]
    assert (totals, rest["next_cursor"]) == ([2, 1, 0], None)


async def test_the_export_is_no_way_to_run_formulas(desk, sale, statement):
    await desk.scenario.given(*sale("A-1").whole())
    told = statement().settle("A-1", goods=2000)
    told.add("'=HYPERLINK(0)", "goods", 5).add("'+1", "goods", 6).add("'@x", "goods", 7)
    await desk.hand_in(told)
    answer = await desk.scenario.client.get("/v1/differences:export", params={"state": "open"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(row["order_no"] for row in rows) == ["'+1", "'=HYPERLINK(0)", "'@x", "A-1"]
    assert [row["difference_minor"] for row in rows if row["order_no"] == "A-1"] == ["-1001"]


async def test_the_export_has_the_filters_of_the_list(desk, sale, statement):
    sales = [sale("A-1"), sale("A-2")]
    await desk.scenario.given(*(event for one in sales for event in one.whole()))
    await desk.hand_in(statement().settle("A-1", goods=2000).settle("A-2", shipping=1))
    (listed,) = await desk.differences(order_id=str(sales[1].order_id))
    params = {"order_id": listed["order_id"]}
    answer = await desk.scenario.client.get("/v1/differences:export", params=params)
    assert [row["difference_id"] for row in csv.DictReader(io.StringIO(answer.text))] == [listed["difference_id"]]


async def test_profiles_and_cards_are_shown_as_they_were_set(desk):
    profile = {"channel": "uci", "shop": "fr", "currency": "EUR", "format": "stripe_balance", "due_days": 3}
    assert (await desk.scenario.client.put("/v1/settlement-accounts", json=profile)).status_code == 200
    (account,) = (await desk.get("/v1/settlement-accounts"))["items"]
    assert (account["account"], account["profile"]["due_days"], account["currency"]) == ("uci/fr", 3, "EUR")
    cards = (await desk.get("/v1/rate-cards", channel="uci"))["items"]
    assert [(card["shop"], card["component"]) for card in cards] == [("*", "commission"), ("*", "payment_fee")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/statements/00000000-0000-0000-0000-000000000001", None, 404),
        ("GET", "/v1/statements/00000000-0000-0000-0000-000000000001/lines", None, 404),
        ("GET", "/v1/differences/00000000-0000-0000-0000-000000000001", None, 404),
        ("GET", "/v1/expectations?order_id=00000000-0000-0000-0000-000000000001", None, 404),
        ("GET", "/v1/expectations", None, 422),
        ("GET", "/v1/statements?cursor=e30", None, 422),
        ("GET", "/v1/statements?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDdd", None, 422),
        ("GET", "/v1/differences?cursor=Wy0xXQ", None, 422),
        ("GET", "/v1/journal-entries?cursor=WyIiLCIiLC0xXQ", None, 422),
        ("GET", "/v1/dead-letters?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDhd", None, 422),
        ("GET", "/v1/statements?state=lost", None, 422),
        ("GET", "/v1/journal-entries?account=nothing", None, 422),
        ("POST", "/v1/differences/00000000-0000-0000-0000-000000000001:write-off", {}, 404),
        ("PUT", "/v1/rate-cards", {"channel": "uci"}, 422),
        ("PUT", "/v1/settlement-accounts", {"channel": "a", "shop": "b", "currency": "XXX"}, 422),
        ("PUT", "/v1/write-off-policy", {"operator": {"per_difference_minor": -1, "per_day_minor": 0}}, 422),
    ],
)
async def test_what_cannot_be_is_refused_as_a_problem(scenario, method, path, body, status):
    headers = {"x-oms-actor": "fin", "x-oms-role": "finance"}
    answer = await scenario.client.request(method, path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_bounds_of_a_card_must_leave_room(scenario):
    card = {
        "channel": "uci",
        "component": "commission",
        "currency": "GBP",
        "rate_ppm": 1,
        "min_minor": 5,
        "max_minor": 4,
        "version": "1",
        "valid_from": "2026-01-01T00:00:00Z",
    }
    answer = await scenario.client.put("/v1/rate-cards", json=card)
    assert (answer.status_code, "min_minor must not be above" in answer.text) == (422, True)
