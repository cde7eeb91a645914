"""Settings of the broker: which go together, which files will do, and that nobody is told a secret."""

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from oms_events.runtime.broker import Broker
from oms_events.runtime.settings import SettingRefused, Settings, read_settings

SECRET = "hunter2"
LOGIN = {"kafka_username": "oms", "kafka_password": SecretStr(SECRET)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ("ours", "others"):
        certificate = authority.issue_cert(f"{name}.example.com")
        certificate.cert_chain_pems[0].write_to_path(str(folder / f"{name}.crt"))
        certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    key = load_pem_private_key((folder / "ours.key").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"known to nobody"))
    (folder / "encrypted.key").write_bytes(encrypted)
    (folder / "words.pem").write_text("no certificate")
    return folder


def made(files: Path, **settings: object) -> Broker:
    """Settings that end in _file name one of the files."""
    placed = {name: str(files / str(value)) if name.endswith("_file") else value for name, value in settings.items()}
    return Broker.of(Settings(**placed))


def test_without_a_word_it_is_plain() -> None:
    broker = Broker.of(Settings(kafka_bootstrap="kafka:9092"))
    assert broker == Broker("kafka:9092")
    assert broker.options() == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("security", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_who_logs_in_says_who_it_is(security: str, mechanism: str, files: Path) -> None:
    options = made(files, kafka_security=security, kafka_sasl_mechanism=mechanism, **LOGIN).options()
    assert options["security_protocol"] == security
    assert (options["ssl_context"] is not None) is (security == "SASL_SSL")
    said = [options[f"sasl_{name}"] for name in ("mechanism", "plain_username", "plain_password")]
    assert said == [mechanism, "oms", SECRET]


def test_a_certificate_is_shown_and_the_servers_is_always_checked(files: Path) -> None:
    names = {"kafka_ca_file": "ca.pem", "kafka_cert_file": "ours.crt", "kafka_key_file": "ours.key"}
    for settings in ({}, {"kafka_ca_file": "ca.pem"}, names):
        broker = made(files, kafka_security="SSL", **settings)
        assert broker.security == "SSL"
        assert broker.tls is not None
        assert broker.tls.verify_mode is ssl.CERT_REQUIRED
        assert broker.tls.check_hostname


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"kafka_security": "SASL_SSL"}, "OMS_KAFKA_USERNAME must be set: OMS_KAFKA_SECURITY is SASL_SSL, which logs in"),
    (
        {"kafka_security": "SASL_PLAINTEXT", "kafka_username": "oms"},
        "OMS_KAFKA_PASSWORD must be set: OMS_KAFKA_SECURITY is SASL_PLAINTEXT, which logs in",
    ),
    (LOGIN, "OMS_KAFKA_USERNAME is set, but OMS_KAFKA_SECURITY is PLAINTEXT, which does not log in"),
    (
        {"kafka_security": "SSL", "kafka_password": SecretStr(SECRET)},
        "OMS_KAFKA_PASSWORD is set, but OMS_KAFKA_SECURITY is SSL, which does not log in",
    ),
    (
        {"kafka_ca_file": "ca.pem"},
        "OMS_KAFKA_CA_FILE is set, but OMS_KAFKA_SECURITY is PLAINTEXT, which is not encrypted",
    ),
    (
        {"kafka_security": "SASL_PLAINTEXT", "kafka_cert_file": "ours.crt", **LOGIN},
        "OMS_KAFKA_CERT_FILE is set, but OMS_KAFKA_SECURITY is SASL_PLAINTEXT, which is not encrypted",
    ),
    (
        {"kafka_security": "SSL", "kafka_cert_file": "ours.crt"},
        "OMS_KAFKA_KEY_FILE must be set where OMS_KAFKA_CERT_FILE is",
    ),
    (
        {"kafka_security": "SSL", "kafka_key_file": "ours.key"},
        "OMS_KAFKA_CERT_FILE must be set where OMS_KAFKA_KEY_FILE is",
    ),
    (
        {"kafka_security": "SSL", "kafka_ca_file": "nowhere.pem"},
        "OMS_KAFKA_CA_FILE: {files}/nowhere.pem cannot be read (No such file or directory)",
    ),
    (
        {"kafka_security": "SSL", "kafka_ca_file": "words.pem"},
        "OMS_KAFKA_CA_FILE: {files}/words.pem holds no PEM certificate",
    ),
    (
        {"kafka_security": "SSL", "kafka_cert_file": "ours.crt", "kafka_key_file": "nowhere.key"},
        "OMS_KAFKA_KEY_FILE: {files}/nowhere.key cannot be read (No such file or directory)",
    ),
    *(
        (
            {"kafka_security": "SSL", "kafka_cert_file": certificate, "kafka_key_file": key},
            "OMS_KAFKA_CERT_FILE, OMS_KAFKA_KEY_FILE: must be a certificate and its own key, PEM, not encrypted",
        )
        for certificate, key in [
            ("ours.crt", "others.key"),
            ("words.pem", "ours.key"),
            ("ours.crt", "words.pem"),
            ("ours.crt", "encrypted.key"),
        ]
    ),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSED)
def test_what_cannot_be_right_is_refused_by_name(settings: dict[str, object], reason: str, files: Path) -> None:
    with pytest.raises(SettingRefused) as refused:
        made(files, **settings)
    assert str(refused.value) == reason.format(files=files)


def test_no_secret_is_in_what_is_shown_of_it(files: Path) -> None:
    assert SECRET not in repr(made(files, kafka_security="SASL_SSL", **LOGIN))


def test_settings_are_refused_by_the_names_that_people_set_and_without_what_they_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMS_KAFKA_SECURITY", "ssl")
    monkeypatch.setenv("OMS_KAFKA_PASSWORD", SECRET)
    monkeypatch.setenv("OMS_BATCH_MAX_RECORDS", "many")
    with pytest.raises(SettingRefused) as refused:
        read_settings(Settings)
    first, second = str(refused.value).split("; ")
    assert first == ("OMS_KAFKA_SECURITY: Input should be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'")
    assert second.startswith("OMS_BATCH_MAX_RECORDS: Input should be a valid integer")
    assert SECRET not in str(refused.value)
    with pytest.raises(ValueError, match="kafka_security") as raw:
        Settings()
    assert SECRET not in str(raw.value)
