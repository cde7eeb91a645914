"""What a person may do here. The gateway judges every request again, by the key that stands for the role."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """A person has one or several. Every role may look at everything but dead letters, which show whole events."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    FINANCE = "finance"


def role_for(needed: Role, held: Iterable[Role]) -> Role | None:
    """The role in which a person acts where `needed` is asked for, or None if they may not."""
    roles = set(held)
    if needed is not Role.VIEWER:
        return needed if needed in roles else None
    return next((role for role in Role if role in roles), None)
