"""JSON documents in rows. Only the service that wrote them reads them: by their shape alone, and with msgspec's decoder
where they become values of its own."""

import msgspec


def to_document(value: object) -> str:
    """A value as JSON, as pydantic would write it."""
    return msgspec.json.encode(value).decode()
