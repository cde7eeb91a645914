"""What people decide about differences, and within which limits."""

from uuid import UUID

import pytest

from oms_events.contracts.settlement import DifferenceResolved, WriteOffPosted
from oms_events.testing.scenario import only
from oms_settlement.adapters import differences
from oms_settlement.adapters.differences import Spender
from oms_settlement.app import decisions

from .conftest import begun


def by(role: str) -> dict[str, str]:
    return {"x-oms-actor": f"{role}-1", "x-oms-role": role}


async def different(desk, sale, statement, number="A-1", **planted) -> dict:
    await desk.scenario.given(*sale(number).whole())
    await desk.hand_in(statement().settle(number, **planted))
    (difference,) = [one for one in await desk.differences(state="open") if one["order_no"] == number]
    return difference


async def decide(desk, difference: dict, what: str, role: str = "operator", **said: str):
    path = f"/v1/differences/{difference['difference_id']}:{what}"
    return await desk.scenario.client.post(path, json=said, headers=by(role))


async def test_an_operator_writes_off_little_and_it_is_told_and_posted(desk, sale, statement):
    difference = await different(desk, sale, statement, goods=2600)
    answer = await decide(desk, difference, "write-off", note="promised by phone")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["state"], shown["closed_by"], shown["rule"]) == ("written_off", "operator-1", "operator@0")
    (written_off,) = only(await desk.scenario.published(), WriteOffPosted)
    assert (written_off.amount_minor, written_off.reason, written_off.by) == (-401, "SHORT_PAID", "operator-1")
    assert (await desk.standing(sale("A-1")))["goods"] == (3001, 2600, "written_off")
    balances = await desk.balances()
    assert balances["6711"] == 401
    assert "1122" not in balances
    assert (await decide(desk, difference, "write-off")).status_code == 409
    assert await desk.sound()


@pytest.mark.parametrize(
    ("role", "goods", "limit"),
    [
        ("operator", 2000, "limit operator.per_difference_minor@0"),
        ("finance", -50_000, "limit finance.per_difference_minor@0"),
        ("viewer", 3000, "role: viewer may not write off"),
        ("none", 3000, "role: none may not write off"),
    ],
)
async def test_what_is_above_a_limit_is_refused_by_its_name(desk, sale, statement, *, role, goods, limit):
    difference = await different(desk, sale, statement, goods=goods)
    before = await desk.balances()
    answer = await decide(desk, difference, "write-off", role)
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith(limit)
    assert await desk.balances() == before
    assert await desk.scenario.published() == []


async def test_finance_may_write_off_what_an_operator_may_not(desk, sale, statement):
    difference = await different(desk, sale, statement, goods=2000)
    assert (await decide(desk, difference, "write-off", "operator")).status_code == 403
    assert (await decide(desk, difference, "write-off", "finance")).status_code == 200


async def test_many_small_ones_meet_the_limit_of_the_day(desk, sale, statement):
    policy = {"operator": {"per_difference_minor": 500, "per_day_minor": 700}}
    put = desk.scenario.client.put
    assert (await put("/v1/write-off-policy", json=policy, headers=by("operator"))).status_code == 403
    assert (await put("/v1/write-off-policy", json=policy, headers=by("finance"))).json()["version"] == 1
    first = await different(desk, sale, statement, "A-1", goods=2601)
    second = await different(desk, sale, statement, "A-2", goods=2601)
    assert (await decide(desk, first, "write-off")).status_code == 200
    answer = await decide(desk, second, "write-off")
    assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (403, "operator.per_day_minor@1")


@pytest.mark.parametrize("earlier", [[], ["A-0"]], ids=["the first of the day", "later that day"])
async def test_two_who_decide_at_once_share_the_limit_of_the_day(desk, sale, statement, earlier):
    policy = {"operator": {"per_difference_minor": 500, "per_day_minor": 700}}
    answer = await desk.scenario.client.put("/v1/write-off-policy", json=policy, headers=by("finance"))
    assert answer.status_code == 200
    for number in earlier:
        small = await different(desk, sale, statement, number, goods=3000)
        assert (await decide(desk, small, "write-off")).status_code == 200
    first = await different(desk, sale, statement, "A-1", goods=2601)
    second = await different(desk, sale, statement, "A-2", goods=2601)
    async with desk.scenario.transaction() as work:
        # Has asked what is left of the limit, and takes of it only when the other asks too.
        await differences.spent(work.connection, [Spender("uci/uk", "GBP", "operator", work.now.date())])
        late = await begun(desk.scenario, decide(desk, second, "write-off"))
        await decisions.write_off(work, UUID(first["difference_id"]), role="operator", by="operator-2", note="")
    answer = await late
    assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (403, "operator.per_day_minor@1")
    (left,) = await desk.differences(state="open")
    assert left["order_no"] == "A-2"


async def test_undoing_posts_the_reversal_and_opens_the_difference(desk, sale, statement):
    difference = await different(desk, sale, statement, goods=2600)
    before = await desk.balances()
    await decide(desk, difference, "write-off")
    (written_off,) = only(await desk.scenario.published(), WriteOffPosted)
    answer = await decide(desk, difference, "undo-write-off", note="they paid after all")
    assert (answer.json()["state"], len(answer.json()["write_offs"])) == ("open", 2)
    (undone,) = only(await desk.scenario.published(), WriteOffPosted)
    assert (undone.amount_minor, undone.reverses) == (401, written_off.write_off_id)
    assert await desk.balances() == before
    entries = (await desk.get("/v1/journal-entries", order_id=difference["order_id"]))["items"]
    assert [entry["purpose"] for entry in entries][-2:] == ["write_off", "write_off_undone"]
    assert entries[-1]["reverses"] == str(written_off.write_off_id)
    assert (await decide(desk, difference, "undo-write-off")).status_code == 409
    assert (await decide(desk, difference, "write-off")).status_code == 200
    assert await desk.sound()


async def test_a_difference_settled_elsewhere_is_resolved_with_a_note(desk, sale, statement):
    difference = await different(desk, sale, statement, commission=-500)
    assert (await decide(desk, difference, "resolve")).status_code == 422
    before = await desk.balances()
    answer = await decide(desk, difference, "resolve", note="credited on invoice 7")
    assert (answer.json()["state"], answer.json()["note"]) == ("resolved", "credited on invoice 7")
    (resolved,) = only(await desk.scenario.published(), DifferenceResolved)
    assert (resolved.by, resolved.reason) == ("operator-1", "RATE_DEVIATION")
    assert await desk.balances() == before
    assert (await decide(desk, difference, "resolve", "viewer", note="x")).status_code == 403


async def test_a_line_of_no_order_can_be_written_off_too(desk, sale, statement):
    await desk.scenario.given(*sale("A-1").whole())
    await desk.hand_in(statement().settle("A-1").add("", "adjustment", -5))
    (difference,) = await desk.differences(state="open")
    assert (await decide(desk, difference, "write-off")).status_code == 200
    balances = await desk.balances()
    assert (balances["6711"], "1901" in balances) == (5, False)
    assert (await desk.get("/v1/settlement/overview"))["accounts"][0]["clear_rate_lines"] == 1


async def test_a_difference_between_files_holds_no_money(desk, sale, statement):
    await desk.scenario.given(*sale("A-1").whole())
    await desk.hand_in(statement().settle("A-1"))
    await desk.hand_in(statement().settle("A-1", goods=3002))
    (difference,) = await desk.differences(state="open")
    assert (await decide(desk, difference, "write-off")).status_code == 409
    assert (await decide(desk, difference, "resolve", note="the first was right")).status_code == 200
