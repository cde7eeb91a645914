"""Proves the overlay `single` on the cluster that KUBECONFIG names: `make k8s-test`.

Hands our images over by the command in K8S_LOAD (they are appended to it; without it the cluster has them already),
rolls out, plays the sample through the gateway's Service, rolls every deployment under load, kills pods, scales
workers, restores a database from a backup, asks the server what it thinks of the overlay `cluster` where it has the
operators' definitions, cleans up.
Exit codes: 0 all held, 1 something did not, 2 no cluster.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from oms_gateway import keys
from oms_local.topology import SERVICES
from oms_sample.synth import MAIN_NODE

from . import players
from .cluster import (
    K8S,
    KUBECTL,
    NAMESPACE,
    Failed,
    all_ready,
    deployments,
    get,
    kubectl,
    run,
    say,
    until,
    until_rolled_out,
)

LISTING = {"channel": "uci", "shop": "united-kingdom", "listing": "85123A", "currency": "GBP"}
PLENTY = {"node": MAIN_NODE.code, "sku": LISTING["listing"], "kind": "movement", "quantity": 1_000_000}
CRASHED = ("orders-worker", "inventory-worker", "fulfilment-worker", "orders-api", "gateway-api")
SERVERS = ("kafka-0", "postgres-0")
OPERATED = (
    "scaledobjects.keda.sh",
    "triggerauthentications.keda.sh",
    "clusters.postgresql.cnpg.io",
    "kafkas.kafka.strimzi.io",
    "kafkausers.kafka.strimzi.io",
    "podmonitors.monitoring.coreos.com",
)
SCALED = ("orders-worker", "inventory-worker")
RESTORED = "orders"
BACKUP = "/tmp/backup"
"""In the pod of the database."""


def main() -> int:
    options = _options()
    if shutil.which(KUBECTL) is None:
        print(f"{KUBECTL} is missing", file=sys.stderr)
        return 2
    try:
        server = json.loads(run([KUBECTL, "version", "--output", "json"]))["serverVersion"]["gitVersion"]
        there = run([KUBECTL, "get", "namespace", NAMESPACE, "--ignore-not-found", "--output", "name"]).strip()
        if there:
            raise Failed(f"the namespace {NAMESPACE} is there already: this test would remove it")
    except (Failed, KeyError) as failed:
        print(f"no cluster to test on: {failed}", file=sys.stderr)
        return 2
    say(f"cluster: {server}; images :{options.tag}")
    measured: dict[str, Any] = {"cluster": server}
    try:
        _prove(options, measured)
        said = 0
    except Failed as failed:
        say(f"FAILED: {failed}")
        said = 1
    finally:
        print(json.dumps(measured, indent=2), flush=True)
        if options.json:
            options.json.write_text(json.dumps(measured, indent=2))
    if options.keep:
        say(f"kept: namespace {NAMESPACE}")
        return said
    try:
        timed("cleaned up", _clean_up)
    except Failed as failed:
        say(f"FAILED: not cleaned up: {failed}")
        return 1
    return said


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make k8s-test", description=__doc__)
    parser.add_argument("--tag", default="dev", help="of our images (default: dev)")
    parser.add_argument("--limit", type=int, help="sales of the sample (default: all)")
    parser.add_argument("--rate", type=float, default=10.0, help="orders a second under load")
    parser.add_argument("--keep", action="store_true", help="leave everything in place")
    parser.add_argument("--json", type=Path, help="also write what was measured there")
    return parser.parse_args()


def timed(what: str, act: Callable[[], object]) -> float:
    """Do it, say how long it took, answer that."""
    began = time.monotonic()
    act()
    took = round(time.monotonic() - began, 1)
    say(f"{what} ({took} s)")
    return took


def _prove(options: argparse.Namespace, measured: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        overlay = _overlay(Path(scratch), options.tag)
        images = _images(overlay, options.tag)
        measured["load_images_s"] = timed(f"{len(images)} images handed over", lambda: _load_images(images))
        issued = _secrets(Path(scratch))
        measured["roll_out_s"] = timed("rolled out", lambda: _roll_out(overlay))
        measured["ready_s"] = timed("every pod is ready", lambda: until("all pods ready", all_ready))
        players.prepare(_endpoints(issued))
        measured["sample"] = _sample(options)
        measured["rolled"] = _roll(options)
        measured["upgraded_s"] = timed("rolled out again, nothing changed", lambda: _roll_out(overlay))
        measured["killed"] = _kill(options)
        measured["scaled"] = _scale(options)
        measured["restored"] = _restore(options)
        _audit()
        measured["cluster_overlay"] = _dry_run()


# --- steps ------------------------------------------------------------------------------------------------------


def _overlay(folder: Path, tag: str) -> Path:
    """The overlay `single` with our tag, as a company's own overlay would have it."""
    base = yaml.safe_load((K8S / "overlays" / "single" / "kustomization.yaml").read_text())
    images = [{"name": image["name"], "newTag": tag} for image in base["images"]]
    # Kustomize takes relative paths only.
    resources = [os.path.relpath(K8S / "overlays" / "single", folder.resolve())]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": resources, "images": images}))
    return folder


def _images(overlay: Path, tag: str) -> list[str]:
    rendered = run([K8S / "kustomize", overlay])
    found = {line.split("image:")[1].strip() for line in rendered.splitlines() if line.strip(" -").startswith("image:")}
    return sorted({*found, f"oms/sample:{tag}"})


def _load_images(images: list[str]) -> None:
    if command := shlex.split(os.environ.get("K8S_LOAD", "")):
        run([*command, *images])
    else:
        say("K8S_LOAD is not set: the cluster has the images, or can pull them")


def _secrets(folder: Path) -> dict[str, dict[str, str]]:
    """Callers' keys, and the overlay's Secrets with them."""
    file, issued, root_key = folder / "keys.json", folder / "issued.json", os.urandom(32).hex()
    keys.hand_out(file, root_key, to=issued, now=datetime.now(UTC))
    run([KUBECTL, "apply", "--filename", str(K8S / "base" / "namespace.yaml")])
    script = K8S / "overlays" / "single" / "secrets"
    for _ in range(2):  # the second time it finds all of them
        run([script, "--keys", file], environment={"OMS_GATEWAY_ROOT_KEY": root_key})
    by_role: dict[str, dict[str, str]] = json.loads(issued.read_text())
    return by_role


def _roll_out(overlay: Path) -> None:
    print(run([K8S / "roll-out", overlay]), end="", flush=True)


def _endpoints(issued: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {
        "services": {"gateway": "http://gateway-api:8080"},
        "bootstrap": "kafka:9092",
        "keys": issued,
        "listing": LISTING,
        "stock": PLENTY,
        "ask": [
            *(f"/v1/services/{service.name}/summary" for service in SERVICES if service.has_database),
            "/v1/orders?limit=5",
        ],
    }


def _sample(options: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    summary = players.play(options.tag, options.limit)
    kept = ("accepted", "lost", "doubled", "oversold", "dead_letters", "orders_per_s", "lines_shipped", "states")
    result = {name: summary[name] for name in kept} | {"took_s": round(time.monotonic() - began, 1)}
    say(f"sample: {summary['accepted']:,} orders, {summary['orders_per_s']} orders/s, sound")
    return result


def _roll(options: argparse.Namespace) -> dict[str, Any]:
    """Every deployment is rolled under load: no request fails, no order is lost."""
    took = {}
    with players.load("load-roll", options.tag, options.rate) as load:
        time.sleep(5)
        for name in deployments():
            began = time.monotonic()
            kubectl("rollout", "restart", f"deployment/{name}")
            until_rolled_out(name)
            took[name] = round(time.monotonic() - began, 1)
        until("old pods are gone", all_ready)
        time.sleep(5)
    _judge("rolled under load", load.result)
    return {"boths": took, "load": load.result}


def _kill(options: argparse.Namespace) -> dict[str, Any]:
    """Pods are killed, those of broker and database too: callers must send again, and lose nothing."""
    took = {}
    with players.load("load-kill", options.tag, options.rate, patient=True) as load:
        for name in CRASHED:
            service, _, component = name.partition("-")
            labels = f"app.kubernetes.io/name={service},app.kubernetes.io/component={component}"
            kubectl("delete", "pod", "--selector", labels, "--grace-period=0", "--force", "--wait=false")
            took[name] = round(until(f"{name} is back", partial(_replaced, name)), 1)
        for pod in SERVERS:
            kubectl("delete", "pod", pod, "--grace-period=1", "--wait=true")
            took[pod] = round(until(f"{pod} is back", all_ready), 1)
        time.sleep(5)
    _judge("killed under load", load.result)
    return {"back_s": took, "load": load.result}


def _scale(options: argparse.Namespace) -> dict[str, Any]:
    """Workers come and go: partitions move, and nothing stands still."""
    with players.load("load-scale", options.tag, options.rate) as load:
        for replicas in (3, 1, 2):
            for name in SCALED:
                kubectl("scale", f"deployment/{name}", f"--replicas={replicas}")
            for name in SCALED:
                until_rolled_out(name)
            time.sleep(10)
    for name in SCALED:
        kubectl("scale", f"deployment/{name}", "--replicas=1")
    _judge("scaled under load", load.result)
    until("scaled back", all_ready)
    return {"load": load.result}


def _restore(options: argparse.Namespace) -> dict[str, Any]:
    """A service gets an older database, as docs/deploy.md says, and has caught up with Kafka soon."""
    names = [f"{RESTORED}-{component}" for component in ("api", "worker")]
    both = [f"deployment/{name}" for name in names]
    _in_database("pg_dump", f"--dbname=oms_{RESTORED}", "--format=custom", f"--file={BACKUP}")
    with players.load("load-backup", options.tag, options.rate) as load:
        time.sleep(10)
    _judge("sent after the backup", load.result)
    before = _orders_by_state()
    kubectl("scale", *both, "--replicas=0")
    labels = f"app.kubernetes.io/name={RESTORED},app.kubernetes.io/component in (api,worker)"
    kubectl("wait", "--for=delete", "pod", "--selector", labels, "--timeout=120s")
    _put_backup_in_place()
    if _orders_by_state() == before:
        raise Failed("the backup knows everything: nothing is proved")
    run([K8S / "run-command", RESTORED, "migrate"])
    run([K8S / "run-command", RESTORED, "offsets", "reset", "--to", "earliest", "--wait", "60"])
    kubectl("scale", *both, "--replicas=1")
    took = round(until("every order is back", lambda: _orders_by_state() == before), 1)
    for name in names:
        until_rolled_out(name)
    say(f"restored: {load.result['orders']:,} orders that the backup lacks are back ({took} s)")
    return {"orders_not_in_the_backup": load.result["orders"], "back_s": took}


def _put_backup_in_place() -> None:
    role, database = f"oms_{RESTORED}", f"--dbname=oms_{RESTORED}"
    _in_database("psql", database, f"--command=drop owned by {role}")
    _in_database("pg_restore", database, f"--role={role}", "--single-transaction", BACKUP)


def _orders_by_state() -> str:
    asked = "--command=select state, count(*) from orders group by state order by state"
    return _in_database("psql", f"--dbname=oms_{RESTORED}", asked)


def _in_database(program: str, *arguments: str) -> str:
    return kubectl("exec", "postgres-0", "--", program, "--username=postgres", *arguments)


def _replaced(name: str) -> bool:
    status = get("deployment", name)["status"]
    return all_ready() and status.get("readyReplicas") == status.get("replicas")


def _judge(what: str, result: dict[str, Any]) -> None:
    say(
        f"{what}: {result['requests']:,} requests, {result['failed']} failed, {result['sent_again']} sent again, "
        f"p50 {result['p50_ms']} ms, p99 {result['p99_ms']} ms; {result['orders']:,} orders, "
        f"{len(result['lost'])} lost, {len(result['not_at_a_warehouse'])} stay on the way"
    )
    faults = result["lost"] + result["not_at_a_warehouse"] + result["failures"]
    if faults:
        raise Failed(f"{what}: {faults[:10]}")


def _audit() -> None:
    """Nothing is left behind: no dead letter, nothing unread, balances that are the sum of their ledgers."""
    for service in SERVICES:
        if not service.has_database:
            continue
        worker = f"deployment/{service.name}-worker"
        letters = kubectl("exec", worker, "--container", "worker", "--", "oms", "dead-letters", "list").strip()
        if letters:
            raise Failed(f"{service.name} has dead letters: {letters[:1000]}")
        if service.consumes:
            until(f"{service.name} has read all", partial(_has_read_all, service.name), 120)
    say("audit: no dead letters, everything read")


def _has_read_all(service: str) -> bool:
    said = kubectl(
        "exec", f"deployment/{service}-worker", "--container", "worker", "--", "oms", "offsets", "show"
    ).splitlines()
    return all(json.loads(line)["behind"] == 0 for line in said if line.startswith("{"))


def _dry_run() -> str:
    """What the server, with the operators' own definitions, says of the overlay `cluster`."""
    known = run([KUBECTL, "api-resources", "--output", "name"]).split()
    if missing := [name for name in OPERATED if name not in known]:
        say(f"NOT CHECKED: the overlay `cluster`: the server knows no {', '.join(missing)}")
        return "not checked"
    for overlay in ("cluster", "given"):
        rendered = run([K8S / "kustomize", K8S / "overlays" / overlay])
        said = kubectl("create", "--dry-run=server", "--validate=strict", "--filename", "-", given=_other(rendered))
        say(f"overlay `{overlay}`: {len(said.splitlines())} objects pass the server's dry run")
    return "passes the server's dry run"


def _other(rendered: str) -> str:
    """The same objects without the namespace, under other names: a dry run must not meet those that are there."""
    documents = [d for d in yaml.safe_load_all(rendered) if d["kind"] != "Namespace"]
    for document in documents:
        document["metadata"]["name"] += "-dry"
    return yaml.safe_dump_all(documents)


def _clean_up() -> None:
    for pod in ("load-roll", "load-kill", "load-scale", "load-backup", "sample"):
        kubectl("delete", "job", pod, "--ignore-not-found", "--wait=false")
    run([KUBECTL, "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=300s"])


if __name__ == "__main__":
    sys.exit(main())
