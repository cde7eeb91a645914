import pytest

from oms_local.platform import PlatformUnavailable, asked_way, choose
from oms_local.servers import PostgresServer, Way

BOTH = {"OMS_KAFKA_BOOTSTRAP": "127.0.0.1:1", "OMS_POSTGRES_URL": "postgresql://u:p@127.0.0.1/postgres"}


async def docker_answers() -> str | None:
    return None


async def no_docker() -> str | None:
    return "no Docker daemon answers"


async def not_to_be_asked() -> str | None:
    raise AssertionError("asked about Docker although the way was settled")


async def test_given_addresses_come_first():
    way, why = await choose(None, BOTH, not_to_be_asked)
    assert way is Way.ADDRESSES
    assert "OMS_KAFKA_BOOTSTRAP" in why


@pytest.mark.parametrize("given", BOTH)
async def test_one_address_alone_is_refused_by_the_name_of_the_other(given):
    (other,) = set(BOTH) - {given}
    with pytest.raises(PlatformUnavailable, match=other):
        await choose(None, {given: BOTH[given]}, docker_answers)


async def test_docker_is_taken_where_it_answers():
    assert (await choose(None, {}, docker_answers))[0] is Way.DOCKER


async def test_without_docker_processes_are_started_and_the_reason_is_said():
    assert await choose(None, {}, no_docker) == (Way.LOCAL, "no Docker daemon answers")


async def test_docker_asked_for_and_not_there_is_an_error():
    with pytest.raises(PlatformUnavailable, match="no Docker daemon"):
        await choose(Way.DOCKER, {}, no_docker)


async def test_a_way_asked_for_beats_given_addresses():
    assert (await choose(Way.LOCAL, BOTH, not_to_be_asked))[0] is Way.LOCAL


async def test_addresses_asked_for_and_not_given_is_an_error():
    with pytest.raises(PlatformUnavailable, match="OMS_KAFKA_BOOTSTRAP and OMS_POSTGRES_URL"):
        await choose(Way.ADDRESSES, {}, docker_answers)


def test_the_environment_may_ask():
    assert asked_way({}) is None
    assert asked_way({"OMS_PLATFORM": "auto"}) is None
    assert asked_way({"OMS_PLATFORM": "local"}) is Way.LOCAL
    with pytest.raises(PlatformUnavailable, match="podman"):
        asked_way({"OMS_PLATFORM": "podman"})


def test_a_url_survives_awkward_passwords():
    server = PostgresServer("127.0.0.1", 5433, "us er", "p@ss:/w%rd")
    assert PostgresServer.parse(server.url()) == server


def test_a_password_is_not_shown():
    assert "hunter2" not in repr(PostgresServer("127.0.0.1", 5432, "u", "hunter2"))


@pytest.mark.parametrize("url", ["mysql://u:p@h/d", "postgresql://h/d", "postgresql://u@h/d", "nonsense"])
def test_an_incomplete_url_is_refused(url):
    with pytest.raises(ValueError, match="OMS_POSTGRES_URL"):
        PostgresServer.parse(url)
