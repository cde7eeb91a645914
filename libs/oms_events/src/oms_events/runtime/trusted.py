"""Reading what our own services wrote: it kept all rules of its contract when it was made."""

from collections.abc import Callable
from functools import cache

import msgspec

from oms_events.codec import check
from oms_events.registry import Event


def trust(model: type[Event], value: bytes) -> Event:
    """The event of a value that has the shape of its contract, in half the time of checking all rules.

    What has not even that is checked, which says what is wrong with it. Raises ValidationError.
    """
    try:
        return _reader(model)(value)
    except (msgspec.DecodeError, RecursionError):
        return check(model, value)


@cache
def _reader(model: type[Event]) -> Callable[[bytes], Event]:
    return msgspec.json.Decoder(model).decode
