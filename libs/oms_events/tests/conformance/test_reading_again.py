"""A service is made to read again: what it knows it recognises, a projection is filled anew, and nobody does it to a
service that is at work."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from oms_events.runtime import cli, replay_cli
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.service import Service, on

from .kit import Kit, Stepped, expected_of, steps_of, until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("bootstrap", ["kafka"], indirect=True),  # offsets are set by Kafka's own protocol
]
TOPIC = "--topic"


class Script:
    """A service and its command line."""

    def __init__(self, kit: Kit, capsys: pytest.CaptureFixture[str], *, projection: bool = False) -> None:
        self._kit = kit
        self._capsys = capsys
        self.service: Service = replace(
            kit.counting.service(kit.group), consumes=[on(Stepped, kit.counting.on_stepped, projection=projection)]
        )

    def runtime(self) -> Runtime:
        """A process of the service, not yet started."""
        return Runtime(self.service, self._kit.settings())

    async def run(self, *words: str) -> list[dict[str, Any]]:
        """What a command prints; it must succeed."""
        code, out, err = await self._run(*words)
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    async def refused(self, *words: str) -> str:
        """Why a command is refused."""
        code, out, err = await self._run(*words)
        assert (code, out) == (replay_cli.REFUSED, "")
        return err

    async def _run(self, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        arguments = cli._parser(self.service).parse_args(words)
        code = await replay_cli.act(self.service, self._kit.settings(), arguments)
        return code, *self._capsys.readouterr()


@pytest.fixture
def script(kit: Kit, capsys: pytest.CaptureFixture[str]) -> Script:
    return Script(kit, capsys)


async def left_to_read(script: Script) -> int:
    return sum(place["behind"] for place in await script.run("offsets", "show"))


async def test_offsets_are_shown_and_what_is_read_again_is_recognised(kit: Kit, script: Script) -> None:
    steps = steps_of(counters=8, each=3)
    await kit.append(*steps)
    assert await left_to_read(script) == len(steps)
    async with script.runtime().running():
        await kit.until_steps(expected_of(steps))
    shown = await script.run("offsets", "show", TOPIC, Stepped.topic.name)
    assert {place["partition"] for place in shown} == set(range(4))
    assert all(place["committed"] in {place["end"], None} for place in shown)
    assert await left_to_read(script) == 0

    moved = await script.run("offsets", "reset", "--to", "earliest")
    assert {place["next"] for place in moved} == {0}
    assert await left_to_read(script) == len(steps)
    more = [Stepped(counter="more", seq=0)]
    async with script.runtime().running():
        await kit.append(*more)
        await kit.until_steps(expected_of([*steps, *more]))
    assert await left_to_read(script) == 0
    assert await kit.notes(len(steps) + 1) == expected_of([*steps, *more])


async def test_reading_goes_on_at_a_time(kit: Kit, script: Script) -> None:
    before, after = steps_of(counters=3, each=2), [Stepped(counter="c0", seq=2)]
    await kit.append(*before)
    await asyncio.sleep(0.002)  # Kafka's times are whole milliseconds: this one must have passed
    moment = datetime.now(UTC)
    await kit.append(*after)
    await script.run("offsets", "reset", "--to", moment.isoformat())
    assert await left_to_read(script) == len(after)
    await script.run("offsets", "reset", "--to", "2100-01-01T00:00:00+00:00")
    assert await left_to_read(script) == 0


async def test_nobody_sets_the_offsets_of_a_service_at_work(kit: Kit, script: Script) -> None:
    await kit.append(Stepped(counter="c", seq=0))
    async with script.runtime().running():
        await kit.until_steps({"c": [0]})
        assert "has 1 members" in await script.refused("offsets", "reset", "--to", "earliest")
        assert "has 1 members" in await script.refused("offsets", "reset", "--to", "earliest", "--wait", "0.2")
    assert await left_to_read(script) == 0


async def test_a_member_that_fell_silent_is_waited_for(kit: Kit, script: Script) -> None:
    settings = kit.settings(instance="conformance-0")  # static members leave without a word
    async with Runtime(script.service, settings).running():
        await kit.append(Stepped(counter="c", seq=0))
        await kit.until_steps({"c": [0]})
    assert "has 1 members" in await script.refused("offsets", "reset", "--to", "earliest")
    assert await script.run("offsets", "reset", "--to", "earliest", "--wait", "30")
    assert await left_to_read(script) == 1


@pytest.mark.parametrize("said", ["yesterday", "2026-03-02T09:00:00"])
async def test_a_time_without_an_offset_is_no_time(script: Script, said: str) -> None:
    with pytest.raises(SystemExit):
        await script.run("offsets", "reset", "--to", said)


async def test_a_projection_is_filled_anew(kit: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(kit, capsys, projection=True)
    steps = steps_of(counters=5, each=4)
    await kit.append(*steps)
    async with script.runtime().running():
        await kit.until_steps(expected_of(steps))
        assert "has 1 members" in await script.refused("rebuild", Stepped.topic.name)
    async with kit.engine.begin() as connection:
        await connection.execute(text("truncate steps"))
    assert await script.run("rebuild", Stepped.topic.name) == [{"topic": Stepped.topic.name, "records": len(steps)}]
    assert await kit.steps() == expected_of(steps)
    assert await kit.outbox() == 0
    assert await kit.notes(len(steps)) == expected_of(steps)
    async with script.runtime().running():
        await kit.append(Stepped(counter="c0", seq=4))
        await kit.until_steps(expected_of([*steps, Stepped(counter="c0", seq=4)]))


async def test_only_projections_are_filled_anew(script: Script) -> None:
    assert "can rebuild what it keeps of: nothing" in await script.refused("rebuild", Stepped.topic.name)


async def test_nothing_is_filled_anew_behind_a_dead_letter(kit: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(kit, capsys, projection=True)
    kit.counting.poison.add(("c", 0))
    async with script.runtime().running():
        await kit.append(Stepped(counter="c", seq=0))

        async def set_aside() -> bool:
            return await kit.letters() == [("c", "dead")]

        await until(set_aside)
    assert "dead letters are open" in await script.refused("rebuild", Stepped.topic.name)
