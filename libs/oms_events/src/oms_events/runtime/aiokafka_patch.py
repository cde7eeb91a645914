"""A patch of aiokafka, until it lives with uvloop by itself."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send: Callable[..., Awaitable[Any]] = AIOKafkaConnection.send


def _send_or_say_so(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Awaitable[Any]:  # noqa: ANN401 - aiokafka ships no types
    """Writing to a transport that the other end has just closed is an OSError with asyncio, a RuntimeError with uvloop.

    The client knows only the first (aio-libs/aiokafka#1038). The second ends whichever of its tasks was writing:
    without the one that looks for brokers, a consumer waits for ever, and cannot even be stopped.
    """
    try:
        return _send(connection, *arguments, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError("the connection was closed") from error


def apply() -> None:
    """Patch the client, for this whole process."""
    AIOKafkaConnection.send = _send_or_say_so
