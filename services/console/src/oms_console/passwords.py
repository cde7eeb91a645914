"""Passwords as scrypt hashes (RFC 7914): slow and memory-hungry on purpose."""

import base64
import hashlib
import hmac
import secrets

MIN_LENGTH = 10
MAX_LENGTH = 256
_LOG_N, _R, _P = 15, 8, 1  # 32 MiB for each guess
_SALT_BYTES = 16
_KEY_BYTES = 32
_MEMORY = 128 * (1 << _LOG_N) * _R * 2


class Unfit(ValueError):
    """The password is too short or too long."""


def hash_password(password: str) -> str:
    """`scrypt$<log2 n>$<r>$<p>$<salt>$<key>`. Raises Unfit."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Unfit(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _derive(password, salt, _LOG_N, _R, _P)
    return "$".join(("scrypt", str(_LOG_N), str(_R), str(_P), _encode(salt), _encode(key)))


def verify(password: str, stored: str) -> bool:
    """Whether this is the password; takes as long either way."""
    _, log_n, r, p, salt, key = stored.split("$")
    found = _derive(password[:MAX_LENGTH], _decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, _decode(key)) and len(password) <= MAX_LENGTH


def _derive(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    text = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MEMORY, dklen=_KEY_BYTES)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text)
