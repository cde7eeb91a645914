"""Small services to supervise, and children to kill."""

import stat
import sys
from pathlib import Path

import pytest

from oms_local.run_folder import RunFolder
from oms_local.topology import Service

# A service as the launcher sees one: `serve` answers /readyz, `migrate` makes a table, `keys demo` hands out keys,
# once.
SERVICE = f"""#!{sys.executable}
import asyncio, json, os, sys, uuid
import asyncpg, uvicorn
from fastapi import FastAPI

app = FastAPI()
ROLES = ("channel", "warehouse", "carrier", "operator", "finance", "viewer")


@app.get("/readyz")
def readyz():
    return {{}}


@app.get("/environment")
def environment():
    return {{name: value for name, value in os.environ.items() if name.startswith("OMS_")}}


async def migrate():
    connection = await asyncpg.connect(os.environ["OMS_DATABASE_URL"].replace("+asyncpg", ""))
    await connection.execute("create table if not exists migrated ()")
    await connection.close()


match sys.argv[1]:
    case "serve":
        uvicorn.run(app, host=os.environ["OMS_HTTP_HOST"], port=int(os.environ["OMS_HTTP_PORT"]))
    case "migrate":
        asyncio.run(migrate())
    case "keys":
        options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
        with open(options["--file"], "a") as file:
            file.write(sys.argv[2] + os.linesep)
        if not os.path.exists(options["--to"]):
            secret = os.environ["OMS_GATEWAY_ROOT_KEY"][:8]
            keys = {{role: {{"key": uuid.uuid4().hex, "secret": secret}} for role in ROLES}}
            with open(options["--to"], "w") as file:
                json.dump(keys, file)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def said() -> list[str]:
    """What was reported."""
    return []


@pytest.fixture
def small_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Service, ...]:
    """Alpha, beta, and a gateway that needs both; their commands are installed beside a Python that is not there."""
    commands = tmp_path / "bin"
    commands.mkdir()
    services = (
        Service("alpha", 8081),
        Service("beta", 8082, settings={"OMS_BATCH_WINDOW_MS": "1000"}, nice=10),
        Service("gateway", 8080, has_database=False, consumes=False, needs=("alpha", "beta")),
    )
    for service in services:
        script = commands / service.script
        script.write_text(SERVICE)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(commands / "python"))
    return services
