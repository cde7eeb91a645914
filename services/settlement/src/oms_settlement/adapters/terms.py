"""Rate cards, profiles and write-off policies in the database, and the edition of them that is kept in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_settlement.adapters.documents import (
    AccountDocument,
    ProfileDocument,
    RateCardDocument,
    WriteOffPolicyDocument,
)
from oms_settlement.domain.rates import RateCard, in_force
from oms_settlement.settings import settings

ANY = "*"

_EDITION = text("select edition from rate_book")
_NEW_EDITION = text("update rate_book set edition = gen_random_uuid()")
_CARDS = text(
    """
    select channel, shop, component, currency, version, valid_from, rate_ppm, fixed_minor, min_minor, max_minor
      from rate_cards order by valid_from, version
    """
)
_CARD = text(
    """
    select channel, shop, component, currency, version, valid_from, rate_ppm, fixed_minor, min_minor, max_minor
      from rate_cards
     where channel = :channel and shop = :shop and component = :component and currency = :currency
       and version = :version
    """
)
_ADD_CARD = text(
    """
    insert into rate_cards (channel, shop, component, currency, version, valid_from, rate_ppm, fixed_minor, min_minor,
                            max_minor)
    values (:channel, :shop, :component, :currency, :version, :valid_from, :rate_ppm, :fixed_minor, :min_minor,
            :max_minor)
    """
)
_PROFILES = text("select account, cast(profile as text) as profile from accounts where profile is not null")
_WITH_CURRENCY = text("select account from accounts where currency is not null")
_SAVE_PROFILE = text(
    """
    insert into accounts (account, channel, shop, profile, currency)
    values (:account, :channel, :shop, cast(:profile as json), :currency)
    on conflict (account) do update
       set profile = excluded.profile, currency = excluded.currency, updated_at = now()
    """
)
_OPEN = text(
    """
    insert into accounts (account, channel, shop, currency)
    select * from unnest(cast(:accounts as text[]), cast(:channels as text[]), cast(:shops as text[]),
                         cast(:currencies as text[]))
    on conflict (account) do update set currency = coalesce(accounts.currency, excluded.currency)
     where accounts.currency is null and excluded.currency is not null
    """
)
_ACCOUNT = text("select account_no, cast(profile as text) as profile, currency from accounts where account = :account")
_POLICY = text(
    "select version, cast(document as text) as document from write_off_policies order by version desc limit 1"
)
_ADD_POLICY = text(
    "insert into write_off_policies (version, document, set_by) values (:version, cast(:document as json), :set_by)"
)

_kept: dict[UUID, "Terms"] = {}
"""The last edition read. An edition's id is drawn at random, so it never means two different ones."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One edition of the rate cards and the profiles."""

    cards: Mapping[tuple[str, str, str, str], Sequence[RateCard]]
    profiles: Mapping[str, ProfileDocument]
    accounts: frozenset[str]
    """Those that have a currency: a statement of theirs can be read."""

    def card(self, channel: str, shop: str, component: str, currency: str, at: datetime) -> RateCard | None:
        """The card in force: the shop's own, else its channel's. None: nothing is taken."""
        for whose in (shop, ANY):
            card = in_force(self.cards.get((channel, whose, component, currency), ()), at)
            if card is not None:
                return card
        return None

    def due_days(self, account: str) -> int:
        """Days until money of an account is overdue."""
        profile = self.profiles.get(account)
        return settings().due_days if profile is None else profile.due_days


@dataclass(frozen=True, slots=True)
class Account:
    """A shop's wallet as it is known."""

    account_no: int
    profile: ProfileDocument | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """The write-off policy in force."""

    version: int
    document: WriteOffPolicyDocument


async def terms(connection: AsyncConnection) -> Terms:
    """Cards and profiles as they stand: one short statement, unless the edition is new."""
    edition = (await connection.execute(_EDITION)).scalar_one()
    if edition not in _kept:
        found = await _read(connection)
        _kept.clear()
        _kept[edition] = found
    return _kept[edition]


async def _read(connection: AsyncConnection) -> Terms:
    cards: dict[tuple[str, str, str, str], list[RateCard]] = {}
    for row in await connection.execute(_CARDS):
        card = RateCard(row.rate_ppm, row.fixed_minor, row.min_minor, row.max_minor, row.version, row.valid_from)
        cards.setdefault((row.channel, row.shop, row.component, row.currency), []).append(card)
    profiles = {
        row.account: ProfileDocument.model_validate_json(row.profile) for row in await connection.execute(_PROFILES)
    }
    accounts = frozenset((await connection.execute(_WITH_CURRENCY)).scalars())
    return Terms(cards, profiles, accounts)


async def new_edition(connection: AsyncConnection) -> None:
    """Say that cards or profiles change. Other writers wait until this transaction ends."""
    await connection.execute(_NEW_EDITION)


async def rate_card(connection: AsyncConnection, document: RateCardDocument) -> RateCardDocument | None:
    """The card that has this document's name and version, if there is one."""
    row = (await connection.execute(_CARD, document.model_dump())).one_or_none()
    return RateCardDocument(**row._mapping) if row else None


async def add_rate_card(connection: AsyncConnection, document: RateCardDocument) -> None:
    await connection.execute(_ADD_CARD, document.model_dump())


async def save_profile(connection: AsyncConnection, account: str, document: AccountDocument) -> None:
    parameters = {
        "account": account,
        "channel": document.channel,
        "shop": document.shop,
        "profile": document.profile().model_dump_json(),
        "currency": document.currency,
    }
    await connection.execute(_SAVE_PROFILE, parameters)


async def open_accounts(connection: AsyncConnection, wanted: Mapping[str, tuple[str, str, str | None]]) -> None:
    """Begin accounts that are not known yet: channel, shop and currency of each, the last as far as it is known."""
    names = sorted(wanted)
    parameters = {
        "accounts": names,
        "channels": [wanted[name][0] for name in names],
        "shops": [wanted[name][1] for name in names],
        "currencies": [wanted[name][2] for name in names],
    }
    await connection.execute(_OPEN, parameters)


async def account(connection: AsyncConnection, name: str) -> Account:
    """An account that is known."""
    row = (await connection.execute(_ACCOUNT, {"account": name})).one()
    profile = ProfileDocument.model_validate_json(row.profile) if row.profile else None
    return Account(row.account_no, profile, row.currency)


async def policy(connection: AsyncConnection) -> Policy:
    """The write-off policy in force; version 0 is the built-in one."""
    row = (await connection.execute(_POLICY)).one_or_none()
    if row is None:
        return Policy(0, WriteOffPolicyDocument())
    return Policy(row.version, WriteOffPolicyDocument.model_validate_json(row.document))


async def add_policy(connection: AsyncConnection, version: int, document: WriteOffPolicyDocument, set_by: str) -> None:
    parameters = {"version": version, "document": document.model_dump_json(), "set_by": set_by}
    await connection.execute(_ADD_POLICY, parameters)
