"""What the compose file says, without a daemon: nobody is missing, everything is bounded, no name is misspelt."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from oms_events.runtime.settings import Settings
from oms_local.containers import KAFKA_IMAGE, POSTGRES_IMAGE
from oms_local.topology import SERVICES

from .compose import FOLDER, ROOT, containers, document

IN_SOURCES = sorted(path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml"))
WITH_DATABASE = sorted(path.parent.name for path in (ROOT / "services").glob("*/migrations"))
CONTAINERS = containers()
OURS = {name: container for name, container in CONTAINERS.items() if str(container["image"]).startswith("oms/")}
SERVERS = {"kafka", "postgres"}
LASTING = sorted({*IN_SOURCES, *SERVERS} & CONTAINERS.keys())
"""Those that stay up; the others end when their work is done."""
PUBLISHED = {"gateway", "console"}
USUAL_SHARES = 1024


@pytest.mark.parametrize("service", IN_SOURCES)
def test_every_service_is_there_with_its_own_image(service: str) -> None:
    container = CONTAINERS[service]
    assert container["image"] == f"oms/{service}:${{OMS_TAG:-dev}}"
    assert container["build"]["args"]["SERVICE"] == service
    assert (FOLDER / container["build"]["context"] / container["build"]["dockerfile"]).is_file()


def test_the_local_launcher_starts_the_same_services_with_the_same_settings() -> None:
    assert {service.name for service in SERVICES} == set(IN_SOURCES)
    for service in SERVICES:
        container = CONTAINERS[service.name]
        assert service.settings.items() <= container["environment"].items()
        assert (container.get("cpu_shares", USUAL_SHARES) < USUAL_SHARES) == bool(service.nice)


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_a_service_starts_when_its_database_is_at_the_newest_revision(service: str) -> None:
    assert CONTAINERS[f"{service}-migrations"]["image"] == CONTAINERS[service]["image"]
    assert CONTAINERS[f"{service}-migrations"]["command"] == ["migrate"]
    assert CONTAINERS[service]["depends_on"][f"{service}-migrations"] == {"condition": "service_completed_successfully"}
    assert CONTAINERS[f"{service}-migrations"]["depends_on"].keys() == {"databases"}


def test_everybody_waits_for_what_is_there() -> None:
    for container in CONTAINERS.values():
        for needed, how in container.get("depends_on", {}).items():
            expected = "service_healthy" if needed in LASTING else "service_completed_successfully"
            assert how == {"condition": expected}


def test_broker_and_database_are_those_of_the_tests() -> None:
    assert (CONTAINERS["kafka"]["image"], CONTAINERS["postgres"]["image"]) == (KAFKA_IMAGE, POSTGRES_IMAGE)


@pytest.mark.parametrize("name", CONTAINERS)
def test_resources_are_bounded(name: str) -> None:
    limits = CONTAINERS[name]["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert CONTAINERS[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_no_container_has_privileges(name: str) -> None:
    container = CONTAINERS[name]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert not container.keys() & {"privileged", "cap_add", "pid", "ipc", "devices"}
    assert container.get("read_only") is (None if name == "kafka" else True)


@pytest.mark.parametrize("name", LASTING)
def test_what_stays_up_is_watched_started_again_and_stopped_in_good_order(name: str) -> None:
    container = CONTAINERS[name]
    assert container["healthcheck"]["test"][0] == "CMD", "a check must do without a shell"
    assert container["restart"] == "unless-stopped"
    drain_s = Settings().drain_timeout_s if name in IN_SOURCES else 30
    assert int(container["stop_grace_period"].removesuffix("s")) > drain_s


@pytest.mark.parametrize("name", sorted(CONTAINERS.keys() - LASTING))
def test_what_ends_is_not_started_again(name: str) -> None:
    assert CONTAINERS[name]["restart"] == "no"
    assert CONTAINERS[name]["healthcheck"] == {"disable": True}


class TestNetworks:
    def test_only_the_gateway_and_the_console_are_published(self) -> None:
        assert {name for name, container in CONTAINERS.items() if "ports" in container} == PUBLISHED & {*CONTAINERS}
        for name in PUBLISHED & {*CONTAINERS}:
            assert [
                re.match(r"\$\{OMS_BIND:-127\.0\.0\.1\}:", port) is not None for port in CONTAINERS[name]["ports"]
            ] == [True]

    def test_nothing_but_the_front_leads_out(self) -> None:
        networks = document()["networks"]
        assert {name for name, network in networks.items() if not network.get("internal")} == {"front"}
        assert {name for name in CONTAINERS if "front" in joined(name)} - {"sample"} == PUBLISHED & {*CONTAINERS}

    @pytest.mark.parametrize("service", WITH_DATABASE)
    def test_a_service_reaches_broker_and_database(self, service: str) -> None:
        assert joined(service) == {"broker", "database", "api"}

    def test_the_gateway_does_not_reach_the_database(self) -> None:
        assert joined("gateway") == {"broker", "api", "front"}


def joined(name: str) -> set[str]:
    return set(CONTAINERS[name].get("networks", []))


class TestSettings:
    """A misspelt variable would be ignored in silence."""

    @pytest.mark.parametrize("name", OURS)
    def test_every_variable_is_a_setting(self, name: str, secrets: Path) -> None:
        service = OURS[name]["image"].removeprefix("oms/").partition(":")[0]
        given = {*OURS[name].get("environment", {})} | {
            variable for file in OURS[name].get("env_file", []) for variable in variables(secrets / Path(file).name)
        }
        assert given - known(service) == set()

    def test_the_gateway_knows_every_service(self) -> None:
        told = {name: value for name, value in CONTAINERS["gateway"]["environment"].items() if name.endswith("_URL")}
        expected = {f"OMS_{service.upper()}_URL": f"http://{service}:8080" for service in WITH_DATABASE}
        assert {name: told.get(name) for name in expected} == expected

    def test_gateway_and_settlement_share_their_files(self) -> None:
        for name in ("gateway", "settlement"):
            assert CONTAINERS[name]["environment"]["OMS_FILES_URL"] == "file:///var/lib/oms/files"
            assert "files:/var/lib/oms/files" in CONTAINERS[name]["volumes"]

    def test_no_two_services_share_an_instance(self) -> None:
        instances = [c["environment"]["OMS_INSTANCE"] for name, c in CONTAINERS.items() if name in IN_SOURCES]
        assert len(set(instances)) == len(IN_SOURCES)


def known(service: str) -> set[str]:
    """Names of all variables that a service reads: of every settings class in its package and in the library."""
    names = set()
    for module in (*settings_modules(service), "oms_events.runtime.settings"):
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, type) and issubclass(value, BaseSettings) and value is not BaseSettings:
                prefix = value.model_config.get("env_prefix", "")
                names |= {f"{prefix}{field}".upper() for field in value.model_fields}
    return names


def settings_modules(service: str) -> Iterator[str]:
    package = ROOT / "services" / service / "src" / f"oms_{service}"
    for path in package.rglob("settings.py"):
        yield ".".join(path.relative_to(package.parent).with_suffix("").parts)


def variables(file: Path) -> dict[str, str]:
    """The content of an env file."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make-secrets writes for these sources, in a folder of its own."""
    root = tmp_path_factory.mktemp("sources")
    compose = root / "deploy" / "compose"
    compose.mkdir(parents=True)
    (compose / "make-secrets").write_bytes((FOLDER / "make-secrets").read_bytes())
    (root / "services").symlink_to(ROOT / "services")
    make_secrets(compose)
    return compose / "secrets"


def make_secrets(folder: Path) -> None:
    # Isolated: it has to do with the standard library alone.
    subprocess.run([sys.executable, "-I", "-S", folder / "make-secrets"], check=True, capture_output=True)


class TestSecrets:
    def test_every_file_that_a_container_wants_is_made(self, secrets: Path) -> None:
        wanted = {Path(file).name for container in CONTAINERS.values() for file in container.get("env_file", [])}
        assert wanted - {path.name for path in secrets.iterdir()} == set()

    def test_nobody_else_may_read_them(self, secrets: Path) -> None:
        assert {path.name for path in secrets.iterdir() if path.stat().st_mode & 0o077} == set()
        assert secrets.stat().st_mode & 0o077 == 0

    def test_made_again_they_are_the_same(self, secrets: Path) -> None:
        before = {path.name: path.read_bytes() for path in secrets.iterdir()}
        make_secrets(secrets.parent)
        assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before

    def test_each_service_has_a_role_and_a_password_of_its_own(self, secrets: Path) -> None:
        urls = {service: variables(secrets / f"{service}.env")["OMS_DATABASE_URL"] for service in WITH_DATABASE}
        pairs = dict(pair.split(":") for pair in variables(secrets / "databases.env")["OMS_DATABASE_PASSWORDS"].split())
        assert len({*pairs.values(), variables(secrets / "postgres.env")["POSTGRES_PASSWORD"]}) == len(pairs) + 1
        assert urls == {
            service: f"postgresql+asyncpg://oms_{service}:{pairs[f'oms_{service}']}@postgres:5432/oms_{service}"
            for service in WITH_DATABASE
        }

    def test_none_is_committed(self) -> None:
        paths = ["secrets/root", "secrets/orders.env", ".env"]
        command = ["git", "check-ignore", *paths]
        ignored = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        assert ignored.stdout.splitlines() == paths


def test_the_example_names_every_variable_of_the_file_with_its_default() -> None:
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (FOLDER / "compose.yaml").read_text()))
    example = variables_of_example()
    assert {name: example.get(name) for name in used} == used
    assert example.keys() - used.keys() == set()


def variables_of_example() -> dict[str, str]:
    lines = (FOLDER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
