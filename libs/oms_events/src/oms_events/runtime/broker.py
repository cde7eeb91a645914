"""The broker as its clients meet it: where it is, and how they are let in. Made from the settings once."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from pydantic import SecretStr

from oms_events.runtime.settings import SaslMechanism, Security, SettingRefused, Settings

log = structlog.get_logger()

_LOOK_MS = 5_000
"""How long a server may take to say why it does not let us in."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the broker, and the secret that proves it."""

    mechanism: SaslMechanism
    username: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class Broker:
    """A Kafka, whole: every client of it is made from this."""

    bootstrap: str
    """`host:port` of one of its servers, or of several with commas between."""
    tls: ssl.SSLContext | None = None
    login: Login | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises SettingRefused where settings contradict each other, or name files that are of no use."""
        _require_consistent(settings)
        return cls(
            settings.kafka_bootstrap,
            _tls_of(settings) if settings.kafka_security.endswith("SSL") else None,
            Login(settings.kafka_sasl_mechanism, settings.kafka_username, settings.kafka_password)
            if settings.kafka_security.startswith("SASL")
            else None,
        )

    @property
    def security(self) -> Security:
        """What is spoken, as Kafka calls it."""
        if self.login is None:
            return "PLAINTEXT" if self.tls is None else "SSL"
        return "SASL_PLAINTEXT" if self.tls is None else "SASL_SSL"

    def options(self) -> dict[str, Any]:
        """What every client of aiokafka is given besides its own: consumer, producer, administrator."""
        return {"bootstrap_servers": self.bootstrap, **self._entry()}

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """An administrator's client. Raises SettingRefused where no waiting would let us in, else KafkaError."""
        client = AIOKafkaAdminClient(**self.options())
        try:
            try:
                await client.start()
            except KafkaConnectionError:
                if not await self._lets_us_in():
                    raise
                # It came up in between.
                await client.start()
            yield client
        finally:
            await client.close()

    def _entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"security_protocol": self.security, "ssl_context": self.tls}
        if self.login is not None:
            entry |= {
                "sasl_mechanism": self.login.mechanism,
                "sasl_plain_username": self.login.username,
                "sasl_plain_password": self.login.password.get_secret_value(),
            }
        return entry

    async def _lets_us_in(self) -> bool:
        """Whether a server does; raises SettingRefused if one says why it does not. The client keeps its reasons to
        itself: to its caller, one that refuses us looks like one that is away."""
        entered = False
        for host, port, _ in collect_hosts(self.bootstrap):
            server = f"{host}:{port}"
            try:
                connection = await create_conn(host, port, request_timeout_ms=_LOOK_MS, **self._entry())
                try:
                    await connection.send(MetadataRequest([]))
                    entered = True
                finally:
                    connection.close()
            except (KafkaError, OSError, TimeoutError) as error:
                if reason := self._refusal(error, server):
                    raise SettingRefused(reason) from None
                if isinstance(error, KafkaConnectionError | ConnectionResetError):
                    # It may be just starting or stopping, so this is no reason to give up.
                    log.warning("broker hangs up", server=server, OMS_KAFKA_SECURITY=self.security)
        return entered

    def _refusal(self, error: BaseException, server: str) -> str | None:
        """The setting to look at, if this is a matter of settings. Nothing of what a setting holds but names."""
        match error:
            case SaslAuthenticationFailed():
                return f"OMS_KAFKA_USERNAME, OMS_KAFKA_PASSWORD: {server} refuses this login ({self._mechanism})"
            case UnsupportedSaslMechanismError():
                return f"OMS_KAFKA_SASL_MECHANISM: {server} does not take {self._mechanism}"
            case ssl.SSLCertVerificationError(verify_code=code) if code in _NAMES_DIFFER:
                return f"OMS_KAFKA_BOOTSTRAP: {server} shows another server's certificate ({error.verify_message})"
            case ssl.SSLCertVerificationError():
                return f"OMS_KAFKA_CA_FILE: the certificate of {server} is not trusted ({error.verify_message})"
            case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
                return f"OMS_KAFKA_CERT_FILE, OMS_KAFKA_KEY_FILE: {server} refuses this certificate, or none ({reason})"
        return None if error.__cause__ is None else self._refusal(error.__cause__, server)

    @property
    def _mechanism(self) -> str:
        return "" if self.login is None else self.login.mechanism


_NAMES_DIFFER = {62, 64}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


def _require_consistent(settings: Settings) -> None:
    security = settings.kafka_security
    login = {
        "OMS_KAFKA_USERNAME": settings.kafka_username,
        "OMS_KAFKA_PASSWORD": settings.kafka_password.get_secret_value(),
    }
    files = {
        "OMS_KAFKA_CA_FILE": settings.kafka_ca_file,
        "OMS_KAFKA_CERT_FILE": settings.kafka_cert_file,
        "OMS_KAFKA_KEY_FILE": settings.kafka_key_file,
    }
    for name, value in login.items():
        if security.startswith("SASL") and not value:
            raise SettingRefused(f"{name} must be set: OMS_KAFKA_SECURITY is {security}, which logs in")
        if value and not security.startswith("SASL"):
            raise SettingRefused(f"{name} is set, but OMS_KAFKA_SECURITY is {security}, which does not log in")
    for name, value in files.items():
        if value and not security.endswith("SSL"):
            raise SettingRefused(f"{name} is set, but OMS_KAFKA_SECURITY is {security}, which is not encrypted")
    for name, other in (("CERT", "KEY"), ("KEY", "CERT")):
        if files[f"OMS_KAFKA_{name}_FILE"] and not files[f"OMS_KAFKA_{other}_FILE"]:
            raise SettingRefused(f"OMS_KAFKA_{other}_FILE must be set where OMS_KAFKA_{name}_FILE is")


def _tls_of(settings: Settings) -> ssl.SSLContext:
    """Checks who the server is in any case, and its name; shows a certificate of ours where there is one."""
    context = _trusting(settings.kafka_ca_file)
    if settings.kafka_cert_file:
        for name, file in (
            ("OMS_KAFKA_CERT_FILE", settings.kafka_cert_file),
            ("OMS_KAFKA_KEY_FILE", settings.kafka_key_file),
        ):
            _require_readable(name, file)
        try:
            # Without a password here, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file, password="")
        except (OSError, ValueError):
            raise SettingRefused(
                "OMS_KAFKA_CERT_FILE, OMS_KAFKA_KEY_FILE: must be a certificate and its own key, PEM, not encrypted"
            ) from None
    return context


def _trusting(ca_file: str) -> ssl.SSLContext:
    """Trust in a certificate authority of one's own, or in those that the system trusts."""
    if not ca_file:
        return ssl.create_default_context()
    _require_readable("OMS_KAFKA_CA_FILE", ca_file)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError):
        raise SettingRefused(f"OMS_KAFKA_CA_FILE: {ca_file} holds no PEM certificate") from None
    # From Python 3.13 on, a certificate that does not name its issuer's key is refused. Those that Strimzi makes do not
    # (strimzi/strimzi-kafka-operator#11375). Chain, dates and name are checked all the same.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _require_readable(name: str, file: str) -> None:
    try:
        Path(file).read_bytes()
    except OSError as error:
        raise SettingRefused(f"{name}: {file} cannot be read ({error.strerror})") from None
