"""A local Apache Kafka from Maven's jars: one node, KRaft, on 127.0.0.1.

Three things are made once and kept in the cache: the jars; a formatted data folder, copied for each new
broker, which saves a JVM start; and an archive of loaded classes, which halves the start of every later one.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from oms_local.detour import Detour
from oms_local.errors import LaunchError
from oms_local.java import Java
from oms_local.ports import LOCALHOST
from oms_local.probes import kafka_answers
from oms_local.process import CommandFailed, Program, run
from oms_local.profile import Profile
from oms_local.supervisor import Report

VERSION = "4.3.0"
PREFERRED_PORT = 29092

_SMALL, _LARGE = ("-Xms96m", "-Xmx192m"), ("-Xms128m", "-Xmx256m")
HEAP = {Profile.TEST: _SMALL, Profile.FAULTS: _LARGE, Profile.RUN: _LARGE}
# A second compiler and a parallel collector cost more CPU at the start than they give back on a laptop.
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
_CLUSTER_ID = "b21zLWxvY2FsLWthZmthMQ"
_STOPPED_BY_SIGTERM = 143


class MavenMissing(LaunchError):
    """The jars are not in the cache and there is no Maven to fetch them."""


@dataclass(frozen=True, slots=True)
class KafkaListener:
    """One more way in."""

    name: str
    port: int
    """Where it listens."""
    tells: int
    """The port that clients are told to come to."""
    protocol: str = "PLAINTEXT"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of this listener alone, by their names without its prefix."""

    @classmethod
    def of(cls, service: str, detour: Detour) -> "KafkaListener":
        """The way of a service with a detour."""
        return cls(service.upper(), detour.broker_listens, detour.broker_port)


@dataclass(frozen=True, slots=True)
class Kafka:
    """The broker's files in the cache, and the Java that runs it."""

    java: Java
    folder: Path

    @classmethod
    def cached_in(cls, cache_dir: Path, java: Java) -> "Kafka":
        """The broker of this cache, whose folder is made where it is missing."""
        folder = cache_dir.absolute() / f"kafka-{VERSION}"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(java, folder)

    @property
    def _libs(self) -> Path:
        return self.folder / "libs"

    @property
    def _template(self) -> Path:
        return self.folder / "template"

    @property
    def _classes(self) -> Path:
        return self.folder / f"classes-{self.java.build}.jsa"

    def _new_classes(self, home: Path) -> Path:
        return home / "classes.jsa"

    def program(
        self,
        home: Path,
        port: int,
        controller_port: int,
        profile: Profile,
        *,
        listeners: Sequence["KafkaListener"] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Program:
        """The broker with its data in `home`, which is formatted when it is new. It listens at `port` in any case;
        `settings` are on top of ours."""
        home = home.absolute()
        home.mkdir(exist_ok=True)
        data = home / "data"
        if not data.exists():
            shutil.copytree(self._template, data)
        properties = home / "server.properties"
        properties.write_text(_server_properties(data, port, controller_port, listeners, settings))
        if self._classes.exists():
            archive = f"-XX:SharedArchiveFile={self._classes}"
        else:
            archive = f"-XX:ArchiveClassesAtExit={self._new_classes(home)}"
        return Program(
            "kafka",
            [*self._command(*HEAP[profile], archive), "kafka.Kafka", str(properties)],
            ready=kafka_answers(f"{LOCALHOST}:{port}"),
            cwd=home,
            on_console=False,
        )

    def keep_classes(self, home: Path, exit_code: int | None) -> None:
        """Put the archive that a first broker wrote while stopping into the cache, if it had the time to end it."""
        written = self._new_classes(home)
        if written.exists():
            if exit_code == _STOPPED_BY_SIGTERM:
                # Copied, then renamed: the cache may be on another file system, and others are reading it.
                waiting = self._classes.with_suffix(f".{os.getpid()}")
                shutil.copyfile(written, waiting)
                waiting.replace(self._classes)
            written.unlink()

    async def format_template(self) -> None:
        """Format an empty data folder once. Only the cluster's id is in it, no port and no path."""
        if self._template.exists():
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            await self.format(Path(scratch))
            (Path(scratch) / "data").rename(self._template)

    async def format(self, home: Path, logins: Sequence[str] = ()) -> None:
        """Make the data folder of a new broker in `home`. It knows these logins, told as
        `SCRAM-SHA-512=[name=...,password=...]`, from its first start on."""
        settings = home / "server.properties"
        settings.write_text(_server_properties(home / "data", PREFERRED_PORT, PREFERRED_PORT + 1))
        known = [word for login in logins for word in ("--add-scram", login)]
        command = [*self._command("-Xmx128m"), "kafka.tools.StorageTool", "format"]
        await run([*command, "-t", _CLUSTER_ID, "-c", str(settings), *known])

    async def fetch_jars(self, report: Report) -> None:
        """Let Maven copy the jars once. Raises MavenMissing."""
        if self._libs.exists():
            return
        maven = await _find_maven(report)
        report(f"broker: fetching Kafka {VERSION} with Maven into {self._libs} (once)")
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch, as_file(files("oms_local")) as package:
            pom = shutil.copy(package / "kafka-pom.xml", Path(scratch) / "pom.xml")
            await run(
                [maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", "-DoutputDirectory=libs"],
                env={"PATH": f"{self.java.executable.parent}{os.pathsep}{os.environ['PATH']}"},
                cwd=Path(scratch),
            )
            (Path(scratch) / "libs").rename(self._libs)

    def _command(self, *options: str) -> list[str]:
        return [str(self.java.executable), *JVM, *options, "-cp", f"{self._libs}/*"]


async def prepare(java: Java, cache_dir: Path, report: Report) -> Kafka:
    """The broker's files, fetched and formatted where the cache does not have them yet."""
    kafka = Kafka.cached_in(cache_dir, java)
    async with _only_one(kafka.folder / "lock"):
        await kafka.fetch_jars(report)
        await kafka.format_template()
    return kafka


@contextlib.asynccontextmanager
async def _only_one(path: Path) -> AsyncIterator[None]:
    """Two launchers may begin at the same time in one checkout; the second waits for the first one's files."""
    with path.open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


async def _find_maven(report: Report) -> str:
    if maven := shutil.which("mvn"):
        return maven
    if os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        report("broker: Maven is missing; installing it with apt-get")
        try:
            await run([apt, "install", "-y", "-q", "maven"], env={"DEBIAN_FRONTEND": "noninteractive"})
        except CommandFailed as failure:
            raise MavenMissing(f"Maven is missing and apt-get could not install it. {failure}") from failure
        if maven := shutil.which("mvn"):
            return maven
    raise MavenMissing("Maven is missing: install it (package maven), or Docker, or set OMS_KAFKA_BOOTSTRAP")


def broker_settings(listen: str, controller: str, advertised: str, data: str) -> dict[str, str]:
    """A broker of one node, small enough to share a laptop. Addresses are `host:port`."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{listen},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{advertised}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
        # Topics are created explicitly: a misspelt name must fail, not make a topic.
        "auto.create.topics.enable": "false",
        # One node: internal topics with one replica and few partitions.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "3",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # The default waits 3 s for more members before a new group may begin.
        "group.initial.rebalance.delay.ms": "0",
        # After a kill -9 the old registration must expire before the broker serves again: 1.5 s instead of 9 s.
        "broker.heartbeat.interval.ms": "300",
        "broker.session.timeout.ms": "1500",
        # One machine shares its cores and memory with the database and all services.
        "log.cleaner.dedupe.buffer.size": "8388608",
        "log.cleaner.threads": "1",
        "num.network.threads": "2",
        "num.io.threads": "2",
        "background.threads": "2",
    }


def _server_properties(
    data: Path,
    port: int,
    controller_port: int,
    listeners: Sequence[KafkaListener] = (),
    more: Mapping[str, str] | None = None,
) -> str:
    broker, controller = f"{LOCALHOST}:{port}", f"{LOCALHOST}:{controller_port}"
    settings = broker_settings(broker, controller, advertised=broker, data=str(data))
    for listener in listeners:
        settings["listeners"] += f",{listener.name}://{LOCALHOST}:{listener.port}"
        settings["advertised.listeners"] += f",{listener.name}://{LOCALHOST}:{listener.tells}"
        settings["listener.security.protocol.map"] += f",{listener.name}:{listener.protocol}"
        prefix = f"listener.name.{listener.name.lower()}"
        settings |= {f"{prefix}.{name}": value for name, value in listener.settings.items()}
    if listeners:
        settings["inter.broker.listener.name"] = "PLAINTEXT"
    return "".join(f"{name}={value}\n" for name, value in (settings | dict(more or {})).items())
