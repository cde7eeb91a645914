"""Settings of the settlement service alone (`OMS_SETTLEMENT_...`)."""

from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettlementSettings(BaseSettings):
    """What holds where nobody set a profile or a policy."""

    model_config = SettingsConfigDict(env_prefix="OMS_SETTLEMENT_", extra="ignore")

    due_days: int = Field(default=14, ge=0, le=365)
    """Days from dispatch until money is overdue, for accounts without a profile."""
    chunk_orders: int = Field(default=2000, ge=1, le=20_000)
    """Orders of a statement that one transaction matches."""


@cache
def settings() -> SettlementSettings:
    """The settings, read once."""
    return SettlementSettings()
