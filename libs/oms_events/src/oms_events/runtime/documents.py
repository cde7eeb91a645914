"""JSON documents in rows. Only the service that wrote them reads them: by their shape alone, with msgspec's decoder."""

import msgspec


def to_document(value: object) -> str:
    """A value as JSON, as pydantic would write it."""
    return msgspec.json.encode(value).decode()
