"""Sessions, forms and guesses."""

import time

import pytest

from oms_console.sessions import Notice, Seal, Session
from oms_console.throttle import FIRST_WAIT_S, FREE_FAILURES, LONGEST_WAIT_S, Throttle
from oms_console.visit import Taste, local_path

SECRET = "a secret for tests, as long as it must be"


@pytest.fixture
def seal() -> Seal:
    return Seal(SECRET, idle_s=60, longest_s=600)


def test_a_session_comes_back_as_it_was(seal: Seal) -> None:
    session = Session.begin(name="ann", stamp="s")
    assert seal.read(seal.write(session)) == (session, False)


def test_a_session_that_somebody_touched_is_none(seal: Seal) -> None:
    cookie = seal.write(Session.begin(name="ann"))
    for place in range(0, len(cookie), 7):
        other = "A" if cookie[place] != "A" else "B"
        assert seal.read(cookie[:place] + other + cookie[place + 1 :]) is None
    assert seal.read("") is None
    assert seal.read("ann.and.more") is None


def test_a_session_of_another_secret_is_none(seal: Seal) -> None:
    other = Seal("another secret for tests, as long as it must be", idle_s=60, longest_s=600)
    assert seal.read(other.write(Session.begin(name="ann"))) is None


def test_a_notice_is_no_session(seal: Seal) -> None:
    assert seal.read(seal.write_notice(Notice(key="notice.held"))) is None
    assert seal.read_notice(seal.write(Session.begin(name="ann"))) is None


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.begin(name="ann")
    cookie, began = seal.write(session), time.time()
    monkeypatch.setattr(time, "time", lambda: began + 62)
    assert seal.read(cookie) is None, "idle for too long"
    monkeypatch.setattr(time, "time", lambda: began + 599)
    fresh = seal.write(session)
    assert seal.read(fresh) is not None
    monkeypatch.setattr(time, "time", lambda: began + 602)
    assert seal.read(fresh) is None, "used all the time, but too old"


def test_a_form_belongs_to_one_session_and_one_person(seal: Seal) -> None:
    session = Session.begin(name="ann")
    assert seal.is_token(session, seal.token(session))
    assert not seal.is_token(Session.begin(name="ann"), seal.token(session))
    assert not seal.is_token(session.model_copy(update={"name": "bob"}), seal.token(session))
    assert not seal.is_token(session, "")
    assert not seal.is_token(session, "\ud800")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_some_wrong_passwords_each_try_has_to_wait_longer() -> None:
    clock = Clock()
    throttle = Throttle(monotonic=clock)
    for _ in range(FREE_FAILURES):
        assert throttle.wait_s(["ann"]) == 0
        throttle.fail(["ann"])
    waits = []
    for _ in range(12):
        waits.append(throttle.wait_s(["ann"]))
        throttle.fail(["ann"])
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S
    assert throttle.wait_s(["bob"]) == 0
    assert throttle.wait_s(["bob", "ann"]) == LONGEST_WAIT_S
    clock.now += LONGEST_WAIT_S
    assert throttle.wait_s(["ann"]) == 0


def test_a_right_password_forgets_the_wrong_ones() -> None:
    throttle = Throttle(monotonic=Clock())
    for _ in range(FREE_FAILURES + 1):
        throttle.fail(["ann"])
    throttle.clear(["ann"])
    assert throttle.wait_s(["ann"]) == 0


def test_names_made_up_do_not_fill_the_memory() -> None:
    throttle = Throttle(monotonic=Clock())
    for number in range(12_000):
        throttle.fail([f"name {number}"])
    assert len(throttle._failures) == 10_000


@pytest.mark.parametrize("path", ["/orders?state=on_hold", "/", "/stock/a%2Fb"])
def test_a_path_of_ours_is_followed(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil", "/a\nb", "javascript:alert(1)"],
)
def test_a_path_of_somebody_else_is_not(path: str) -> None:
    assert local_path(path) == "/"


def test_what_a_person_chose_is_kept_and_what_is_no_choice_is_not() -> None:
    chosen = Taste("zh", "dark", "Asia/Shanghai")
    assert Taste.read(chosen.write(), language="en", zone="UTC") == chosen
    for cookie in ("", "xx~<b>~Mars/Olympus", "~~~~", "en"):
        assert Taste.read(cookie, language="en", zone="UTC") == Taste("en", "auto", "UTC")
