"""Rate cards, profiles of wallets, limits of write-offs."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, TypeAdapter

from oms_events.contracts.shared import Code, Words
from oms_events.runtime.http import BY_NAME, Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_settlement.adapters import queries, terms
from oms_settlement.adapters.documents import (
    AccountDocument,
    ProfileDocument,
    RateCardDocument,
    Scope,
    WriteOffPolicyDocument,
)
from oms_settlement.app import terms as changes
from oms_settlement.entrypoints.actor import Actor
from oms_settlement.entrypoints.views import AccountView, RateCardView

_BY_CARD = TypeAdapter(tuple[Words, Words, Words, Words, Words])


class PolicyView(BaseModel):
    """The write-off policy in force; version 0 is the built-in one."""

    version: int
    document: WriteOffPolicyDocument


def router(runtime: Runtime) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/rate-cards")
    async def list_rate_cards(
        channel: Annotated[Code | None, Query()] = None,
        shop: Annotated[Scope | None, Query()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[RateCardView]:
        """Every version of every rate card."""
        names = ("after_channel", "after_shop", "after_component", "after_currency", "after_version")
        position = read_cursor(cursor, _BY_CARD) or ("",) * len(names)
        after = dict(zip(names, position, strict=True))
        async with runtime.connection() as connection:
            rows = await queries.rate_cards(connection, channel=channel, shop=shop, limit=limit, **after)
        items = [RateCardView.model_validate(row) for row in rows]
        last = items[-1] if len(items) == limit else None
        next_cursor = (
            write_cursor(last.channel, last.shop, last.component, last.currency, last.version) if last else None
        )
        return Page(items=items, next_cursor=next_cursor)

    @router.put("/v1/rate-cards", status_code=201)
    async def put_rate_card(document: RateCardDocument, response: Response) -> RateCardDocument:
        """Add a version of a rate card. The same again is answered with 200; a version never changes."""
        async with runtime.transaction() as work:
            added = await changes.put_rate_card(work, document)
        if not added:
            response.status_code = 200
        return document

    @router.get("/v1/settlement-accounts")
    async def list_accounts(limit: Limit = 50, cursor: Cursor = None) -> Page[AccountView]:
        """Wallets that orders, statements or profiles made known."""
        (after,) = read_cursor(cursor, BY_NAME) or ("",)
        async with runtime.connection() as connection:
            rows = await queries.accounts(connection, after, limit)
        items = [_account(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(items[-1].account) if len(items) == limit else None)

    @router.put("/v1/settlement-accounts")
    async def put_account(document: AccountDocument) -> AccountDocument:
        """Set how a shop's wallet is settled."""
        async with runtime.transaction() as work:
            await changes.put_account(work, document)
        return document

    @router.get("/v1/write-off-policy")
    async def show_policy() -> PolicyView:
        """Who may write off how much."""
        async with runtime.connection() as connection:
            policy = await terms.policy(connection)
        return PolicyView(version=policy.version, document=policy.document)

    @router.put("/v1/write-off-policy")
    async def put_policy(document: WriteOffPolicyDocument, actor: Actor) -> PolicyView:
        """Set who may write off how much. Only finance may."""
        actor.require("finance")
        async with runtime.transaction() as work:
            policy = await changes.put_policy(work, document, actor.name)
        return PolicyView(version=policy.version, document=policy.document)

    return router


def _account(row: dict[str, object]) -> AccountView:
    profile = row.pop("profile")
    shown = None if profile is None else ProfileDocument.model_validate_json(str(profile))
    return AccountView.model_validate({**row, "profile": shown})
