"""An import that is cut short anywhere goes on, and ends with the same books."""

from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import text

from oms_events.contracts.settlement import StatementImported, StatementRefused
from oms_events.runtime.work import Work
from oms_events.testing.scenario import Scenario, only
from oms_settlement.adapters import statements
from oms_settlement.app import imports
from oms_settlement.app.imports import import_statements
from oms_settlement.domain.statements import rows
from oms_settlement.service import service
from oms_settlement.settings import settings

from .conftest import CARDS, ROOT, Desk, Sale, Statement

NUMBERS = [f"A-{number}" for number in range(6)]


class Killed(BaseException):
    """What a kill -9 looks like from inside: the transaction is gone, and nobody goes on."""


class Mortal:
    """Begins transactions of a scenario's service until it dies: before its n-th commit."""

    def __init__(self, scenario: Scenario, *, lives: int) -> None:
        self._scenario = scenario
        self._left = lives
        self.begun = 0

    @asynccontextmanager
    async def begin(self):
        async with self._scenario.transaction() as work:
            yield work
            self.begun += 1
            self._left -= 1
            if self._left == 0:
                raise Killed


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows a step, so that a short file takes many."""
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 400)
    monkeypatch.setattr(settings(), "chunk_orders", 2)


@pytest.fixture
def told() -> Statement:
    """Fair, but for a deviation, a duplicate, rounding, and lines of orders that nobody knows."""
    made = Statement().settle("A-0", commission=-500).settle("A-1", payment_fee=-130)
    for number in NUMBERS[2:]:
        made.settle(number)
    return made.add("A-3", "commission", -450).settle("X-1").add("", "payout", -100)


async def opened(scenario_of, store, told: Statement) -> Desk:
    scenario = await scenario_of(service, ROOT / "migrations")
    for card in CARDS:
        terms = {"channel": "uci", "currency": "GBP", "version": "2026", "valid_from": "2026-01-01T00:00:00Z"}
        assert (await scenario.client.put("/v1/rate-cards", json=card | terms)).status_code == 201
    sales = [Sale(number, shipment=UUID(int=place)) for place, number in enumerate(NUMBERS, 1)]
    await scenario.given(*(event for sale in sales for event in sale.whole()))
    desk = Desk(scenario, store)
    await scenario.given(await desk.received(told))
    return desk


async def books(desk: Desk) -> tuple[list, list, list]:
    async with desk.scenario.runtime.connection() as connection:
        heads = [tuple(row) for row in await connection.execute(text("select * from ledger_heads order by 1, 2"))]
        totals = [
            tuple(row) for row in await connection.execute(text("select * from component_totals order by 1, 2, 3"))
        ]
    return heads, totals, await desk.differences()


async def test_killed_after_any_step_it_ends_with_the_same_books(scenario_of, store, told):
    untouched = await opened(scenario_of, store, told)
    counting = Mortal(untouched.scenario, lives=10**6)
    await import_statements(counting.begin)
    events = await untouched.scenario.published()
    expected = await books(untouched)
    assert counting.begun > 12
    assert await untouched.sound()
    for lives in range(1, counting.begun):
        desk = await opened(scenario_of, store, told)
        with pytest.raises(Killed):
            await import_statements(Mortal(desk.scenario, lives=lives).begin)
        await import_statements(Mortal(desk.scenario, lives=10**6).begin)
        assert await books(desk) == expected, f"killed at step {lives}"
        assert await desk.scenario.published() == events, f"killed at step {lives}"
        assert len(await desk.get("/v1/statements")) == 2


async def test_a_file_that_turns_out_bad_at_its_end_leaves_nothing_even_after_a_crash(scenario_of, store, told):
    desk = await opened(scenario_of, store, told)
    before = await books(desk)
    await desk.scenario.run_jobs()
    after = await books(desk)
    spoilt = told.text(total=told.total - 1)
    await desk.scenario.given(await desk.received(spoilt))
    with pytest.raises(Killed):
        await import_statements(Mortal(desk.scenario, lives=4).begin)
    shown = await desk.statement(spoilt)
    assert (shown["state"], 0 < shown["lines"] < len(told.lines)) == ("parsing", True)
    events = await desk.scenario.run_jobs()
    assert [event.code for event in only(events, StatementRefused)] == ["not_footed"]
    assert await books(desk) == after != before
    async with desk.scenario.runtime.connection() as connection:
        left = await connection.execute(text("select statement_no, count(*) from statement_lines group by 1"))
        assert [row.count for row in left] == [len(told.lines)]


async def test_progress_is_seen_while_it_goes_on(scenario_of, store, told):
    desk = await opened(scenario_of, store, told)
    seen = []
    for lives in range(1, 40):
        shown = await desk.statement(told)
        seen.append((shown["state"], shown["lines"], shown["lines_done"]))
        if shown["state"] == "posted":
            break
        try:
            await import_statements(Mortal(desk.scenario, lives=3).begin)  # one look, one step
        except Killed:
            assert lives < 39
    states = [state for state, _, _ in seen]
    assert sorted(set(states), key=states.index) == ["received", "parsing", "matching", "posted"]
    assert seen[-1][1] == seen[-1][2] == len(told.lines)
    assert [done for _, _, done in seen] == sorted(done for _, _, done in seen)


async def test_one_process_imports_at_a_time(scenario_of, store, told):
    desk = await opened(scenario_of, store, told)
    await desk.scenario.published()
    async with desk.scenario.runtime.connection() as other:
        await other.execute(text("select pg_advisory_lock(hashtext('import_statements'))"))
        assert await desk.scenario.run_jobs() == []
        await other.execute(text("select pg_advisory_unlock_all()"))
    assert len(only(await desk.scenario.run_jobs(), StatementImported)) == 1


async def test_a_statement_that_cannot_be_matched_holds_up_its_own_account_alone(scenario_of, store, told, monkeypatch):
    desk = await opened(scenario_of, store, told)
    elsewhere = Sale("B-1", shop="de")
    await desk.scenario.given(*elsewhere.whole())
    behind, beside = Statement().settle("A-0"), Statement(shop="de").settle("B-1")
    await desk.scenario.given(await desk.received(behind), await desk.received(beside))
    match = imports.match_chunk

    async def stumbling(work: Work, found: statements.Statement) -> bool:
        if found.account == "uci/uk":
            raise ZeroDivisionError
        return await match(work, found)

    monkeypatch.setattr(imports, "match_chunk", stumbling)
    with pytest.raises(ZeroDivisionError):
        await desk.scenario.run_jobs()
    assert [event.account for event in only(await desk.scenario.published(), StatementImported)] == ["uci/de"]
    monkeypatch.setattr(imports, "match_chunk", match)
    assert len(only(await desk.scenario.run_jobs(), StatementImported)) == 2
    assert await desk.sound()
