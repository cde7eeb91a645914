"""Drawing free TCP ports on this machine."""

import secrets
import socket

LOCALHOST = "127.0.0.1"

# Below the range from which the system draws the ports of outgoing connections. In it, one of the many connections
# of a starting system could get a port between our drawing it and a server's listening on it.
_FIRST, _LAST = 20_000, 32_000


class Ports:
    """Draws free ports on 127.0.0.1 and never the same one twice.

    A port drawn without a preference stays ours until this process ends: no other process that draws here is given it,
    neither before our server listens on it nor while that is being started again.
    """

    def __init__(self) -> None:
        self._drawn: set[int] = set()

    def draw(self, preferred: int | None = None) -> int:
        """The preferred port or, where that is taken, the next free one; any free port without a preference."""
        port = _any_free() if preferred is None else preferred
        while port in self._drawn or not _is_free(port):
            port = _any_free() if preferred is None else port + 1
        self._drawn.add(port)
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without this a port whose last connections are still in TIME_WAIT looks taken after a restart.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(probe, port)


def _any_free() -> int:
    port = _draw_ours()
    while not (_hold(port) and _is_free(port)):
        port = _draw_ours()
    return port


def _hold(port: int) -> bool:
    """Whether the port's number was nobody's; it is ours from now on.

    By its UDP port, which our servers have no use for: the system gives it to one process and takes it back when that
    ends, however it ends.
    """
    holder = socket.socket(type=socket.SOCK_DGRAM)
    if not _binds(holder, port):
        holder.close()
        return False
    holder.detach()  # open until this process ends
    return True


def _binds(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind((LOCALHOST, port))
    except OSError:
        return False
    return True


def _draw_ours() -> int:
    return secrets.randbelow(_LAST - _FIRST) + _FIRST
