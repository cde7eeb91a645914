"""A pytest plugin: a real broker and a real database for the tests that ask for them.

There is one platform per pytest run, started when the first test asks for it. Under xdist the controller owns it
and the workers ask over a local socket. Servers we start are throw-away; given ones are used as they are.
"""

import asyncio
import contextlib
import os
import re
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import asyncpg
import pytest

from oms_local.platform import acquire
from oms_local.ports import Ports
from oms_local.profile import Profile
from oms_local.servers import Platform, PostgresServer, Way
from oms_local.supervisor import Report

if TYPE_CHECKING:  # a plugin of its own: imported by this one, pytest would come too late to rewrite its assertions
    from oms_events.testing.fixtures import MakeDatabase


class Databases:
    """Makes databases on a server, each with the given word in its name, and drops them: a `MakeDatabase`."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._made: set[str] = set()

    def __call__(self, name: str, *, template: str | None = None) -> str:
        database = f"test_{re.sub('[^a-z0-9]+', '_', name.lower())[:40]}_{secrets.token_hex(4)}"
        # Files are copied as they are: the default writes all pages to the log as well.
        source = f' template "{_database_of(template)}" strategy file_copy' if template else ""
        self._execute(f'create database "{database}"{source}')
        self._made.add(database)
        return self._server.sqlalchemy_url(database)

    def drop(self, url: str) -> None:
        self._drop(_database_of(url))

    def drop_all(self) -> None:
        """Drop what is left."""
        for database in list(self._made):
            self._drop(database)

    def _drop(self, database: str) -> None:
        # Forced: a test that left a connection open must not keep the others' databases from going.
        self._execute(f'drop database "{database}" with (force)')
        self._made.discard(database)

    def _execute(self, statement: str) -> None:
        """Do it to the end, also when called from a test whose event loop runs."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _execute(self._server, statement)).result()


def _database_of(url: str) -> str:
    return urlsplit(url).path[1:]


async def _execute(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


class PlatformOwner:
    """Runs the platform in a thread with an event loop of its own, from the first question to `close`.

    The thread stays until then: the kernel ends the servers when the thread that started them ends.
    """

    def __init__(self, way: Way | None, cache_dir: Path, announce: Report) -> None:
        self._way = way
        self._cache_dir = cache_dir
        self._announce = announce
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._running: Future[Platform] = Future()
        self._done = threading.Event()
        self.said: list[str] = []
        """What was reported: the way taken, and why."""

    def start(self) -> Future[Platform]:
        """The platform, started by the first call; or the LaunchError why there is none, for every caller."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="oms platform")
                self._thread.start()
        return self._running

    def close(self) -> None:
        """Stop what was started."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    async def _run(self) -> None:
        try:
            async with acquire(Profile.TEST, cache_dir=self._cache_dir, way=self._way, report=self._say) as platform:
                self._running.set_result(platform)
                await asyncio.to_thread(self._done.wait)
        except Exception as error:
            if self._running.done():
                raise
            self._say(f"not to be had: {error}")
            self._running.set_exception(error)

    def _say(self, line: str) -> None:
        self.said.append(line)
        self._announce(line)


class PlatformSocket:
    """Answers the questions of xdist workers, which are processes of their own, for their controller."""

    def __init__(self, owner: PlatformOwner) -> None:
        self._owner = owner
        self.key = secrets.token_bytes(16)
        self._listener = Listener(authkey=self.key)
        threading.Thread(target=self._answer, name="oms platform socket", daemon=True).start()

    @property
    def address(self) -> str:
        return str(self._listener.address)

    def _answer(self) -> None:
        while True:
            with self._listener.accept() as worker:
                running = self._owner.start()
                failure = running.exception()
                worker.send(failure or replace(running.result(), pids=dict))  # its pids are ours alone to ask


_OWNER = pytest.StashKey[PlatformOwner]()
_SOCKET = pytest.StashKey[PlatformSocket]()
_ADDRESS, _KEY = "oms_platform_address", "oms_platform_key"


class _WorkerNode(Protocol):
    """xdist's view of a worker, from its controller."""

    config: pytest.Config
    workerinput: dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("oms").addoption(
        "--platform",
        choices=["auto", *Way],
        default="auto",
        help="where broker and database come from; auto: OMS_PLATFORM, else the first that can be had",
    )


def pytest_configure(config: pytest.Config) -> None:
    if _is_worker(config):
        return
    asked: str = config.getoption("--platform")
    way = None if asked == "auto" else Way(asked)
    config.stash[_OWNER] = PlatformOwner(way, config.rootpath / ".cache", lambda line: _announce(config, line))


def pytest_report_header(config: pytest.Config) -> str:
    asked: str = config.getoption("--platform")
    if asked == "auto":
        asked = os.environ.get("OMS_PLATFORM", "auto")
    return f"broker and database: {asked} (--platform or OMS_PLATFORM: {', '.join(['auto', *Way])})"


def _announce(config: pytest.Config, line: str) -> None:
    """Say it on the terminal at once: what the tests run on must not be a surprise of the last lines."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None:
        return
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        reporter.ensure_newline()
        reporter.write_line(f"=== broker and database: {line}", bold=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: _WorkerNode) -> None:
    """xdist: a worker is about to start."""
    stash = node.config.stash
    if _SOCKET not in stash:
        stash[_SOCKET] = PlatformSocket(stash[_OWNER])
    socket = stash[_SOCKET]
    node.workerinput |= {_ADDRESS: socket.address, _KEY: socket.key}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("broker and database")
    for line in config.stash[_OWNER].said or ["no test asked for them"]:
        terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config):
        config.stash[_OWNER].close()


@pytest.fixture(scope="session")
def platform(pytestconfig: pytest.Config) -> Platform:
    """The run's broker and database server."""
    if not _is_worker(pytestconfig):
        return pytestconfig.stash[_OWNER].start().result()
    told = pytestconfig.workerinput  # type: ignore[attr-defined]
    with Client(told[_ADDRESS], authkey=told[_KEY]) as controller:
        answer = controller.recv()
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, Platform)
    return answer


@pytest.fixture(scope="session")
def kafka_bootstrap(platform: Platform) -> str:
    """`host:port` of the broker."""
    return platform.bootstrap


@pytest.fixture(scope="session")
def postgres_admin_url(platform: Platform) -> str:
    """The administrator's URL, for asyncpg."""
    return platform.postgres.url()


@pytest.fixture(scope="session")
def make_database(platform: Platform) -> "Iterator[MakeDatabase]":
    """A maker of databases for this worker. They are dropped at the end of the session, if not before."""
    databases = Databases(platform.postgres)
    yield databases
    databases.drop_all()


@pytest.fixture
def free_port() -> int:
    """A port on 127.0.0.1 that no other test is given, for a server that the test starts."""
    return Ports().draw()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
