"""A Kafka that asks who comes: the local one, with listeners that encrypt, and that want a login or a certificate.

It keeps access lists: who came in may do what docs/deploy.md says that our login needs, and nothing else.
"""

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from oms_events.runtime.broker import Broker
from oms_local import kafka
from oms_local.java import find_java
from oms_local.kafka import KafkaListener
from oms_local.ports import LOCALHOST, Ports
from oms_local.profile import Profile
from oms_local.run_folder import RunFolder
from oms_local.supervisor import Supervisor

USERNAME = "oms"
PASSWORD = "correct-horse-battery-staple"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_TOPIC, _GROUP, _PREFIXED, _ALLOW = 2, 3, 4, 3
_READ, _WRITE, _CREATE, _DESCRIBE = 3, 4, 5, 8
_AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}
_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Guarded:
    """Where it listens, and the files that lead in. Environments are a client's, complete."""

    plain: str
    """Without any guard, for those who look on."""
    login: str
    """SASL_SSL: PLAIN or SCRAM-SHA-512."""
    bare_login: str
    """SASL_PLAINTEXT: SCRAM-SHA-256."""
    certificates: str
    """SSL: who comes shows a certificate of ours."""
    folder: Path

    def with_login(self, mechanism: str, **changed: str) -> dict[str, str]:
        return {
            "OMS_KAFKA_BOOTSTRAP": self.login,
            "OMS_KAFKA_SECURITY": "SASL_SSL",
            "OMS_KAFKA_SASL_MECHANISM": mechanism,
            "OMS_KAFKA_USERNAME": USERNAME,
            "OMS_KAFKA_PASSWORD": PASSWORD,
            "OMS_KAFKA_CA_FILE": self.file("ca.pem"),
            **changed,
        }

    def with_bare_login(self) -> dict[str, str]:
        return {
            "OMS_KAFKA_BOOTSTRAP": self.bare_login,
            "OMS_KAFKA_SECURITY": "SASL_PLAINTEXT",
            "OMS_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "OMS_KAFKA_USERNAME": USERNAME,
            "OMS_KAFKA_PASSWORD": PASSWORD,
        }

    def with_certificate(self, **changed: str) -> dict[str, str]:
        return {
            "OMS_KAFKA_BOOTSTRAP": self.certificates,
            "OMS_KAFKA_SECURITY": "SSL",
            "OMS_KAFKA_CA_FILE": self.file("ca.pem"),
            "OMS_KAFKA_CERT_FILE": self.file("client.crt"),
            "OMS_KAFKA_KEY_FILE": self.file("client.key"),
            **changed,
        }

    def file(self, name: str) -> str:
        return str(self.folder / name)


WAYS: Mapping[str, Callable[[Guarded], dict[str, str]]] = {
    "SASL_SSL, SCRAM-SHA-512": lambda kafka: kafka.with_login("SCRAM-SHA-512"),
    "SASL_SSL, PLAIN": lambda kafka: kafka.with_login("PLAIN"),
    "SASL_PLAINTEXT, SCRAM-SHA-256": lambda kafka: kafka.with_bare_login(),
    "SSL, with a certificate": lambda kafka: kafka.with_certificate(),
}
"""All that there are, each as the environment of a client."""


@contextlib.asynccontextmanager
async def guarded_kafka(folder: Path, cache_dir: Path, *, groups: str) -> AsyncIterator[Guarded]:
    """A running one, with its data and all certificates in the folder. Groups that begin so may read."""
    _write_certificates(folder)
    ports = Ports()
    plain, controller, login, bare_login, certificates = (ports.draw() for _ in range(5))
    tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
    }
    certificate = {"ssl.client.auth": "required", "ssl.principal.mapping.rules": f"RULE:^.*$/{USERNAME}/"}
    listeners = [
        KafkaListener("LOGIN", login, login, "SASL_SSL", tls | _logins("PLAIN", "SCRAM-SHA-512")),
        KafkaListener("BARE", bare_login, bare_login, "SASL_PLAINTEXT", _logins("SCRAM-SHA-256")),
        KafkaListener("CERTS", certificates, certificates, "SSL", tls | certificate),
    ]
    broker = await kafka.prepare(await find_java(), cache_dir, print)
    home = folder / "kafka"
    home.mkdir()
    await broker.format(home, [f"{mechanism}=[name={USERNAME},password={PASSWORD}]" for mechanism in SCRAM])
    async with Supervisor(RunFolder(folder / "run"), print) as supervisor:
        await supervisor.start(
            broker.program(home, plain, controller, Profile.TEST, listeners=listeners, settings=_AUTHORIZER)
        )
        await _allow(Broker(f"{LOCALHOST}:{plain}"), groups)
        at = [f"{LOCALHOST}:{port}" for port in (plain, login, bare_login, certificates)]
        yield Guarded(at[0], at[1], at[2], at[3], folder)
    shutil.rmtree(home)


async def _allow(broker: Broker, groups: str) -> None:
    """What docs/deploy.md says that our login needs."""
    async with broker.admin() as admin:
        for resource, name, pattern, operations in (
            (_TOPIC, "oms.", _PREFIXED, (_DESCRIBE, _READ, _WRITE, _CREATE)),
            (_GROUP, groups, _PREFIXED, (_DESCRIBE, _READ)),
        ):
            for operation in operations:
                rule = CreateAclsRequest(resource, name, pattern, f"User:{USERNAME}", "*", operation, _ALLOW)
                for code, said in (await admin._send_to_controller(rule)).creation_responses:
                    assert code == 0, said


def _logins(*mechanisms: str) -> dict[str, str]:
    modules = {"PLAIN": f'{_MODULES}.plain.PlainLoginModule required user_{USERNAME}="{PASSWORD}";'}
    modules |= dict.fromkeys(SCRAM, f"{_MODULES}.scram.ScramLoginModule required;")
    return {"sasl.enabled.mechanisms": ",".join(mechanisms)} | {
        f"{mechanism.lower()}.sasl.jaas.config": modules[mechanism] for mechanism in mechanisms
    }


def _write_certificates(folder: Path) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(folder / "ca.pem"))
    theirs.cert_pem.write_to_path(str(folder / "other-ca.pem"))
    server = ours.issue_cert(LOCALHOST)
    (folder / "server.pem").write_bytes(_key_for_java(server) + _chain(server))
    for authority, name in ((ours, "client"), (theirs, "stranger")):
        client = authority.issue_cert("oms.example.com")
        (folder / f"{name}.crt").write_bytes(_chain(client))
        client.private_key_pem.write_to_path(str(folder / f"{name}.key"))


def _chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


def _key_for_java(certificate: trustme.LeafCert) -> bytes:
    """Kafka reads keys in PKCS #8 only."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
