"""Who may talk to whom, as the network policies have it: exactly the lines of the picture in docs/deploy.md."""

from collections.abc import Sequence
from itertools import product

import pytest

from oms_local.topology import GATEWAY, SERVICES

from .manifests import OVERLAYS, Document, Manifests, Workload, render, selects

CONSOLE = "console"


@pytest.fixture(params=["single"])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return render(request.param)


def allowed(manifests: Manifests, source: Workload, target: Workload, port: str) -> bool:
    """Whether a connection passes: the source's side and the target's side must both have a rule for it."""
    policies = manifests.of("NetworkPolicy")
    ports: set[object] = {port, target.ports()[port]}
    out = [policy for policy in policies if _governs(policy, source, "Egress")]
    into = [policy for policy in policies if _governs(policy, target, "Ingress")]
    return any(_passes(policy["spec"].get("egress", ()), "to", target, ports) for policy in out) and any(
        _passes(policy["spec"].get("ingress", ()), "from", source, ports) for policy in into
    )


def _governs(policy: Document, workload: Workload, direction: str) -> bool:
    return direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], workload.labels)


def _passes(rules: Sequence[Document], peers: str, other: Workload, ports: set[object]) -> bool:
    for rule in rules:
        if "ports" in rule and not ports & {entry["port"] for entry in rule["ports"]}:
            continue
        if peers not in rule or any(
            "namespaceSelector" not in peer and selects(peer["podSelector"], other.labels) for peer in rule[peers]
        ):
            return True
    return False


def _name(workload: Workload) -> str:
    return workload.labels["app.kubernetes.io/name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_talks_unless_a_rule_says_so(overlay: str) -> None:
    nobody = render(overlay).named("NetworkPolicy", "nobody")
    assert nobody["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_gateway_asks_services_and_only_the_console_asks_the_gateway(manifests: Manifests) -> None:
    for source, target in product(manifests.workloads, manifests.pods("api")):
        if source is target:
            continue
        if _name(target) == GATEWAY:
            expected = _name(source) == CONSOLE
        else:
            expected = _name(target) != CONSOLE and source.name == f"Deployment {GATEWAY}-api"
        assert allowed(manifests, source, target, "http") is expected, f"{source.name} -> {target.name}"


def test_nobody_asks_a_worker(manifests: Manifests) -> None:
    for source, target in product(manifests.workloads, manifests.pods("worker")):
        assert not allowed(manifests, source, target, "http")


def test_services_reach_kafka_and_the_console_does_not(manifests: Manifests) -> None:
    kafka = Workload(manifests.named("StatefulSet", "kafka"))
    for source in manifests.workloads:
        component = source.labels.get("app.kubernetes.io/component")
        expected = component in {"api", "worker", "topics"} and _name(source) != CONSOLE
        assert allowed(manifests, source, kafka, "kafka") is expected, source.name


def test_databases_are_reached_by_services_that_have_one(manifests: Manifests) -> None:
    postgres = Workload(manifests.named("StatefulSet", "postgres"))
    with_database = {service.name for service in SERVICES if service.has_database}
    for source in manifests.workloads:
        component = source.labels.get("app.kubernetes.io/component")
        expected = component == "databases" or (
            component in {"api", "worker", "migrate"} and _name(source) in with_database
        )
        assert allowed(manifests, source, postgres, "postgres") is expected, source.name


def test_in_a_cluster_each_database_takes_its_own_service_only() -> None:
    manifests = render("cluster")
    clusters = manifests.of("Cluster")
    assert {cluster["metadata"]["name"] for cluster in clusters} == {
        f"{service.name}-db" for service in SERVICES if service.has_database
    }
    for cluster in clusters:
        labels = cluster["spec"]["inheritedMetadata"]["labels"]
        policies = [
            policy
            for policy in manifests.of("NetworkPolicy")
            if "Ingress" in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], labels)
        ]
        callers = {
            _name(workload)
            for workload in manifests.workloads
            for policy in policies
            for rule in policy["spec"].get("ingress", ())
            for peer in rule["from"]
            if "podSelector" in peer and selects(peer["podSelector"], workload.labels)
        }
        assert callers == {labels["app.kubernetes.io/name"]}
