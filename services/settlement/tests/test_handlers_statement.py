"""Statements against what is expected: matched to the unit, or different with a reason."""

from datetime import timedelta
from uuid import UUID

import pytest

from oms_events.contracts.settlement import (
    DifferenceAttributed,
    DifferenceResolved,
    JournalPosted,
    StatementImported,
    StatementLineMatched,
    StatementRefused,
    WriteOffPosted,
)
from oms_events.testing.scenario import only
from oms_settlement.app import decisions, imports

from .conftest import FAIR, begun


async def sold(desk, sale, *numbers, **options):
    sales = [sale(number, **options) for number in numbers]
    await desk.scenario.given(*(event for one in sales for event in one.whole()))
    return sales


async def test_a_fair_statement_clears_everything(desk, sale, statement):
    one, two = await sold(desk, sale, "A-1", "A-2")
    events = await desk.hand_in(statement().settle("A-1").settle("A-2").add("", "payout", -5000))
    matched = only(events, StatementLineMatched)
    assert {event.order_id for event in matched} == {one.order_id, two.order_id}
    for event in matched:
        assert {part.component: part.settled_minor for part in event.components} == FAIR
        assert all(part.settled_minor == part.expected_minor for part in event.components)
    (imported,) = only(events, StatementImported)
    assert (imported.lines, imported.total_minor) == (9, 2 * 2821 - 5000)
    assert only(events, DifferenceAttributed) == []
    shown = await desk.statement(statement().settle("A-1").settle("A-2").add("", "payout", -5000))
    assert (shown["state"], shown["lines_done"], shown["lines_cleared"]) == ("posted", 9, 9)
    assert await desk.balances() == {
        "1012": 642,
        "1015": 5000,
        "6001.1": -6002,
        "6001.2": -798,
        "6601.01": 900,
        "6601.02": 258,
    }
    assert await desk.sound()


PLANTED = [
    ({"commission": -500}, {"commission": "RATE_DEVIATION"}),
    ({"payment_fee": -229}, {"payment_fee": "RATE_DEVIATION"}),
    ({"goods": 2901}, {"goods": "SHORT_PAID"}),
    ({"goods": 3000}, {"goods": "SHORT_PAID"}),
    ({"shipping": 400}, {"shipping": "OVER_PAID"}),
    # A missing commission and a subsidy of the same size are two errors, not none.
    ({"commission": 0, "subsidy": -450}, {"subsidy": "UNEXPLAINED"}),
    ({"goods": 3101, "commission": -550}, {"goods": "OVER_PAID", "commission": "RATE_DEVIATION"}),
    ({"commission": -129, "payment_fee": -450}, {"commission": "RATE_DEVIATION", "payment_fee": "RATE_DEVIATION"}),
    ({"refund": -1000}, {"refund": "UNEXPLAINED"}),
]


@pytest.mark.parametrize(("planted", "reasons"), PLANTED)
async def test_a_planted_error_is_never_cleared(desk, sale, statement, planted, reasons):
    (one,) = await sold(desk, sale, "A-1")
    events = await desk.hand_in(statement().settle("A-1", **planted))
    assert {event.component: event.reason for event in only(events, DifferenceAttributed)} == reasons
    assert only(events, WriteOffPosted) == []
    matched = {part.component for event in only(events, StatementLineMatched) for part in event.components}
    assert matched == {name for name, minor in FAIR.items() if name not in planted and minor}
    shown = await desk.statement(statement().settle("A-1", **planted))
    assert len(await desk.differences(statement_id=shown["statement_id"])) == len(reasons)
    for component in reasons:
        assert (await desk.standing(one))[component][2] == "different"
    assert await desk.sound()


async def test_a_fee_charged_twice_and_a_payment_made_twice(desk, sale, statement):
    await sold(desk, sale, "A-1", "A-2")
    await desk.hand_in(statement().settle("A-1").add("A-1", "commission", -450).settle("A-2").add("A-2", "goods", 3001))
    assert await desk.reasons() == {
        ("A-1", "commission"): "DUPLICATE_CHARGE",
        ("A-2", "goods"): "DUPLICATE_PAYMENT",
    }


async def test_rounding_of_a_fee_is_written_off_by_rule_and_told(desk, sale, statement):
    (one,) = await sold(desk, sale, "A-1")
    events = await desk.hand_in(statement().settle("A-1", commission=-451))
    (difference,), (written_off,) = only(events, DifferenceAttributed), only(events, WriteOffPosted)
    assert (difference.reason, written_off.amount_minor, written_off.rule, written_off.by) == (
        "ROUNDING",
        -1,
        "rounding@0",
        "system",
    )
    assert (await desk.standing(one))["commission"] == (-450, -451, "written_off")
    balances = await desk.balances()
    assert balances["6711"] == 1
    assert "2241.2" not in balances


async def test_rounding_beyond_the_days_limit_stays_open(desk, sale, statement):
    policy = {"rounding": {"per_day_minor": 1}}
    headers = {"x-oms-actor": "fin", "x-oms-role": "finance"}
    answer = await desk.scenario.client.put("/v1/write-off-policy", json=policy, headers=headers)
    assert answer.json()["version"] == 1
    await sold(desk, sale, "A-1", "A-2")
    events = await desk.hand_in(statement().settle("A-1", commission=-451).settle("A-2", commission=-449))
    assert [event.rule for event in only(events, WriteOffPosted)] == ["rounding@1"]
    (left,) = await desk.differences(state="open")
    assert (left["order_no"], left["reason"]) == ("A-2", "ROUNDING")
    assert left["detail"] == "the limit rounding.per_day_minor@1 is used up"


async def test_lines_of_no_order(desk, sale, statement):
    await sold(desk, sale, "A-1")
    handed = statement().settle("A-1").add("", "subscription", -3999).add("", "goods", 700).add("", "adjustment", -5)
    await desk.hand_in(handed.settle("X-9"))
    assert await desk.reasons() == {
        ("", "goods"): "NO_KEY",
        ("", "adjustment"): "UNEXPLAINED",
        **{("X-9", component): "MISSING_ORDER" for component in FAIR},
    }
    balances = await desk.balances()
    assert balances["6601.13"] == 3999
    assert (balances["2241.1"], balances["1901"]) == (-700 - 3400, 5 + 579)


async def test_an_order_that_becomes_known_later_takes_its_lines(desk, sale, statement):
    await sold(desk, sale, "A-1")
    await desk.hand_in(statement().settle("A-1").settle("A-2"))
    (late,) = await sold(desk, sale, "A-2")
    events = await desk.scenario.run_jobs()
    assert {event.note for event in only(events, DifferenceResolved)} == {"the order became known"}
    (matched,) = only(events, StatementLineMatched)
    assert (matched.order_id, len(matched.components)) == (late.order_id, 4)
    assert await desk.differences(state="open") == []
    assert "2241.1" not in await desk.balances()
    assert (await desk.get("/v1/settlement/overview"))["accounts"][0]["clear_rate_lines"] == 1
    assert await desk.sound()


async def test_a_line_that_was_decided_about_while_the_job_waits_is_not_taken(desk, sale, statement):
    await sold(desk, sale, "A-1")
    await desk.hand_in(statement().settle("A-2"))
    decided = next(one for one in await desk.differences(state="open") if one["component"] == "shipping")
    await sold(desk, sale, "A-2")
    async with desk.scenario.transaction() as work:
        await decisions.resolve(work, UUID(decided["difference_id"]), by="operator-1", note="paid back by hand")
        job = await begun(desk.scenario, desk.scenario.run_jobs())
    resolved = {event.component: event.note for event in only(await job, DifferenceResolved)}
    assert resolved == dict.fromkeys(FAIR, "the order became known") | {"shipping": "paid back by hand"}
    assert await desk.sound()


async def test_a_statement_that_comes_before_the_dispatch_is_heard_waits_and_clears(desk, sale, statement):
    one = sale("A-1")
    await desk.scenario.given(one.placed(), one.paid())
    await desk.hand_in(statement().settle("A-1"))
    assert await desk.reasons() == {
        ("A-1", "commission"): "TIMING_IN_TRANSIT",
        ("A-1", "payment_fee"): "TIMING_IN_TRANSIT",
    }
    events = await desk.scenario.when(one.dispatched())
    assert {event.component for event in only(events, DifferenceResolved)} == {"commission", "payment_fee"}
    (matched,) = only(events, StatementLineMatched)
    assert {part.component for part in matched.components} == {"commission", "payment_fee"}
    assert await desk.differences(state="open") == []
    assert {state for _, _, state in (await desk.standing(one)).values()} == {"matched"}


async def test_a_component_paid_in_two_statements_clears_with_the_second(desk, sale, statement):
    (one,) = await sold(desk, sale, "A-1")
    await desk.hand_in(statement().settle("A-1", goods=2000))
    assert await desk.reasons() == {("A-1", "goods"): "SHORT_PAID"}
    events = await desk.hand_in(statement().add("A-1", "goods", 1001))
    assert len(only(events, DifferenceResolved)) == 1
    assert (await desk.standing(one))["goods"] == (3001, 3001, "matched")


async def test_the_same_file_twice_is_one_statement(desk, sale, statement):
    await sold(desk, sale, "A-1")
    handed = statement().settle("A-1")
    await desk.hand_in(handed)
    before = await desk.balances()
    assert await desk.hand_in(handed) == []
    assert len((await desk.get("/v1/statements"))["items"]) == 1
    assert await desk.balances() == before


async def test_overlapping_files_count_each_line_once(desk, sale, statement):
    await sold(desk, sale, "A-1", "A-2", "A-3")
    await desk.hand_in(statement().settle("A-1").settle("A-2"))
    second = statement().settle("A-2").settle("A-3")
    events = await desk.hand_in(second)
    assert len(only(events, StatementLineMatched)) == 1
    shown = await desk.statement(second)
    assert (shown["lines"], shown["lines_repeated"], shown["lines_done"], shown["lines_cleared"]) == (8, 4, 8, 4)
    assert (await desk.balances())["1012"] == 3 * 2821
    states = {
        line["order_no"]: line["state"]
        for line in (await desk.get(f"/v1/statements/{shown['statement_id']}/lines"))["items"]
    }
    assert states == {"A-2": "repeated", "A-3": "matched"}


async def test_a_line_told_otherwise_is_a_conflict_and_counts_for_nothing(desk, sale, statement):
    await sold(desk, sale, "A-1")
    await desk.hand_in(statement().settle("A-1"))
    before = await desk.balances()
    events = await desk.hand_in(statement().settle("A-1", goods=3002))
    (difference,) = only(events, DifferenceAttributed)
    assert (difference.reason, difference.expected_minor, difference.settled_minor) == ("RESTATED", 3001, 3002)
    assert only(events, JournalPosted) == []
    assert await desk.balances() == before


async def test_an_order_in_another_currency_is_not_matched(desk, sale, statement):
    await sold(desk, sale, "A-1")
    (other,) = await sold(desk, sale, "E-1", currency="EUR")
    await desk.hand_in(statement().settle("E-1"))
    assert set((await desk.reasons()).values()) == {"FX_SETTLEMENT"}
    assert (await desk.standing(other))["goods"] == (3001, 0, "open")
    assert await desk.sound()


async def test_what_was_missing_is_found(desk, sale, statement):
    (one,) = await sold(desk, sale, "A-1")
    desk.scenario.now = one.dispatched().dispatched_at.replace(month=4)
    await desk.scenario.run_jobs()
    events = await desk.hand_in(statement().settle("A-1"))
    assert len(only(events, DifferenceResolved)) == 4
    assert await desk.differences(state="open") == []


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda s: s.text(total=s.total + 1), "not_footed"),
        (lambda s: s.text()[:-20], "truncated"),
        (lambda s: s.text().replace(b"uci,uk", b"uci,fr"), "other_account"),
        (lambda s: s.text().replace(b",GBP,", b",EUR,"), "other_currency"),
        (lambda s: b"PK\x03\x04" + s.text(), "compressed"),
    ],
)
async def test_a_refused_statement_leaves_nothing(desk, sale, statement, spoil, code):
    await sold(desk, sale, "A-1")
    before = await desk.balances()
    spoilt = spoil(statement().settle("A-1"))
    events = await desk.hand_in(spoilt)
    (refused,) = only(events, StatementRefused)
    assert (refused.code, len(events)) == (code, 1)
    shown = await desk.statement(spoilt)
    assert (shown["state"], shown["code"], shown["lines"]) == ("refused", code, 0)
    assert (await desk.get(f"/v1/statements/{shown['statement_id']}/lines"))["items"] == []
    assert await desk.balances() == before
    # The mended file is another file.
    events = await desk.hand_in(statement().settle("A-1"))
    assert len(only(events, StatementImported)) == 1


async def test_a_wallet_of_which_nothing_is_known_has_no_currency(desk, statement):
    events = await desk.hand_in(statement().settle("A-1"))
    assert [event.code for event in only(events, StatementRefused)] == ["account_unknown"]


async def test_what_was_refused_is_handed_in_again_once_its_account_is_known(desk, statement):
    handed_in = statement().settle("A-1")
    await desk.hand_in(handed_in)
    account = {"channel": "uci", "shop": "uk", "currency": "GBP"}
    assert (await desk.scenario.client.put("/v1/settlement-accounts", json=account)).status_code == 200
    first = await desk.received(handed_in)
    assert await desk.scenario.when(first) + await desk.scenario.run_jobs() == [], "heard again it is the same news"
    desk.scenario.now += timedelta(minutes=5)
    events = await desk.hand_in(handed_in)
    assert len(only(events, StatementImported)) == 1
    shown = await desk.statement(handed_in)
    assert (shown["state"], shown["code"], shown["row"], shown["lines"]) == ("posted", None, None, 4)
    desk.scenario.now += timedelta(minutes=5)
    assert await desk.hand_in(handed_in) == [], "what is posted stays so"
    assert await desk.sound()


async def test_a_format_that_was_named_wrongly_is_put_right_by_handing_in_again(desk, sale, statement):
    await sold(desk, sale, "A-1")
    handed_in = statement().settle("A-1").text()
    events = await desk.hand_in(handed_in, form="amazon_v2")
    assert [event.code for event in only(events, StatementRefused)] == ["header_changed"]
    desk.scenario.now += timedelta(minutes=5)
    twice = [await desk.received(handed_in), await desk.received(handed_in)]
    events = await desk.scenario.when(*twice) + await desk.scenario.run_jobs()
    assert [event.format for event in only(events, StatementImported)] == ["canonical"]


async def test_a_file_that_the_store_lost_is_refused_by_name(desk, sale, statement, tmp_path):
    await sold(desk, sale, "A-1")
    received = await desk.received(statement().settle("A-1"))
    (file,) = [path for path in (tmp_path / "files").rglob("*") if path.name == received.statement.file_sha256]
    file.unlink()
    await desk.scenario.when(received)
    events = await desk.scenario.run_jobs()
    assert [event.code for event in only(events, StatementRefused)] == ["file_missing"]


async def test_a_file_that_makes_reading_fail_does_not_hold_up_others(desk, sale, statement, monkeypatch):
    await sold(desk, sale, "A-1")
    bad, good = statement().settle("A-1", goods=1), statement().settle("A-1")
    await desk.scenario.given(await desk.received(bad), await desk.received(good))
    read = imports.read

    def stumbling(form, chunks, *, account):
        content = b"".join(chunks)
        if content == bad.text():
            raise ZeroDivisionError
        return read(form, [content], account=account)

    monkeypatch.setattr(imports, "read", stumbling)
    events = await desk.scenario.run_jobs()
    assert [event.code for event in only(events, StatementRefused)] == ["unreadable"]
    assert len(only(events, StatementImported)) == 1
