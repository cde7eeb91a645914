"""The HTTP API of analytics."""

from fastapi import APIRouter
from pydantic import BaseModel

from oms_analytics.adapters import reference
from oms_events.runtime.lifecycle import Runtime


class Summary(BaseModel):
    """How much is known."""

    orders: int
    facts: int
    changed_orders: int
    skus: int
    costs: int
    rate_cards: int


def router(runtime: Runtime) -> APIRouter:
    """The routes of analytics."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/summary", tags=["summary"])
    async def show_summary() -> Summary:
        """How much is known, and of how many orders something new waits to be worked out."""
        async with runtime.connection() as connection:
            return Summary.model_validate(await reference.summary(connection))

    return routes
