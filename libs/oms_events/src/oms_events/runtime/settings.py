"""Settings every service shares, read from the environment (`OMS_...`)."""

from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Role = Literal["api", "consumer", "relay", "deadlines"]
ROLES: tuple[Role, ...] = ("api", "consumer", "relay", "deadlines")

Security = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class SettingRefused(ValueError):
    """A setting cannot be right, by itself or beside others: no waiting mends it. Says which one and the rule, and
    nothing that it holds but names."""


class Settings(BaseSettings):
    """Where the broker and the database are, and how one process behaves. Times are in seconds unless named."""

    model_config = SettingsConfigDict(env_prefix="OMS_", extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap: str = "127.0.0.1:29092"
    kafka_security: Security = "PLAINTEXT"
    """Whether connections to Kafka are encrypted (`..SSL`), and whether they log in (`SASL_..`)."""
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca_file: str = ""
    """PEM: who must have signed the broker's certificate. Without it, whom the system trusts."""
    kafka_cert_file: str = ""
    """PEM: the certificate that is shown to the broker where it asks for one."""
    kafka_key_file: str = ""
    """PEM, not encrypted: its key."""
    database_url: SecretStr = SecretStr("postgresql+asyncpg://127.0.0.1:25432/postgres")
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    roles: str = ",".join(ROLES)
    instance: str = ""
    """Name of this process among its service's, for static group membership. Never the same in two live
    processes: nothing in the client fences them."""
    files_url: str = ""
    """Where handed-in files lie: `file:///folder` or `s3://bucket/prefix`, the same one for all who share them."""
    files_max_bytes: int = Field(default=2 * 1024**3, ge=1)
    log_level: str = "INFO"
    log_format: Literal["console", "json"] = "json"

    batch_max_records: int = Field(default=2000, ge=1, le=10_000)
    batch_window_ms: int = Field(default=60, ge=0, le=1000)
    """How long the broker keeps records back, at most, after it has answered some. A batch costs the same few
    milliseconds whether it holds one event or fifty, so they are gathered until they are worth one; one that comes
    after a pause never waits."""
    session_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 3_000
    commit_interval_s: float = 1.0
    relay_interval_s: float = 1.0
    relay_age_s: float = 2.0
    """Rows younger than this are left to the process that wrote them: it publishes from memory."""
    deadline_interval_s: float = 1.0
    linger_s: float = Field(default=0.0, ge=0)
    """How long a process that was told to stop goes on answering, and closes each connection with its answer. Whoever
    sends it requests needs that long to hear that it goes."""
    drain_timeout_s: float = 20.0
    inbox_retention_days: int = 30
    """Longer than the topics' retention: a replay of a whole topic must still be recognised."""
    pool_size: int = 4
    nice: int = Field(default=0, ge=0, le=19)
    """How far the process steps back where there are more that want to run than processors, as `nice(1)` has it. Counts
    between processes of one machine; containers have shares instead."""

    @field_validator("database_url")
    @classmethod
    def _for_our_driver(cls, url: SecretStr) -> SecretStr:
        """Takes the address as others write it, too: `postgresql://...?sslmode=require`."""
        scheme, separator, rest = url.get_secret_value().partition("://")
        if scheme not in {"postgres", "postgresql"}:
            return url
        return SecretStr(f"postgresql+asyncpg{separator}{rest.replace('sslmode=', 'ssl=')}")

    def active_roles(self) -> frozenset[str]:
        """Roles this process plays. Raises ValueError for an unknown one."""
        names = frozenset(name.strip() for name in self.roles.split(",") if name.strip())
        if unknown := names - set(ROLES):
            raise ValueError(f"OMS_ROLES names unknown roles: {', '.join(sorted(unknown))}; known: {', '.join(ROLES)}")
        return names


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S]) -> S:
    """The settings of this process, from its environment. Raises SettingRefused."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = [f"{prefix}{'.'.join(map(str, one['loc']))}".upper() + f": {one['msg']}" for one in error.errors()]
        raise SettingRefused("; ".join(wrong)) from None
