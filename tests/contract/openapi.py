"""What only the whole house can say of itself, as files: `python -m tests.contract.openapi` writes them, with `--check`
it compares. HTTP APIs of the services and of all of them as callers meet them, who sends and reads which event, and
the AsyncAPI document that the gateway shows.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tests.services import DECLARED, ROOT, SERVICES

from oms_events.runtime.http import build_app
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.settings import Settings
from oms_events.schema import baseline, examples, export, flow
from oms_events.schema.baseline import NoBaseline
from oms_gateway.openapi import merge

CONTRACTS = ROOT / "contracts"
FOLDER = CONTRACTS / "openapi"
GATEWAY_COPY = ROOT / "services" / "gateway" / "src" / "oms_gateway" / "asyncapi.json"


def documents() -> dict[str, str]:
    """The HTTP APIs by file name. No database or broker is asked: a runtime connects only when it is started."""
    apis = {service.name: build_app(Runtime(service, Settings())).openapi() for service in SERVICES}
    whole = merge(apis)
    apis["gateway"], apis["oms"] = merge({}), whole
    return {f"{name}.json": _stable(api) for name, api in sorted(apis.items())}


def declared_flow() -> str:
    """Who sends and reads each event."""
    groups = {service.name: service.group for service in SERVICES if service.consumes}
    return flow.written(
        {
            name: flow.Part(
                groups.get(name), [event.type for event in told.produces], [event.type for event in told.consumes]
            )
            for name, told in DECLARED.items()
        }
    )


def drifted(folder: Path = FOLDER) -> list[str]:
    """Names of HTTP APIs that are not what the code says: different, missing, or of no service."""
    wanted = documents()
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> list[str]:
    """Bring the folder of HTTP APIs up to date; answers what changed."""
    wanted, changed = documents(), drifted(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], "utf-8")
        else:
            (folder / name).unlink()
    return changed


def write_all() -> list[str]:
    """Bring every generated contract up to date, in the order in which they build on each other."""
    changed = _put(CONTRACTS / flow.SERVICES, declared_flow()) + write()
    changed += export.write(CONTRACTS)
    try:
        changed += examples.lock(CONTRACTS, baseline.load(CONTRACTS).covers)
    except NoBaseline as error:
        print(f"no example was bound: {error}", file=sys.stderr)
    return changed + _put(GATEWAY_COPY, _gateway_copy())


def drifted_all() -> list[str]:
    """Everything that `write_all` would change and `oms-events check` does not see."""
    drift = [f"contracts/openapi/{name}" for name in drifted()]
    for path, content in ((CONTRACTS / flow.SERVICES, declared_flow()), (GATEWAY_COPY, _gateway_copy())):
        if not path.is_file() or path.read_text("utf-8") != content:
            drift.append(str(path.relative_to(ROOT)))
    return drift


def _gateway_copy() -> str:
    # The gateway is installed without the contracts folder.
    return json.dumps(export.bundle(CONTRACTS), indent=1, ensure_ascii=False) + "\n"


def _put(path: Path, content: str) -> list[str]:
    if path.is_file() and path.read_text("utf-8") == content:
        return []
    path.write_text(content, "utf-8")
    return [str(path.relative_to(ROOT))]


def _stable(api: dict[str, Any]) -> str:
    return json.dumps(api, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.openapi", description="Generated contracts.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail when a file is not what it should be"
    )
    if not parser.parse_args().check:
        print("\n".join(write_all()) or "nothing changed")
        return 0
    drift = drifted_all()
    for name in drift:
        print(f"drift: {name} is not what the code says; run `make openapi`")
    return 1 if drift else 0


if __name__ == "__main__":
    sys.exit(main())
