"""The pytest plugin, used by a small suite inside this one."""

import asyncpg
import pytest

pytestmark = pytest.mark.integration
pytest_plugins = ["pytester"]

SUITE = """
import asyncio
import asyncpg
import pytest


async def count_databases(url, name):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("select count(*) from pg_database where datname = $1", name)
    finally:
        await connection.close()


@pytest.mark.parametrize("number", range(4))
def test_database(make_database, postgres_admin_url, number):
    first, second = make_database("Stock levels"), make_database("Stock levels")
    assert first != second
    assert asyncio.run(count_databases(postgres_admin_url, first.rpartition("/")[2])) == 1
    with open("made", "a") as made:
        made.write(first + chr(10))


def test_broker(kafka_bootstrap):
    assert ":" in kafka_bootstrap


def test_neither():
    pass
"""


@pytest.fixture
def suite(pytester, platform, monkeypatch):
    """The small suite, on the servers of this run."""
    monkeypatch.setenv("OMS_PLATFORM", "addresses")
    monkeypatch.setenv("OMS_KAFKA_BOOTSTRAP", platform.bootstrap)
    monkeypatch.setenv("OMS_POSTGRES_URL", platform.postgres.url())
    pytester.makepyfile(SUITE)
    return pytester


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "two workers"])
def test_tests_get_databases_of_their_own_and_the_way_is_said(suite, workers):
    result = suite.runpytest_subprocess(*workers)
    result.assert_outcomes(passed=6)
    way = "platform: addresses (OMS_KAFKA_BOOTSTRAP and OMS_POSTGRES_URL are set)"
    # As asked for, when the servers are there, and at the end.
    result.stdout.fnmatch_lines(["broker and database: addresses (*", f"*=== broker and database: {way}", way])
    made = (suite.path / "made").read_text().split()
    assert len(set(made)) == 4


async def test_databases_are_dropped_at_the_end(suite, platform):
    suite.runpytest_subprocess("-k", "not broker and not neither").assert_outcomes(passed=4)
    made = [url.rpartition("/")[2] for url in (suite.path / "made").read_text().split()]
    connection = await asyncpg.connect(platform.postgres.url())
    assert await connection.fetchval("select count(*) from pg_database where datname = any($1)", made) == 0
    await connection.close()


async def test_a_database_may_be_dropped_before_the_end(make_database, platform):
    template = make_database("given up template")
    copy = make_database("given up", template=template)
    left = await asyncpg.connect(copy.replace("+asyncpg", ""))
    make_database.drop(copy)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(copy.replace("+asyncpg", ""))
    make_database.drop(template)
    left.terminate()


def test_nothing_is_started_for_tests_that_do_not_ask(suite):
    result = suite.runpytest_subprocess("-k", "neither", "--platform", "docker")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["no test asked for them"])


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["one process", "a worker"])
def test_a_platform_that_is_not_to_be_had_fails_the_tests_with_the_reason(suite, monkeypatch, workers):
    monkeypatch.delenv("OMS_POSTGRES_URL")
    result = suite.runpytest_subprocess("-k", "broker or neither", *workers)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*PlatformUnavailable: OMS_POSTGRES_URL must be set*", "not to be had: *"])
