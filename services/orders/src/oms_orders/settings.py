"""Settings of the orders service alone (`OMS_ORDERS_...`)."""

from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OrdersSettings(BaseSettings):
    """How long orders wait."""

    model_config = SettingsConfigDict(env_prefix="OMS_ORDERS_", extra="ignore")

    unpaid_timeout_s: int = Field(default=1800, ge=1, le=90 * 24 * 3600)
    """An order that is not paid in full so long after we received it is cancelled. Counted from when it was
    received, since the channel's time may be years ago when orders are replayed."""


@cache
def settings() -> OrdersSettings:
    """The settings, read once."""
    return OrdersSettings()
