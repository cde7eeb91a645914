"""Programs that play from inside the cluster: the sample's order book, and the load. Jobs of the sample's image."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .cluster import Failed, apply, get, kubectl, until

_LOAD = Path(__file__).with_name("load.py")
_LABELS = {"app.kubernetes.io/name": "player", "oms/kafka": "client"}


def prepare(endpoints: Mapping[str, Any]) -> None:
    """What players are given, and the way to the gateway that the policies open for nobody else. Raises Failed."""
    apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "players"},
            "stringData": {"endpoints.json": json.dumps(endpoints)},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "players"},
            "data": {"load.py": _LOAD.read_text()},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "players-to-gateway"},
            "spec": {
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "player"}},
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}]}],
            },
        },
    )


def play(tag: str, limit: int | None) -> dict[str, Any]:
    """Play the sample to its end; answers its summary. Raises Failed when it is not sound."""
    limited = f"--limit {limit}" if limit else ""
    script = (
        f"oms-sample play --endpoints /etc/oms/endpoints.json {limited} --summary /tmp/summary.json; code=$?; "
        'echo; cat /tmp/summary.json | tr -d "\\n"; echo; exit $code'
    )
    _start("sample", tag, ["sh", "-c", script])
    until("the sample has ended", lambda: _ended("sample"), 1800)
    log = kubectl("logs", "job/sample")
    kubectl("delete", "job", "sample")
    try:
        summary: dict[str, Any] = json.loads(log.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Failed(f"the sample broke off:\n{log[-3000:]}") from None
    if not summary["sound"]:
        raise Failed(f"the sample is not sound: {json.dumps(summary['cases'])[:3000]}")
    return summary


class Load:
    """Load that goes on for as long as the block lasts; `result` is there after it."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}


@contextmanager
def load(name: str, tag: str, rate: float, *, patient: bool = False) -> Iterator[Load]:
    """Send orders and ask questions while the block runs. Raises Failed."""
    command = ["python", "/etc/oms/load.py", "--endpoints", "/etc/oms/endpoints.json", "--rate", str(rate)]
    _start(name, tag, command + (["--patient"] if patient else []))
    kubectl("wait", "--for=condition=Ready", "pod", "--selector", f"job-name={name}", "--timeout=120s")
    running = Load()
    try:
        yield running
        kubectl("exec", f"job/{name}", "--", "touch", "/tmp/stop")
        until(f"{name} has settled", lambda: _ended(name), 600)
        log = kubectl("logs", f"job/{name}").strip().splitlines()
        try:
            running.result = json.loads(log[-1])
        except (ValueError, IndexError):
            raise Failed(f"{name} broke off: {log[-5:]}") from None
    finally:
        with suppress(Failed):
            kubectl("delete", "job", name, "--wait=false")


def _ended(name: str) -> bool:
    conditions = get("job", name)["status"].get("conditions", ())
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)


def _start(name: str, tag: str, command: list[str]) -> None:
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "player",
        "image": f"oms/sample:{tag}",
        "command": command,
        "env": [{"name": "COLUMNS", "value": "160"}],
        "securityContext": security,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "768Mi"}},
        "volumeMounts": [{"name": "given", "mountPath": "/etc/oms"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {
                "name": "given",
                "projected": {"sources": [{"secret": {"name": "players"}}, {"configMap": {"name": "players"}}]},
            },
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "annotations": {"started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": dict(_LABELS)}, "spec": pod}},
        }
    )
