"""What the console is started with: its keys at the gateway, and people who can sign in at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oms_events.runtime import private_file
from oms_local.process import run
from oms_local.run_folder import RunFolder

KEYS_OF = ("viewer", "operator", "finance")
"""Roles of the gateway that the console acts in."""
DEMO_USERS: Mapping[str, tuple[str, ...]] = {
    "admin": ("operator", "finance"),
    "operator": ("operator",),
    "finance": ("finance",),
    "viewer": ("viewer",),
}
_PASSWORD_LENGTH = 16


@dataclass(frozen=True, slots=True)
class DemoUser:
    """Somebody who can sign in to the console."""

    name: str
    password: str = field(repr=False)


def demo_users(folder: RunFolder) -> list[DemoUser]:
    """Their passwords derive from the run folder's secret, so they stay as long as it does."""
    return [DemoUser(name, folder.secret(f"console-user-{name}")[:_PASSWORD_LENGTH]) for name in DEMO_USERS]


def environment(folder: RunFolder) -> dict[str, str]:
    """Where the console finds its files, and what it signs sessions with."""
    return {
        "OMS_CONSOLE_KEYS_FILE": str(_keys_file(folder)),
        "OMS_CONSOLE_USERS_FILE": str(_users_file(folder)),
        "OMS_CONSOLE_SECRET": folder.secret("console"),
        "OMS_CONSOLE_SECURE_COOKIES": "false",  # plain HTTP on this machine alone
    }


async def provide(script: str, folder: RunFolder, keys: Mapping[str, Mapping[str, str]]) -> None:
    """Write the console's keys, and add those demo users that are missing, by its own command."""
    private_file.replace(_keys_file(folder), json.dumps({role: dict(keys[role]) for role in KEYS_OF}).encode())
    file = str(_users_file(folder))
    listed = await run([script, "users", "list", "--file", file]) if _users_file(folder).exists() else ""
    known = {json.loads(line)["name"] for line in listed.splitlines()}
    for user in demo_users(folder):
        if user.name not in known:
            roles = [argument for role in DEMO_USERS[user.name] for argument in ("--role", role)]
            await run([script, "users", "add", "--file", file, "--name", user.name, *roles], told=user.password)


def _keys_file(folder: RunFolder) -> Path:
    return folder.path.absolute() / "console-keys.json"


def _users_file(folder: RunFolder) -> Path:
    return folder.path.absolute() / "console-users.json"
