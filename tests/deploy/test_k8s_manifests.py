"""Manifests are valid and hold together: what they name is there."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from oms_console.settings import ConsoleSettings
from oms_events.runtime.broker import Broker
from oms_events.runtime.settings import Settings
from oms_gateway.settings import GatewaySettings
from oms_local.topology import GATEWAY, SERVICES, Service
from oms_settlement.settings import SettlementSettings

from .manifests import K8S, OVERLAYS, ROOT, Manifests, Workload, render, selects

OPERATORS = {"keda.sh", "postgresql.cnpg.io", "kafka.strimzi.io", "monitoring.coreos.com"}
"""Kinds of these are checked by a server that has them: see `make k8s-test`."""
SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    "gateway": (GatewaySettings,),
    "console": (ConsoleSettings,),
    "settlement": (Settings, SettlementSettings),
}
WITH_DATABASE = [service for service in SERVICES if service.has_database]


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return render(request.param)


@cache
def _secrets_script() -> str:
    return "".join(path.read_text() for path in (K8S / "overlays" / "single" / "secrets", K8S / "secrets"))


# --- valid ------------------------------------------------------------------------------------------------------


def test_every_document_is_valid(manifests: Manifests) -> None:
    version = kubernetes_validate.latest_version()
    checked = 0
    for document in manifests.documents:
        if document["apiVersion"].partition("/")[0] in OPERATORS:
            continue
        kubernetes_validate.validate(dict(document), version, strict=True)
        checked += 1
    assert checked > 50


def test_no_placeholder_is_left(manifests: Manifests) -> None:
    assert [document["metadata"]["name"] for document in manifests.documents if "SERVICE" in str(document)] == []


def test_everything_is_in_the_namespace_and_named_once(manifests: Manifests) -> None:
    ids = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in manifests.documents]
    assert {namespace for kind, namespace, _ in ids if kind != "Namespace"} == {"oms"}
    assert len(ids) == len(set(ids))


# --- every service of the house ---------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_has_what_it_needs(manifests: Manifests, service: Service) -> None:
    name = service.name
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        manifests.named(kind, f"{name}-api")
    manifests.named("ServiceAccount", name)
    has_worker = f"{name}-worker" in {document["metadata"]["name"] for document in manifests.of("Deployment")}
    assert has_worker is service.has_database  # relay and deadlines belong to a database
    if service.has_database:
        manifests.named("Job", f"{name}-migrate")
        manifests.named("PodDisruptionBudget", f"{name}-worker")
    for workload in manifests.workloads:
        if workload.labels["app.kubernetes.io/name"] == name:
            assert {container["image"].partition(":")[0] for container in workload.containers} == {f"oms/{name}"}


def test_nobody_else_is_there(manifests: Manifests) -> None:
    ours = {workload.labels["app.kubernetes.io/name"] for workload in manifests.pods("api")}
    assert ours == {service.name for service in SERVICES}


@pytest.mark.parametrize("overlay", ["cluster", "given"])
def test_workers_that_consume_are_scaled_by_the_lag_of_their_own_group(overlay: str) -> None:
    groups = {s.name: import_module(f"oms_{s.name}.service").service.group for s in WITH_DATABASE}
    scaled = {}
    for document in render(overlay).of("ScaledObject"):
        target = document["spec"]["scaleTargetRef"]["name"]
        assert target == document["metadata"]["name"]
        render(overlay).named("Deployment", target)
        (trigger,) = document["spec"]["triggers"]
        assert "topic" not in trigger["metadata"]  # all that the group reads
        scaled[target.removesuffix("-worker")] = trigger["metadata"]["consumerGroup"]
    assert scaled == {service.name: groups[service.name] for service in SERVICES if service.consumes}


def test_the_gateway_knows_where_every_service_answers(manifests: Manifests) -> None:
    (config,) = [d for d in manifests.of("ConfigMap") if d["metadata"]["name"].startswith("gateway-")]
    urls = {key: value for key, value in config["data"].items() if key.endswith("_URL")}
    (gateway,) = [service for service in SERVICES if service.name == GATEWAY]
    assert urls == {f"OMS_{name.upper()}_URL": f"http://{name}-api:8080" for name in gateway.needs}


def test_the_back_office_has_the_settings_of_the_topology(manifests: Manifests) -> None:
    configs = {d["metadata"]["name"]: d["data"] for d in manifests.of("ConfigMap")}
    for service in WITH_DATABASE:
        worker = manifests.named("Deployment", f"{service.name}-worker")["spec"]["template"]["spec"]["containers"][0]
        sources = [source["configMapRef"]["name"] for source in worker["envFrom"] if "configMapRef" in source]
        own = [configs[name] for name in sources if name.startswith("back-office-")]
        assert own == ([dict(service.settings)] if service.settings else []), service.name


def test_the_back_office_has_a_smaller_share_of_the_processors(manifests: Manifests) -> None:
    shares: dict[bool, set[str]] = {True: set(), False: set()}
    for service in WITH_DATABASE:
        worker = manifests.named("Deployment", f"{service.name}-worker")["spec"]["template"]["spec"]["containers"][0]
        shares[bool(service.nice)].add(worker["resources"]["requests"]["cpu"])
    ((small,), (usual,)) = shares[True], shares[False]
    assert 5 * int(small.removesuffix("m")) <= int(usual.removesuffix("m"))


def test_files_lie_where_those_who_share_them_look() -> None:
    single = render("single")
    (files,) = [d["data"] for d in single.of("ConfigMap") if d["metadata"]["name"].startswith("files-")]
    folder = files["OMS_FILES_URL"].removeprefix("file://")
    for workload in single.workloads:
        mounted = {m["mountPath"] for c in workload.pod["containers"] for m in c.get("volumeMounts", ())}
        assert (folder in mounted) is (workload.labels.get("oms/files") == "client"), workload.name
    assert len({w.name for w in single.workloads if w.labels.get("oms/files")}) == 3


def test_the_secrets_of_single_are_those_of_every_database() -> None:
    found = re.search(r"^services=\((.*)\)$", _secrets_script(), re.MULTILINE)
    assert found is not None
    assert set(found[1].split()) == {service.name for service in WITH_DATABASE}


# --- references -------------------------------------------------------------------------------------------------


def test_settings_are_known_to_who_reads_them(manifests: Manifests) -> None:
    configs = {d["metadata"]["name"]: d["data"] for d in manifests.of("ConfigMap")}
    for workload in manifests.workloads:
        name = workload.labels["app.kubernetes.io/name"]
        if name not in {service.name for service in SERVICES}:
            continue
        known = {
            f"{model.model_config.get('env_prefix', '')}{field}".upper()
            for model in SETTINGS.get(name, (Settings,))
            for field in model.model_fields
        }
        for variable in _variables(workload, configs):
            assert variable in known or not variable.startswith("OMS_"), f"{workload.name}: {variable}"


def _variables(workload: Workload, configs: dict[str, dict[str, str]]) -> Iterator[str]:
    for container in workload.containers:
        yield from (variable["name"] for variable in container.get("env", ()))
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                yield from configs[source["configMapRef"]["name"]]


def test_config_maps_and_secrets_that_pods_read_are_there(manifests: Manifests) -> None:
    maps = {document["metadata"]["name"] for document in manifests.of("ConfigMap")}
    databases = {service.name for service in WITH_DATABASE}
    kafkas = _secrets_of_kafka()
    for workload in manifests.workloads:
        for kind, name, key in workload.references():
            if kind == "ConfigMap":
                assert name in maps, f"{workload.name}: {name}"
            elif name.endswith("-db-app"):
                assert name == f"{workload.labels['app.kubernetes.io/name']}-db-app"
                assert (name.removesuffix("-db-app") in databases, key) == (True, "uri")
            elif name in kafkas:
                assert key == kafkas[name]
            else:
                assert re.search(rf"\bput {name}\b", _secrets_script()), f"{workload.name}: {name} is made nowhere"
                made = key is None or f'"{key}=' in _secrets_script() or f"/{name}/{key}" in _secrets_script()
                assert made, f"{workload.name}: {name} has no {key}"


def _secrets_of_kafka() -> dict[str, str]:
    """Secrets that Strimzi makes, with the key that is read: of a user its password, of a cluster its authority. Where
    there is another Kafka, somebody makes them under these names."""
    cluster = render("cluster")
    users = {document["metadata"]["name"]: "password" for document in cluster.of("KafkaUser")}
    return users | {f"{document['metadata']['name']}-cluster-ca-cert": "ca.crt" for document in cluster.of("Kafka")}


@pytest.mark.parametrize("overlay", ["cluster", "given"])
def test_all_who_speak_to_kafka_have_what_lets_them_in_and_nobody_else_has(overlay: str) -> None:
    manifests = render(overlay)
    configs = {d["metadata"]["name"]: d["data"] for d in manifests.of("ConfigMap")}
    (said,) = [data for name, data in configs.items() if re.fullmatch(r"oms-\w+", name)]
    clients = [workload for workload in manifests.workloads if workload.labels.get("oms/kafka") == "client"]
    assert len(clients) == len(SERVICES) - 1 + len(WITH_DATABASE) + 1  # not the console; the workers; the Job of topics
    for workload in manifests.workloads:
        for container in workload.containers:
            secrets = {v["name"]: v["valueFrom"]["secretKeyRef"] for v in container.get("env", ()) if "valueFrom" in v}
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            lets_in = "OMS_KAFKA_PASSWORD" in secrets, str(PurePath(said["OMS_KAFKA_CA_FILE"]).parent) in mounted
            assert lets_in == (workload in clients, workload in clients), workload.name
    security = {name: said[f"OMS_KAFKA_{name}"] for name in ("SECURITY", "SASL_MECHANISM", "USERNAME")}
    Broker.of(Settings(**{f"kafka_{k.lower()}": v for k, v in security.items()}, kafka_password=SecretStr("drawn")))


def test_the_login_of_the_cluster_is_one_that_its_kafka_takes() -> None:
    cluster = render("cluster")
    (listener,) = cluster.named("Kafka", "oms")["spec"]["kafka"]["listeners"]
    (user,) = cluster.of("KafkaUser")
    (said,) = [d["data"] for d in cluster.of("ConfigMap") if re.fullmatch(r"oms-\w+", d["metadata"]["name"])]
    assert said["OMS_KAFKA_BOOTSTRAP"] == f"oms-kafka-bootstrap.oms.svc:{listener['port']}"
    assert said["OMS_KAFKA_SECURITY"] == "SASL_SSL"
    assert listener["tls"] is True
    mechanisms = {part["authentication"]["type"] for part in (listener, user["spec"])}
    assert mechanisms == {said["OMS_KAFKA_SASL_MECHANISM"].lower()}
    assert said["OMS_KAFKA_USERNAME"] == user["metadata"]["name"]
    opened = [rule["ports"] for rule in cluster.named("NetworkPolicy", "clients-to-kafka")["spec"]["egress"]]
    assert {"port": listener["port"]} in opened[0]


@pytest.mark.parametrize("overlay", ["cluster", "given"])
def test_keda_asks_kafka_with_the_login_of_the_workers(overlay: str) -> None:
    manifests = render(overlay)
    spec = manifests.named("TriggerAuthentication", "kafka")["spec"]
    (name,) = spec["env"]
    secrets = {reference["parameter"]: (reference["name"], reference["key"]) for reference in spec["secretTargetRef"]}
    assert (name["parameter"], name["name"]) == ("username", "OMS_KAFKA_USERNAME")
    assert set(secrets.values()) == set(_secrets_of_kafka().items())
    for document in manifests.of("ScaledObject"):
        (trigger,) = document["spec"]["triggers"]
        assert trigger["authenticationRef"] == {"name": "kafka"}
        assert (trigger["metadata"]["tls"], trigger["metadata"]["sasl"]) == ("enable", "scram_sha512")
        target = manifests.named("Deployment", document["spec"]["scaleTargetRef"]["name"])
        (container,) = target["spec"]["template"]["spec"]["containers"]
        assert container["name"] == name["containerName"]


def test_service_accounts_are_there_and_get_no_token(manifests: Manifests) -> None:
    accounts = {document["metadata"]["name"]: document for document in manifests.of("ServiceAccount")}
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    for workload in manifests.workloads:
        assert workload.pod["automountServiceAccountToken"] is False
        assert workload.pod.get("serviceAccountName", "default") in {*accounts, "default"}


def test_selectors_take_the_pods_they_are_for(manifests: Manifests) -> None:
    for document in manifests.of("Deployment", "StatefulSet"):
        workload = Workload(document)
        taken = [other.name for other in manifests.workloads if selects(document["spec"]["selector"], other.labels)]
        assert taken == [workload.name]
    for document in manifests.of("Service"):
        pods = [w for w in manifests.workloads if selects({"matchLabels": document["spec"]["selector"]}, w.labels)]
        assert len(pods) == 1, document["metadata"]["name"]
        for port in document["spec"]["ports"]:
            assert port["targetPort"] in pods[0].ports()
    for document in manifests.of("PodDisruptionBudget"):
        pods = [w for w in manifests.workloads if selects(document["spec"]["selector"], w.labels)]
        assert [w.name for w in pods] == [f"Deployment {document['metadata']['name']}"]


def test_autoscalers_have_their_deployment(manifests: Manifests) -> None:
    for document in manifests.of("HorizontalPodAutoscaler"):
        target = manifests.named("Deployment", document["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"]  # or each roll-out would undo what the autoscaler did
        assert "cpu" in target["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]


def test_volumes_that_containers_mount_are_there(manifests: Manifests) -> None:
    for document, workload in zip(
        [d for d in manifests.documents if d["kind"] in {"Deployment", "StatefulSet", "Job"}],
        manifests.workloads,
        strict=True,
    ):
        claims = {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", ())}
        volumes = {volume["name"] for volume in workload.pod.get("volumes", ())} | claims
        mounted = {mount["name"] for c in workload.containers for mount in c.get("volumeMounts", ())}
        assert mounted == volumes, workload.name


# --- how pods live and end --------------------------------------------------------------------------------------


def test_probes_ask_what_is_served(manifests: Manifests) -> None:
    for document in manifests.of("Deployment", "StatefulSet"):
        (container,) = document["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]
            port = asked.get("httpGet", asked.get("tcpSocket", {})).get("port")
            assert port in ports or "exec" in asked
        if document["kind"] == "Deployment":
            paths = [
                container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            ]
            assert paths == ["/livez", "/livez", "/readyz"]  # a broker that is away is no reason to be killed


def test_a_pod_gets_the_time_that_it_needs_to_end(manifests: Manifests) -> None:
    (config,) = [d["data"] for d in manifests.of("ConfigMap") if re.fullmatch(r"oms-\w+", d["metadata"]["name"])]
    leaving_the_group_s = 5
    needed = float(config["OMS_LINGER_S"]) + 2 * float(config["OMS_DRAIN_TIMEOUT_S"]) + leaving_the_group_s
    for document in manifests.of("Deployment"):
        assert document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= needed
        assert document["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_pods_are_restricted(manifests: Manifests) -> None:
    """As the API server will judge them; it refuses pods, but not the Deployments that make them."""
    labels = manifests.named("Namespace", "oms")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in manifests.workloads:
        security = workload.pod["securityContext"]
        assert security["runAsNonRoot"] is True, workload.name
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert workload.pod["enableServiceLinks"] is False  # KAFKA_PORT and the like are settings of the images
        for container in workload.containers:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_no_process_starts_before_its_schema(manifests: Manifests) -> None:
    for service in WITH_DATABASE:
        for component in ("api", "worker"):
            pod = Workload(manifests.named("Deployment", f"{service.name}-{component}")).pod
            (check,) = pod["initContainers"]
            assert check["args"][0] == "check"
            assert check["image"] == pod["containers"][0]["image"]
            assert [v for v in check["env"] if v["name"] == "OMS_DATABASE_URL"] == [
                v for v in pod["containers"][0]["env"] if v["name"] == "OMS_DATABASE_URL"
            ]


def test_roles_are_shared_out_whole(manifests: Manifests) -> None:
    for service in WITH_DATABASE:
        played: list[str] = []
        for component in ("api", "worker"):
            container = manifests.named("Deployment", f"{service.name}-{component}")["spec"]["template"]["spec"][
                "containers"
            ][0]
            value = next(v["value"] for v in container["env"] if v["name"] == "OMS_ROLES")
            played += sorted(Settings(roles=value).active_roles())
        assert sorted(played) == ["api", "consumer", "deadlines", "relay"]


# --- documents --------------------------------------------------------------------------------------------------


def test_the_deployment_page_names_every_service() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    images = set(re.findall(r"name: oms/(\w+), newTag", page))
    (dumped,) = re.findall(r"^for service in (.*); do$", page, re.MULTILINE)
    assert images == {service.name for service in SERVICES}
    assert set(dumped.split()) == {service.name for service in WITH_DATABASE}


# --- alerts -----------------------------------------------------------------------------------------------------


def test_the_alerts_of_the_cluster_are_those_of_monitoring() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus" / "rules.yml").read_text())
    assert render("cluster").named("PrometheusRule", "oms")["spec"] == rules, "run deploy/k8s/alerts"


def test_every_process_is_scraped_by_the_name_that_alerts_count_on(manifests: Manifests) -> None:
    for document in manifests.of("PodMonitor"):
        taken = [w.name for w in manifests.workloads if selects(document["spec"]["selector"], w.labels)]
        assert sorted(taken) == sorted(f"Deployment {d['metadata']['name']}" for d in manifests.of("Deployment"))
        made: dict[str, Any] = {r["targetLabel"]: r for r in document["spec"]["podMetricsEndpoints"][0]["relabelings"]}
        assert made["job"]["replacement"] == "oms"
        assert made["service"]["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]


def test_what_the_secrets_scripts_write_is_gone_at_the_end() -> None:
    written = re.findall(r"(?<![-<0-9])>>?(?!&2|/dev/null)\s*(\S+)", re.sub(r"<[A-Z]+>|#.*", "", _secrets_script()))
    assert written
    assert {re.split(r"[;)]", target)[0] for target in written} <= {
        '"$keys"',
        '"$folder/console/keys.json"',
        '"$folder/console/session-key"',
        '"$folder/gateway-keys/root-key"',
    }
    assert "trap 'rm -rf \"$folder\"' EXIT" in _secrets_script()
