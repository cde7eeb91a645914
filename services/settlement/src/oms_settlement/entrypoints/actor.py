"""Who asks, as the gateway proved it: no other way leads here."""

from typing import Annotated

from fastapi import Depends, Header

from oms_events.runtime.problems import Problem

_NAME = Header(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$")
_ROLE = Header(max_length=32, pattern=r"^[a-z]+$")


class Caller:
    """A caller's name and role. Without a role nothing is allowed that asks for one."""

    def __init__(self, name: str, role: str) -> None:
        self.name = name
        self.role = role

    def require(self, *roles: str) -> None:
        """Raises Problem 403 for another role."""
        if self.role not in roles:
            raise Problem(403, f"role: this needs {' or '.join(roles)}")


def _caller(x_oms_actor: Annotated[str, _NAME] = "unknown", x_oms_role: Annotated[str, _ROLE] = "none") -> Caller:
    return Caller(x_oms_actor, x_oms_role)


Actor = Annotated[Caller, Depends(_caller)]
