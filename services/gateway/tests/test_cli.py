"""The command line."""

import json
import shlex
from pathlib import Path

import pytest

from oms_events.signing import sign
from oms_gateway.entrypoints import cli

ROOT = "r" * 32


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMS_GATEWAY_ROOT_KEY", ROOT)
    return tmp_path / "keys.json"


def run(*arguments: str) -> None:
    cli.main(list(arguments))


def test_issue_list_revoke(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("keys", "issue", "--file", str(file), "--name", "demo", "--role", "channel", "--shop", "web/*", "--rate", "50")
    issued = json.loads(capsys.readouterr().out)
    assert issued.keys() == {"key", "secret"}
    run("keys", "list", "--file", str(file))
    listed = capsys.readouterr().out
    assert '"shops":["web/*"]' in listed
    assert issued["secret"] not in listed
    assert issued["key"] not in listed
    run("keys", "revoke", "--file", str(file), "--name", "demo")
    assert "revoked_at" in capsys.readouterr().out


def test_demo_keys_are_the_same_the_second_time(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = file.with_name("demo.json")
    run("keys", "demo", "--file", str(file), "--to", str(to))
    first = json.loads(to.read_text())
    assert first["viewer"].keys() == {"key", "secret"}
    run("keys", "demo", "--file", str(file), "--to", str(to))
    assert json.loads(to.read_text()) == first
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--name", "a b", "--role", "channel"], "name"),
        (["--name", "a", "--role", "channel", "--rate", "-1"], "rate_per_s"),
        (["--name", "a", "--role", "viewer", "--node", "HAM"], "warehouse"),
    ],
)
def test_what_cannot_be_issued(file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("keys", "issue", "--file", str(file), *arguments)
    assert stopped.value.code == 2
    assert word in capsys.readouterr().err


def test_no_key_without_a_root_key(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_GATEWAY_ROOT_KEY", "short")
    with pytest.raises(SystemExit):
        run("keys", "issue", "--file", str(file), "--name", "a", "--role", "viewer")
    assert "OMS_GATEWAY_ROOT_KEY" in capsys.readouterr().err
    assert not file.exists()


def test_sign_prints_a_line_for_curl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.time, "time", lambda: 1767225600.4)
    body = '{"note": "it\'s"}'
    url = "http://127.0.0.1:8080/v1/orders?dry=1"
    run("sign", "post", url, "--key", "omk_1", "--secret", "s", "--data", body)
    words = shlex.split(capsys.readouterr().out)
    assert words[:5] == ["curl", "-sS", "-X", "POST", url]
    assert f"X-OMS-Signature: {sign('s', 1767225600, 'POST', '/v1/orders?dry=1', body.encode())}" in words
    assert words[-2:] == ["--data-binary", body]
