"""The cluster that KUBECONFIG names, through kubectl."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
KUBECTL = os.environ.get("KUBECTL", "kubectl")
NAMESPACE = "oms"


class Failed(Exception):
    """The cluster did not do what was asked, or not in time."""


def say(line: str) -> None:
    """A line of the report, with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


def run(
    command: Sequence[str | Path], *, given: str | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """What a command prints. Raises Failed with what it complained of."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:6]))}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def kubectl(*arguments: str, given: str | None = None) -> str:
    """In our namespace. Raises Failed."""
    return run([KUBECTL, "--namespace", NAMESPACE, *arguments], given=given)


def get(*arguments: str) -> Any:
    """Objects as the API has them. Raises Failed."""
    return json.loads(kubectl("get", *arguments, "--output", "json"))


def apply(*documents: Mapping[str, Any]) -> None:
    """Raises Failed."""
    kubectl("apply", "--filename", "-", given=yaml.safe_dump_all(documents))


def deployments(component: str | None = None) -> list[str]:
    """Names of our deployments."""
    labels = "app.kubernetes.io/part-of=oms" + (f",app.kubernetes.io/component={component}" if component else "")
    return [item["metadata"]["name"] for item in get("deployments", "--selector", labels)["items"]]


def until_rolled_out(name: str, timeout_s: int = 300) -> None:
    """Raises Failed, with the state of its pods."""
    try:
        kubectl("rollout", "status", f"deployment/{name}", f"--timeout={timeout_s}s")
    except Failed as failed:
        raise Failed(f"{failed}\n{kubectl('get', 'pods')}") from None


def until(what: str, holds: Any, timeout_s: float = 300) -> float:
    """How many seconds it took until it held. Raises Failed."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > timeout_s:
            raise Failed(f"not in {timeout_s:.0f} s: {what}\n{kubectl('get', 'pods')}")
        time.sleep(1)
    return time.monotonic() - began


def all_ready() -> bool:
    """Whether every pod that is to serve is ready."""
    pods = [pod for pod in get("pods")["items"] if pod["status"]["phase"] not in {"Succeeded", "Failed"}]
    return bool(pods) and all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        and "deletionTimestamp" not in pod["metadata"]
        for pod in pods
    )
