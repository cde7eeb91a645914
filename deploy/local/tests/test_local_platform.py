"""Real servers, started by us."""

import asyncio
import os
import shutil
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from oms_events.registry import Topic
from oms_events.runtime.broker import Broker
from oms_local import containers, kafka, postgres, provision
from oms_local.detour import Detour
from oms_local.platform import PlatformUnavailable, acquire
from oms_local.ports import Ports
from oms_local.probes import LoginRefused
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder
from oms_local.servers import Platform, Way

pytestmark = pytest.mark.integration

TOPIC = Topic("oms.local.trial.v1", key="trial_id")


@pytest.mark.parametrize("way", [Way.LOCAL, Way.DOCKER])
async def test_what_was_written_is_there_after_a_second_start(way, tmp_path, pytestconfig, said):
    if way is Way.DOCKER and (obstacle := await containers.obstacle(said.append)):
        pytest.skip(obstacle)
    record = TopicPartition(TOPIC.name, 0)

    def running() -> AbstractAsyncContextManager[Platform]:
        return acquire(
            Profile.RUN,
            run_dir=tmp_path / "run",
            cache_dir=pytestconfig.rootpath / ".cache",
            way=way,
            report=said.append,
        )

    async with running() as platform:
        await provision.create_topics(Broker(platform.bootstrap), [TOPIC], 1, said.append)
        async with AIOKafkaProducer(bootstrap_servers=platform.bootstrap) as producer:
            await producer.send_and_wait(TOPIC.name, b"kept")
        connection = await asyncpg.connect(platform.postgres.url())
        await connection.execute("create table kept (); insert into kept default values")
        await connection.close()
        assert set(platform.pids()) == {"kafka", "postgres"}

    async with running() as platform:
        async with AIOKafkaConsumer(bootstrap_servers=platform.bootstrap) as consumer:
            consumer.assign([record])
            await consumer.seek_to_beginning(record)
            assert (await asyncio.wait_for(consumer.getone(), 10)).value == b"kept"
        connection = await asyncpg.connect(platform.postgres.url())
        assert await connection.fetchval("select count(*) from kept") == 1
        await connection.close()

    # As `clean` does: as root the data were placed outside tmp_path, which pytest would not remove.
    folder = RunFolder(tmp_path / "run")
    containers.remove_data(folder)
    folder.remove()


async def test_a_detour_is_a_listener_that_names_the_port_in_between(tmp_path, pytestconfig, said):
    ports = Ports()
    detour = Detour(broker_port=ports.draw(), broker_listens=ports.draw(), database_port=ports.draw())
    async with acquire(
        Profile.FAULTS,
        run_dir=tmp_path / "run",
        cache_dir=pytestconfig.rootpath / ".cache",
        way=Way.LOCAL,
        report=said.append,
        detours={"alpha": detour},
        database_port=(database_port := ports.draw()),
    ) as platform:
        assert platform.postgres.port == database_port
        admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{detour.broker_listens}")
        await admin.start()
        with pytest.raises(KafkaError):  # nothing carries bytes from the port that the broker names
            await admin.describe_cluster()
        (broker,) = admin._client.cluster.brokers()
        await admin.close()
    assert broker.port == detour.broker_port
    RunFolder(tmp_path / "run").remove()


async def test_detours_are_refused_where_the_servers_are_not_ours(monkeypatch, platform, said):
    monkeypatch.setenv("OMS_KAFKA_BOOTSTRAP", platform.bootstrap)
    monkeypatch.setenv("OMS_POSTGRES_URL", platform.postgres.url())
    with pytest.raises(PlatformUnavailable, match="local processes only"):
        async with acquire(Profile.TEST, way=Way.ADDRESSES, report=said.append, detours={"alpha": Detour(1, 2, 3)}):
            pass


async def test_the_database_turns_away_a_wrong_password(platform):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(platform.postgres.login(platform.postgres.user, "wrong").url())


async def test_a_login_that_is_refused_is_said_in_a_line(monkeypatch, platform, said):
    monkeypatch.setenv("OMS_KAFKA_BOOTSTRAP", platform.bootstrap)
    monkeypatch.setenv("OMS_POSTGRES_URL", platform.postgres.login("nobody", "wrong").url())
    with pytest.raises(LoginRefused, match=r"^PostgreSQL at .* refuses nobody: [^\n]*$"):
        async with acquire(Profile.TEST, way=Way.ADDRESSES, report=said.append):
            pass


async def test_given_addresses_are_used_and_not_stopped(monkeypatch, platform, said):
    monkeypatch.delenv("OMS_PLATFORM", raising=False)
    monkeypatch.setenv("OMS_KAFKA_BOOTSTRAP", platform.bootstrap)
    monkeypatch.setenv("OMS_POSTGRES_URL", platform.postgres.url())
    async with acquire(Profile.TEST, report=said.append) as given:
        assert (given.how, given.bootstrap, given.postgres) == (Way.ADDRESSES, platform.bootstrap, platform.postgres)
    connection = await asyncpg.connect(platform.postgres.url())
    await connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the database under another account")
async def test_a_private_project_folder_is_left_as_it_is(tmp_path, pytestconfig, said, monkeypatch):
    """Neither the run folder nor the installed packages can be entered by the database's account."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for package in (postgres._PACKAGE, postgres._PACKAGE.with_suffix(".libs")):
        shutil.copytree(package, private / package.name)
    monkeypatch.setattr(postgres, "_PACKAGE", private / postgres._PACKAGE.name)
    async with acquire(
        Profile.RUN,
        run_dir=private / "run",
        cache_dir=pytestconfig.rootpath / ".cache",
        way=Way.LOCAL,
        report=said.append,
    ):
        assert private.stat().st_mode & 0o777 == 0o700
    data = private / "run" / "postgres"
    assert data.is_symlink()
    assert any(str(data.readlink()) in line for line in said)
    RunFolder(private / "run").remove()
    assert not data.resolve().exists()


async def test_the_first_stop_leaves_an_archive_of_classes_even_when_it_is_cancelled(
    tmp_path, pytestconfig, said, platform
):
    """The way `up` ends. Jars come from the cache of this run, so that they are not fetched again."""
    jars = pytestconfig.rootpath / ".cache" / f"kafka-{kafka.VERSION}" / "libs"
    if not jars.exists():
        pytest.skip("the broker of this run is not a local one: there are no jars")
    cache = tmp_path / f"kafka-{kafka.VERSION}"
    cache.mkdir()
    (cache / "libs").symlink_to(jars)
    with pytest.raises(asyncio.CancelledError):
        async with acquire(Profile.TEST, cache_dir=tmp_path, way=Way.LOCAL, report=said.append):
            raise asyncio.CancelledError
    (archive,) = cache.glob("classes-*.jsa")
    assert archive.stat().st_size > 10_000_000


class TestProvision:
    @pytest.fixture
    async def passwords(self, platform):
        passwords = {"oms_trial_a": "pa", "oms_trial_b": "pb"}
        await provision.create_databases(platform, passwords)
        return passwords

    async def test_a_role_owns_its_database(self, platform, passwords):
        login = platform.postgres.login("oms_trial_a", passwords["oms_trial_a"])
        connection = await asyncpg.connect(login.url("oms_trial_a"))
        await connection.execute("create table if not exists mine ()")
        await connection.close()

    @pytest.mark.parametrize("other", ["oms_trial_b", "postgres", "template1"])
    async def test_a_role_reaches_no_other_database(self, platform, passwords, other):
        if platform.how is Way.ADDRESSES and not other.startswith("oms_"):
            pytest.skip("on a server that is not ours its maintenance databases stay as they are")
        login = platform.postgres.login("oms_trial_a", passwords["oms_trial_a"])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(login.url(other))

    async def test_a_second_time_changes_the_password_and_nothing_else(self, platform, passwords):
        owner = platform.postgres.login("oms_trial_a", passwords["oms_trial_a"])
        connection = await asyncpg.connect(owner.url("oms_trial_a"))
        await connection.execute("create table if not exists kept ()")
        await connection.close()
        await provision.create_databases(platform, {"oms_trial_a": 'it\'s "new"'})
        connection = await asyncpg.connect(owner.login("oms_trial_a", 'it\'s "new"').url("oms_trial_a"))
        assert await connection.fetchval("select to_regclass('kept')") == "kept"
        await connection.close()

    async def test_topics_get_their_settings_and_a_second_time_stay(self, platform, said):
        topic = Topic("oms.local.compacted.v1", key="sku", cleanup="compact")
        await provision.create_topics(Broker(platform.bootstrap), [topic], 3, said.append)
        assert said == []
        await provision.create_topics(Broker(platform.bootstrap), [topic], 5, said.append)
        assert said == ["topic oms.local.compacted.v1 keeps its 3 partitions"]
        assert await configured(platform.bootstrap, topic.name, "cleanup.policy") == "compact"

    async def test_a_topic_that_the_broker_refuses_is_named(self, platform, said):
        with pytest.raises(provision.ProvisionFailed, match=r"InvalidTopicError: topic spaces are refused"):
            await provision.create_topics(
                Broker(platform.bootstrap), [Topic("spaces are refused", key="k")], 1, said.append
            )


async def configured(bootstrap: str, topic: str, setting: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {setting: ""})])
    finally:
        await admin.close()
    return answer.resources[0][4][0][1]
