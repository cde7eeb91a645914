"""Makes what the services find when they start: databases with an owner each, topics, tables. Safe to repeat."""

import time
from collections.abc import Mapping, Sequence

import asyncpg
from aiokafka.errors import KafkaError

from oms_events.registry import Topic
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import ensure_topics
from oms_local.errors import LaunchError
from oms_local.process import run, together
from oms_local.servers import Platform, Way
from oms_local.supervisor import Report


class ProvisionFailed(LaunchError):
    """The broker or the database refused what was asked of it."""


async def create_databases(platform: Platform, passwords: Mapping[str, str]) -> None:
    """One database per name in `passwords`, owned by a role of the same name, closed to every other role."""
    connection = await asyncpg.connect(platform.postgres.url())
    try:
        for name, password in passwords.items():
            await _create_role(connection, name, password)
            await _create_database(connection, name, owner=name)
        if platform.how is not Way.ADDRESSES:  # the maintenance databases of a server that is ours
            await connection.execute("revoke connect on database postgres, template1 from public")
    finally:
        await connection.close()


async def _create_role(connection: asyncpg.Connection, name: str, password: str) -> None:
    exists = await connection.fetchval("select true from pg_roles where rolname = $1", name)
    verb = "alter" if exists else "create"
    await _execute(connection, f"{verb} role %I login password %L", name, password)


async def _create_database(connection: asyncpg.Connection, name: str, *, owner: str) -> None:
    if not await connection.fetchval("select true from pg_database where datname = $1", name):
        await _execute(connection, "create database %I owner %I", name, owner)
    await _execute(connection, "revoke all on database %I from public", name)


async def _execute(connection: asyncpg.Connection, statement: str, *parts: str) -> None:
    """Run a statement of the kind that takes no parameters; the server itself quotes its parts."""
    await connection.execute(await connection.fetchval("select format($1, variadic $2::text[])", statement, parts))


async def create_topics(broker: Broker, topics: Sequence[Topic], partitions: int, report: Report) -> None:
    """Every topic with its settings. One that exists stays as it is; a different number of partitions is said."""
    try:
        await ensure_topics(broker, topics, partitions=partitions)
    except KafkaError as error:
        raise ProvisionFailed(f"the broker did not create the topics: {error}") from None
    async with broker.admin() as admin:
        for found in await admin.describe_topics([topic.name for topic in topics]):
            if len(found["partitions"]) != partitions:
                report(f"topic {found['topic']} keeps its {len(found['partitions'])} partitions")


async def migrate(scripts: Mapping[str, Mapping[str, str]], report: Report) -> None:
    """Run `<script> migrate` for every script, each with its environment. Raises CommandFailed."""
    began = time.monotonic()
    await together(*(run([script, "migrate"], env=environment) for script, environment in scripts.items()))
    report(f"databases: migrated ({time.monotonic() - began:.1f} s)")
