"""The books: balanced, append-only, chained; what is wrong in them is found."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from oms_settlement.domain.journal import GENESIS, Unbalanced, chain, digest, entry
from oms_settlement.entrypoints.cli import main

AT = datetime(2026, 3, 1, tzinfo=UTC)


async def change(desk, statement: str) -> None:
    """Do what only a superuser can: change the journal behind its trigger."""
    async with desk.scenario.runtime.write() as connection:
        await connection.execute(text("set local session_replication_role = replica"))
        await connection.execute(text(statement))


@pytest.fixture
async def booked(desk, sale, statement):
    await desk.scenario.given(*sale("A-1").whole(), *sale("A-2").whole())
    await desk.hand_in(statement().settle("A-1").settle("A-2", goods=3000))
    return desk


@pytest.mark.parametrize(
    "forbidden",
    ["update journal_entries set purpose = 'x'", "delete from journal_entries", "truncate journal_entries"],
)
async def test_an_entry_cannot_be_changed(booked, forbidden):
    with pytest.raises(DBAPIError, match="append-only"):
        async with booked.scenario.runtime.write() as connection:
            await connection.execute(text(forbidden))
    assert await booked.sound()


async def test_the_database_takes_no_entry_that_does_not_balance(booked):
    unbalanced = """
        insert into journal_entries (account, currency, entry_no, entry_id, purpose, booked_at, ledger_accounts,
                                     components, amounts, hash)
        values ('uci/uk', 'GBP', 999, gen_random_uuid(), 'x', now(), '{1122,6001.1}', '{goods,goods}', '{5,-4}', 'x')
    """
    with pytest.raises(DBAPIError, match="journal_entries_balance"):
        async with booked.scenario.runtime.write() as connection:
            await connection.execute(text(unbalanced))


@pytest.mark.parametrize(
    ("tampering", "what"),
    [
        ("update journal_entries set booked_at = booked_at + interval '1 day' where entry_no = 2", "hash"),
        (
            "update journal_entries set amounts[1] = amounts[1] + 1, amounts[2] = amounts[2] - 1 where entry_no = 2",
            "hash",
        ),
        ("delete from journal_entries where entry_no = 2", "entry 2 is missing"),
        ("delete from journal_entries where entry_no = 6", "does not end where its head says"),
        (
            "update ledger_balances set debit_minor = debit_minor + 1 where ledger_account = '1122'",
            "kept balance of 1122",
        ),
    ],
)
async def test_what_was_rewritten_is_found(booked, tampering, what):
    await change(booked, tampering)
    shown = await booked.get("/v1/ledger/verification")
    assert not shown["sound"]
    assert any(what in fault["what"] for fault in shown["faults"])


async def test_the_command_verifies_and_tells_by_its_exit_code(booked, monkeypatch, capsys):
    async with booked.scenario.runtime.connection() as connection:
        url = connection.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("OMS_DATABASE_URL", url)

    async def exit_code() -> int:
        with pytest.raises(SystemExit) as left:
            # In a thread: the command runs an event loop of its own.
            await asyncio.to_thread(main, ["ledger", "verify"])
        return left.value.code

    assert await exit_code() == 0
    assert '"entries": 6' in capsys.readouterr().out
    await change(booked, "delete from journal_entries where entry_no = 1")
    assert await exit_code() == 1


async def test_entries_are_shown_with_both_sides(booked, sale):
    entries = (await booked.get("/v1/journal-entries", order_id=str(sale("A-2").order_id)))["items"]
    assert [entry["purpose"] for entry in entries] == ["paid", "dispatched", "settled"]
    for one in entries:
        assert sum(side["debit_minor"] for side in one["postings"]) == sum(
            side["credit_minor"] for side in one["postings"]
        )
    settled = {(side["ledger_account"], side["component"]): side["debit_minor"] for side in entries[-1]["postings"]}
    assert settled["1012", "goods"] == 3000
    page = await booked.get("/v1/journal-entries", account="uci/uk", limit=4)
    rest = await booked.get("/v1/journal-entries", account="uci/uk", limit=4, cursor=page["next_cursor"])
    assert [one["entry_no"] for one in page["items"] + rest["items"]] == [1, 2, 3, 4, 5, 6]


accounts = st.sampled_from(["1012", "1122", "2203", "2241.2"])
amounts = st.integers(-(10**12), 10**12)


@given(st.dictionaries(st.tuples(accounts, st.sampled_from(["goods", "refund"])), amounts, min_size=1))
def test_only_what_balances_becomes_an_entry(postings):
    if sum(postings.values()) != 0 or not any(postings.values()):
        with pytest.raises(Unbalanced):
            entry("a/b", "GBP", "1", "x", booked_at=AT, postings=postings)
        left = sum(postings.values())
        postings[("9999", "goods")] = -left
        if not any(postings.values()):
            return
    one = entry("a/b", "GBP", "1", "x", booked_at=AT, postings=postings)
    assert sum(one.amounts) == 0
    assert 0 not in one.amounts


def test_every_field_of_an_entry_is_in_its_hash_and_in_every_later_one():
    def made(**changed):
        fields = {"entry_id": "1", "purpose": "x", "booked_at": AT, "order_id": "o", "statement_id": "s"}
        fields |= changed
        minor = fields.pop("minor", 5)
        component = fields.pop("component", "goods")
        postings = {("1012", component): minor, ("1122", component): -minor}
        return entry("a/b", "GBP", postings=postings, reverses=fields.pop("reverses", None), **fields)

    plain = chain(0, GENESIS, [made(), made(entry_id="2")])
    for changed in (
        {"entry_id": "9"},
        {"purpose": "y"},
        {"booked_at": AT.replace(microsecond=1)},
        {"order_id": "p"},
        {"statement_id": None},
        {"reverses": "r"},
        {"minor": 6},
        {"component": "refund"},
    ):
        other = chain(0, GENESIS, [made(**changed), made(entry_id="2")])
        assert other[0].hash != plain[0].hash
        assert other[1].hash != plain[1].hash
    assert digest(GENESIS, 2, made()) != plain[0].hash
