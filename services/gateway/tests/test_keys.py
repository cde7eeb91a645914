"""The key file: nothing in it to steal, whole at every moment, read again when it changes."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from oms_gateway import keys
from oms_gateway.keys import KeyRing, KeyUnknown, NameTaken, Role

ROOT = "r" * 32
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys.json"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def issue(path: Path, name: str = "shop", role: Role = Role.CHANNEL) -> tuple[str, str]:
    return keys.issue(path, ROOT, name=name, role=role, now=NOW)


def test_neither_key_nor_secret_is_in_the_file(path: Path) -> None:
    key, secret = issue(path)
    text = path.read_text()
    assert key not in text
    assert secret not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_secret_is_derived_from_root_and_id(path: Path) -> None:
    key, secret = issue(path)
    assert secret == keys.derive_secret(ROOT, key)
    assert secret != keys.derive_secret("x" * 32, key)
    found = KeyRing(path, ROOT).find(key)
    assert found is not None
    assert found[1] == secret


def test_a_ring_sees_changes_once_a_second(path: Path) -> None:
    clock = Clock()
    ring = KeyRing(path, ROOT, monotonic=clock)
    assert ring.find("omk_none") is None
    key, _ = issue(path)
    assert ring.find(key) is None
    clock.now = 1.0
    assert ring.find(key) is not None
    keys.revoke(path, name="shop", now=NOW)
    assert ring.find(key) is not None
    clock.now = 2.0
    assert ring.find(key) is None


def test_a_broken_file_leaves_the_last_keys_in_force(path: Path) -> None:
    clock = Clock()
    key, _ = issue(path)
    ring = KeyRing(path, ROOT, monotonic=clock)
    assert ring.find(key) is not None
    good = path.read_bytes()
    path.write_text('{"version": 1, "keys": [{"na')
    clock.now = 1.0
    assert ring.find(key) is not None
    path.write_bytes(good.replace(b'"channel"', b'"viewer"'))
    clock.now = 2.0
    found = ring.find(key)
    assert found is not None
    assert found[0].role is Role.VIEWER


def test_names_are_unique_among_keys_in_force(path: Path) -> None:
    issue(path)
    with pytest.raises(NameTaken, match="shop"):
        issue(path)
    keys.revoke(path, name="shop", now=NOW)
    issue(path)
    assert [key.revoked_at is None for key in keys.list_keys(path)] == [False, True]
    with pytest.raises(KeyUnknown):
        keys.revoke(path, name="nobody", now=NOW)


def test_keys_issued_at_the_same_time_are_all_kept(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: issue(path, f"shop-{number}"), range(24)))
    assert len(json.loads(path.read_text())["keys"]) == 24


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "é", "x" * 65])
def test_a_name_is_fit_for_a_header(path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        issue(path, name)


def test_a_limit_that_no_rule_would_look_at_is_refused(path: Path) -> None:
    with pytest.raises(ValidationError, match="only a key of role channel"):
        keys.issue(path, ROOT, name="n", role=Role.OPERATOR, now=NOW, shops=["web/*"])


def test_scopes_are_case_sensitive_globs(path: Path) -> None:
    keys.issue(path, ROOT, name="n", role=Role.CHANNEL, now=NOW, shops=["web/eu-*", "app/*"])
    key = keys.list_keys(path)[0]
    assert key.may_sell_at("web", "eu-de")
    assert key.may_sell_at("app", "x")
    assert not key.may_sell_at("web", "us")
    assert not key.may_sell_at("web", "EU-de")
    assert key.may_use_node("anything")


class TestHandedOut:
    @pytest.fixture
    def to(self, path: Path) -> Path:
        return path.with_name("demo.json")

    def hand_out(self, path: Path, to: Path) -> dict[str, dict[str, str]]:
        keys.hand_out(path, ROOT, to=to, now=NOW)
        handed: dict[str, dict[str, str]] = json.loads(to.read_text())
        return handed

    def test_every_role_gets_a_key_that_is_in_force(self, path: Path, to: Path) -> None:
        handed = self.hand_out(path, to)
        assert handed.keys() == set(Role)
        ring = KeyRing(path, ROOT)
        for role, key in handed.items():
            found = ring.find(key["key"])
            assert found is not None
            assert (found[0].role, found[1]) == (role, key["secret"])
        assert stat.S_IMODE(to.stat().st_mode) == 0o600

    def test_again_they_are_the_same(self, path: Path, to: Path) -> None:
        first = self.hand_out(path, to)
        assert self.hand_out(path, to) == first
        assert len(keys.list_keys(path)) == len(Role)

    def test_a_key_whose_secret_was_lost_is_replaced(self, path: Path, to: Path) -> None:
        first = self.hand_out(path, to)
        to.write_text(json.dumps({"viewer": first["viewer"]}))
        second = self.hand_out(path, to)
        assert second["viewer"] == first["viewer"]
        assert second["channel"] != first["channel"]
        assert KeyRing(path, ROOT).find(first["channel"]["key"]) is None

    def test_a_key_file_that_was_lost_is_made_anew(self, path: Path, to: Path) -> None:
        first = self.hand_out(path, to)
        path.unlink()
        second = self.hand_out(path, to)
        assert second["viewer"] != first["viewer"]
        assert KeyRing(path, ROOT).find(second["viewer"]["key"]) is not None
