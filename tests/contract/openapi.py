"""The services' HTTP APIs as files: `python -m tests.contract.openapi` writes them, with `--check` it compares."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from oms_events.runtime.http import build_app
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.settings import Settings
from oms_gateway.openapi import merge

from .services import ROOT, SERVICES

FOLDER = ROOT / "contracts" / "openapi"


def documents() -> dict[str, str]:
    """Every file by its name. No database or broker is asked: a runtime connects only when it is started."""
    apis = {service.name: build_app(Runtime(service, Settings())).openapi() for service in SERVICES}
    apis["gateway"] = merge({})
    return {f"{name}.json": _stable(api) for name, api in sorted(apis.items())}


def drifted(folder: Path = FOLDER) -> list[str]:
    """Names of files that are not what the code says: different, missing, or of no service."""
    wanted = documents()
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> list[str]:
    """Bring the folder up to date; answers what changed."""
    wanted, changed = documents(), drifted(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], "utf-8")
        else:
            (folder / name).unlink()
    return changed


def _stable(api: dict[str, Any]) -> str:
    return json.dumps(api, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.openapi", description="The HTTP APIs as files.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail when a file is not what it should be"
    )
    if not parser.parse_args().check:
        print("\n".join(write()) or "nothing changed")
        return 0
    drift = drifted()
    for name in drift:
        print(f"drift: contracts/openapi/{name} is not what the code says; run `make openapi`")
    return 1 if drift else 0


if __name__ == "__main__":
    sys.exit(main())
