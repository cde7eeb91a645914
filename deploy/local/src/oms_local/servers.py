"""What a platform is: a broker and a database server, and how they came to be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL server with a login that may create roles and databases."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "PostgresServer":
        """From `postgresql://user:password@host:port/...`. Raises ValueError naming what is missing."""
        parts = urlsplit(url)
        if not parts.scheme.startswith("postgres"):
            raise ValueError("OMS_POSTGRES_URL must begin with postgresql://")
        if not (parts.hostname and parts.username and parts.password):
            raise ValueError("OMS_POSTGRES_URL must name user, password and host")
        return cls(parts.hostname, parts.port or 5432, unquote(parts.username), unquote(parts.password))

    def login(self, user: str, password: str) -> "PostgresServer":
        """The same server, another login."""
        return PostgresServer(self.host, self.port, user, password)

    def url(self, database: str = "postgres") -> str:
        """For asyncpg and psql."""
        return f"postgresql://{self._authority()}/{database}"

    def sqlalchemy_url(self, database: str) -> str:
        """For SQLAlchemy's asyncpg dialect."""
        return f"postgresql+asyncpg://{self._authority()}/{database}"

    def _authority(self) -> str:
        return f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@{self.host}:{self.port}"


class Way(StrEnum):
    """How the platform is had."""

    ADDRESSES = "addresses"
    """Servers that somebody else runs."""
    DOCKER = "docker"
    LOCAL = "local"
    """Processes of our own."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A running broker and database server."""

    how: Way
    bootstrap: str
    """`host:port` of the broker."""
    postgres: PostgresServer
    pids: Callable[[], dict[str, int]] = dict
    """The main process of each server by name, where they run on this machine. PostgreSQL's work is done by
    that process's children."""
