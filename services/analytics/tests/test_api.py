"""Bounds and errors of the HTTP API."""

from datetime import UTC, datetime, timedelta

import pytest

from oms_events.testing.scenario import Scenario

from .stories import MARCH, Story


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/profit", 422),
        ("/v1/profit?by=moon", 422),
        ("/v1/profit?by=shop&version=dreamt", 422),
        ("/v1/profit?by=shop&from=yesterday", 422),
        ("/v1/profit?by=shop&currency=XXX", 422),
        ("/v1/profit?by=shop&limit=0", 422),
        ("/v1/profit?by=shop&channel=%27%20or%201", 422),
        ("/v1/profit?by=day&from=2026-03-03&to=2026-03-01", 200),
        ("/v1/profit?by=sku&from=0001-01-01&to=9999-12-31", 200),
        ("/v1/profit/orders", 422),
        ("/v1/profit/orders?currency=GBP&cursor=nonsense", 422),
        ("/v1/profit/orders?currency=GBP&cursor=WzEsICJ4Il0", 422),
        ("/v1/profit/orders?currency=GBP&to=9999-12-31", 200),
        ("/v1/profit/orders/1", 422),
        ("/v1/profit/orders/00000000-0000-4000-8000-000000000000", 404),
        ("/v1/overview?from=2026-03-01T00:00:00", 422),
        ("/v1/overview?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", 422),
        ("/v1/overview?to=0001-01-01T00:00:00Z", 200),
        ("/v1/overview", 200),
    ],
)
async def test_bad_questions_are_answered_with_a_problem(scenario: Scenario, path: str, status: int) -> None:
    response = await scenario.client.get(path)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_cockpit_shows_days_of_a_long_time_and_hours_of_a_short_one(scenario: Scenario) -> None:
    stories = [Story(at=MARCH + timedelta(hours=hours), shipping=0) for hours in (0, 1, 25, 24 * 9)]
    await scenario.given(*(story.placed() for story in stories))
    await scenario.run_jobs()
    shown = (await scenario.client.get("/v1/overview")).json()
    assert (shown["resolution"], [point["orders"] for point in shown["series"]]) == ("day", [2, 1, 1])
    assert shown["currencies"][0]["orders"] == 4
    assert [sku["sku"] for sku in shown["top_skus"]] == ["MUG", "TEA"]
    asked = {"from": MARCH.isoformat(), "to": (MARCH + timedelta(hours=30)).isoformat()}
    short = (await scenario.client.get("/v1/overview", params=asked)).json()
    assert (short["resolution"], [point["orders"] for point in short["series"]]) == ("hour", [1, 1, 1])
    assert short["currencies"][0]["sales_minor"] == 3 * stories[0].goods


async def test_the_last_moment_of_time_breaks_nothing(scenario: Scenario) -> None:
    await scenario.given(Story(at=datetime(9999, 12, 31, 23, 59, tzinfo=UTC)).placed())
    await scenario.run_jobs()
    assert (await scenario.client.get("/v1/overview")).json()["currencies"][0]["orders"] == 1
