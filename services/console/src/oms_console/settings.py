"""Settings of the console, read from the environment (`OMS_...`)."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, TypeAdapter

from oms_console.roles import Role
from oms_events.runtime.settings import Settings
from oms_events.values import time_zones


def _known_zone(zone: str) -> str:
    if zone not in time_zones():
        raise ValueError(f"{zone} is no time zone of the IANA database")
    return zone


Zone = Annotated[str, AfterValidator(_known_zone)]
Language = Literal["en", "zh"]


class ApiKey(BaseModel):
    """A key of the gateway."""

    key: str
    secret: SecretStr


class KeyMissing(Exception):
    """The file of keys has none for a role."""


class ConsoleSettings(Settings):
    """Where the gateway is and by which keys, who may sign in, and how long. Times are in seconds."""

    http_port: int = 8088
    gateway_url: str = "http://127.0.0.1:8080"
    console_keys_file: Path = Path("console-keys.json")
    """`{"viewer": {"key", "secret"}, "operator": {...}, "finance": {...}}`: a key of the gateway for each role."""
    console_users_file: Path = Path("users.json")
    console_secret: SecretStr = Field(min_length=32)
    """What sessions are signed with: at least 32 characters, the same in all replicas."""
    console_secure_cookies: bool = True
    """Cookies over TLS only. Switch it off for plain HTTP on one's own machine, and nowhere else."""
    console_session_idle_s: int = Field(default=3600, ge=60)
    console_session_s: int = Field(default=12 * 3600, ge=60)
    """A session ends after so long, used or not."""
    console_language: Language = "en"
    """For browsers that ask for neither language."""
    console_zone: Zone = "UTC"
    """Times are shown in it until a person chooses another."""
    console_upload_bytes: int = Field(default=1024**3, ge=1024)
    """The largest statement that is taken. It is kept in a temporary file while it is handed on."""
    console_timeout_s: float = Field(default=10.0, gt=0)
    """How long a page waits for the gateway."""

    def api_keys(self) -> dict[Role, ApiKey]:
        """The gateway's keys by role. Raises KeyMissing."""
        stored = TypeAdapter(dict[str, ApiKey]).validate_python(json.loads(self.console_keys_file.read_text("utf-8")))
        if missing := [role for role in Role if role not in stored]:
            raise KeyMissing(f"{self.console_keys_file} has no key for {', '.join(missing)}")
        return {role: stored[role] for role in Role}
