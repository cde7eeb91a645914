"""The HTTP API of settlement."""

from fastapi import APIRouter

from oms_events.runtime.lifecycle import Runtime
from oms_settlement.entrypoints import differences_api, ledger_api, statements_api, terms_api


def router(runtime: Runtime) -> APIRouter:
    """Every route of the service."""
    routes = APIRouter()
    routes.include_router(statements_api.router(runtime), tags=["statements and expectations"])
    routes.include_router(differences_api.router(runtime), tags=["differences"])
    routes.include_router(ledger_api.router(runtime), tags=["ledger"])
    routes.include_router(terms_api.router(runtime), tags=["rate cards, accounts, limits"])
    return routes
