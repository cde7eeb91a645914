"""What cannot be applied is set aside with all that waits behind it, and applied in order once it can be."""

import asyncio

import pytest
from sqlalchemy import text

from oms_events.codec import Record
from oms_events.registry import MAX_RECORD_BYTES
from oms_events.runtime import dead_letters
from oms_events.testing.memory_broker import CALM

from .kit import Ignored, Kit, Stepped, expected_of, record_of, steps_of, until
from .kit import structured as in_one_piece


async def poisoned(kit: Kit) -> dict[str, list[int]]:
    """Three counters of five steps; the second step of one cannot be digested. Answers what should come through."""
    kit.counting.poison = {("c1", 1)}
    steps = steps_of(counters=3, each=5)
    await kit.append(*steps)
    return expected_of(steps) | {"c1": [0]}


async def until_letters(kit: Kit, *expected: tuple[str, str]) -> None:
    async def there() -> bool:
        return await kit.letters() == list(expected)

    await until(there)


async def until_some_letter(kit: Kit) -> None:
    """At least one: a record sent twice is buried twice, since nobody can read its id."""

    async def there() -> bool:
        return bool(await kit.letters())

    await until(there)


DEAD = (("c1", "dead"), ("c1", "parked"), ("c1", "parked"), ("c1", "parked"))


async def test_one_bad_event_stops_its_key_only(kit: Kit) -> None:
    through = await poisoned(kit)
    async with kit.runtime().running():
        await kit.until_steps(through)
        await until_letters(kit, *DEAD)
        await kit.append(Stepped(counter="c1", seq=5), Stepped(counter="c0", seq=5))
        await kit.until_steps(through | {"c0": [0, 1, 2, 3, 4, 5]})
        await until_letters(kit, *DEAD, ("c1", "parked"))


@pytest.mark.parametrize("source", ["/oms/test", "/shop"])
async def test_a_letter_holds_the_record_as_it_came(kit: Kit, source: str) -> None:
    kit.counting.poison = {("c1", 0)}
    records = [record_of(Stepped(counter="c1", seq=seq), source=source) for seq in range(2)]
    async with kit.runtime().running():
        await kit.append_records(*records)
        await until_letters(kit, ("c1", "dead"), ("c1", "parked"))
    async with kit.engine.connect() as connection:
        rows = await connection.execute(text("select headers, payload from dead_letters order by id"))
        kept = [({name: value.encode() for name, value in row.headers}, row.payload) for row in rows]
    assert kept == [(dict(record.headers), record.value) for record in records]


async def test_who_asks_for_letters_and_who_replays_them_do_not_lock_each_other_out(kit: Kit) -> None:
    await poisoned(kit)
    async with kit.runtime().running():
        await until_letters(kit, *DEAD)
    async with kit.engine.begin() as connection:  # written anew, the oldest letter lies behind the others
        moved = text("update dead_letters set state = 'replaying' where state = 'dead' returning id, consumer")
        oldest = (await connection.execute(moved)).one()

    async def ask() -> int:
        async with kit.engine.begin() as connection:
            return await dead_letters.replay(connection, oldest.id)

    async with kit.engine.begin() as replaying:
        letter = await dead_letters.next_requested(replaying, oldest.consumer)
        assert letter is not None
        asked = asyncio.create_task(ask())
        await asyncio.sleep(0.3)  # it waits for the letter
        await dead_letters.close_replayed(replaying, oldest.consumer, letter)
    assert await asked == len(DEAD) - 1


async def test_a_replay_applies_the_letter_and_what_waits_behind_it_in_order(kit: Kit) -> None:
    through = await poisoned(kit)
    async with kit.runtime().running():
        await until_letters(kit, *DEAD)
        kit.counting.poison.clear()
        await ask_for_replay(kit)
        await kit.until_steps(through | {"c1": [0, 1, 2, 3, 4]})
        await kit.append(Stepped(counter="c1", seq=5))
        await kit.until_steps(through | {"c1": [0, 1, 2, 3, 4, 5]})
    assert {state for _, state in await kit.letters()} == {"replayed"}


@pytest.mark.parametrize("form", ["binary", "structured"])
async def test_a_version_that_this_code_does_not_know_is_set_aside_with_what_follows_it(kit: Kit, form: str) -> None:
    """As where a writer is upgraded before its readers. An event nobody handles is skipped, in whatever version."""
    newer = [retyped(record_of(Stepped(counter="c0", seq=0)), "v2"), retyped(record_of(Ignored(counter="c1")), "v2")]
    if kit.memory:
        kit.memory.manners = CALM  # sent twice it would be buried twice
    async with kit.runtime().running():
        await kit.append_records(*(newer if form == "binary" else map(in_one_piece, newer)))
        await kit.append(Stepped(counter="c0", seq=1), Stepped(counter="c1", seq=0))
        await kit.until_steps({"c1": [0]})
        await until_letters(kit, ("c0", "dead"), ("c0", "parked"))


def retyped(record: Record, version: str) -> Record:
    """The record as a writer of another version would send it."""
    headers = [
        (name, value.rpartition(b".")[0] + b"." + version.encode() if name == "ce_type" else value)
        for name, value in record.headers
    ]
    return record._replace(headers=headers)


async def test_what_is_parked_after_the_replay_was_asked_for_is_applied_too(kit: Kit) -> None:
    await poisoned(kit)
    async with kit.runtime().running():
        await until_letters(kit, *DEAD)
    kit.counting.poison.clear()
    await ask_for_replay(kit)
    # Nobody replays yet: the next event of the key still finds it blocked.
    blocked = kit.runtime()
    await blocked.runner.apply([positioned(record_of(Stepped(counter="c1", seq=5)))])
    await blocked.close()
    assert (await kit.letters())[-1] == ("c1", "parked")
    async with kit.runtime().running():

        async def all_taken() -> bool:
            return (await kit.steps()).get("c1") == [0, 1, 2, 3, 4, 5]

        await until(all_taken)
    assert {state for _, state in await kit.letters()} == {"replayed"}


async def test_a_replay_that_fails_again_is_dead_again_with_all_behind_it(kit: Kit) -> None:
    await poisoned(kit)
    async with kit.runtime().running():
        await until_letters(kit, *DEAD)
        kit.counting.poison = {("c1", 2)}
        await ask_for_replay(kit)
        await until_letters(kit, ("c1", "replayed"), ("c1", "dead"), ("c1", "parked"), ("c1", "parked"))
    assert (await kit.steps())["c1"] == [0, 1]


async def test_a_discarded_letter_is_left_out(kit: Kit) -> None:
    through = await poisoned(kit)
    async with kit.runtime().running():
        await until_letters(kit, *DEAD)
        async with kit.engine.begin() as connection:
            assert await dead_letters.discard(connection, await kit.letter_id("c1"), by="test") == 1
        await ask_for_replay(kit)
        await kit.until_steps(through | {"c1": [0, 2, 3, 4]})
    assert (await kit.letters())[0] == ("c1", "discarded")


async def ask_for_replay(kit: Kit, key: str = "c1") -> None:
    letter_id = await kit.letter_id(key)
    async with kit.engine.begin() as connection:
        assert await dead_letters.replay(connection, letter_id) > 0


def positioned(record: Record) -> Record:
    """As fetched, from a place no other record has."""
    return Record(record.topic, record.key, record.value, record.headers, 0, 10**6, 0)


def header(record: Record, name: str, value: bytes) -> Record:
    kept = [(known, said) for known, said in record.headers if known != name]
    return Record(record.topic, record.key, record.value, [*kept, (name, value)])


def structured(record: Record, document: bytes) -> Record:
    return Record(record.topic, record.key, document, [("content-type", b"application/cloudevents+json")])


GOOD = record_of(Stepped(counter="bad", seq=0))
UNREADABLE = {
    "not JSON": Record(GOOD.topic, GOOD.key, b"\x00\xff", GOOD.headers),
    "no value": Record(GOOD.topic, GOOD.key, None, GOOD.headers),
    "breaks the contract": Record(GOOD.topic, GOOD.key, b'{"counter": "bad"}', GOOD.headers),
    "id is no id": header(GOOD, "ce_id", b"17"),
    "nested without end": structured(GOOD, b'{"data": ' + b"[" * 100_000),
    "a header of zero bytes": header(header(GOOD, "ce_id", b"\x00"), "other\x00", b"\x00"),
}


@pytest.mark.parametrize("how", UNREADABLE)
async def test_a_record_nobody_can_read_is_set_aside(kit: Kit, how: str) -> None:
    bad = UNREADABLE[how]
    async with kit.runtime().running():
        await kit.append_records(Record(Stepped.topic.name, bad.key, bad.value, bad.headers))
        await kit.append(Stepped(counter="good", seq=0))
        await kit.until_steps({"good": [0]})
        await until_some_letter(kit)
        assert set(await kit.letters()) == {("bad", "dead")}


async def test_an_unreadable_record_stays_dead_when_replayed_and_what_waits_behind_it_comes_once_it_is_discarded(
    kit: Kit,
) -> None:
    if kit.memory:
        kit.memory.manners = CALM  # sent twice it would be buried twice
    bad = UNREADABLE["breaks the contract"]
    async with kit.runtime().running():
        await kit.append_records(Record(Stepped.topic.name, bad.key, bad.value, bad.headers))
        await kit.append(Stepped(counter="bad", seq=1))
        await until_letters(kit, ("bad", "dead"), ("bad", "parked"))
        await ask_for_replay(kit, "bad")
        await until_letters(kit, ("bad", "dead"), ("bad", "parked"))
        async with kit.engine.begin() as connection:
            assert await dead_letters.discard(connection, await kit.letter_id("bad"), by="test") == 1
        await kit.append(Stepped(counter="bad", seq=2))
        await until_letters(kit, ("bad", "discarded"), ("bad", "parked"), ("bad", "parked"))
        await ask_for_replay(kit, "bad")
        await kit.until_steps({"bad": [1, 2]})


async def test_a_key_that_no_text_column_holds_is_set_aside_too(kit: Kit) -> None:
    record = record_of(Stepped(counter="bad", seq=0))
    async with kit.runtime().running():
        await kit.append_records(Record(record.topic, b"\x00\xff", b"", record.headers))
        await kit.append(Stepped(counter="good", seq=0))
        await kit.until_steps({"good": [0]})
        await until_some_letter(kit)
        assert {state for _, state in await kit.letters()} == {"dead"}


async def test_an_event_too_large_to_publish_is_refused(kit: Kit) -> None:
    # The answer carries the padding too, and its own fields on top.
    room = MAX_RECORD_BYTES - len(Stepped(counter="big", seq=0).model_dump_json()) - 2
    limit = Stepped(counter="big", seq=0, padding="x" * room)
    async with kit.runtime().running():
        await kit.append(limit)
        await kit.until_steps({"big": [0]})
    too_large = kit.runtime()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oms_events.codec.MAX_RECORD_BYTES", 1000)
        record = record_of(Stepped(counter="small", seq=0))
        fat = Stepped(counter="fat", seq=0, padding="x" * 2000).model_dump_json().encode()
        await too_large.runner.apply([positioned(Record(record.topic, b"fat", fat, record.headers))])
    await too_large.close()
    assert await kit.letters() == [("fat", "dead")]
    assert (await kit.steps()).get("fat") is None
