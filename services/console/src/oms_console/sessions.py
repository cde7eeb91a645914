"""Sessions in a signed cookie, tokens against forged forms, and a notice carried over a redirect.

The cookie holds no secret: a name, when they signed in, and a random id, under a signature and a time. Nothing is
stored here, so any replica takes it. What ends it before its time: another password, or the user removed.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Annotated

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_RENEW_AFTER_S = 60
_NOTICE_S = 60
_DIGEST = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


class Session(BaseModel):
    """A browser's session: nobody's until they sign in."""

    model_config = ConfigDict(frozen=True)

    sid: Annotated[str, Field(min_length=20, max_length=64)]
    name: str = ""
    stamp: str = ""
    """The user's stamp when they signed in."""
    since: int = 0

    @staticmethod
    def begin(*, name: str = "", stamp: str = "") -> "Session":
        """A new one with an id of its own, so that one planted before sign-in is of no use after it."""
        return Session(sid=secrets.token_urlsafe(24), name=name, stamp=stamp, since=int(time.time()))


class Notice(BaseModel):
    """What was done by the form just sent: a key of the catalog and what fills it."""

    model_config = ConfigDict(frozen=True)

    key: str
    tone: str = "good"
    values: Mapping[str, str | int] = {}


class Seal:
    """Signs and reads what browsers carry for us."""

    def __init__(self, secret: str, *, idle_s: int, longest_s: int) -> None:
        self._secret = secret.encode()
        self._sessions = URLSafeTimedSerializer(secret, salt="oms-console-session", signer_kwargs=_DIGEST)
        self._notices = URLSafeTimedSerializer(secret, salt="oms-console-notice", signer_kwargs=_DIGEST)
        self._idle_s = idle_s
        self._longest_s = longest_s

    def write(self, session: Session) -> str:
        """The cookie's value."""
        return str(self._sessions.dumps(session.model_dump()))

    def read(self, cookie: str) -> tuple[Session, bool] | None:
        """The session and whether its cookie should be written afresh; None if forged, expired or not there."""
        try:
            content, signed_at = self._sessions.loads(cookie, max_age=self._idle_s, return_timestamp=True)
            session = Session.model_validate(content)
        except (BadData, ValidationError):
            return None
        now = time.time()
        if session.name and now - session.since > self._longest_s:
            return None
        return session, now - signed_at.timestamp() > _RENEW_AFTER_S

    def token(self, session: Session) -> str:
        """What every form of the session must send back."""
        return hmac.digest(self._secret, f"oms-console-form\n{session.sid}\n{session.name}".encode(), "sha256").hex()

    def is_token(self, session: Session, token: str) -> bool:
        """Whether a form came from a page of ours in this session."""
        return hmac.compare_digest(self.token(session).encode(), token.encode("utf-8", "replace"))

    def write_notice(self, notice: Notice) -> str:
        """The value of the cookie that carries it over a redirect."""
        return str(self._notices.dumps(notice.model_dump(mode="json")))

    def read_notice(self, cookie: str) -> Notice | None:
        """The notice, if there is one and we wrote it."""
        try:
            return Notice.model_validate(self._notices.loads(cookie, max_age=_NOTICE_S))
        except (BadData, ValidationError):
            return None
