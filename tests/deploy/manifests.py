"""What an overlay renders to, as tests look at it."""

import subprocess
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("single", "cluster", "given")

Document = Mapping[str, Any]
Labels = Mapping[str, str]

_WORKLOADS = ("Deployment", "StatefulSet", "Job")


class Manifests:
    """The documents of one overlay."""

    def __init__(self, text: str) -> None:
        self.documents: list[Document] = [document for document in yaml.safe_load_all(text) if document]

    def of(self, *kinds: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, name: str) -> Document:
        """Raises LookupError."""
        for document in self.of(kind):
            if document["metadata"]["name"] == name:
                return document
        raise LookupError(f"no {kind} {name}")

    @cached_property
    def workloads(self) -> list["Workload"]:
        return [Workload(document) for document in self.of(*_WORKLOADS)]

    def pods(self, component: str) -> list["Workload"]:
        return [
            workload for workload in self.workloads if workload.labels.get("app.kubernetes.io/component") == component
        ]


class Workload:
    """Something that makes pods."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.name: str = f"{document['kind']} {document['metadata']['name']}"
        template = document["spec"]["template"]
        self.labels: Labels = template["metadata"]["labels"]
        self.pod: Mapping[str, Any] = template["spec"]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for c in self.pod["containers"] for port in c.get("ports", ())}

    def references(self) -> Iterator[tuple[str, str, str | None]]:
        """ConfigMaps and Secrets that the pods read: kind, name, and the key where one is named."""
        for container in self.containers:
            for source in container.get("envFrom", ()):
                for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                    if field in source and not source[field].get("optional"):
                        yield kind, source[field]["name"], None
            for variable in container.get("env", ()):
                for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                    if field in variable.get("valueFrom", {}):
                        found = variable["valueFrom"][field]
                        yield kind, found["name"], found["key"]
        for volume in self.pod.get("volumes", ()):
            if "configMap" in volume:
                yield "ConfigMap", volume["configMap"]["name"], None
            if "secret" in volume:
                secret = volume["secret"]
                for item in secret.get("items", ({"key": None},)):
                    yield "Secret", secret["secretName"], item["key"]


@cache
def render(overlay: str) -> Manifests:
    """Raises CalledProcessError, with what kustomize said on standard error."""
    done = subprocess.run([K8S / "kustomize", K8S / "overlays" / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Manifests(done.stdout)


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector takes these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", ()):
        is_in = labels.get(rule["key"]) in rule["values"]
        if is_in is not {"In": True, "NotIn": False}[rule["operator"]]:
            return False
    return True
